"""Runs on folders in which some files are broken or not videos."""

import csv
import json
import signal

import av
import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException

from tbe.data.readers import DecodeError
from tbe.data.sources.records import write_list
from tbe.data.video_writer import write_video
from tbe.training.callbacks.preemption import SaveOnInterrupt
from tests.conftest import moving_square

SIZE = ["data=folder", "clip=8x2_32", "clip.stride=1", "reader=auto", "augment=crop_flip", "backbone=tiny"]
SIZE += [
    "experiment=none",
    "trainer=cpu",
    "batch_size=4",
    "datamodule.eval_batch_size=4",
    "contrastive.queue_size=8",
    "data.num_classes=2",
]
SIZE += [
    "data.val_share=0.2",
    "task=[retrieval]",
    "evaluation.clips=1",
    "datamodule.max_failed=0.5",
    "validate_every=2",
]
GOOD = 16


def write_sound(path):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)


@pytest.fixture(scope="module")
def dirty(tmp_path_factory):
    """Sixteen good videos of two classes, some of unusual formats, and six files that are not videos."""
    folder = tmp_path_factory.mktemp("dirty")
    names = [f"good {number}.mp4" for number in range(GOOD)]
    for number, name in enumerate(names):
        height, width = {0: (48, 72), 1: (72, 48)}.get(number, (32, 40))
        write_video(folder / name, moving_square(1 if number == 2 else 14, height, width, seed=number), fps=25)
    whole = (folder / names[3]).read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("<html>video not available</html>")
    write_sound(folder / "sound.mp4")
    (folder / "wrong.mp4").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (folder / "good 4.avi").write_bytes(whole)  # a wrong extension is no fault
    bad = ["truncated.mp4", "empty.mp4", "text.mp4", "sound.mp4", "wrong.mp4", "missing.mp4"]
    rows = [(name, number % 2) for number, name in enumerate([*names, *bad, "good 4.avi"])]
    write_list(folder / "train.txt", rows)
    write_list(folder / "test.txt", rows[4:8])
    return folder, {str(folder / name) for name in bad}


def quarantined(run):
    with (run / "quarantine.csv").open(newline="") as rows:
        return [row["path"] for row in csv.DictReader(rows)]


def test_pretraining_leaves_out_unreadable_videos_and_reports_them(train, dirty):
    folder, bad = dirty
    run = train(*SIZE, f"data.root={folder}", "epochs=4", "datamodule.num_workers=2", small=False)
    named = quarantined(run)
    assert len(named) == len(set(named))
    assert set(named) == bad
    with (run / "replaced.csv").open(newline="") as rows:
        replaced = list(csv.DictReader(rows))
    assert {row["path"] for row in replaced} == bad
    assert not {row["replaced_by"] for row in replaced} & bad
    assert {row["epoch"] for row in replaced} == {"0", "1", "2", "3"}
    assert np.isfinite(json.loads((run / "metrics.json").read_text())["retrieval/R@1"])


def test_a_resumed_run_draws_the_same_replacements(train, dirty, monkeypatch):
    settings = [*SIZE, f"data.root={dirty[0]}", "datamodule.num_workers=0", "task=none", "epochs=2"]
    straight = train(*settings, folder="straight", small=False)

    def stop(callback, trainer, module, outputs, batch, batch_idx, real=SaveOnInterrupt.on_train_batch_end):
        callback.asked = signal.SIGINT
        real(callback, trainer, module, outputs, batch, batch_idx)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(SaveOnInterrupt, "on_train_batch_end", stop)
        train(*settings, folder="stopped", small=False)
    run = straight.parent / "stopped"
    assert 0 < len(quarantined(run)) < len(quarantined(straight))
    train(*settings, f"resume={run}", folder="stopped", small=False)
    assert sorted(quarantined(run)) == sorted(quarantined(straight))
    pairs = [{*(one / "replaced.csv").read_text().splitlines()} for one in (straight, run)]
    assert pairs[0] == pairs[1]
    states = [torch.load(one / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for one in (straight, run)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_too_many_unreadable_videos_end_the_run(train, dirty, monkeypatch):
    monkeypatch.setattr("tbe.data.fault_tolerance.quarantine.MIN_COUNTED", 1)
    settings = [*SIZE, f"data.root={dirty[0]}", "datamodule.num_workers=0", "datamodule.max_failed=0.1", "epochs=2"]
    with pytest.raises(ValueError, match=r"expected at most 10% of the videos to be unreadable .*quarantine"):
        train(*settings, small=False)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_without_any_readable_video_ends_and_lists_them(train, tmp_path, workers):
    names = [f"{number}.mp4" for number in range(8)]
    for name in names:
        (tmp_path / name).write_text("<html>video not available</html>")
    for part in ("train", "test"):
        write_list(tmp_path / f"{part}.txt", [(name, number % 2) for number, name in enumerate(names)])
    with pytest.raises(DecodeError, match=r"^expected a readable video .* \(could not open .*mp4: .*\)$"):
        train(*SIZE, f"data.root={tmp_path}", f"datamodule.num_workers={workers}", "epochs=1", small=False)
    named = quarantined(tmp_path / "runs" / "run")
    assert len(named) == len(set(named)) >= 4


@pytest.mark.parametrize("overrides", [["datamodule.on_error=raise"], ["stage=finetune"]])
def test_without_skipping_the_first_unreadable_video_ends_the_run(train, dirty, overrides):
    settings = [part for part in SIZE if not part.startswith("task=")]
    with pytest.raises(DecodeError, match="could not open .*mp4"):
        train(*settings, *overrides, f"data.root={dirty[0]}", "datamodule.num_workers=0", "epochs=1", small=False)


def test_an_unknown_on_error_is_refused(train):
    with pytest.raises(InstantiationException, match="on_error: expected one of raise, skip, got 'ignore'"):
        train("datamodule.on_error=ignore")
