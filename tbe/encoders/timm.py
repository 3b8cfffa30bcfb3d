"""Image models of timm as encoders, averaged over frames: the control that sees no motion."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from tbe.checkpoints.foreign import read
from tbe.encoders.base import Encoder, Encoding, InputSpec
from tbe.encoders.names import FIELDS, RANDOM, Asked, Settings, answered, changed, reached, takes_options
from tbe.encoders.report import RANDOM as RANDOM_WEIGHTS
from tbe.encoders.report import LoadReport
from tbe.errors import UserError

NUM_FRAMES, STRIDE = 8, 4
WRAPPERS = ("state_dict", "model", "state_dict_ema")  # keys of files that hold more than a network
HEADS = ("head.", "fc.", "classifier.")  # which are not loaded
READOUTS = ("mean", "mean_std", "moments")


class TimmEncoder(Encoder):
    """An image model, run on each frame. Readouts: 'head', what its own classifier gets; 'cls', its class token."""

    library = "timm"

    def __init__(
        self, name: str, network: nn.Module, spec: InputSpec, report: LoadReport, pool: str | None = None
    ) -> None:
        has_cls = getattr(network, "cls_token", None) is not None
        super().__init__(name, spec, report, ("head", *["cls"] * has_cls, *READOUTS), pool)
        self.network = network
        self.num_prefix = int(getattr(network, "num_prefix_tokens", has_cls))

    def encode(self, inputs: Tensor) -> Encoding:
        num_clips, num_frames = inputs.shape[:2]
        with answered(self.name, inputs):
            found = self.network.forward_features(inputs.flatten(0, 1))  # type: ignore[operator]
            if not isinstance(found, Tensor):
                raise UserError(
                    f"{self.name}: expected a model of timm whose features are one tensor, got a "
                    f"{type(found).__name__}. Choose another model, or <module>:<function> that puts them together"
                )
            head = self.network.forward_head(found, pre_logits=True)  # type: ignore[operator]
        summaries = {"head": head}
        if "cls" in self.readouts:
            summaries["cls"] = found[:, 0]
        summaries = {key: value.unflatten(0, (num_clips, num_frames)) for key, value in summaries.items()}
        tokens, places = self._tokens(found)
        grid = (num_frames, *places) if places else None
        return Encoding(tokens.reshape(num_clips, -1, tokens.shape[-1]), grid, summaries)

    def _tokens(self, found: Tensor) -> tuple[Tensor, tuple[int, int] | None]:
        """Returns tokens (n, N, D) of frames, and their rows and columns, if the model has any."""
        if found.ndim == 4 and getattr(self.network, "output_fmt", "NCHW") == "NHWC":
            return found.flatten(1, 2), (found.shape[1], found.shape[2])
        if found.ndim == 4:
            return found.flatten(2).transpose(1, 2), (found.shape[2], found.shape[3])
        tokens = found[:, self.num_prefix :] if found.shape[1] > self.num_prefix else found  # the class token alone
        rows, columns = getattr(getattr(self.network, "patch_embed", None), "grid_size", None) or (0, 0)
        return tokens, (rows, columns) if rows * columns == tokens.shape[1] else None


def load_timm(name: str, asked: str, settings: Settings, **options: Any) -> TimmEncoder:
    """Returns `<model>[@<weights>]`: a file, 'random', or timm's own weights. Further options go to the model.

    Raises UserError for an unknown model, and for a file that lacks tensors of it.
    """
    model, weights = Asked.of(asked)
    timm = _timm(name)
    if not timm.is_model(model):
        near = difflib.get_close_matches(model, timm.list_models(), n=3)
        such = f", such as {', '.join(near)}" if near else ""
        raise UserError(f"{name}: expected a model of timm{such}, got {model!r}")
    is_file = weights not in (RANDOM, "DEFAULT")
    if is_file and not os.path.isfile(weights):
        raise UserError(f"{name}: expected weights to be a file or {RANDOM}, got {weights!r}")
    if weights == "DEFAULT" and not timm.models.is_model_pretrained(model):
        raise UserError(f"{name}: expected a model that timm has weights of, got {model!r}: timm:{model}@<file>")
    of_spec = {key: value for key, value in options.items() if key in FIELDS}
    own = {key: value for key, value in options.items() if key not in FIELDS}
    with takes_options(name, own), reached(name, f"timm:{model}@<file>", "its file of weights"):
        network = timm.create_model(model, pretrained=weights == "DEFAULT", num_classes=0, **own)
    made = timm.data.resolve_model_data_config(network)
    spec, _ = changed(_spec(made), {**({"size": own["img_size"]} if "img_size" in own else {}), **of_spec})
    total = len(network.state_dict())
    if weights == RANDOM:
        report = LoadReport(RANDOM_WEIGHTS, total=total, matched=0)
    elif weights == "DEFAULT":
        report = LoadReport(f"timm's {model}", total=total, matched=total)  # timm itself accepts nothing less
    else:
        report = _load_file(network, weights)
        report.require(name, settings.min_matched, settings.allow)
    return TimmEncoder(name, network, spec, report, settings.pool)


def _timm(name: str) -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise UserError(f'{name}: expected the package timm: pip install -e ".[timm]"') from error
    return timm


def _spec(made: Mapping[str, Any]) -> InputSpec:
    """Returns the preprocessing of timm's weights, and the frames of a clip."""
    return InputSpec(
        num_frames=NUM_FRAMES,
        frame_stride=STRIDE,
        size=tuple(made["input_size"][1:]),  # type: ignore[arg-type]
        mean=tuple(made["mean"]),
        std=tuple(made["std"]),
        layout="BCHW",
        crop=made["crop_pct"],
        squash=made["crop_mode"] == "squash",
    )


def _load_file(network: nn.Module, file: str) -> LoadReport:
    """Loads a file of tensors by timm's own names, bare or under a usual key."""
    content = read(file)
    while isinstance(content, Mapping) and (inner := next((key for key in WRAPPERS if key in content), None)):
        content = content[inner]
    if not isinstance(content, Mapping):
        raise UserError(f"{file}: expected named tensors, got a {type(content).__name__}")
    tensors = {key.removeprefix("module."): value for key, value in content.items() if isinstance(value, Tensor)}
    wanted = network.state_dict()
    fits = {key: value for key, value in tensors.items() if key in wanted and value.shape == wanted[key].shape}
    others = sorted(tensors.keys() - wanted.keys())
    surplus = [key for key in others if hasattr(network, key.split(".")[0]) and not key.startswith(HEADS)]
    network.load_state_dict(fits, strict=False)
    return LoadReport(
        source=file,
        total=len(wanted),
        matched=len(fits),
        missing=tuple(sorted(wanted.keys() - tensors.keys())),
        mismatched=tuple(sorted((wanted.keys() & tensors.keys()) - fits.keys())),
        surplus=tuple(surplus),
        unexpected=tuple(key for key in others if key not in surplus),
    )
