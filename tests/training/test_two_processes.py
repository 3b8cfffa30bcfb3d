"""One process with a batch and two with half of it each do the same: training of every method, evaluation of any split.

All of it runs on one pair of processes over gloo.
"""

import copy
import os
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.testing import assert_close
from torch.utils.data import DataLoader

from tbe.config import build, plain
from tbe.data.epoch_samplers import EpochSampler
from tbe.evaluation.features import extract
from tbe.train import build_module
from tests.conftest import ROOT, SMALL, composed, once
from tests.forked import together
from tests.synchronized_statistics import synchronize_on_the_cpu, synchronized

BATCH, STEPS = 8, 3
CASES = [
    "arrow_of_time consistency=temporal_inversion",
    "byol",
    "flip",
    "lejepa method.another_clip=true loss.num_slices=32",
    "lejepa backbone=vit_micro backbone.depth=1 method.token_drop=0.5 be=none loss.num_slices=32",
    "moco",
    "moco be=inter contrastive.negative={same_video:16,background_owner:2,reversed:1,shuffled:0.5,static:1}",
    "moco method.negative=other_video method.encoder.mlp=true loss=nce module.distractor_views=both",
    "pace",
    "rotation consistency=mse",
    "simclr",
    "simclr method.negative=other_video",
    "triplet",
    "vicreg module.distractor_views=both",
    "videomae be=inter backbone=vit_micro backbone.width=24 backbone.depth=2",
    "vicreg backbone=vit_micro backbone.depth=1 method.token_drop=0.5",
    "vjepa method.momentum=0.9",
    "vjepa be=inter backbone=vit_micro backbone.width=24 backbone.depth=2",
]
# SGD: Adam would divide what is zero but for rounding by its own size. A rate at which three steps go somewhere.
OPTIONS = ["experiment=none", "clip=8x2_32", "backbone=tiny", "backbone.widths=[4,8,8,8]", "contrastive.queue_size=20"]
OPTIONS += ["contrastive.key_momentum=0.9", "batch_norm=sync", "optimizer=sgd", "optimizer.lr=0.05", "epochs=1"]
# All is computed in float64: three steps through batch norms and rectifiers can make 1e-3 of the rounding of float32,
# as much as of a negative that is another one. What sums in another order leave was at most 1e-14, of weights and of
# losses.
TOLERANCE = {"rtol": 1e-9, "atol": 1e-11}
VIDEOS = [1, 3, 10]  # to evaluate: fewer than processes, and numbers that two do not divide


class FixedVideos(pl.LightningDataModule):
    """The same clips always, as many a step whatever the number of processes, dealt out in turn."""

    def __init__(self):
        super().__init__()
        drawn = torch.rand(BATCH * STEPS, 3, 3, 8, 16, 16, generator=torch.Generator().manual_seed(5))
        # Each video has a color of its own, or embeddings of noise would all be alike.
        views = drawn * torch.rand(BATCH * STEPS, 1, 3, 1, 1, 1, generator=torch.Generator().manual_seed(6))
        names = ("query", "key", "negative")
        self.videos = [dict(zip(names, video, strict=True)) for video in views]

    def train_dataloader(self):
        mine = torch.arange(len(self.videos)).view(STEPS, self.trainer.world_size, -1)[:, self.trainer.global_rank]
        return DataLoader(self.videos, batch_sampler=mine.tolist())

    def training_batches(self):
        return STEPS


class Recorder(pl.Callback):
    """What a run did: its losses, and which batch norms have statistics of their own."""

    def __init__(self):
        self.losses, self.synchronized, self.alone = [], [], []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        torch.manual_seed(batch_idx)  # on all processes

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].detach())
        norms = {name: part for name, part in module.named_modules() if isinstance(part, _BatchNorm)}
        self.synchronized = [name for name, norm in norms.items() if isinstance(norm, nn.SyncBatchNorm)]
        self.alone = [name for name in norms if name not in self.synchronized]


def drawn_for_all(draw, place):
    """torch.rand or torch.randint that draws for the whole batch and keeps this process's share of it.

    So the chance of a clip (its distracting frame and weight, its rotation) does not depend on where it is.
    """

    def share(*arguments, **options):
        size = arguments[place] if isinstance(arguments[place], tuple) else arguments[place:]
        whole = draw(*arguments[:place], (size[0] * world(), *size[1:]), **options)
        return whole.chunk(world())[dist.get_rank() if world() > 1 else 0]

    return share


def neighbors(clips, count=1):
    """Whose frame each clip gets: its neighbor's, who is in the same process."""
    return (torch.arange(len(clips)) ^ 1).unsqueeze(1)


def world():
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def in_float64():
    """What is made is float64, and what asks for float32 stays it."""
    torch.set_default_dtype(torch.float64)
    try:
        with patch("torch.Tensor.float", torch.Tensor.double):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def options(case):
    """The overrides of a case; wide heads are narrow, and a network of its own has no settings of another."""
    head = ["method.encoder.hidden=16", "method.encoder.dim=8"] if case.startswith(("lejepa", "vicreg")) else []
    usual = [option for option in OPTIONS if not option.startswith("backbone") or "backbone=" not in case]
    return [*usual, *f"method={case}".split(), *head]


def configs(folder):
    """The config of each case, of the trainer of several processes, and of one: composed once, which takes long."""
    found = {case: plain(composed("train", *options(case), run_dir=folder)) for case in CASES}
    sizes = [*OPTIONS, *SMALL, "data.num_train=13", "data.num_val=15", "data.bias=0", "datamodule.eval_batch_size=2"]
    found["evaluation"] = plain(composed("train", *sizes, "trainer=ddp_cpu", run_dir=folder))
    found["finetuning"] = plain(composed("train", *sizes, "stage=finetune", run_dir=folder))
    found["one"] = plain(composed("train", "trainer=cpu", "epochs=1", "batch_norm=sync", run_dir=folder))["trainer"]
    found["several"] = found["evaluation"]["trainer"]
    return found


def trainer_of(configs, **settings):
    quiet = {"enable_progress_bar": False, "enable_checkpointing": False, "logger": False}
    return build(configs["several" if world() > 1 else "one"])(**quiet, **settings)


@in_float64()
def trained(case, configs):
    """What is left of three steps of a method, on this process."""
    config, recorder = configs[case], Recorder()
    torch.manual_seed(0)
    module = build_module(config, num_classes=0)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trainer = trainer_of(configs, callbacks=[recorder, build(config["callbacks"]["statistics"])])
    videos = FixedVideos()
    draws = patch("torch.rand", drawn_for_all(torch.rand, 0)), patch("torch.randint", drawn_for_all(torch.randint, 1))
    with draws[0], draws[1], patch("tbe.erasing.draw_owners", neighbors):
        trainer.fit(module, videos)
    return {**vars(recorder), "before": before, "after": module.state_dict()}


def datamodule(num_videos, configs, stage="evaluation"):
    config = copy.deepcopy(configs[stage]["datamodule"])
    config["source"]["num_test"] = num_videos
    return build(config)


def evaluated(num_videos, configs):
    """The features of a split with so many videos."""
    torch.manual_seed(0)
    network = build(configs["evaluation"]["backbone"])
    return extract(network, datamodule(num_videos, configs), "swap", trainer_of(configs))["clean"]


def validated(stage, configs):
    """What validation logs of an untrained network: the nearest neighbors' or the head's accuracy."""
    config, source = configs[stage], datamodule(VIDEOS[0], configs, stage)
    torch.manual_seed(0)
    module = build_module(config, source.source.num_classes)
    callbacks = [build(config["callbacks"][name]) for name in ("knn_probe",) if name in config["callbacks"]]
    return trainer_of(configs, callbacks=callbacks).validate(module, source, verbose=False)[0]


def normalized(values, norm, join):
    """Outputs, gradient and running statistics of a batch norm, or of one whose processes join."""
    values = values.clone().requires_grad_()
    outputs = join(norm, values)
    (outputs.sin() * values.detach().flip(1)).sum().backward()
    return {
        "outputs": outputs.detach(),
        "inputs": values.grad,
        "weights": torch.stack([norm.weight.grad, norm.bias.grad]),
        "statistics": torch.stack([norm.running_mean, norm.running_var]),
    }


def batch_norm():
    torch.manual_seed(1)
    norm = nn.BatchNorm3d(4, momentum=0.3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm, 3 * torch.randn(5, 4, 2, 3, 3) + 2


def work(configs):
    found = {case: trained(case, configs) for case in CASES}
    found |= {videos: evaluated(videos, configs) for videos in VIDEOS}
    return found | {stage: validated(stage, configs) for stage in ("evaluation", "finetuning")}


def _process(number, folder, configs):
    os.environ.update(LOCAL_RANK=str(number), OMP_NUM_THREADS="1")
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=number, world_size=2)
    synchronize_on_the_cpu()
    norm, values = batch_norm()
    found = {"batch_norm": normalized(values.split([3, 2])[number], norm, synchronized)}
    torch.save(found | work(configs), f"{folder}/{number}.pt")


@pytest.fixture(scope="module")
def found(tmp_path_factory, data_dir):
    """What one process found, and what each of two did."""

    def make(folder):
        composed_once = configs(folder)
        for videos in VIDEOS:
            datamodule(videos, composed_once).prepare_data()  # draws them
        both = partial(_process, folder=folder, configs=composed_once)
        alone = together(both, processes=2, meanwhile=lambda: work(composed_once))
        torch.save(alone, folder / "alone.pt")

    with patch.dict(os.environ, {"TBE_DATA": str(data_dir)}):
        folder = once(tmp_path_factory, "two_processes", make)
    return [torch.load(folder / f"{name}.pt", weights_only=False) for name in ("alone", 0, 1)]


def test_the_synchronized_batch_norm_of_these_tests_is_batch_norm_of_the_joined_batch(found):
    """What stands in for torch.nn.SyncBatchNorm, whose CUDA kernel is not tested here: it refuses the CPU."""
    norm, values = batch_norm()
    expected = normalized(values, norm, lambda norm, values: norm(values))
    first, second = (one["batch_norm"] for one in found[1:])  # 3 and 2 clips
    for name in ("outputs", "inputs"):
        assert_close(torch.cat([first[name], second[name]]), expected[name], rtol=1e-4, atol=1e-5)
    assert_close(first["weights"] + second["weights"], expected["weights"], rtol=1e-4, atol=1e-5)
    for one in (first, second):
        assert_close(one["statistics"], expected["statistics"])


def test_no_method_is_left_out():
    assert {case.split()[0] for case in CASES} == {file.stem for file in (ROOT / "configs/method").glob("*.yaml")}


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_like_one(found, case):
    """With `batch_norm=sync`, converted by the Trainer; only the forward pass of SyncBatchNorm is the tests' own."""
    alone, first, second = (one[case] for one in found)
    losses = (torch.stack(first["losses"]) + torch.stack(second["losses"])) / 2
    assert len(losses) == STEPS
    assert_close(losses, torch.stack(alone["losses"]), **TOLERANCE)
    moved = [name for name, value in alone["after"].items() if not torch.equal(value, alone["before"][name])]
    assert len(moved) > 10
    for name, value in alone["after"].items():
        assert torch.equal(first["after"][name], second["after"][name]), name
        assert_close(first["after"][name], value, **TOLERANCE, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("case", CASES)
def test_all_batch_norms_are_synchronized_the_key_encoders_and_heads_too(found, case):
    alone, first, _ = (one[case] for one in found)
    assert alone["synchronized"] == []
    assert first["alone"] == []
    assert first["synchronized"] == alone["alone"]
    parts = {
        "moco": ("encoder", "key_encoder"),
        "byol": ("encoder", "target", "predictor"),
        "simclr": ("encoder",),
        "vicreg": ("encoder.expander",),
    }
    for part in parts.get(case.split()[0], ()):
        assert any(name.startswith(f"method.{part}.") for name in first["synchronized"])


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("moco")])
def test_the_queue_is_the_same_on_all_processes_and_that_of_one(found, case):
    alone, first, second = (one[case]["after"] for one in found)
    assert alone["method.queue.position"] == first["method.queue.position"] == second["method.queue.position"] == 4
    keys = [one["method.queue.keys"] for one in (alone, first, second)]
    assert torch.equal(keys[1], keys[2])
    assert_close(keys[1], keys[0], **TOLERANCE)
    assert not torch.equal(keys[0], found[0][case]["before"]["method.queue.keys"])


@pytest.mark.parametrize("videos", VIDEOS)
def test_two_processes_evaluate_like_one(found, videos):
    alone, first, second = (one[videos] for one in found)
    assert len(alone.vectors) == videos
    for one in (first, second):
        assert torch.equal(one.labels, alone.labels)
        # In float32: convolutions of another batch size add up in another order.
        assert_close(one.vectors, alone.vectors, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("stage", "metrics"),
    [("evaluation", {"val/knn_top1", "val/knn_scene_top1"}), ("finetuning", {"val/top1", "val/top5"})],
)
def test_two_processes_validate_like_one_where_one_has_a_video_more(found, stage, metrics):
    alone, first, second = (one[stage] for one in found)
    assert set(alone) == metrics
    assert first == second == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_a_step_of_several_processes_has_the_videos_of_one_with_the_batch_of_all(world_size):
    def steps(batch_size, rank=0, processes=1):
        items = list(EpochSampler(53, 3, batch_size, rank, processes))
        return [set(items[start : start + batch_size]) for start in range(0, len(items), batch_size)]

    shares = [steps(3, rank, world_size) for rank in range(world_size)]
    assert [set.union(*step) for step in zip(*shares, strict=True)] == steps(3 * world_size)
