"""Films of some videos' changed clips, and of where the network looks, as a card shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from tbe.auditing.answers import Answers
from tbe.auditing.clips import all_clips
from tbe.backbones.base import VideoBackbone
from tbe.data.backgrounds import ROLES, Backgrounds, PlaceDataset, SwappedVideos
from tbe.data.datamodule import VideoDataModule
from tbe.data.dataset import VideoDataset
from tbe.evaluation.features import surroundings
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.cam.maps import energy, stretch_to_unit_range
from tbe.runs import replacing
from tbe.viz.to_rgb import overlay, pixels

SHOWN = ("clean", "own", "swap_class", "swap_frozen", "conflict", "background_only", "static")
MAPPED = ("clean", "own", "swap_class")
SIDE, MAX_FRAMES, FPS = 112, 16, 8
MAPS = "map"  # ends the name of the film of a map


@torch.inference_mode()
def write_pictures(evaluation: Evaluation, split: str, answers: Answers, count: int, folder: Path) -> None:
    """Writes `<row>_<clip>.webp`, and `<row>_<clip>_map.webp` where the network has maps, of videos spread evenly.

    Rows are those of the answers; only videos that count are shown, whatever was answered.
    """
    valid = np.flatnonzero(answers.facts["is_valid"])
    rows = valid[np.unique(np.linspace(0, len(valid) - 1, min(count, len(valid))).round().astype(int))]
    augment: Any = evaluation.datamodule.eval_views
    mean, std = (getattr(augment.augment, name).cpu() for name in ("mean", "std"))
    for row in rows.tolist():
        for name, clip in changed_clips(evaluation.datamodule, split, answers, row).items():
            frames = pixels(clip, mean, std)[0]
            write_film(folder / f"{row}_{name}.webp", frames)
            heat = _heat(evaluation.backbone, clip) if name in MAPPED else None
            if heat is not None:
                write_film(folder / f"{row}_{name}_{MAPS}.webp", overlay(frames, heat))


def changed_clips(datamodule: VideoDataModule, split: str, answers: Answers, row: int) -> dict[str, Tensor]:
    """Returns the clips (1, C, T, S, S) of a video that are SHOWN, of its middle clip, on the CPU."""
    records, foreground = datamodule.source.records(split), datamodule.foreground(split)
    videos = VideoDataset(records, datamodule.open_video, datamodule.eval_clips, datamodule.short_side)
    # The same pairs as those that were asked about, from a few videos alone.
    partners = {role: answers.facts[f"lender_{role}"] for role in ROLES}
    needed = {row, *(int(of_role[row]) for of_role in partners.values() if of_role[row] >= 0)}
    of_places = PlaceDataset(videos, foreground)
    pictures = {index: of_places[index]["pictures"] for index in needed}
    places, stills = ({index: pair[place].unsqueeze(0) for index, pair in pictures.items()} for place in (0, 1))
    swapped = SwappedVideos(videos, datamodule.seed, foreground, Backgrounds(places, stills, partners))
    views: Any = datamodule.eval_views
    batch = views.cpu()(swapped.collate([swapped[row]]))
    clips, around = batch["clips"].flatten(0, 1), surroundings(batch)
    middle = len(clips) // 2
    asked = all_clips(())
    return {name: asked[name](clips, around)[middle : middle + 1] for name in SHOWN}


def write_film(file: Path, frames: np.ndarray) -> None:
    """Writes frames uint8 (T, S, S, 3) as an animated WebP, at most MAX_FRAMES of them with a side of SIDE pixels."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(MAX_FRAMES, len(frames))).round().astype(int))
    method = Image.Resampling.LANCZOS if frames.shape[1] > SIDE else Image.Resampling.NEAREST
    first, *rest = (Image.fromarray(frames[number]).resize((SIDE, SIDE), method) for number in chosen)
    with replacing(file) as part:
        settings: dict[str, Any] = {"save_all": True, "append_images": rest, "duration": 1000 // FPS, "loop": 0}
        first.save(part, format="WEBP", quality=70, **settings)


def _heat(network: nn.Module, clip: Tensor) -> np.ndarray | None:
    """Returns the energy of the feature maps of a clip (1, C, T, S, S), in [0, 1]: (T, S, S); None without maps."""
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    find_maps = network.forward_features if isinstance(network, VideoBackbone) else getattr(network, "maps", None)
    if find_maps is None:
        return None
    with _evaluating(network):
        maps = find_maps(clip.to(device))
    if maps is None:
        return None
    resized = F.interpolate(energy(maps.float()).unsqueeze(1), clip.shape[2:], mode="trilinear", align_corners=False)
    heat: np.ndarray = stretch_to_unit_range(resized.squeeze(1))[0].cpu().numpy()
    return heat


class _evaluating:
    """Keeps a network in eval mode within."""

    def __init__(self, network: nn.Module):
        self.network = network
        self.was_training = network.training

    def __enter__(self) -> None:
        self.network.eval()

    def __exit__(self, *_: object) -> None:
        self.network.train(self.was_training)
