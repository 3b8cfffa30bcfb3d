"""A training step does not make the host wait for the GPU: tried on one that is pretended, and on a real one."""

from functools import partial

import pytest
import torch

from tbe.augment import ClipAugment, ColorJitter, RandomCrop, RandomResizedCrop
from tbe.data.views import ContrastiveViews
from tbe.erasing import BackgroundErasing, ForegroundMerge, InterVideoErasing, NoiseErasing
from tbe.methods.byol import BYOL
from tbe.methods.consistency import Consistency
from tbe.methods.encoder import Encoder
from tbe.methods.losses import CosineRegression, InfoNCE, TripletMargin
from tbe.methods.moco import MoCo
from tbe.methods.pretext import ArrowOfTime, Flip, Pace, PretextMethod, Rotation
from tbe.methods.simclr import SimCLR
from tbe.methods.triplet import Triplet
from tbe.training.finetune_module import FinetuneModule
from tbe.training.pretrain_module import PretrainModule
from tests.methods.networks import Mean
from tests.pretended_gpu import PretendedGPU

SIZE = 16
AUGMENTS = {
    "modern": lambda: ClipAugment(
        SIZE, RandomResizedCrop(), color=ColorJitter(0.4, 0.4, 0.4, 0.1, 0.8), gray=0.2, blur=0.5
    ),
    "original": lambda: ClipAugment(SIZE, RandomCrop(), rotation=10, color=ColorJitter(0.5, 0.5, 0.5, 0.25)),
    "flow": lambda: ClipAugment(SIZE, RandomResizedCrop(), mean=(0.5, 0.5), std=(0.25, 0.25)),
}
EXTRA = {"same_video": 16.0, "other_video": 1.0, "reversed": 1.0, "shuffled": 1.0, "static": 1.0}
METHODS = {
    "moco": (lambda: MoCo(encoder(), queue_size=32, negative="same_video"), InfoNCE),
    "moco with extra negatives": (lambda: MoCo(encoder(), queue_size=32, negative=EXTRA), InfoNCE),
    "simclr": (lambda: SimCLR(encoder(), negative="same_video"), InfoNCE),
    "byol": (lambda: BYOL(encoder()), CosineRegression),
    "triplet": (lambda: Triplet(encoder()), TripletMargin),
    **{
        name: (lambda pretext=pretext: PretextMethod(Mean(batch_norm=True), pretext()), torch.nn.CrossEntropyLoss)
        for name, pretext in {"rotation": Rotation, "flip": Flip, "arrow_of_time": ArrowOfTime, "pace": Pace}.items()
    },
}
ERASINGS = {
    "be": BackgroundErasing,
    "inter": InterVideoErasing,
    "several": partial(InterVideoErasing, num_videos=2, beta=(2.0, 1.0)),
    "noise": NoiseErasing,
    "merge": ForegroundMerge,
}


def encoder():
    return Encoder(Mean(batch_norm=True), dim=4)


def module_of(method, erase, loss, weight=0.0):
    module = PretrainModule(method, erase, loss, None, None, Consistency(weight))
    module.log = lambda name, value, **settings: value.detach().clone()  # Lightning's keeps the tensor
    return module


def raw(channels=3):
    clips = torch.zeros(4, 2, 8, channels, 20, 24, dtype=torch.uint8, device="cuda")
    return {"clips": clips, "size": torch.full((4, 2), 20, device="cuda")}


@pytest.mark.parametrize("augment", AUGMENTS)
def test_augmentation_does_not_wait_for_the_device(augment):
    views = ContrastiveViews(AUGMENTS[augment]())
    channels = 2 if augment == "flow" else 3
    with PretendedGPU() as gpu:
        views(raw(channels))
        batch = raw(channels)
        gpu.settled = True
        shapes = {name: tuple(clips.shape) for name, clips in views(batch).items()}
    assert shapes == dict.fromkeys(("query", "key", "negative"), (4, channels, 8, SIZE, SIZE))


@pytest.mark.parametrize("erasing", ERASINGS)
@pytest.mark.parametrize("method", METHODS)
def test_a_step_of_any_method_does_not_wait_for_the_device(method, erasing):
    build, loss = METHODS[method]
    with PretendedGPU() as gpu:
        with torch.device("cuda"):
            module = module_of(build(), ERASINGS[erasing](prob=0.5), loss(), weight=1.0)
            views = {name: torch.zeros(4, 3, 8, SIZE, SIZE) for name in ("query", "key", "negative")}
        module.training_step(views, 0)
        gpu.settled = True
        assert module.training_step(views, 0).shape == ()  # autograd runs on no pretended device
        module.method.after_step()


def test_negatives_of_the_owners_do_not_wait_for_the_device():
    with PretendedGPU() as gpu:
        with torch.device("cuda"):
            method = MoCo(encoder(), queue_size=32, negative={"background_owner": 2.0, "same_video": 1.0})
            module = module_of(method, InterVideoErasing(num_videos=2), InfoNCE())
            views = {name: torch.zeros(4, 3, 8, SIZE, SIZE) for name in ("query", "key", "negative")}
        module.training_step(views, 0)
        gpu.settled = True
        assert module.training_step(views, 0).shape == ()


def test_a_step_of_finetuning_does_not_wait_for_the_device():
    with PretendedGPU() as gpu:
        with torch.device("cuda"):
            module = FinetuneModule(Mean(batch_norm=True), 6, torch.nn.CrossEntropyLoss(), None, None)
            batch = {"clips": torch.zeros(4, 2, 3, 8, SIZE, SIZE), "label": torch.zeros(4, dtype=torch.long)}
        module.log = lambda name, value, **settings: value.detach().clone()
        gpu.settled = True
        assert module.training_step(batch, 0).shape == ()


@pytest.mark.parametrize(
    "waits",
    [
        lambda clips: clips.sum().item(),
        lambda clips: bool(clips.sum() > 0),
        lambda clips: clips.tolist(),
        lambda clips: clips.cpu(),
        lambda clips: clips[clips > 0],
        lambda clips: clips + torch.ones(4).to(clips.device),
        lambda clips: clips + clips.new_tensor([1.0, 2.0, 3.0, 4.0]),
        lambda clips: clips.__setitem__(clips > 0, torch.ones(4, device="cuda")),
        lambda clips: clips.nonzero(),
        lambda clips: clips.long().prod(),  # compiled at its first use
    ],
)
def test_waiting_for_the_device_is_detected(waits):
    with PretendedGPU() as gpu:
        clips = torch.rand(4, device="cuda")
        gpu.settled = True
        with pytest.raises((RuntimeError, NotImplementedError)):
            waits(clips)


def test_what_is_pretended_is_so_where_there_is_a_gpu_too(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: pytest.fail("a GPU was initialised"))
    test_augmentation_does_not_wait_for_the_device("modern")
    test_a_step_of_any_method_does_not_wait_for_the_device("moco", "be")
    test_waiting_for_the_device_is_detected(lambda clips: clips.cpu())


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_a_step_on_a_real_gpu_does_not_wait_for_it(method):
    build, loss = METHODS[method]
    views = ContrastiveViews(AUGMENTS["modern"]())
    module = module_of(build().cuda(), BackgroundErasing(), loss().cuda())
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.1, momentum=0.9, fused=True)

    def step(batch):
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            loss = module.training_step(views(batch), 0)
        loss.backward()
        optimizer.step()
        module.method.after_step()

    step(raw())
    batch = raw()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
