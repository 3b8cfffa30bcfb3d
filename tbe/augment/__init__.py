"""Clip-consistent augmentation of whole batches, on the device they lie on.

Every clip has its own draw and all its frames share it. `crops` says where to crop, `resample` turns crop, resize,
flip and blur into two matrix products, `color_jitter` jitters; `clip_augment` puts them in order.
"""

from tbe.augment.clip_augment import KINETICS_MEAN, KINETICS_STD, ClipAugment
from tbe.augment.color_jitter import ColorJitter
from tbe.augment.crops import CenterCrop, RandomCrop, RandomResizedCrop, UniformCrop

__all__ = [
    "KINETICS_MEAN",
    "KINETICS_STD",
    "CenterCrop",
    "ClipAugment",
    "ColorJitter",
    "RandomCrop",
    "RandomResizedCrop",
    "UniformCrop",
]
