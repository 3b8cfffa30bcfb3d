import csv
from types import SimpleNamespace

import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image
from torch import nn
from torch.testing import assert_close

from tbe.training.callbacks.gradient_flow import GradientFlow, layer_gradients
from tbe.viz.gradient_plot import draw_layers


def rows_of(file):
    with file.open(newline="") as table:
        return list(csv.DictReader(table))


def network():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Linear(2, 2))
    layers[3].requires_grad_(False)
    return layers


def test_a_layer_has_the_gradients_of_its_weight_and_bias():
    layers, inputs = network(), torch.randn(5, 3)
    layers[:3](inputs).sum().backward()
    found = layer_gradients(layers)
    assert list(found) == ["0", "2"]
    # Of a sum over outputs and videos: the bias of the last layer counts videos, its weight sums its inputs.
    hidden = layers[:2](inputs).sum(dim=0).repeat(2)
    expected = torch.cat([hidden, torch.full((2,), 5.0)]).abs()
    assert_close(torch.stack(found["2"]), torch.stack([expected.mean(), expected.max()]))


def trained(callback, steps, start=0, stops=False, accumulate=1):
    """What a Trainer calls, for a network that learns by itself, at the first batch of each step."""
    layers = network()
    trainer = SimpleNamespace(global_step=start, is_global_zero=True, accumulate_grad_batches=accumulate)
    trainer.fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_idx=0))
    callback.on_train_start(trainer, layers)
    for step in range(start, start + steps):
        trainer.global_step = step
        layers(torch.randn(5, 3)).sum().backward()
        callback.on_before_optimizer_step(trainer, layers, None)
    if stops:
        callback.on_exception(trainer, layers, KeyboardInterrupt())
    else:
        callback.on_train_end(trainer, layers)


@pytest.mark.parametrize("stops", [False, True])
def test_every_few_steps_are_written_and_drawn_at_the_end(stops, tmp_path):
    trained(GradientFlow(tmp_path, every=3), 7, stops=stops)
    rows = rows_of(tmp_path / "gradients.csv")
    assert [(row["step"], row["layer"]) for row in rows] == [(step, layer) for step in "036" for layer in "02"]
    assert all(0 < float(row["mean"]) < float(row["max"]) for row in rows)
    assert (tmp_path / "gradients.png").stat().st_size > 10_000


def test_a_resumed_run_continues_the_rows_of_its_checkpoint(tmp_path):
    trained(GradientFlow(tmp_path, every=1), 5)
    trained(GradientFlow(tmp_path, every=1), 3, start=3)
    assert [row["step"] for row in rows_of(tmp_path / "gradients.csv")[::2]] == list("012345")


def test_a_run_of_another_start_begins_anew(tmp_path):
    trained(GradientFlow(tmp_path, every=1), 5)
    trained(GradientFlow(tmp_path, every=1), 2)
    assert [row["step"] for row in rows_of(tmp_path / "gradients.csv")[::2]] == list("01")


def test_a_run_without_a_step_draws_nothing(tmp_path):
    trained(GradientFlow(tmp_path, every=1), 0)
    assert not (tmp_path / "gradients.png").exists()


def test_every_is_at_least_one(tmp_path):
    with pytest.raises(ValueError, match="expected at least 1, got 0"):
        GradientFlow(tmp_path, every=0)


@pytest.mark.parametrize("num_layers", [1, 110])
def test_layers_have_a_line_each_and_those_without_gradients_too(num_layers, tmp_path):
    rows = [(step, f"layer {n}", n % 2 * 1e-3, n % 2 * 1e-1) for step in (0, 10) for n in range(num_layers)]
    draw_layers(rows, tmp_path / "layers.png")
    with Image.open(tmp_path / "layers.png") as picture:
        assert picture.height > 150 * 0.16 * num_layers


def test_a_layer_with_gradients_in_few_of_the_steps_is_drawn(tmp_path, monkeypatch):
    bars, real = [], Axes.hlines

    def hlines(axes, places, *ends, **style):
        bars.append(places.tolist())
        return real(axes, places, *ends, **style)

    monkeypatch.setattr(Axes, "hlines", hlines)
    sizes = {"steady": (1, 1, 1), "sometimes": (0, 0, 1), "never": (0, 0, 0)}
    rows = [(step, name, size[step] * 1e-3, size[step] * 1e-1) for step in range(3) for name, size in sizes.items()]
    draw_layers(rows, tmp_path / "layers.png")
    assert bars == [[0, 1], [0, 1]]  # of the means and of the largest


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_the_callback_is_added_to_a_recipe_by_name(train, stage):
    chosen = [
        f"callbacks=[{stage},gradients]",
        "callbacks.gradient_flow.every=2",
        f"stage={stage}",
        "evaluation.clips=1",
    ]
    run = train(*chosen, "evaluation.clips=1")
    rows = rows_of(run / "gradients.csv")
    assert sorted({row["step"] for row in rows}) == ["0", "2"]
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    assert layers[0].endswith("backbone.stem.0")
    assert layers[-1] == ("classifier.head" if stage == "finetune" else "method.encoder.projector.layers.0")
    assert (run / "checkpoints" / "last.ckpt").exists()


def test_gradients_of_a_step_with_fewer_batches_are_those_that_it_takes(tmp_path):
    found = []
    for accumulate in (1, 4):
        torch.manual_seed(1)
        trained(GradientFlow(tmp_path / str(accumulate), every=1), 1, accumulate=accumulate)
        found.append([float(row["mean"]) for row in rows_of(tmp_path / str(accumulate) / "gradients.csv")])
    assert found[1] == pytest.approx([4 * value for value in found[0]], rel=1e-3)
