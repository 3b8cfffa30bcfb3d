"""The changed clips that a model is asked about, by name."""

from __future__ import annotations

from collections.abc import Sequence

from tbe.evaluation import perturbations
from tbe.evaluation.features import CLEAN
from tbe.evaluation.perturbations import Frozen, OnBackdrop, Perturbation

# The actor, cut out and pasted in front of a background; `own` is the control that shows what the cut costs.
PASTED: dict[str, Perturbation] = {
    "own": OnBackdrop("own"),
    "swap_same": OnBackdrop("same_class"),
    "swap": OnBackdrop("any"),
    "swap_close": OnBackdrop("close"),
    "swap_far": OnBackdrop("far"),
    "swap_class": OnBackdrop("other_class"),
    "conflict": OnBackdrop("still"),
}
PARTS: dict[str, Perturbation] = {
    "foreground_only": perturbations.ForegroundOnly(),
    "background_only": perturbations.BackdropInFront("own"),
}
MOTION: dict[str, Perturbation] = {
    "static": perturbations.Static(),
    "median": perturbations.Median(),
    "shuffled": perturbations.Shuffled(),
    "reversed": perturbations.Reversed(),
}
FROZEN: dict[str, Perturbation] = {"swap_frozen": Frozen(PASTED["swap_class"])}
# The role whose video lends its background (or its still frame) to a clip.
ROLE_OF = {name: clip.role for name, clip in PASTED.items() if isinstance(clip, OnBackdrop)}
FRAMES = perturbations.Static()  # what the control `frames` is trained on, too

MEANING = {
    "clean": "the clip as it is",
    "own": "the actor cut out and pasted on the video's own background: the control, what the cut costs",
    "swap_same": "on the background of another video of the same class: the second control",
    "swap": "on the background of any other video",
    "swap_close": "on that of a video of the class whose backgrounds look most alike",
    "swap_far": "on that of a video of the class whose backgrounds look least alike",
    "swap_class": "on that of a video of another class",
    "swap_frozen": "the middle frame of swap_class, repeated",
    "conflict": "in front of a still frame of that video, with its actor",
    "foreground_only": "the actor on gray",
    "background_only": "the background without the actor",
    "static": "the middle frame, repeated",
    "median": "the median frame, repeated",
    "shuffled": "the frames in a random order",
    "reversed": "the frames in reverse order",
}


def all_clips(weights: Sequence[float]) -> dict[str, Perturbation]:
    """Returns all changed clips by name, clean ones first; weights: of the frames and backgrounds that are mixed in."""
    curves: dict[str, Perturbation] = {f"frame_{weight:g}": perturbations.AddedFrame(weight) for weight in weights}
    curves |= {f"backdrop_{weight:g}": perturbations.MixedBackdrop("other_class", weight) for weight in weights}
    return {**CLEAN, **PASTED, **FROZEN, **PARTS, **MOTION, **curves}
