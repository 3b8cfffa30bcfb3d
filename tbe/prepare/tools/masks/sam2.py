"""Follows people through a video with SAM 2, of transformers, from boxes in one frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from tbe.checkpoints.hub import downloaded
from tbe.encoders.huggingface.library import told, transformers
from tbe.errors import UserError
from tbe.prepare.tools.masks.finding import Finder, Found, Video
from tbe.prepare.tools.masks.prompts import Prompter, areas

NAME = "--by sam2"
DEFAULT = "facebook/sam2.1-hiera-tiny"
FILES = ("config.json", "*processor*.json", "*.safetensors")
WIDE = 0.5  # of the picture: boxes that are wider in sum are rarely of people


class Tracker(NamedTuple):
    """SAM 2 and its processor, on a device."""

    model: Any
    processor: Any
    device: str


def model_folder(named: Path | None) -> Path:
    """Returns the folder of the weights: the named one, or that of a Hub id, which is downloaded once.

    Raises UserError for a folder without config.json, and for a Hub that can't be reached, saying where to put the
    files.
    """
    transformers(NAME)  # raises if it is missing
    if named is not None and named.is_dir():
        if not (named / "config.json").is_file():
            raise UserError(f"--weights: expected a folder with config.json and the weights of SAM 2, got {named}")
        return named
    repository = DEFAULT if named is None else named.as_posix()
    return downloaded(repository, FILES, "copy its files into a folder and name it: --weights <folder>")


@lru_cache(maxsize=1)  # once in a process
def tracker(folder: Path, device: str | None) -> Tracker:
    """Loads SAM 2; raises UserError for weights that lack any of its tensors."""
    library, chosen = transformers(NAME), device or ("cuda" if torch.cuda.is_available() else "cpu")
    with told(NAME, str(folder)):
        model, found = library.Sam2VideoModel.from_pretrained(
            folder, dtype=torch.float32, weights_only=True, output_loading_info=True
        )
        processor = library.Sam2VideoProcessor.from_pretrained(folder)
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"{folder}: expected all tensors of SAM 2 for videos, got none of {len(missing)}, such as {missing[0]}"
        )
    return Tracker(model.eval().to(chosen), processor, chosen)


def follower(chosen: Tracker, prompt: Prompter) -> Finder:
    """Returns what finds people in one frame, and follows them from there to the end and to the beginning."""

    def find(video: Video) -> Found:
        found = prompt(video)
        if found is None:
            raise UserError("expected somebody to follow, found nobody in any of the frames that were looked at")
        before = list(islice(video.frames(), found.frame + 1))
        share = areas(found.boxes).sum() / (before[0].shape[0] * before[0].shape[1])
        doubt = (
            f"boxes of {share:.0%} of the picture: a camera that moves? Try --prompt torchvision"
            if share > WIDE
            else ""
        )
        return Found(_mattes(chosen, video, before, found.boxes), doubt)

    return find


def _mattes(chosen: Tracker, video: Video, before: list[np.ndarray], boxes: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the mattes of all frames; before: those up to the one with the boxes, which is the last of them."""
    backwards = [matte.astype(np.float16) for matte in _follow(chosen, before[::-1], boxes)] if before[1:] else []
    yield from (matte.astype(np.float32) for matte in backwards[:0:-1])
    yield from _follow(chosen, chain(before[-1:], islice(video.frames(), len(before), None)), boxes)


@torch.inference_mode()
def _follow(chosen: Tracker, pictures: Iterable[np.ndarray], boxes: np.ndarray) -> Iterator[np.ndarray]:
    """Yields mattes (H, W) of whoever is in the boxes of the first picture; SAM 2 sees each as the next frame."""
    model, processor, device = chosen
    session = processor.init_video_session(inference_device=device)
    ids = list(range(1, len(boxes) + 1))
    memory = max(model.num_maskmem, model.config.max_object_pointers_in_encoder) + 1
    for number, picture in enumerate(pictures):
        inputs = processor(images=picture, return_tensors="pt").to(device)
        size = inputs["original_sizes"][0].tolist()
        if number == 0:
            processor.add_inputs_to_inference_session(
                session, frame_idx=0, obj_ids=ids, input_boxes=[boxes.tolist()], original_size=size
            )
        seen = model(inference_session=session, frame=inputs["pixel_values"][0], frame_idx=number)
        logits = processor.post_process_masks([seen.pred_masks], [size], binarize=False)[0]
        yield logits.amax(dim=(0, 1)).sigmoid().float().cpu().numpy()
        _forget(session, number, memory)


def _forget(session: Any, number: int, memory: int) -> None:
    """Removes what later frames do not look at: pictures, and answers of more than `memory` frames ago."""
    session.processed_frames.pop(number)
    for answers in session.output_dict_per_obj.values():
        answers["non_cond_frame_outputs"].pop(number - memory, None)
