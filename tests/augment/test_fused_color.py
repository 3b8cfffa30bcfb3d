"""Color changes in one kernel equal separate changes. Triton's interpreter stands in for a GPU."""

import importlib.util
import logging
from contextlib import nullcontext
from itertools import permutations

import pytest
import torch
from torch.testing import assert_close

from benchmarks.speed import kernel as kernel_of_benchmark
from tbe.augment import ClipAugment, ColorJitter, RandomResizedCrop, fused_color
from tbe.augment.color_jitter import (
    Change,
    adjust_brightness_,
    adjust_contrast_,
    adjust_hue_,
    adjust_saturation_,
    change_,
)
from tbe.errors import first_line
from tests.augment.test_clip_augment import SIZES, random_clips, with_seed
from tests.conftest import ROOT
from tests.pretended_gpu import PretendedGPU

pytest.importorskip("triton")

KINDS = (adjust_brightness_, adjust_contrast_, adjust_saturation_, adjust_hue_)
MEAN, STD = torch.tensor([0.4, 0.5, 0.6]).view(-1, 1, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(-1, 1, 1, 1)


@pytest.fixture
def kernel(monkeypatch):
    """The interpreted kernel, with blocks that do not divide a frame."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(fused_color, "BLOCK", 32)
    spec = importlib.util.spec_from_file_location("interpreted", ROOT / "tbe" / "augment" / "color_kernel.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.change_frames


def change(kind, num_clips=2, device="cpu"):
    """Returns a change that leaves the first clip unchanged."""
    neutral = 0.0 if kind is adjust_hue_ else 1.0
    by = (torch.rand(num_clips, device=device) - 0.5) * (torch.arange(num_clips, device=device) > 0)
    return Change(kind, neutral + by, neutral)


def pictures(dtype=torch.float32):
    """Returns two clips of two frames, with the strides of resampling, and pixels without a hue."""
    clips = torch.rand(2, 7, 3, 2, 7)
    clips[:, 0] = 0.5
    return clips.to(dtype).permute(0, 2, 3, 1, 4)


def one_after_the_other(clips, changes):
    return (change_(clips.float(), changes) - MEAN) / STD


@pytest.mark.parametrize("order", list(permutations(KINDS))[::7])
def test_one_kernel_applies_the_changes_in_any_order(kernel, order):
    torch.manual_seed(0)
    changes, clips = [*map(change, order), change(adjust_saturation_)], pictures(torch.float16)  # gray comes last
    found = fused_color._launched(kernel, clips, changes, MEAN, STD)
    assert_close(found, one_after_the_other(clips, changes), atol=1e-4, rtol=0)
    assert found.is_contiguous()


@pytest.mark.parametrize("left_out", [adjust_contrast_, adjust_hue_])
def test_a_strength_of_0_leaves_its_slot_empty(kernel, left_out):
    torch.manual_seed(0)
    changes, clips = [change(kind) for kind in KINDS if kind is not left_out], pictures()
    expected = one_after_the_other(clips.clone(), changes)
    assert_close(fused_color._launched(kernel, clips, changes, MEAN, STD), expected, atol=1e-4, rtol=0)


def test_the_kernel_compiles_without_a_gpu_and_its_registers_suffice():
    try:
        usage = kernel_of_benchmark.compiled(90)
    except Exception as error:  # as its benchmark says
        pytest.skip(f"Triton cannot compile here: {first_line(error)}")
    assert usage.spilled == 0
    assert usage.registers <= kernel_of_benchmark.REGISTERS


def test_where_triton_cannot_compile_the_benchmark_says_why(monkeypatch):
    def fails(capability):
        raise FileNotFoundError("no ptxas")

    monkeypatch.setattr(kernel_of_benchmark, "compiled", fails)
    said = list(kernel_of_benchmark.measure())
    assert [line.partition(" for ")[0] for line in said] == ["Not compiled"] * 3
    assert said[0] == "Not compiled for sm_80 (A100), frames of 112x112: no ptxas\n"


def augment(**settings):
    color = ColorJitter(0.4, 0.4, 0.4, 0.1, prob=0.8)
    return ClipAugment(24, RandomResizedCrop(), color=color, gray=0.3, blur=0.5, **settings)


def test_on_a_gpu_the_kernel_gets_half_precision_without_synchronizing(monkeypatch):
    launches = []

    class Kernel:
        def __getitem__(self, grid):
            return lambda *given, **constants: launches.append((grid, given[0].dtype, given[1].shape, constants))

    monkeypatch.setattr(fused_color, "_kernel", lambda device: Kernel())
    monkeypatch.setattr(torch.cuda, "device_of", lambda tensor: nullcontext())
    with PretendedGPU() as gpu:
        views, clips, sizes = augment(fused=True), random_clips().to("cuda"), SIZES.to("cuda")
        views(clips, sizes)
        gpu.settled = True
        assert views(clips, sizes).dtype == torch.float32
    grid, dtype, plan, constants = launches[1]
    assert (grid, dtype, plan) == ((4 * 6,), torch.float16, (4, 1 + 3 * (fused_color.BEFORE + fused_color.AFTER)))
    assert constants["plan_length"] == plan[1]
    assert constants["has_contrast"]


def test_a_failing_triton_is_reported_once(caplog):
    fused_color._kernel.cache_clear()
    with caplog.at_level(logging.WARNING, logger="tbe"):
        found = [fused_color.change_and_normalize(pictures(), [change(adjust_hue_)], MEAN, STD) for _ in range(2)]
    fused_color._kernel.cache_clear()
    assert found == [None, None]
    (record,) = caplog.records
    assert record.message.startswith("augment.fused: Triton does not work here (")
    assert record.message.endswith("set augment.fused=false")


def test_a_launch_that_fails_after_the_trial_is_reported_once_and_changes_nothing(monkeypatch, caplog):
    class Kernel:
        def __getitem__(self, grid):
            raise RuntimeError("out of resource: shared memory")

    monkeypatch.setattr(fused_color, "_kernel", lambda device: Kernel())
    monkeypatch.setattr(fused_color, "_failed", set())
    with caplog.at_level(logging.WARNING, logger="tbe"):
        found = [fused_color.change_and_normalize(pictures(), [change(adjust_hue_)], MEAN, STD) for _ in range(2)]
    assert found == [None, None]
    (record,) = caplog.records
    assert record.message.startswith("augment.fused: Triton does not work here (out of resource: shared memory)")


def test_on_a_cpu_fused_has_no_effect():
    clips = random_clips()
    found, expected = (with_seed(augment(fused=switch), clips, SIZES) for switch in (True, False))
    assert torch.equal(found, expected)


@pytest.mark.gpu
def test_on_a_real_gpu_the_kernel_equals_separate_changes():
    clips, sizes = random_clips().cuda(), SIZES.cuda()
    found, expected = (with_seed(augment(fused=switch).cuda(), clips, sizes) for switch in (True, False))
    assert fused_color._kernel("cuda") is not None
    assert_close(found, expected, atol=1e-2, rtol=0)
