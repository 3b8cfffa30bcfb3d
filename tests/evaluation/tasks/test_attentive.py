"""The attentive probe: what it learns, that it is the same each time, and that it goes on where it was stopped."""

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tbe.api.build import build
from tbe.evaluation.features import Features
from tbe.evaluation.tasks.attentive import AttentiveProbe, fitting, task, tokens
from tbe.evaluation.tasks.attentive.pooling import AttentiveClassifier
from tbe.evaluation.tasks.linear import LinearProbe

CPU = torch.device("cpu")
QUICK = {"heads": 2, "epochs": 30, "batch_size": 32, "lr": 3e-3}


def made(num_videos, seed):
    """Tokens (n, 1, 9, 16) of which one, marked, tells the class by what it is; all others are noise as loud."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_videos) % 3
    found = torch.randn(num_videos, 1, 9, 16, generator=draws)
    places = torch.randint(9, (num_videos,), generator=draws)
    found[:, 0, :, 0] = 0
    codes = torch.eye(16)[1:4]
    found[torch.arange(num_videos), 0, places] = torch.eye(16)[0] * 4 + 2 * codes[labels]
    return found, labels


def accuracy(probe, settings, found, labels):
    return 100 * (settings.scores(probe, found, CPU).argmax(axis=1) == labels.numpy()).mean()


@pytest.mark.parametrize("depth", [1, 2])
def test_it_finds_the_token_that_tells_the_class_which_a_mean_does_not(depth):
    (found, labels), (others, truth) = made(240, 0), made(90, 1)
    settings = AttentiveProbe(depth=depth, **QUICK)
    attentive = accuracy(settings.fit(found, labels, 3, CPU), settings, others, truth)
    linear, _ = LinearProbe().fit(Features(found.mean(dim=(1, 2)), labels))
    of_mean = 100 * linear.score(others.mean(dim=(1, 2)).numpy(), truth.numpy())
    assert attentive > 90
    assert attentive > of_mean + 10


def test_the_same_seed_gives_the_same_probe_and_leaves_the_global_draws_alone():
    found, labels = made(40, 0)
    before = torch.get_rng_state()
    one, two, other = (
        AttentiveProbe(heads=2, epochs=2, dropped=0.3, seed=seed).fit(found, labels, 3, CPU) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name])
    assert not torch.equal(one.query, other.query)


def test_the_rate_rises_in_the_warmup_and_falls_along_half_a_cosine():
    schedule = fitting.Schedule(epochs=1, batch_size=1, lr=1.0, weight_decay=0.0, warmup=0.4)
    expected = [0.25, 0.5, 0.75, 1, 1, 0.5 * (1 + math.cos(math.pi / 6)), 0.5 * (1 + math.cos(math.pi / 3)), 0.5]
    assert [schedule.factor(step, 10) for step in range(8)] == pytest.approx(expected)
    assert schedule.factor(10, 10) == pytest.approx(0)
    without = dataclasses.replace(schedule, warmup=0.0)
    assert [without.factor(step, 9) for step in (0, 1, 5, 9)] == pytest.approx([1, 1, 0.5, 0])


def test_each_step_has_the_rate_of_the_schedule_and_the_decay_that_are_asked_for(monkeypatch):
    class Watched(torch.optim.AdamW):
        def step(self, *settings):
            taken.append((self.param_groups[0]["lr"], self.param_groups[0]["weight_decay"]))
            return super().step(*settings)

    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    found, labels = made(24, 0)
    for warmup, decay in ((0.5, 0.3), (0.0, 0.01)):
        taken = []
        settings = {"heads": 2, "epochs": 2, "batch_size": 8, "lr": 0.01, "warmup": warmup, "weight_decay": decay}
        AttentiveProbe(**settings).fit(found, labels, 3, CPU)
        schedule = fitting.Schedule(2, 8, 0.01, decay, warmup)
        assert [rate for rate, _ in taken] == pytest.approx([0.01 * schedule.factor(step, 6) for step in range(6)])
        assert {decay for _, decay in taken} == {decay}


@pytest.mark.parametrize(("dropped", "seen"), [(0.0, 9), (0.5, 4), (0.99, 1)])
def test_a_step_sees_the_tokens_that_are_not_dropped_each_time_others(dropped, seen, monkeypatch):
    found, labels = made(24, 0)
    found[..., 1] = torch.arange(9.0)  # the number of each token
    batches, forward = [], AttentiveClassifier.forward
    monkeypatch.setattr(
        AttentiveClassifier, "forward", lambda self, given: batches.append(given) or forward(self, given)
    )
    settings = {"heads": 2, "epochs": 2, "batch_size": 8}
    probe = AttentiveProbe(dropped=dropped, **settings).fit(found, labels, 3, CPU)
    assert [given.shape for given in batches] == [(8, seen, 16)] * 6
    numbers = [frozenset(given[0, :, 1].tolist()) for given in batches]
    assert all(len(chosen) == seen for chosen in numbers)
    assert (len(set(numbers)) > 1) == (dropped > 0)
    whole = AttentiveProbe(**settings).fit(found, labels, 3, CPU)
    assert torch.equal(probe.head[1].weight, whole.head[1].weight) == (dropped == 0)


def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path, monkeypatch):
    found, labels = made(40, 0)
    found = torch.cat([found, found.flip(2)], dim=1)  # two clips of each video
    settings = AttentiveProbe(heads=2, epochs=5, batch_size=16, dropped=0.2)
    whole = settings.fit(found, labels, 3, CPU)
    saved, keep = [], fitting.save

    def stopped(file, state):
        keep(file, state)
        saved.append(state["epoch"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "save", stopped)
        with pytest.raises(KeyboardInterrupt):
            settings.fit(found, labels, 3, CPU, tmp_path / "state.pt")
    resumed = settings.fit(found, labels, 3, CPU, tmp_path / "state.pt")
    finished = settings.fit(found, labels, 3, CPU, tmp_path / "state.pt")
    assert saved == [1, 2]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
        assert torch.equal(value, finished.state_dict()[name]), name


def test_the_order_of_tokens_and_their_scale_play_no_part():
    torch.manual_seed(0)
    probe = AttentiveClassifier(8, 3, depth=2, heads=2).eval()
    found = torch.randn(4, 6, 8)
    probe.standardize_by(found)
    logits = probe(found)
    assert_close(probe(found[:, torch.randperm(6)]), logits, atol=1e-5, rtol=1e-5)
    probe.standardize_by(1000 * found - 3)
    assert_close(probe(1000 * found - 3), logits, atol=1e-3, rtol=1e-3)


def test_a_run_measures_all_query_splits(known, monkeypatch, tmp_path):
    evaluation = known(
        queries=("test", "swap"),
        num_classes=3,
        **{split: (torch.rand(30, 4), torch.arange(30) % 3) for split in ("train", "test", "swap")},
    )
    videos = {"train": made(240, 0), "test": made(60, 1), "swap": made(60, 2)}
    videos["swap"] = (videos["swap"][0], (videos["swap"][1] + 1) % 3)  # always another class
    monkeypatch.setattr(task, "extract_tokens", lambda evaluation, split, *rest: videos[split])
    evaluation.backbone = nn.Linear(1, 1)
    metrics = AttentiveProbe(**QUICK).run(evaluation)
    assert set(metrics) == {f"attentive/top{k}/{split}" for k in (1, 5) for split in ("test", "swap")}
    assert metrics["attentive/top1/test"] > 80 > 20 > metrics["attentive/top1/swap"]
    assert len(list((tmp_path / "attentive").glob("*.pt"))) == 1


def test_networks_that_are_measured_in_one_folder_without_a_cache_do_not_take_each_others_probe(known, monkeypatch):
    evaluation = known(
        num_classes=3, **{split: (torch.rand(30, 4), torch.arange(30) % 3) for split in ("train", "test")}
    )
    found, labels = made(240, 0)
    others, truth = made(60, 1)
    settings, top1 = AttentiveProbe(**QUICK), {}
    for name, sign in {"first": 1.0, "second": -1.0}.items():  # what the second sees is the opposite
        videos = {"train": (sign * found, labels), "test": (sign * others, truth)}
        monkeypatch.setattr(task, "extract_tokens", lambda evaluation, split, *rest, videos=videos: videos[split])
        evaluation.name, evaluation.backbone = name, nn.Linear(1, 1)
        top1[name] = settings.run(evaluation)["attentive/top1"]
    assert min(top1.values()) > 80


def test_tokens_are_the_places_of_a_backbones_maps_and_mirrored_clips_follow():
    backbone = build("backbone", "tiny").eval()
    clips = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        maps = backbone.forward_features(clips)
        network = tokens.Tokens(backbone, count_clips=lambda: 2, max_gigabytes=1, flip=True)
        found = network(clips).unflatten(1, (2, -1, network.width))
        assert_close(found[:, 0], maps.flatten(2).transpose(1, 2))
        assert_close(found[:, 1], tokens.tokens_of(backbone, clips.flip(-1)))
    with pytest.raises(ValueError, match=r"expected at most max_gigabytes=0.001 of tokens, got .*: 9000 clips, each"):
        tokens.Tokens(backbone, count_clips=lambda: 9000, max_gigabytes=0.001, flip=False)(clips)
    flow_network, flow = build("backbone", "tiny", in_channels=2).eval(), clips[:, :2]
    with torch.no_grad():
        network = tokens.Tokens(flow_network, count_clips=lambda: 2, max_gigabytes=1, flip=True)
        found = network(flow).unflatten(1, (2, -1, network.width))
        in_the_mirror = torch.stack([-flow[:, 0], flow[:, 1]], dim=1).flip(-1)
        assert_close(found[:, 1], tokens.tokens_of(flow_network, in_the_mirror))
    with pytest.raises(ValueError, match="expected a network with tokens, got Flatten"):
        tokens.tokens_of(nn.Flatten(), clips)


def test_the_limit_counts_each_crop_of_each_clip(monkeypatch):
    counted = []

    def extract(network, *_, **__):
        counted.append(network.count_clips())
        network.width = 4
        return {"clean": (torch.zeros(5, 6, 4), torch.zeros(5))}

    monkeypatch.setattr(tokens, "extract", extract)
    source, clips = SimpleNamespace(records=lambda split: range(5)), SimpleNamespace(num_clips=2)
    data = SimpleNamespace(source=source, eval_clips=clips, eval_views=SimpleNamespace(cropped=[None] * 3))
    tokens.extract_tokens(
        SimpleNamespace(datamodule=data, backbone=None, trainer=None, max_clips_per_forward=1), "iid", max_gigabytes=1
    )
    assert counted == [5 * 2 * 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 0}, "expected depth, heads, epochs and batch_size of at least 1"),
        ({"lr": 0.0}, "lr above 0"),
        ({"dropped": 1.0}, r"expected warmup and dropped in \[0, 1\), got 0.1 and 1.0"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AttentiveProbe(**settings)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda found, labels: (found, labels * 0), {}, "at least two classes to train on, got 9 of label 0"),
        (
            lambda found, labels: (found, labels),
            {"heads": 7},
            "expected heads to divide the 16 channels.*1, 2, 4, 8, 16",
        ),
        (lambda found, labels: (found * torch.inf, labels), {}, "expected a finite loss, got nan in epoch 0"),
    ],
)
def test_what_can_not_be_trained_is_refused(change, settings, message):
    with pytest.raises(ValueError, match=message):
        AttentiveProbe(**{"epochs": 1, "heads": 2, **settings}).fit(*change(*made(9, 0)), 3, CPU)
