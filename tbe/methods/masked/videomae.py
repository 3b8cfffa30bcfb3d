"""VideoMAE: predicts the pixels of nine tenths of a clip from the rest."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tbe.backbones.base import VideoBackbone
from tbe.backbones.vit import ViT
from tbe.errors import UserError
from tbe.methods.base import Method, Reconstructions
from tbe.methods.masked.decoder import Decoder
from tbe.methods.masked.encoding import TokenEncoder, pixels
from tbe.methods.masked.masks import check_ratio, random_tubes
from tbe.methods.masked.target import clip_to_predict, reads_clean


class VideoMAE(Method):
    """Encodes the seen tubes of the query, and decodes the pixels of the hidden ones; reads no other view.

    ratio: of the places that are hidden, the same in all frames. target: 'clean', so that a distracted query is
    denoised, what was added removed where it is predicted; or 'seen', the query with what the distractor added.
    normalized: whether tubelets are predicted with mean 0 and deviation 1. patch: of a backbone without tubelets.
    Returns predictions and targets (B, M, C * patch volume). Use with loss=mse. Tong et al., NeurIPS 2022
    (arXiv:2203.12602).
    """

    views = ("query",)

    def __init__(
        self,
        backbone: VideoBackbone,
        ratio: float = 0.9,
        target: str = "clean",
        normalized: bool = True,
        patch: Sequence[int] = (2, 8, 8),
        decoder_depth: int = 4,
        decoder_width: int | None = None,
        decoder_heads: int | None = None,
    ):
        super().__init__()
        check_ratio("VideoMAE", ratio)
        self.reads_clean = reads_clean(target)
        self.encoder = TokenEncoder(backbone, patch)
        t, h, w = self.encoder.patch
        if normalized and t * h * w == 1:
            raise UserError(
                "VideoMAE: expected method.normalized=false for tubelets of a single pixel, which has no deviation, "
                "or a larger patch, got patch=[1, 1, 1]"
            )
        outputs = backbone.in_channels * t * h * w
        self.decoder = Decoder(backbone.num_features, outputs, decoder_depth, decoder_width, decoder_heads)
        self.ratio = ratio
        self.seen_share = 1 - ratio if isinstance(backbone, ViT) else 1.0
        self.normalized = normalized

    @property
    def backbone(self):  # see Method
        return self.encoder.backbone

    def forward(self, query: Tensor, clean: Tensor | None = None) -> Reconstructions:
        grid = self.encoder.grid_of(query)
        split = random_tubes(len(query), grid, self.ratio, query.device)
        predictions = self.decoder(self.encoder(query, split.seen), split, grid).float()
        self.encoder.look_at(query)
        wanted = pixels(clip_to_predict(query, clean, self.reads_clean), self.encoder.patch, self.normalized)
        hidden = split.hidden.unsqueeze(2).expand(-1, -1, wanted.shape[2])
        return Reconstructions(predictions, wanted.gather(1, hidden))
