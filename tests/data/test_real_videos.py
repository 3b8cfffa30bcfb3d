"""Tests on real videos of public data sets, if this machine has them."""

import json
import random

import pytest
import torch

import tbe.prepare.__main__ as prepare
from tbe.data.clip_samplers import UniformClips
from tbe.data.dataset import VideoDataset, collate
from tbe.data.opened_file import open_file
from tbe.data.readers import DecordReader
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.readers.stream_info import file_facts
from tbe.data.sources.records import make_records, read_list, write_list


@pytest.fixture
def kinetics_like(shared_clips, tmp_path):
    """A Kinetics-style list of the single clips, beside their folder."""
    videos = sorted(
        path for folder in ("ucf101", "hmdb51", "kinetics400") for path in (shared_clips / folder).iterdir()
    )
    rows = [(path.relative_to(shared_clips).as_posix(), number % 5) for number, path in enumerate(videos)]
    for name in ("train.txt", "val.txt"):
        write_list(tmp_path / "lists" / name, rows)
    return [f"data.root={shared_clips}", f"data.lists={tmp_path / 'lists'}"]


def test_every_clip_is_decoded_from_its_first_to_its_last_frame(shared_clips):
    paths = sorted(str(path.relative_to(shared_clips)) for path in shared_clips.rglob("*.*"))
    assert len(paths) > 10
    records = make_records(shared_clips, paths, [0] * len(paths), [0] * len(paths))
    data = VideoDataset(records, DecordReader("cpu"), UniformClips(4, 2, num_clips=2), short_side=64)
    for index in range(len(data)):
        item = data[index]
        assert item["clips"].shape[:3] == (2, 4, 3), paths[index]
        assert min(item["clips"].shape[-2:]) == 64
        assert item["clips"].float().std() > 1, f"{paths[index]} is one color"


def test_frames_of_all_shapes_form_one_batch(shared_clips):
    paths = ["hmdb51/RATRACE_wave_f_nm_np1_fr_goo_37.avi", "ucf101/v_ApplyEyeMakeup_g01_c01.avi"]
    records = make_records(shared_clips, paths, [0, 1], [0, 0])
    data = VideoDataset(records, DecordReader("cpu"), UniformClips(2, num_clips=1), short_side=128)
    assert collate([data[0], data[1]])["clips"].shape == (2, 1, 2, 3, 128, 298)


def test_kinetics_pretraining_runs_end_to_end_on_a_list(train, kinetics_like):
    """The real recipe, I3D at 16 x 224 x 224 with a queue of 65,536, a step of two videos."""
    run = train(
        "experiment=kinetics_be",
        *kinetics_like,
        "data.val_share=0.3",
        "trainer=debug",
        "trainer.limit_train_batches=1",
        "trainer.limit_val_batches=1",
        small=False,
    )
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["protocol"]["backbone"]["_target_"].endswith("I3D")
    assert metrics["protocol"]["clip"]["size"] == 224
    assert metrics["protocol"]["steps"] == 1
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert state["method.queue.keys"].shape == (65536, 128)
    assert state["method.queue.position"] == 2


@pytest.mark.parametrize(("backbone", "clip"), [("i3d", "16x4_224"), ("c3d", "16x4_112")])
def test_a_finetuning_step_on_real_clips(train, kinetics_like, backbone, clip):
    options = ["experiment=ucf101_finetune", "data=kinetics400", "data.num_classes=5", "data.val_share=0"]
    run = train(
        *options,
        *kinetics_like,
        f"backbone={backbone}",
        f"clip={clip}",
        "trainer=debug",
        "trainer.limit_train_batches=1",
        "trainer.limit_predict_batches=1",
        "evaluation.clips=1",
        small=False,
    )
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["protocol"]["steps"] == 1
    assert metrics["train/loss"] > 0


def test_weizmann_lists_keep_persons_apart(weizmann_root, tmp_path, capsys):
    prepare.main(["weizmann", "--root", str(weizmann_root), "--out", str(tmp_path)])
    assert "40 train, 10 val, 20 test videos, 10 classes" in capsys.readouterr().out
    persons = {}
    for split in ("train", "val", "test"):
        records = read_list(tmp_path / f"{split}.txt", weizmann_root)
        persons[split] = {path.split(b"/")[1].split(b"_")[0] for path in records.paths}
        assert sorted(set(records.labels.tolist())) == list(range(10))
    assert not persons["train"] & persons["val"]
    assert not persons["train"] & persons["test"]


def test_weizmann_holds_out_each_person_in_turn(weizmann_root, tmp_path):
    prepare.main(["weizmann", "--root", str(weizmann_root), "--out", str(tmp_path), "--folds"])
    folds = sorted(tmp_path.glob("fold_*"))
    tested = [path for fold in folds for path in read_list(fold / "test.txt", weizmann_root).paths]
    assert len(folds) == 7
    assert len(set(tested)) == len(tested) == 70
    for fold in folds:
        train = set(read_list(fold / "train.txt", weizmann_root).paths)
        assert len(train) == 60
        assert not train & set(read_list(fold / "test.txt", weizmann_root).paths)


def test_weizmann_is_pretrained_on_and_searched(train, evaluate, weizmann_root, tmp_path):
    prepare.main(["weizmann", "--root", str(weizmann_root), "--out", str(tmp_path / "lists")])
    data = [f"data.root={weizmann_root}", f"data.lists={tmp_path / 'lists'}"]
    train("experiment=weizmann_be", *data, "trainer=debug", small=False)
    metrics = json.loads((evaluate("task=[retrieval,linear]", "clips=1") / "metrics.json").read_text())
    assert metrics["protocol"]["data"] == "weizmann"
    assert 0 <= metrics["retrieval/R@1"] <= metrics["retrieval/R@20"] <= 100


def test_every_reader_matches_decoding_the_whole_clip(shared_clips):
    """To the bit, in any order, whatever the file. Decoding from the first frame to the last is what can't be wrong."""
    auto = AutoReader("cpu")
    chance, num_readers = random.Random(0), 0
    for path in sorted(path for path in shared_clips.rglob("*.*")):
        with open_file(str(path)) as container:
            decoded = container.decode(container.streams.best("video"))
            whole = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in decoded]
        asked = [chance.randrange(len(whole)) for _ in range(6)] + [0, len(whole) - 1]
        expected = torch.stack([whole[index] for index in asked]).permute(0, 3, 1, 2)
        for open_video in auto.suited(file_facts(str(path))):
            video = open_video(str(path))
            assert len(video) == len(whole), f"{path} by {open_video}"
            assert torch.equal(video.frames(asked), expected), f"{path} by {open_video}"
            num_readers += 1
    assert num_readers > 20


def test_the_comparison_on_weizmann_trains_on_a_fold(train, weizmann_root, tmp_path):
    prepare.main(["weizmann", "--root", str(weizmann_root), "--out", str(tmp_path / "lists" / "weizmann"), "--folds"])
    told = ["variant=inter", "seed=3", f"data.root={weizmann_root}", f"data_dir={tmp_path}", "trainer=debug"]
    run = train("experiment=weizmann_proof", *told, "evaluation.splits=[]", small=False)
    assert json.loads((run / "metrics.json").read_text())["protocol"]["steps"] == 2
