"""The encoder of a model of transformers."""

from __future__ import annotations

import inspect
from math import isqrt, prod
from typing import Any

import torch
from torch import Tensor, nn

from tbe.encoders.base import Encoder, Encoding, InputSpec
from tbe.encoders.names import answered
from tbe.encoders.readouts import Times
from tbe.encoders.report import LoadReport

CLASS_TOKENS = (
    "cls_token",
    "class_embedding",
    "distillation_token",
)  # each before the patches, the first of them first
SPACE_FIRST = ("timesformer",)  # tokens in the order H, W, T
POOLED_FIRST = ("dinov3_convnext",)  # a pooled vector before the maps, in place of a class token
MASKING = ("vit_mae",)  # models that drop and shuffle tokens at random, unless they are told otherwise
MAPS_ALONE = ("cvt",)  # whose class token is not among its features
POOLER = "pooler"
# Models whose own head reads something else than their class token, else than the mean of their tokens.
OWN = {"clip_vision_model": POOLER, "siglip_vision_model": POOLER, "siglip2_vision_model": POOLER}


class TransformersEncoder(Encoder):
    """A vision model: of clips (B, T, C, H, W), or of images, run on each frame.

    tower: the part of `model` that takes pictures. Readouts, the first by what there is: 'head', the input of the
    model's own classifier; 'cls', its class token; 'pooler', its pooler_output; 'mean' and others of its tokens.
    """

    library = "transformers"

    def __init__(
        self,
        name: str,
        model: nn.Module,
        tower: Any,
        spec: InputSpec,
        report: LoadReport,
        pool: str | None,
        has_pooler: bool,
        has_head: bool,
    ) -> None:
        tensors = {tensor.split(".")[-1] for tensor in tower.state_dict()}
        kind = tower.config.model_type
        num_special = sum(token in tensors for token in CLASS_TOKENS) * (kind not in MAPS_ALONE) + (
            kind in POOLED_FIRST
        )
        has_cls = num_special > 0
        has_pooler = has_pooler and _gives_pooler(tower)
        own = [OWN[tower.config.model_type]] if has_pooler and tower.config.model_type in OWN else []
        known = ["head"] * has_head + own + ["cls"] * has_cls + ["mean", "mean_std", "moments"] + [POOLER] * has_pooler
        super().__init__(name, spec, report, tuple(dict.fromkeys(known)), pool)
        self.model = model
        self.architecture = tower.config.to_json_string(use_diff=False)
        self.num_prefix = num_special + has_cls * int(getattr(tower.config, "num_register_tokens", 0) or 0)
        self.has_cls, self.has_pooler, self.has_head = has_cls, has_pooler, has_head
        self._tower = [tower]  # in a list, so that its weights are not counted twice
        accepted = inspect.signature(tower.forward).parameters
        self._skipped = {"skip_predictor": True} if "skip_predictor" in accepted else {}
        if tower.config.model_type in MASKING:
            tower.config.mask_ratio = 0.0

    def encode(self, inputs: Tensor) -> Encoding:
        num_clips = len(inputs)
        is_image = self.spec.layout == "BCHW"
        pictures = inputs.flatten(0, 1) if is_image else inputs
        with answered(self.name, inputs):
            out, head = self._run(pictures)
        last = out.last_hidden_state
        if last.ndim == 4:  # maps of a convolutional network, (B, D, h, w)
            last = last.flatten(2).transpose(1, 2)
        tokens = last[:, self.num_prefix :]
        grid = self._grid(tokens.shape[1], inputs)
        summaries: dict[str, Tensor] = {}
        if self.has_cls:
            summaries["cls"] = last[:, 0]
        if self.has_pooler and out.pooler_output is not None:
            summaries[POOLER] = out.pooler_output.flatten(1)
        if head is not None:
            summaries["head"] = head
        summaries = {key: value.unflatten(0, (num_clips, -1)) for key, value in summaries.items()}
        if grid is not None and self._tower[0].config.model_type in SPACE_FIRST:
            tokens = tokens.unflatten(1, (-1, grid[0])).transpose(1, 2).flatten(1, 2)
        return Encoding(tokens.reshape(num_clips, -1, tokens.shape[-1]), grid, summaries)

    def _run(self, pictures: Tensor) -> tuple[Any, Tensor | None]:
        """Returns the output of the tower, and what the model's own classifier would get."""
        tower = self._tower[0]
        if not self.has_head:
            return tower(**{tower.main_input_name: pictures}, **self._skipped, **self._order(pictures)), None
        seen: list[Any] = []
        hook = tower.register_forward_hook(lambda module, taken, given: seen.append(given))
        try:
            head = self.model(**{tower.main_input_name: pictures}).logits
        finally:
            hook.remove()
        return seen[0], head

    def _order(self, pictures: Tensor) -> dict[str, Tensor]:
        """Returns what keeps the tokens of a masked autoencoder in their order; nothing for other models."""
        config = self._tower[0].config
        if config.model_type not in MASKING:
            return {}
        rows, columns = _pair(config.patch_size) or (1, 1)
        num_tokens = (pictures.shape[-2] // rows) * (pictures.shape[-1] // columns)
        return {"noise": torch.arange(num_tokens, device=pictures.device).expand(len(pictures), -1)}

    def _grid(self, num_tokens: int, inputs: Tensor) -> Times | None:
        """Returns the places of the tokens; None if their number is not that of the patches, nor a square's."""
        config = self._tower[0].config
        num_frames, height, width = inputs.shape[1], *inputs.shape[-2:]
        if self.spec.layout == "BCHW":
            patch = _pair(getattr(config, "patch_size", None))
            grid = (1, height // patch[0], width // patch[1]) if patch else (1, 0, 0)
            if prod(grid) != num_tokens and height == width and isqrt(num_tokens) ** 2 == num_tokens:
                grid = (1, isqrt(num_tokens), isqrt(num_tokens))
            return (num_frames, *grid[1:]) if prod(grid) == num_tokens else None
        tubelet = getattr(config, "tubelet_size", 1)
        steps = (tubelet, *(_pair(getattr(config, "patch_size", None)) or (1, 1)))
        steps = steps if isinstance(tubelet, int) else tuple(tubelet)
        grid = (num_frames // steps[0], height // steps[1], width // steps[2])
        return grid if prod(grid) == num_tokens else None


def _pair(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _gives_pooler(tower: nn.Module) -> bool:
    """Returns whether a model has a pooler_output: by its own layers, or by what it says that it returns."""
    if hasattr(tower, POOLER):
        return tower.pooler is not None
    returned = inspect.signature(tower.forward).return_annotation
    return "Pooling" in str(getattr(returned, "__name__", returned))
