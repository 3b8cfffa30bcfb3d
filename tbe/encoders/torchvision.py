"""torchvision's video networks as encoders."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from torch import Tensor
from torchvision.models import get_model_weights

from tbe.backbones.torchvision import BODIES, TorchvisionBackbone
from tbe.checkpoints import checkpoint as checkpoints
from tbe.encoders.base import Encoder, Encoding, InputSpec
from tbe.encoders.names import RANDOM, Asked, Settings, changed, check_no_allow, reached, takes_options
from tbe.encoders.own import READOUTS, BackboneEncoder, report_of
from tbe.encoders.report import RANDOM as RANDOM_WEIGHTS
from tbe.encoders.report import LoadReport
from tbe.errors import UserError

RATE = 30  # frames a second of the videos of Kinetics, on which the published strides are counted


class Sampling(NamedTuple):
    """The clips of torchvision's published accuracies: frames, and frames a second."""

    num_frames: int
    rate: float


SAMPLING = {
    "r3d_18": Sampling(16, 15),
    "mc3_18": Sampling(16, 15),
    "r2plus1d_18": Sampling(16, 15),
    "s3d": Sampling(128, 15),
    "mvit_v1_b": Sampling(16, 7.5),
    "mvit_v2_s": Sampling(16, 7.5),
    "swin3d_t": Sampling(32, 15),
    "swin3d_s": Sampling(32, 15),
    "swin3d_b": Sampling(32, 15),
}


class ClassTokenEncoder(Encoder):
    """An MViT, whose classifier reads the class token."""

    def __init__(
        self, name: str, backbone: TorchvisionBackbone, spec: InputSpec, report: LoadReport, pool: str | None = None
    ) -> None:
        super().__init__(name, spec, report, ("cls", *READOUTS), pool)
        self.backbone = backbone

    def encode(self, inputs: Tensor) -> Encoding:
        tokens, grid = self.backbone.body.tokens(inputs)  # type: ignore[operator]  # torch types it as a tensor
        return Encoding(tokens[:, 1:], grid, {"cls": tokens[:, :1]})


def load_torchvision(name: str, asked: str, settings: Settings, **options: Any) -> Encoder:
    """Returns `<network>@<weights>`: a file, a name of torchvision's weights (default: DEFAULT), or 'random'."""
    network, weights = Asked.of(asked)
    if network not in BODIES:
        raise UserError(f"{name}: expected a video network of torchvision among {', '.join(BODIES)}, got {network!r}")
    check_no_allow(name, settings)
    spec, options = changed(_spec(network), options)
    kind = ClassTokenEncoder if network.startswith("mvit") else BackboneEncoder
    published = list(get_model_weights(network).__members__)
    if weights in (RANDOM, "DEFAULT", *published):
        chosen = None if weights == RANDOM else weights
        with takes_options(name, options), reached(name, f"torchvision:{network}@<file>", "its .pth file"):
            backbone = TorchvisionBackbone(network, weights=chosen, **options)
        total = len(backbone.state_dict())
        source = RANDOM_WEIGHTS if chosen is None else f"torchvision's {chosen}"
        report = LoadReport(source, total=total, matched=0 if chosen is None else total)
        return kind(name, backbone, spec, report, settings.pool)
    if not os.path.isfile(weights):
        raise UserError(
            f"{name}: expected weights to be a file, {RANDOM}, DEFAULT or of {', '.join(published)}, got {weights!r}"
        )
    with takes_options(name, options):
        backbone = TorchvisionBackbone(network, **options)
    found = checkpoints.read_any(weights, min_matched=settings.min_matched)
    found.load_into(backbone)
    return kind(name, backbone, spec, report_of(found, backbone, weights), settings.pool)


def _spec(network: str) -> InputSpec:
    """Returns the preprocessing of torchvision's weights of a network."""
    made = get_model_weights(network)["DEFAULT"].transforms()
    num_frames, rate = SAMPLING[network]
    sides = [crop / resized for crop, resized in zip(made.crop_size, made.resize_size, strict=False)]
    squash = len(made.resize_size) == 2  # both sides are brought to a size, whatever the proportions
    return InputSpec(
        num_frames=num_frames,
        frame_stride=round(RATE / rate),
        size=(made.crop_size[0], made.crop_size[0]),
        mean=tuple(made.mean),
        std=tuple(made.std),
        crop=(sides[0], sides[1]) if squash and len(set(sides)) > 1 else sides[0],
        squash=squash,
    )
