"""Finds people with torchvision's Mask R-CNN, trained on COCO."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import (
    MaskRCNN,
    MaskRCNN_ResNet50_FPN_V2_Weights,
    MaskRCNN_ResNet50_FPN_Weights,
    maskrcnn_resnet50_fpn_v2,
)
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from tbe.checkpoints.foreign.files import read
from tbe.errors import MissingFile, UserError
from tbe.prepare.tools.masks.finding import Finder, Found, Video

PERSON = 1  # the number of the class in COCO
SURE = 0.5  # score above which a person counts
AT_ONCE = 4  # frames
NUM_CLASSES = 91

Detector = Callable[[list[Tensor]], list[dict[str, Tensor]]]  # pictures (3, H, W) in [0, 1] -> labels, scores, masks


def weights_file(named: Path | None) -> Path:
    """Returns the file of the weights: the named one, or that in torch's cache; raises MissingFile, saying where to put
    it. Nothing is downloaded."""
    if named:
        if not named.is_file():
            raise MissingFile(f"--weights: expected a file of torchvision's Mask R-CNN, got no such file: {named}")
        return named
    cache = Path(torch.hub.get_dir(), "checkpoints")
    urls = [weights.COCO_V1.url for weights in (MaskRCNN_ResNet50_FPN_V2_Weights, MaskRCNN_ResNet50_FPN_Weights)]
    files = [cache / os.path.basename(url) for url in urls]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise MissingFile(
            f"--by torchvision: expected the weights of Mask R-CNN at {files[0]}, got no such file: download {urls[0]} "
            "to it, or name its place with --weights"
        )
    return found


def people_finder(weights: Path, device: str | None) -> Finder:
    """Returns what finds people on a device, by default a GPU if there is one."""
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    detect = detector(weights, chosen)
    return lambda video: Found(_mattes(video, detect, chosen))


@lru_cache(maxsize=1)  # once in a process
def detector(weights: Path, device: str) -> Detector:
    """Loads Mask R-CNN with a ResNet-50, of either of torchvision's versions; raises UserError for other weights."""
    content = read(weights)
    is_second = isinstance(content, dict) and "rpn.head.conv.1.0.weight" in content
    model = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None) if is_second else first_version()
    try:
        model.load_state_dict(content)
    except (RuntimeError, TypeError, AttributeError) as error:
        said = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"{weights}: expected weights of maskrcnn_resnet50_fpn or _v2, got {said}") from error
    return model.eval().to(device)


def first_version() -> nn.Module:
    """Builds maskrcnn_resnet50_fpn as torchvision does for its own weights, with frozen statistics and no epsilon."""
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d)
    model = MaskRCNN(backbone, NUM_CLASSES)
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0
    return model


def _mattes(video: Video, detect: Detector, device: str) -> Iterator[np.ndarray]:
    frames = video.frames()
    while pictures := list(islice(frames, AT_ONCE)):
        yield from _people(pictures, detect, device)


@torch.inference_mode()
def _people(pictures: Sequence[np.ndarray], detect: Detector, device: str) -> list[np.ndarray]:
    """Returns, for each picture uint8 (H, W, 3), the largest of its people's masks at each pixel."""
    scaled = [torch.from_numpy(picture).permute(2, 0, 1).to(device) / 255 for picture in pictures]
    mattes = []
    for picture, seen in zip(pictures, detect(scaled), strict=True):
        masks = seen["masks"][(seen["labels"] == PERSON) & (seen["scores"] > SURE), 0]  # (n, H, W)
        empty = masks.new_zeros(1, *picture.shape[:2])
        mattes.append(torch.cat([empty, masks]).amax(dim=0).float().cpu().numpy())
    return mattes
