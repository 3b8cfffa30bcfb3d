"""Clip-consistent augmentation of whole batches, on their own device.

Each clip has its own random draw, shared by all its frames. `crops` draws boxes, `resample` computes crop, resize, flip
and blur as two matrix products, `color_jitter` changes colors; `clip_augment` combines them.
"""

from tbe.augment.clip_augment import KINETICS_MEAN, KINETICS_STD, ClipAugment
from tbe.augment.color_jitter import ColorJitter
from tbe.augment.crops import CenterCrop, RandomCrop, RandomResizedCrop, StretchedCrop, UniformCrop
from tbe.augment.rand_augment import RandAugment

__all__ = [
    "KINETICS_MEAN",
    "KINETICS_STD",
    "CenterCrop",
    "ClipAugment",
    "ColorJitter",
    "RandAugment",
    "RandomCrop",
    "RandomResizedCrop",
    "StretchedCrop",
    "UniformCrop",
]
