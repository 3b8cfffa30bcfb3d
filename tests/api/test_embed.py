"""Features of videos: those of `eval.py task=features`, whatever they are asked for with."""

import time

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from torch.testing import assert_close
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

import tbe
from tbe.config import build


@pytest.fixture(scope="session")
def network():
    """An untrained network with its preprocessing."""
    torch.manual_seed(0)
    network = tbe.build("backbone", "tiny", widths=[4, 8, 8, 8])
    network.preprocessing = tbe.Preprocessing(8, 2, 32, (0.4, 0.4, 0.4), (0.2, 0.2, 0.2), short_side=28)
    return network


@pytest.fixture(scope="session")
def videos(video_folder):
    return sorted(video_folder.rglob("*.mp4"))


def test_features_are_those_that_eval_saves(run, evaluate):
    folder = evaluate("task=features", f"checkpoint={run}", "clips=3", "query=swap", "cache=null")
    expected = np.load(next(folder.glob("features/*/swap_features.npy")))
    records = build(yaml.safe_load((folder / "config.yaml").read_text())["data"]).records("swap")
    paths = [records.path(index) for index in range(len(records))]
    for settings in ({}, {"batch_size": 1}, {"num_workers": 1, "on_error": "skip"}):
        found = tbe.embed(tbe.load(run), paths, num_clips=3, **settings)
        assert found.dtype == torch.float32
        assert_close(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_one_path_and_clips_of_bytes_give_the_same_row(network, videos):
    expected = tbe.embed(network, videos[:2], num_clips=1)
    assert expected.shape == (2, 8)
    assert_close(tbe.embed(network, str(videos[1]), num_clips=1), expected[1:])
    open_video = tbe.build("reader", "auto")
    clips = torch.stack([_middle(open_video(str(path)), 8, 2) for path in videos[:2]])  # (B, T, C, H, W)
    assert_close(tbe.embed(network, clips, layout="BTCHW"), expected)
    assert_close(tbe.embed(network, clips.transpose(1, 2), batch_size=1), expected)


def _middle(video, num_frames, stride):
    start = max(0, len(video) - (num_frames - 1) * stride - 1) // 2
    return video.frames([(start + step * stride) % len(video) for step in range(num_frames)])


def test_floats_go_into_the_network_as_they_are(network, caplog):
    clips = torch.randn(3, 3, 8, 32, 32)
    assert_close(tbe.embed(network, clips), network.eval()(clips).detach())
    assert not caplog.records
    tbe.embed(network, clips.abs())
    assert "as if not normalized" in caplog.text


def test_rows_can_have_length_one_and_be_trained_on(network):
    found = tbe.embed(network, torch.randn(3, 3, 8, 32, 32), normalize=True)
    assert_close(found.norm(dim=1), torch.ones(3))
    head = nn.Linear(found.shape[1], 2)
    head(found).sum().backward()
    assert head.weight.grad is not None


def test_the_network_is_left_in_the_mode_that_it_was_in(network):
    network.train()
    network.stem.eval()
    clips = torch.randn(2, 3, 8, 32, 32)
    assert_close(tbe.embed(network, clips), tbe.embed(network, clips))
    assert network.training
    assert not network.stem.training
    network.eval()


def test_an_unreadable_video_is_named_or_its_row_left_out(network, videos, tmp_path, caplog):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(videos[0].read_bytes()[:200])
    given = [videos[0], broken, videos[1]]
    with pytest.raises(tbe.DecodeError, match="broken.mp4"):
        tbe.embed(network, given)
    with pytest.raises(tbe.DecodeError, match="gone.mp4"):
        tbe.embed(network, tmp_path / "gone.mp4")
    found = tbe.embed(network, given, on_error="skip", batch_size=40)
    assert found.isnan().all(dim=1).tolist() == [False, True, False]
    assert_close(found[[0, 2]], tbe.embed(network, [videos[0], videos[1]]))
    assert "no features of" in caplog.text
    assert "broken.mp4" in caplog.text
    assert tbe.embed(network, broken, on_error="skip").isnan().all()


class Stuck:
    """A reader that never opens one of the videos."""

    def __init__(self, name):
        self.name = name
        self.reader = tbe.build("reader", "auto")

    def __call__(self, path):
        while self.name in path:
            time.sleep(0.1)
        return self.reader(path)

    def worker_context(self, path):
        return self.reader.worker_context(path)


def test_a_video_that_hangs_is_given_up_by_workers(network, videos, monkeypatch):
    # What torch waits for a batch before it looks whether its workers live: five seconds.
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.1,))
    settings = {"reader": Stuck("video 2"), "num_workers": 1, "read_timeout": 0.5, "batch_size": 1, "num_clips": 1}
    found = tbe.embed(network, videos[:3], on_error="skip", **settings)
    read = ["video 2" not in path.name for path in videos[:3]]
    assert found.isnan().all(dim=1).tolist() == [not is_read for is_read in read] == [False, False, True]
    assert_close(found[:2], tbe.embed(network, videos[:2], num_clips=1))


@pytest.mark.parametrize(
    ("videos", "settings", "message"),
    [
        ([], {}, "expected at least one video, got none"),
        (torch.zeros(0, 3, 8, 32, 32), {}, "expected at least one clip, got none"),
        (torch.zeros(1, 3, 8, 32, 32, dtype=torch.int64), {}, "expected clips of uint8 or floats, got torch.int64"),
        (torch.zeros(3, 8, 32, 32), {}, "expected clips .*, got shape"),
        ("a.mp4", {"on_error": "ignore"}, "expected on_error to be one of raise, skip, got 'ignore'"),
        ("a.mp4", {"batch_size": 0}, "expected batch_size of at least 1, got 0"),
        ("a.mp4", {"num_clips": 0}, "expected num_clips of at least 1, got 0"),
        ("a.mp4", {"reader": "fast"}, "reader: expected a choice among auto, .*, got 'fast'"),
        (".", {}, "expected video files, got the folder ."),
        (np.zeros((1, 3, 8, 32, 32), np.uint8), {}, r"expected clips as a tensor, got an array of NumPy: torch.from_n"),
    ],
)
def test_invalid_input_is_one_line(network, videos, settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        tbe.embed(network, videos, **settings)
    assert "\n" not in str(caught.value)


def test_a_network_without_preprocessing_is_refused(videos):
    model = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten())
    with pytest.raises(ValueError, match="expected a model with a `preprocessing`"):
        tbe.embed(model, videos[0])
    preprocessing = tbe.Preprocessing(4, 1, 16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert tbe.embed(model, videos[0], preprocessing=preprocessing).shape == (1, 3)


class Says(nn.Module):
    """A network that gives what it is told to."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.calls = answer, 0

    def forward(self, clips):
        self.calls += 1
        return self.answer(clips, self.calls)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda clips, _: clips.flatten(2),
            r"expected one pooled vector for each clip, \(1, 'F'\).*got \(1, 3, 1024\)",
        ),
        (lambda clips, _: (clips,), "expected one pooled vector for each clip.*got tuple"),
        (lambda clips, call: torch.ones(len(clips), call), "expected vectors of one length, 1 as for the first clips"),
        (lambda clips, _: torch.ones(len(clips) + 1, 4), r"expected one pooled vector for each clip.*got \(2, 4\)"),
    ],
)
def test_anything_but_a_vector_for_each_clip_is_refused(answer, message, videos):
    preprocessing = tbe.Preprocessing(4, 1, 16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    for given in (torch.rand(2, 3, 4, 16, 16), videos[:2]):
        with pytest.raises(ValueError, match=message):
            tbe.embed(Says(answer), given, preprocessing=preprocessing, num_clips=1, batch_size=1)


def test_features_that_are_not_finite_are_refused(videos):
    model = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Threshold(1e9, float("nan")))
    preprocessing = tbe.Preprocessing(4, 1, 16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="expected finite features, got nan or inf for 2 of 2 videos"):
        tbe.embed(model, videos[:2], preprocessing=preprocessing, on_error="skip")
