"""V-JEPA: predicts the features of hidden blocks, as a moving average of the encoder sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.backbones.base import VideoBackbone
from tbe.backbones.vit import select
from tbe.errors import UserError
from tbe.methods.base import Method, Reconstructions
from tbe.methods.masked.decoder import Decoder
from tbe.methods.masked.encoding import TokenEncoder
from tbe.methods.masked.masks import check_ratio, random_blocks
from tbe.methods.masked.target import clip_to_predict, reads_clean
from tbe.methods.moving_average import moving_average_of

MASKS = ({"blocks": 8, "scale": 0.15}, {"blocks": 2, "scale": 0.7})


class VJEPA(Method):
    """Encodes the seen places of the query, and predicts the features of the hidden ones; reads no other view.

    masks: one prediction for each, with the `ratio` of the places hidden that so many `blocks`, each of the share
    `scale` of a frame, cover most: short-range and long-range masks. predicted: the share of the places that is
    predicted, at most the hidden ones, those that blocks cover most: 0.6 is about the union of the short-range blocks,
    which V-JEPA predicts (of the long-range ones it is 0.84); None: all hidden ones, of which short-range blocks leave
    a quarter or more uncovered. So the encoder sees 1 - `ratio` of the places with both kinds of masks; V-JEPA's sees
    what the blocks leave, of the short-range ones more than a third. target: of which clip a moving average of the
    encoder (`momentum`, without gradient) makes the features, normalized token by token: 'clean', or 'seen', the query
    with what the distractor added. patch: of a backbone without tubelets. Returns predictions and targets (V * B, M, F)
    of V masks. Use with loss=l1. Bardes et al. 2024 (arXiv:2404.08471), whose momentum rises to 1 and who evaluate the
    moving average; ours is constant, and the encoder itself is kept.
    """

    views = ("query",)

    def __init__(
        self,
        backbone: VideoBackbone,
        ratio: float = 0.9,
        masks: Sequence[Mapping[str, float]] = MASKS,
        predicted: float | None = 0.6,
        target: str = "clean",
        momentum: float = 0.998,
        patch: Sequence[int] = (2, 8, 8),
        predictor_depth: int = 4,
        predictor_width: int | None = None,
        predictor_heads: int | None = None,
    ):
        super().__init__()
        check_ratio("VJEPA", ratio)
        if not 0 <= momentum <= 1:
            raise UserError(f"VJEPA: expected a momentum from 0 to 1, got {momentum}")
        if predicted is not None and not 0 < predicted <= 1:
            raise UserError(f"VJEPA: expected a share of predicted places in (0, 1], or null, got {predicted}")
        wrong = [mask for mask in masks if not _is_mask(mask)]
        if wrong or not masks:
            raise UserError(
                "VJEPA: expected masks, each with blocks, at least 1, and scale, a share in (0, 1], got "
                f"{[dict(mask) for mask in wrong]}"
            )
        self.reads_clean = reads_clean(target)
        self.encoder = TokenEncoder(backbone, patch)
        self.target_encoder = moving_average_of(self.encoder)
        width = backbone.num_features
        self.predictor = Decoder(width, width, predictor_depth, predictor_width, predictor_heads)
        self.ratio, self.predicted, self.momentum = ratio, predicted, momentum
        self.masks = [(int(mask["blocks"]), float(mask["scale"])) for mask in masks]

    @property
    def backbone(self):  # see Method
        return self.encoder.backbone

    def forward(self, query: Tensor, clean: Tensor | None = None) -> Reconstructions:
        grid, batch = self.encoder.grid_of(query), len(query)
        with torch.no_grad():
            features = self.target_encoder(clip_to_predict(query, clean, self.reads_clean)).float()
            features = F.layer_norm(features, features.shape[2:])
        predictions, wanted = [], []
        for blocks, scale in self.masks:
            split = random_blocks(batch, grid, self.ratio, blocks, scale, query.device, self.predicted)
            predictions.append(self.predictor(self.encoder(query, split.seen), split, grid).float())
            wanted.append(select(features, split.hidden))
        self.encoder.look_at(query)
        return Reconstructions(torch.cat(predictions), torch.cat(wanted))

    def after_loading(self) -> None:
        self.target_encoder.load_state_dict(self.encoder.state_dict())

    @torch.no_grad()
    def after_step(self) -> None:
        """Updates the target encoder, a moving average of the encoder."""
        torch._foreach_lerp_(list(self.target_encoder.parameters()), list(self.encoder.parameters()), 1 - self.momentum)


def _is_mask(mask: Mapping[str, float]) -> bool:
    return set(mask) == {"blocks", "scale"} and mask["blocks"] >= 1 and 0 < mask["scale"] <= 1
