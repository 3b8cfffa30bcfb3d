"""The step of MoCo with Background Erasing as published code takes it, and ours: what step.py measures."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.speed.erasing import RATIO, erased_by_a_loop
from tbe.backbones.i3d import I3D
from tbe.backbones.resnet3d import ResNet3D
from tbe.erasing import BackgroundErasing
from tbe.methods.consistency import Consistency
from tbe.methods.encoder import Encoder
from tbe.methods.losses import InfoNCE
from tbe.methods.moco import MoCo
from tbe.training.acceleration import accelerate
from tbe.training.pretrain_module import PretrainModule

MOMENTUM, TEMPERATURE, DIM, RATE = 0.999, 0.07, 128, 0.003


class Case(NamedTuple):
    """A backbone, its input, and the (height, width) of the frames that the input is cropped from."""

    backbone: Callable[[], nn.Module]
    batch: int
    num_frames: int
    size: int
    source: tuple[int, int]
    queue: int

    def views(self, device: str) -> dict[str, Tensor]:
        """Returns query, key and negative (B, C, T, H, W) as after augmentation."""
        shape = (self.batch, 3, self.num_frames, self.size, self.size)
        return {name: torch.randn(shape, device=device) for name in ("query", "key", "negative")}

    def raw(self, device: str) -> dict[str, Tensor]:
        """Returns the decoded batch before augmentation: two clips per video."""
        shape = (self.batch, 2, self.num_frames, *self.source, 3)
        clips = torch.randint(0, 256, shape, dtype=torch.uint8, device=device).movedim(-1, 3)
        return {"clips": clips, "size": torch.tensor([self.source], device=device).repeat(self.batch, 1)}


r3d_18 = partial(ResNet3D, "basic", (2, 2, 2, 2))
tiny = partial(  # that of configs/backbone/tiny.yaml
    ResNet3D,
    "basic",
    (1, 1, 1, 1),
    widths=(16, 32, 64, 128),
    temporal_strides=(1, 1, 2, 2),
    spatial_strides=(2, 2, 1, 1),
    stem_kernel=(3, 3, 3),
)
CASES: Mapping[str, Mapping[str, Case]] = {
    "cuda": {
        "R3D-18": Case(r3d_18, 64, 16, 112, (128, 171), 65536),
        "I3D": Case(I3D, 32, 16, 224, (256, 340), 65536),
    },
    "cpu": {"tiny": Case(tiny, 8, 8, 64, (72, 96), 1024)},
}
QUICK = Case(partial(tiny, widths=(4, 4, 8, 8)), 2, 4, 16, (20, 24), 8)


class Switches(NamedTuple):
    """The optimizations that are enabled."""

    channels_last: bool = False
    bf16: bool = False
    fused: bool = False
    compiled: bool = False
    recomputed: bool = False


class OriginalStep:
    """float32, the layout as it comes, erasing by a loop, a moving average a parameter at a time, the loss read.

    strict: GPUs convolve float32 in TF32, with ten bits of mantissa, unless they are told not to. Published code does
    not tell them, so that False is what it gets; True is float32 throughout.
    """

    def __init__(self, case: Case, device: str, strict: bool = False):
        self.views, self.strict = case.views(device), strict
        self.encoder = Encoder(case.backbone(), DIM).to(device)
        self.key_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.queue, self.position = F.normalize(torch.randn(case.queue, DIM, device=device), dim=1), 0
        self.optimizer = torch.optim.SGD(
            self.encoder.parameters(), RATE, momentum=0.9, weight_decay=1e-4, foreach=False
        )

    def __call__(self) -> None:
        _precision("highest", convolutions_in_tf32=not self.strict)
        query = self.encoder(erased_by_a_loop(self.views["query"], RATIO))
        with torch.no_grad():
            for slow, fast in zip(self.key_encoder.parameters(), self.encoder.parameters(), strict=True):
                slow.data = slow.data * MOMENTUM + fast.data * (1 - MOMENTUM)
            key = self.key_encoder(self.views["key"])
        negative = self.encoder(self.views["negative"])
        positives, others = (query * key).sum(1, keepdim=True), (query * negative).sum(1, keepdim=True)
        logits = torch.cat([positives, query @ self.queue.clone().T, others], dim=1) / TEMPERATURE
        loss = F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.queue[self.position : self.position + len(key)] = key
        self.position = (self.position + len(key)) % len(self.queue)
        loss.item()


class OurStep:
    """Our training step, without the training loop."""

    def __init__(self, case: Case, device: str, switches: Switches):
        self.views, self.bf16 = case.views(device), switches.bf16
        method = MoCo(Encoder(case.backbone(), DIM), case.queue, MOMENTUM, "same_video")
        erase, loss = BackgroundErasing(RATIO), InfoNCE(TEMPERATURE)
        self.module = PretrainModule(method, erase, loss, None, None, Consistency(0.0)).to(device)
        self.module.log = lambda name, value, **settings: value.detach().clone()  # no trainer to log to
        accelerate(
            self.module,
            torch.device(device),
            channels_last=switches.channels_last,
            compile=switches.compiled,
            checkpoint_activations=switches.recomputed,
        )
        self.optimizer = torch.optim.SGD(
            method.encoder.parameters(), RATE, momentum=0.9, weight_decay=1e-4, fused=switches.fused or None
        )

    def __call__(self) -> None:
        _precision("high", convolutions_in_tf32=True)
        self.optimizer.zero_grad()
        with torch.autocast(self.views["query"].device.type, torch.bfloat16, enabled=self.bf16):
            loss = self.module.training_step(self.views, 0)
        loss.backward()
        self.optimizer.step()
        self.module.method.after_step()


def _precision(products: str, convolutions_in_tf32: bool) -> None:
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions_in_tf32
