"""Encoders that a function of a trusted package makes."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import tbe
from tbe.encoders import Encoder, InputSpec, load_encoder
from tbe.encoders.own import BackboneEncoder

MADE = {"num_frames": 4, "size": 16, "mean": [0.5] * 3, "std": [0.25] * 3}
CODE = """
import torch
from torch import nn

def vectors(scale=1.0):
    return lambda clips: scale * clips.mean(dim=(2, 3, 4))

def tokens():
    return lambda clips: clips.flatten(2).transpose(1, 2)

class Maps(nn.Module):
    def forward(self, clips):
        return clips

def nothing_pooled():
    return lambda clips: clips.flatten(0, 2)

def tuples():
    return lambda clips: (clips, clips)

def fails():
    return lambda clips: clips @ torch.zeros(7, 7)

def of_other_lengths():
    return lambda clips: clips.mean(dim=(2, 3, 4))[:, : 1 + int(clips.mean() > 0)]

def at_random():
    return lambda clips: clips.mean(dim=(2, 3, 4)) + torch.rand(len(clips), 3)

NUMBER = 3
"""


@pytest.fixture(autouse=True)
def _package(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TBE_PACKAGES", "mine")


def test_vectors_tokens_and_maps_are_read_out():
    clips = torch.rand(2, 3, 4, 16, 16)
    inputs = (clips - 0.5) / 0.25
    encoder = load_encoder("mine:vectors", scale=2.0, **MADE)
    assert encoder.readouts == ("output",)
    assert_close(encoder(clips), 2 * inputs.mean(dim=(2, 3, 4)))
    assert encoder.maps(clips) is None
    assert_close(load_encoder("mine:tokens", **MADE)(clips), inputs.mean(dim=(2, 3, 4)))
    encoder = load_encoder("mine:Maps", **MADE, pool="moments")
    assert_close(encoder.maps(clips), inputs)
    assert encoder(clips).shape == (2, 9)
    assert "not checked" in str(encoder.report)


def test_networks_that_say_how_their_clips_are_made_need_no_numbers(monkeypatch):
    import mine

    network = tbe.build("backbone", "tiny")
    network.preprocessing = tbe.Preprocessing(8, 2, 32, (0.5,) * 3, (0.5,) * 3)
    monkeypatch.setattr(mine, "backbone", lambda: network, raising=False)
    encoder = load_encoder("mine:backbone")
    assert isinstance(encoder, BackboneEncoder)
    assert encoder.spec.num_frames == 8
    plain = nn.Flatten()
    plain.spec = InputSpec(2, 1, (8, 8), (0.0,) * 3, (1.0,) * 3, layout="BTCHW")
    monkeypatch.setattr(mine, "plain", lambda: plain, raising=False)
    encoder = load_encoder("mine:plain")
    clips = torch.rand(2, 3, 2, 8, 8)
    assert_close(encoder(clips), clips.transpose(1, 2).flatten(1))
    monkeypatch.setattr(mine, "encoder", lambda: encoder, raising=False)
    assert load_encoder("mine:encoder") is encoder


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "os:getcwd",
            {},
            "expected a module of tbe, torch.nn, torchvision, mine, got 'os': not imported.*TBE_PACKAGES",
        ),
        ("minesweeper:play", {}, "expected a module of .* got 'minesweeper'"),
        ("mine.inner:play", {}, "expected a module that can be imported, got No module named 'mine.inner'"),
        ("mine:absent", {}, "expected a function 'absent' in mine, got None"),
        ("mine:NUMBER", {}, "expected a function 'NUMBER' in mine, got 3"),
        ("mine:vectors", {}, "num_frames=, size=, mean=, std=, got none of num_frames, size, mean, std"),
        ("mine:nothing_pooled", MADE, r"expected vectors \(B, D\), tokens .* got \(12, 16, 16\)"),
        ("mine:tuples", MADE, "got a tuple. Return the pooled features"),
        ("mine:fails", MADE, r"expected a network that takes normalized clips \(1, 3, 4, 16, 16\), got RuntimeError"),
    ],
)
def test_what_is_no_encoder_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        load_encoder(name, **options)


def test_what_an_encoder_says_itself_is_not_taken_beside_it(monkeypatch):
    made = load_encoder("mine:vectors", **MADE)
    monkeypatch.setattr("mine.encoder", lambda: made, raising=False)
    assert load_encoder("mine:encoder").spec.num_frames == 4
    for options in ({"size": 32}, {"pool": "mean_std"}):
        with pytest.raises(ValueError, match=f"expected no {next(iter(options))} beside it: it returns an Encoder"):
            load_encoder("mine:encoder", **options)


def test_features_of_another_length_for_other_clips_are_refused():
    encoder = load_encoder("mine:of_other_lengths", **MADE)
    encoder(torch.zeros(2, 3, 4, 16, 16))
    with pytest.raises(ValueError, match=r"expected features of one length for all clips, \(2, 1\), got \(2, 2\)"):
        encoder(torch.ones(2, 3, 4, 16, 16))


def test_features_that_differ_from_run_to_run_are_refused():
    with pytest.raises(ValueError, match="expected the same features of a clip each time, got others: it masks or dro"):
        load_encoder("mine:at_random", **MADE)(torch.rand(2, 3, 4, 16, 16))


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (torch.rand(2, 4, 3, 16, 16), "got .2, 4, 3, 16, 16.. It looks like .B, T, C, H, W."),
        (torch.rand(3, 4, 16, 16), r"expected clips \(B, 3, T, H, W\), got"),
        (torch.rand(2, 3, 5, 16, 16), r"expected \(T, H, W\) of \(4, 16, 16\), got \(5, 16, 16\)"),
        (torch.zeros(2, 3, 4, 16, 16, dtype=torch.uint8), r"expected floats in \[0, 1\], got torch.uint8"),
    ],
)
def test_other_clips_are_refused(clips, message):
    encoder: Encoder = load_encoder("mine:vectors", **MADE)
    with pytest.raises(ValueError, match=message):
        encoder(clips)
