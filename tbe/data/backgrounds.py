"""The backgrounds of a split's videos, each computed once, and the videos whose background takes another's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from tbe.data.clip_samplers import UniformClips
from tbe.data.dataset import VideoDataset, pad
from tbe.data.medians import in_order, median_of_frames
from tbe.data.perturbation_dataset import ContextDataset, Foreground, add_foreground, other_videos

FRAMES = UniformClips(num_frames=1, num_clips=9)  # of a video: their median approximates its background
SUMMARY = 8  # side length in pixels of the pictures by which backgrounds are compared
# Whose background: the video's own; any other video's; one of another class, of the same class, of the class whose
# backgrounds are closest, of the farthest; and `still`, the middle frame of the video of `other_class`, with its actor.
ROLES = ("own", "any", "other_class", "same_class", "close", "far", "still")
NOBODY = -1  # there is no such video


@dataclass(frozen=True)
class Backgrounds:
    """Backgrounds and partners of all videos of a split.

    places, stills: uint8 (1, C, H, W) by video, in the size of its decoded frames. partners: for each role of ROLES the
    video that lends its background, int64 (n,), `NOBODY` if there is none.
    """

    places: Mapping[int, Tensor]
    stills: Mapping[int, Tensor]
    partners: Mapping[str, np.ndarray]

    def of(self, index: int) -> list[Tensor]:
        """Returns the pictures of all roles for a video; its own place where there is no partner."""
        chosen = {role: int(self.partners[role][index]) for role in ROLES}
        lender = {role: index if other == NOBODY else other for role, other in chosen.items()}
        return [(self.stills if role == "still" else self.places)[other] for role, other in lender.items()]


class PlaceDataset(Dataset):
    """Items with the `place` of a video and its middle frame, `still`: uint8 (1, C, H, W).

    The place is the median of frames spread over the video, of each pixel while no mask of the actor covers it; what is
    always covered is filled from its surroundings.
    """

    def __init__(self, videos: VideoDataset, foreground: Foreground):
        self.videos = videos
        self.foreground = foreground

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        clips, numbers = self.videos.clips(index, FRAMES)
        frames = clips.squeeze(1)
        item = {"clips": clips, "frames": numbers}
        add_foreground(item, index, self.foreground)
        masks = item.get("foreground")
        place = background(frames, None if masks is None else masks[:, 0] > 0)
        return {"index": index, "pictures": torch.stack([place, frames[len(frames) // 2]])}

    def path(self, index: int) -> str:
        """Returns the path of a video."""
        return self.videos.path(index)

    @staticmethod
    def collate(items: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Collates items: `pictures` (B, 2, C, H, W), padded, their `size` (B, 2) and `index` (B,)."""
        pictures, sizes = pad([item["pictures"] for item in items])
        return {"pictures": pictures, "size": sizes, "index": torch.tensor([item["index"] for item in items])}


class SwappedVideos(ContextDataset):
    """Items with the `backdrops` of all ROLES and their `lenders`; a clip is decoded once for all roles.

    lenders: the label and the index of the video that lends each background, int64 (2, P), `NOBODY` for none.
    """

    def __init__(self, videos: VideoDataset, seed: int, foreground: Foreground, backgrounds: Backgrounds):
        super().__init__(videos, seed, foreground)
        self.backgrounds = backgrounds
        partners = np.stack([backgrounds.partners[role] for role in ROLES])
        labels = np.where(partners == NOBODY, NOBODY, videos.records.labels[partners])
        self.lenders = torch.from_numpy(np.stack([labels, partners]))  # (2, P, n)

    def context(self, index: int) -> dict[str, Any]:
        return {"backdrops": self.backgrounds.of(index), "lenders": self.lenders[:, :, index]}


def background(frames: Tensor, masks: Tensor | None) -> Tensor:
    """Returns the background uint8 (C, H, W) of frames (n, C, H, W): the median of what masks bool (n, 1, H, W) spare.

    Masks are dilated by a thirty-second of the frame, as their edges show the actor too.
    """
    if masks is None:
        return median_of_frames(frames).squeeze(0)
    size = max(3, min(frames.shape[-2:]) // 32) | 1  # odd, so that masks are not shifted
    covered = F.max_pool2d(masks.squeeze(1).float().unsqueeze(1), size, stride=1, padding=size // 2) > 0
    num_seen = (~covered).sum(dim=0, keepdim=True)
    if not num_seen.any():
        return background(frames, None)
    last = in_order(frames.masked_fill(covered, 255))  # what is covered comes last, or is equal to what does
    middle = ((num_seen - 1) // 2).clamp_min(0).expand_as(last[:1])
    seen = last.gather(0, middle).squeeze(0).float()
    return fill(seen, num_seen.squeeze(0) > 0).round().clamp(0, 255).byte()


def fill(picture: Tensor, known: Tensor) -> Tensor:
    """Fills a picture (C, H, W) where it is not known, bool (1, H, W), from a coarser picture of what is."""
    if known.all():
        return picture
    weights = known.float().unsqueeze(0)
    total = F.avg_pool2d(weights, 2, ceil_mode=True)
    coarse = F.avg_pool2d(picture.unsqueeze(0) * weights, 2, ceil_mode=True) / total.clamp_min(1e-6)
    whole = fill(coarse.squeeze(0), total.squeeze(0) > 0)
    smooth = F.interpolate(whole.unsqueeze(0), picture.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(known, picture, smooth.squeeze(0))


def choose_partners(
    places: Mapping[int, Tensor], labels: np.ndarray, seed: int, ids: np.ndarray
) -> dict[str, np.ndarray]:
    """Draws for each video and role whose background it gets, int64 (n,); `NOBODY` if there is no such video.

    Classes are close whose mean backgrounds, in SUMMARY x SUMMARY pixels, have a small Euclidean distance: no network
    takes part, so that all models are asked about the same pairs.
    """
    classes, of_video = np.unique(labels, return_inverse=True)
    small = [F.adaptive_avg_pool2d(places[index].float(), SUMMARY).flatten().numpy() for index in range(len(labels))]
    means = np.stack([np.stack(small)[of_video == number].mean(axis=0) for number in range(len(classes))])
    distances = np.linalg.norm(means[:, None] - means[None], axis=-1)
    others = ~np.eye(len(classes), dtype=bool)
    targets = {
        "same_class": np.arange(len(classes)),
        "close": np.where(others, distances, np.inf).argmin(axis=1),
        "far": np.where(others, distances, -np.inf).argmax(axis=1),
    }
    other_class = other_videos(labels, seed, True, ids)
    drawn = {
        role: _draw_from_class(of_video, target, ids, np.random.default_rng((seed, number)))
        for number, (role, target) in enumerate(targets.items(), start=2)
    }
    own, nobody = np.arange(len(labels)), np.full(len(labels), NOBODY)
    if len(classes) < 2:
        other_class, drawn = nobody, drawn | {"close": nobody, "far": nobody}
    found = {"own": own, "any": other_videos(labels, seed, False, ids), "other_class": other_class, **drawn}
    return found | {"still": other_class}


def _draw_from_class(of_video: np.ndarray, target: np.ndarray, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws for each video another one of its class's target class, uniformly."""
    members = [np.flatnonzero(of_video == number) for number in range(len(target))]
    chosen = np.full(len(of_video), NOBODY)
    for index, number in enumerate(of_video):
        candidates = members[target[number]]
        candidates = candidates[ids[candidates] != ids[index]]
        if len(candidates):
            chosen[index] = candidates[rng.integers(len(candidates))]
    return chosen
