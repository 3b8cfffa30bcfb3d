"""The switches that make a step faster or smaller, each in a run of its own."""

import os

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import tbe.train
from tbe.backbones.activation_checkpointing import Chain
from tbe.backbones.base import VideoBackbone
from tbe.backbones.resnet3d import ResNet3D
from tbe.methods.encoder import Encoder
from tbe.methods.losses import InfoNCE
from tbe.methods.moco import MoCo
from tbe.training.acceleration import (
    accelerate,
    check_compiler,
    check_convolutions,
    gradients_are_finite,
    lays_out_channels_last,
)

CPU = torch.device("cpu")
# Three steps at the learning rate of the recipe: what differs by rounding alone stays close.
SHORT = ("trainer.limit_train_batches=3", "trainer.log_every_n_steps=1")
WITHOUT = {}  # the weights of a run of each stage without any switch
USUAL = {
    "compile": False,
    "checkpoint_activations": False,
    "channels_last": True,  # of the recipe
    "fused": False,
    "matmul_precision": "high",
    "cudnn_benchmark": True,
}


@pytest.fixture(autouse=True)
def _global_settings():
    torch.compiler.reset()
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.benchmark = before[1]


@pytest.fixture
def runs(monkeypatch):
    """What each run trained with: of each switch its value, read off the trained parts where they show it."""
    found = []

    def speed_up(module, device, **settings):
        real_accelerate(module, device, **settings)
        found.append({"matmul_precision": settings.get("matmul_precision")})

    def fit(config, module, datamodule, trainer):
        real_fit(config, module, datamodule, trainer)
        (optimizer,) = trainer.optimizers
        found[-1] |= switches_of(module, optimizer) | {"cudnn_benchmark": torch.backends.cudnn.benchmark}

    real_accelerate, real_fit = tbe.train.accelerate, tbe.train.fit
    monkeypatch.setattr(tbe.train, "accelerate", speed_up)
    monkeypatch.setattr(tbe.train, "fit", fit)
    return found


def switches_of(module, optimizer):
    parts = list(module.modules())
    kernels = [part.weight for part in parts if isinstance(part, nn.Conv3d)]
    return {
        "compile": all(part._compiled_call_impl is not None for part in parts if isinstance(part, VideoBackbone)),
        "checkpoint_activations": all(part.recomputed for part in parts if isinstance(part, Chain)),
        "channels_last": all(kernel.is_contiguous(memory_format=torch.channels_last_3d) for kernel in kernels),
        "fused": all(bool(group["fused"]) for group in optimizer.param_groups),
    }


def weights(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
@pytest.mark.parametrize(
    ("switches", "changed"),
    [
        (["performance.compile=eager"], {"compile": True}),
        (["performance.checkpoint_activations=true"], {"checkpoint_activations": True}),
        (["optimizer.fused=true", "performance.channels_last=false"], {"fused": True, "channels_last": False}),
        (
            ["performance.matmul_precision=medium", "performance.cudnn_benchmark=false"],
            {"matmul_precision": "medium", "cudnn_benchmark": False},
        ),
    ],
    ids=lambda switches: " ".join(switches),
)
def test_a_switch_is_in_effect_and_changes_neither_the_weights_nor_their_names(train, runs, stage, switches, changed):
    settings = [f"stage={stage}", *SHORT]
    if stage not in WITHOUT:
        WITHOUT[stage] = weights(train(*settings, folder="without"))
        assert runs == [USUAL]
    plain, switched = WITHOUT[stage], weights(train(*settings, *switches, folder="with"))
    assert runs[-1] == USUAL | changed
    assert plain.keys() == switched.keys()
    for name, value in plain.items():
        assert_close(switched[name], value, atol=1e-3, rtol=1e-2, msg=lambda text, name=name: f"{name}: {text}")


def test_a_compiled_run_is_validated_resumed_and_exported(train, runs):
    settings = ["performance.compile=eager", *SHORT]
    run = train(*settings)
    resumed = train(*settings, f"resume={run}", "epochs=2", "task=export", "evaluation.splits=[iid]")
    assert any((resumed / "export").rglob("*.pt2"))
    assert [switches["compile"] for switches in runs] == [True, True]


def moco(blocks=(1, 1)):
    torch.manual_seed(0)
    strides = (1, 2)[: len(blocks)]
    widths = (4, 8)[: len(blocks)]
    network = ResNet3D("basic", layers=blocks, widths=widths, temporal_strides=strides, spatial_strides=strides)
    return MoCo(Encoder(network, dim=4), queue_size=8).train()


def step(method):
    """Loss, gradients and all that a checkpoint has after a step."""
    views = torch.rand(3, 4, 3, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    loss = InfoNCE()(*method(*views))
    loss.backward()
    method.after_step()
    return loss, {name: value.grad for name, value in method.encoder.named_parameters()}, method.state_dict()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_both_encoders_are_compiled_and_compute_the_same(backend):
    plain, compiled = moco(), moco()
    accelerate(compiled, CPU, compile=backend)
    assert all(encoder.backbone._compiled_call_impl is not None for encoder in (compiled.encoder, compiled.key_encoder))
    for _ in range(2):
        assert_close(step(compiled), step(plain), atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_true_stands_for_torchs_own_compiler():
    plain, compiled = moco(blocks=(1,)), moco(blocks=(1,))  # a block more is ten seconds more
    accelerate(compiled, CPU, compile=True)
    assert_close(step(compiled), step(plain), atol=1e-4, rtol=1e-3)


def test_compile_without_a_compiler_is_one_clear_error(monkeypatch, tmp_path):
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    without = config.patch({"cpp.cxx": (None, os.path.join(tmp_path, "no-compiler")), "force_disable_caches": True})
    with without, pytest.raises(ValueError, match=r"expected that torch\.compile works.*g\+\+.*compile=false"):
        check_compiler("inductor", CPU)
    with pytest.raises(ValueError, match="compile: expected .* got .*nonsense"):
        accelerate(moco(), CPU, compile="nonsense")


def test_recomputing_reaches_all_backbones():
    method = moco()
    accelerate(method, CPU, checkpoint_activations=True)
    assert [part.recomputed for part in method.modules() if isinstance(part, Chain)] == [True] * 4
    assert_close(step(method), step(moco()), atol=0, rtol=0)


def test_the_memory_format_is_that_of_the_weights():
    method = moco()
    accelerate(method, CPU, channels_last=True)
    kernels = [part.weight for part in method.modules() if isinstance(part, nn.Conv3d)]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last_3d) for kernel in kernels)
    assert_close(step(method), step(moco()), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_the_precision_of_products_is_set_on_gpus_alone(precision):
    accelerate(nn.Linear(2, 2), CPU, matmul_precision=precision)
    assert torch.get_float32_matmul_precision() == "highest"
    accelerate(nn.Linear(2, 2), torch.device("cuda"), matmul_precision=precision)
    assert torch.get_float32_matmul_precision() == precision


@pytest.mark.parametrize(("setting", "device", "expected"), [(None, "cuda", True), (None, "cpu", False)])
def test_channels_last_is_the_default_on_gpus_alone(setting, device, expected):
    assert lays_out_channels_last(setting, torch.device(device)) is expected
    assert lays_out_channels_last(not expected, torch.device(device)) is not expected


@pytest.mark.parametrize(
    ("torch_version", "cudnn", "precision", "channels_last", "said"),
    [
        ("2.9.1+cu128", 91002, "bf16-mixed", False, "3D convolutions in bfloat16 are slow or wrong"),
        ("2.10.0", 91400, "32-true", True, "3D convolutions in float32 do not use TF32"),
        ("2.9.0", 91002, "bf16-mixed", True, None),
        ("2.8.0", 91002, "bf16-mixed", False, None),
        ("2.11.0", 91002, "bf16-mixed", False, None),
        ("2.9.0", 91501, "bf16-mixed", False, None),
        ("2.9.0", 90800, "32-true", False, None),
        ("2.9.0a0+git123", None, "32-true", False, None),
    ],
)
def test_versions_with_slow_convolutions_are_warned_of(
    monkeypatch, caplog, torch_version, cudnn, precision, channels_last, said
):
    monkeypatch.setattr(torch, "__version__", torch_version)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: cudnn)
    check_convolutions(torch.device("cuda"), precision, channels_last)
    found = [record.getMessage() for record in caplog.records]
    assert len(found) == (said is not None)
    assert all(f"torch {torch_version} with cuDNN {cudnn}: {said}" in line and "cuDNN 9.15" in line for line in found)


def test_a_cpu_whose_bfloat16_gradients_are_not_finite_is_refused(monkeypatch, caplog):
    check_convolutions(CPU, "32-true", False)
    assert not caplog.records
    monkeypatch.setattr(torch.autograd, "grad", lambda loss, kernel: (torch.full_like(kernel, float("nan")),))
    with pytest.raises(ValueError, match="precision=bf16-mixed: expected finite gradients of a 3D convolution on this"):
        accelerate(moco(), CPU, precision="bf16-mixed")


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_weights_of_half_precision_are_refused_as_moving_averages_would_stand_still(precision):
    kept, now = torch.ones(1, dtype=torch.bfloat16), torch.full((1,), 1.5, dtype=torch.bfloat16)
    assert torch.equal(kept.lerp(now, 1 - 0.999), kept)
    with pytest.raises(ValueError, match=f"expected 32-true, bf16-mixed or 16-mixed, got {precision}"):
        accelerate(nn.Linear(2, 2), CPU, precision=precision)


def test_bfloat16_on_a_cpu_is_warned_of(monkeypatch, caplog):
    monkeypatch.setattr("tbe.training.acceleration.gradients_are_finite", lambda device: True)
    accelerate(moco(), CPU, precision="bf16-mixed")
    (record,) = caplog.records
    assert "become nan" in record.getMessage()


def test_trying_convolutions_draws_nothing_of_the_run():
    before = torch.get_rng_state()
    assert gradients_are_finite(CPU) in (True, False)
    assert torch.equal(torch.get_rng_state(), before)


def test_compile_with_activation_checkpointing_is_refused():
    with pytest.raises(ValueError, match="compile, checkpoint_activations: expected at most one of them, got both"):
        accelerate(moco(), CPU, compile=True, checkpoint_activations=True)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="matmul_precision: expected one of highest, high, medium, got 'tf32'"):
        accelerate(nn.Linear(2, 2), CPU, matmul_precision="tf32")


@pytest.mark.parametrize("benchmark", [True, False])
def test_the_search_for_algorithms_reaches_the_trainer(train, benchmark):
    train(f"performance.cudnn_benchmark={str(benchmark).lower()}", "trainer.limit_train_batches=1")
    assert torch.backends.cudnn.benchmark is benchmark
