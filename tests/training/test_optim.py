import copy
from functools import partial
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import nn
from torch.testing import assert_close

from tbe.errors import UserError
from tbe.training.callbacks.averaging import EMAWeightAveraging
from tbe.training.finetune_module import FinetuneModule
from tbe.training.optim import (
    ConfiguredLR,
    Constant,
    Cosine,
    MultiStep,
    average_last_step,
    configure,
    fused_on_gpus,
    steps_of,
)
from tbe.training.parameter_groups import GroupedAdamW
from tbe.training.pretrain_module import PretrainModule
from tests.pretended_gpu import PretendedGPU


def test_cosine_falls_from_one_to_its_final_share():
    schedule = Cosine(final=0.1)
    factors = [schedule(step, 100, 10) for step in range(101)]
    assert factors[0] == 1
    assert factors[50] == pytest.approx(0.55)
    assert factors[100] == pytest.approx(0.1)
    assert factors == sorted(factors, reverse=True)


def test_cosine_equals_torchs_schedule():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for step in range(20):
        assert Cosine()(step, 20, 5) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


def test_warmup_rises_linearly():
    schedule = Cosine(warmup_epochs=2)
    assert [schedule(step, 100, 2) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert schedule(4, 100, 2) == 1


def test_milestones_are_epochs():
    schedule = MultiStep((2, 3), factor=0.1)
    assert [schedule(step, 40, 10) for step in (0, 19, 20, 29, 30)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_constant_is_constant():
    assert {Constant()(step, 10, 2) for step in range(10)} == {1.0}


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, GroupedAdamW])
def test_an_open_optimizer_is_fused_where_all_parameters_lie_on_a_gpu(kind):
    def made(**settings):  # as of a config: GroupedAdamW is no class to fill in, but a thing to call
        return kind(**settings) if kind is GroupedAdamW else partial(kind, **settings)

    unsaid = made(lr=0.1, fused=None)
    here = [nn.Parameter(torch.ones(3))]
    with PretendedGPU():
        there = [nn.Parameter(torch.ones(3, device="cuda"))]
        assert fused_on_gpus(unsaid, there, trainer("bf16-mixed"))(there).defaults["fused"] is True
        assert fused_on_gpus(unsaid, there, trainer("16-mixed"))(there).defaults["fused"] is None
        assert fused_on_gpus(made(lr=0.1, fused=False), there, trainer())(there).defaults["fused"] is False
        assert fused_on_gpus(made(lr=0.1, fused=True), there, trainer())(there).defaults["fused"] is True
        if kind is not GroupedAdamW:  # which has the setting
            assert fused_on_gpus(made(lr=0.1), there, trainer())(there).defaults["fused"] is None
    assert fused_on_gpus(unsaid, here, trainer())(here).defaults["fused"] is None


def trainer(precision="32-true", clip=None):
    return SimpleNamespace(precision=precision, gradient_clip_val=clip)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("clip", [None, 0, 0.5])
def test_an_open_optimizer_is_one_whose_gradients_lightning_clips(precision, clip):
    unsaid = partial(torch.optim.SGD, lr=0.1, fused=None)
    with PretendedGPU():
        there = [nn.Parameter(torch.ones(3, device="cuda"))]
        built = fused_on_gpus(unsaid, there, trainer(precision, clip))(there)
        if precision != "32-true":
            scaler = SimpleNamespace() if precision == "16-mixed" else None
            MixedPrecision(precision, "cuda", scaler).clip_gradients(built, clip or 0)
    assert bool(built.defaults["fused"]) is {"32-true": True, "bf16-mixed": not clip, "16-mixed": False}[precision]
    if precision != "32-true" and clip:
        with pytest.raises(UserError, match=f"optimizer.fused: expected null or false .*precision={precision}, got tr"):
            fused_on_gpus(partial(unsaid, fused=True), there, trainer(precision, clip))


@pytest.mark.parametrize("fused", [True, None])
def test_a_resumed_optimizer_takes_the_same_steps_in_another_memory_format(fused):
    """As where a run goes on on a GPU, in channels_last, that began on a CPU."""

    def begun(layout):
        kernel = torch.linspace(-1, 1, 2 * 3 * 8).view(2, 3, 2, 2, 2).to(memory_format=layout)
        parameter = nn.Parameter(kernel)
        optimizer = torch.optim.AdamW([parameter], lr=0.1, fused=fused)
        return parameter, optimizer, ConfiguredLR(optimizer, lambda step: 1.0)

    def step(parameter, optimizer):
        optimizer.zero_grad()
        parameter.pow(3).sum().backward()
        optimizer.step()

    parameter, optimizer, schedule = begun(torch.contiguous_format)
    step(parameter, optimizer)
    resumed, other, its_schedule = begun(torch.channels_last_3d)
    resumed.data.copy_(parameter.data)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    its_schedule.load_state_dict(schedule.state_dict())
    assert {value.stride() for value in other.state[resumed].values() if value.dim()} == {resumed.stride()}
    for each in ((parameter, optimizer), (resumed, other)):
        step(*each)
    assert_close(resumed.data, parameter.data)


@pytest.mark.parametrize(
    "optimizer",
    [partial(torch.optim.SGD, momentum=0.9, weight_decay=0.1), partial(torch.optim.AdamW, weight_decay=0.1)],
)
def test_a_fused_optimizer_takes_the_same_steps(optimizer):
    ends = []
    for fused in (None, True):
        parameters = [nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4)), nn.Parameter(torch.ones(5))]
        built = optimizer(parameters, lr=0.1, fused=fused)
        for _ in range(5):
            built.zero_grad()
            sum(parameter.pow(3).sum() for parameter in parameters).backward()
            built.step()
        ends.append(parameters)
    assert_close(ends[1], ends[0])


def run_of(batches, epochs):
    """A trainer of so many steps an epoch, as far as an optimizer's schedule asks it."""
    made = trainer()
    made.accumulate_grad_batches, made.max_steps, made.max_epochs = 1, -1, epochs
    made.datamodule = SimpleNamespace(training_batches=lambda: batches)
    return made


class Sum(pl.LightningModule):
    """Sums its weight times each batch, and notes its gradient at each step."""

    def __init__(self):
        super().__init__()
        self.weight, self.found = nn.Parameter(torch.ones(())), []

    def training_step(self, batch, batch_idx):
        return self.weight * batch.mean()

    def on_before_optimizer_step(self, optimizer):
        average_last_step(self.trainer, optimizer)
        self.found.append(float(self.weight.grad))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def test_an_epochs_last_step_takes_the_mean_of_the_batches_that_are_left(tmp_path):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu", "default_root_dir": tmp_path}
    for accumulate, expected in ((1, [1, 2, 3, 4, 5]), (2, [1.5, 3.5, 5]), (3, [2, 4.5]), (5, [3])):
        module = Sum()
        loader = torch.utils.data.DataLoader(torch.arange(1.0, 6).view(5, 1))
        pl.Trainer(max_epochs=2, accumulate_grad_batches=accumulate, **quiet).fit(module, loader)
        assert module.found == pytest.approx(expected * 2)


@pytest.mark.parametrize("module", [PretrainModule, FinetuneModule])
def test_both_stages_average_their_last_step(module):
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_idx=4))
    trainer = SimpleNamespace(accumulate_grad_batches=4, fit_loop=loop)
    module.on_before_optimizer_step(SimpleNamespace(trainer=trainer), torch.optim.SGD([weight], lr=0.1))
    assert weight.grad.tolist() == [4, 4]


def test_a_warmup_as_long_as_the_run_is_said(caplog):
    network, sgd = nn.Linear(2, 2), partial(torch.optim.SGD, lr=0.1, fused=False)
    configure(run_of(10, epochs=3), network, sgd, Cosine(warmup_epochs=2))
    assert not caplog.records
    configure(run_of(10, epochs=3), network, sgd, Cosine(warmup_epochs=5))
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("scheduler.warmup_epochs=5: expected fewer than the 3 epochs of this run")


def test_a_run_ends_with_its_epochs_or_its_steps_whichever_comes_first():
    trainer = run_of(10, epochs=3)
    assert steps_of(trainer) == (30, 10)
    for max_steps, expected in ((12, 12), (5000, 30)):
        trainer.max_steps = max_steps
        assert steps_of(trainer) == (expected, 10)
    trainer.max_epochs = -1
    assert steps_of(trainer) == (5000, 10)


def test_an_average_that_stays_at_the_first_weights_is_said(caplog):
    EMAWeightAveraging(decay=0.99).on_train_start(run_of(100, epochs=3), None)
    assert not caplog.records
    EMAWeightAveraging(decay=0.9999).on_train_start(run_of(20, epochs=2), None)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "after the 40 updates" in said
    assert "still 100 % what the first step made" in said
    assert "callbacks.ema.decay=0.75" in said
    caplog.clear()
    EMAWeightAveraging(decay=0.5, update_every_n_steps=2).on_train_start(run_of(5, epochs=1), None)
    (said,) = [record.getMessage() for record in caplog.records]  # updates after steps 1, 3 and 5; the first copies
    assert "after the 3 updates" in said
    assert "still 25 % what the first step made" in said
    with pytest.raises(UserError, match=r"callbacks.ema: expected decay in \[0, 1\)"):
        EMAWeightAveraging(decay=1)
