"""Training does not make the host wait for the GPU: tried on one that is pretended, and on a real one."""

import weakref
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tbe.augment import ClipAugment, ColorJitter, RandAugment, RandomCrop, RandomResizedCrop
from tbe.backbones.activation_checkpointing import recompute
from tbe.backbones.torchvision import _WhereTokensAre
from tbe.backbones.vit import ViT
from tbe.config import build, plain
from tbe.data.views import ContrastiveViews
from tbe.erasing import BackgroundErasing, BackgroundSwap, ForegroundMerge, InterVideoErasing, NoiseErasing
from tbe.methods.byol import BYOL
from tbe.methods.consistency import Consistency
from tbe.methods.embedding_losses import LeJEPALoss, VICRegLoss
from tbe.methods.encoder import Encoder, Expander
from tbe.methods.joint_embedding import JointEmbedding
from tbe.methods.losses import CosineRegression, InfoNCE, TripletMargin
from tbe.methods.masked.videomae import VideoMAE
from tbe.methods.masked.vjepa import VJEPA
from tbe.methods.moco import MoCo
from tbe.methods.pretext import ArrowOfTime, Flip, Pace, PretextMethod, Rotation
from tbe.methods.simclr import SimCLR
from tbe.methods.triplet import Triplet
from tbe.train import build_module, build_trainer
from tbe.training.callbacks import progress
from tbe.training.callbacks.loss_guard import FiniteLoss
from tbe.training.finetune_module import FinetuneModule
from tbe.training.pretrain_module import PretrainModule
from tests.conftest import NARROW, SMALL, composed
from tests.methods.networks import Mean
from tests.pretended_gpu import Event, PretendedGPU, Settled, fitted, pretended

SIZE = 16
AUGMENTS = {
    "modern": lambda: ClipAugment(
        SIZE, RandomResizedCrop(), color=ColorJitter(0.4, 0.4, 0.4, 0.1, 0.8), gray=0.2, blur=0.5
    ),
    "original": lambda: ClipAugment(SIZE, RandomCrop(), rotation=10, color=ColorJitter(0.5, 0.5, 0.5, 0.25)),
    "rand": lambda: ClipAugment(SIZE, RandomResizedCrop(), color=RandAugment()),
    "flow": lambda: ClipAugment(SIZE, RandomResizedCrop(), mean=(0.5, 0.5), std=(0.25, 0.25)),
}
EXTRA = {"same_video": 16.0, "other_video": 1.0, "reversed": 1.0, "shuffled": 1.0, "static": 1.0}
METHODS = {
    "moco": (lambda: MoCo(encoder(), queue_size=32, negative="same_video"), InfoNCE),
    "moco with extra negatives": (lambda: MoCo(encoder(), queue_size=32, negative=EXTRA), InfoNCE),
    "simclr": (lambda: SimCLR(encoder(), negative="same_video"), InfoNCE),
    "byol": (lambda: BYOL(encoder()), CosineRegression),
    "triplet": (lambda: Triplet(encoder()), TripletMargin),
    "vicreg": (lambda: JointEmbedding(Expander(Mean(batch_norm=True), 8, 8)), VICRegLoss),
    "lejepa": (lambda: JointEmbedding(Expander(Mean(batch_norm=True), 8, 8)), partial(LeJEPALoss, num_slices=4)),
    "videomae": (lambda: VideoMAE(vit()), torch.nn.MSELoss),
    "vjepa": (lambda: VJEPA(vit()), torch.nn.L1Loss),
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
    "median_swap": BackgroundSwap,
}


def encoder():
    return Encoder(Mean(batch_norm=True), dim=4)


def vit():
    return ViT(width=24, depth=1, heads=2, patch=(2, 4, 4), grid=(4, 4, 4), registers=1)


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


@pytest.mark.parametrize(
    "settings",
    [
        "method=moco precision=bf16-mixed trainer.gradient_clip_val=1.0",
        "method=byol loss=cosine accumulate=2 optimizer=adamw consistency=temporal_inversion be=merge",
        "stage=finetune task=none",
    ],
)
def test_lightnings_loop_with_our_callbacks_does_not_wait_for_the_device(settings, tmp_path, monkeypatch):
    """Between the first batches, which set up, and the end of the epoch, where all is read."""
    monkeypatch.setattr(progress, "INTERVAL", 1e9)  # else once a second
    options = [*SMALL, *NARROW, "trainer=cpu", "epochs=1", "batch_size=4", *settings.split(), "callbacks=common"]
    options += ["trainer.log_every_n_steps=1000", "trainer.limit_val_batches=0", "logger=csv"]
    options += ["trainer.limit_train_batches=4"]
    config = plain(composed("train", *options, run_dir=tmp_path))
    config["trainer"] |= pretended()
    del config["callbacks"]["last"]
    with PretendedGPU() as gpu:
        data = build(config["datamodule"])
        data.prepare_data()
        with torch.device("cuda"):
            module = build_module(config, num_classes=4)
        settled = Settled(gpu)
        fitted(build_trainer(config, settled), module, data)
    assert settled.num_batches == 2  # of 4


def test_what_is_logged_for_the_bar_of_lightning_would_be_read_at_once(tmp_path, monkeypatch):
    """What the test above is for: Lightning reads such a value in each batch."""
    log = PretrainModule.log
    monkeypatch.setattr(PretrainModule, "log", lambda *given, **settings: log(*given, **{**settings, "prog_bar": True}))
    with pytest.raises(RuntimeError, match="the host waits: .* reads a number"):
        test_lightnings_loop_with_our_callbacks_does_not_wait_for_the_device("method=moco", tmp_path, monkeypatch)


@pytest.mark.parametrize("method", ["moco", "simclr"])
def test_similarities_are_products_without_tf32_and_the_training_keeps_its_own(method):
    class Recorder(TorchDispatchMode):
        """The precision of each product of embeddings, of 4 numbers."""

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default) and args[0].shape[-1] == 4:
                found.append((torch.get_float32_matmul_precision(), args[0].dtype))
            return function(*args, **(kwargs or {}))

    found = []
    torch.set_float32_matmul_precision("high")
    with PretendedGPU(), torch.device("cuda"):
        built, views = METHODS[method][0](), [torch.zeros(4, 3, 8, SIZE, SIZE)] * 3
        with Recorder(), torch.autocast("cuda", torch.bfloat16):
            built(*views)
    assert found == [("highest", torch.float32)]
    assert torch.get_float32_matmul_precision() == "high"


def test_blocks_that_are_computed_again_make_their_tables_on_the_device():
    class Block(torch.nn.Module):
        def forward(self, tokens, size):
            return tokens + torch.arange(3), size

    with PretendedGPU() as gpu:
        tokens = torch.zeros(2, 3, device="cuda")
        gpu.settled = True
        assert recompute([_WhereTokensAre(Block())], tokens, (1, 1, 2))[0].device.type == "cuda"
        with pytest.raises(RuntimeError, match="the host waits"):
            recompute([Block()], tokens, (1, 1, 2))


def test_the_guard_of_losses_keeps_of_a_batch_what_names_its_videos(monkeypatch):
    monkeypatch.setattr(Event, "query", lambda event: False)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    trainer = SimpleNamespace(current_epoch=0, global_step=0, accumulate_grad_batches=1)
    guards = {policy: FiniteLoss("nowhere", policy) for policy in ("stop", "skip")}
    with PretendedGPU(), torch.device("cuda"):
        batch = {"query": torch.zeros(4, 3, 8, 4, 4), "index": torch.zeros(4), "frames": torch.zeros(4, 2)}
        query = weakref.ref(batch["query"])
        for guard in guards.values():
            guard.on_train_batch_start(trainer, torch.nn.Linear(1, 1), batch, 0)
            guard.on_train_batch_end(trainer, None, {"loss": torch.zeros(())}, batch, 0)
        del batch
    assert [seen.batch.keys() for seen in guards["stop"].open] == [{"index", "frames"}]
    assert guards["skip"].batch.keys() == {"index", "frames"}
    assert query() is None


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
