"""Clip-consistent augmentation of whole batches, on the device they lie on.

Every clip has its own draw and all its frames share it. `boxes` says where to crop, `resample` turns crop, resize,
flip and blur into two matrix products, `colour` jitters; `pipeline` puts them in order.
"""

from tbe.augment.boxes import CenterCrop, RandomCrop, RandomResizedCrop, UniformCrop
from tbe.augment.colour import ColourJitter
from tbe.augment.pipeline import KINETICS_MEAN, KINETICS_STD, ClipAugment

__all__ = [
    "KINETICS_MEAN",
    "KINETICS_STD",
    "CenterCrop",
    "ClipAugment",
    "ColourJitter",
    "RandomCrop",
    "RandomResizedCrop",
    "UniformCrop",
]
