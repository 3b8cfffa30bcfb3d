import csv
import json
import pickle
import shutil
import tarfile
from pathlib import Path

import pytest

from tbe.data.storage.shard_index import INDEX, read_index
from tbe.prepare.tools.shards.looking import Looking
from tbe.prepare.tools.shards.plan import Sample, in_order, plan_of
from tbe.prepare.tools.shards.writing import Writing
from tests.shards import make_shards

LISTS = ("train.txt", "test.txt", "odd.txt")
NUMBERS = range(12)


@pytest.fixture(scope="module")
def videos(video_folder, tmp_path_factory):
    """The videos of the folder, and one that is none, in a list of its own."""
    root = tmp_path_factory.mktemp("sharded") / "videos"
    shutil.copytree(video_folder, root)
    (root / "class 1" / "text.mp4").write_text("no video\n" * 100)
    (root / "odd.txt").write_text("class 1/video 1.mp4 1\nclass 1/text.mp4 1\nclass 1/video 9.mp4 1\n")
    (root / "scenes.csv").write_text(
        "path,scene\nclass 1/text.mp4,beach\n"
        + "".join(
            f"class {number % 2}/video {number}.mp4,{'beach' if number < 6 else 'hall'}\n" for number in range(12)
        )
    )
    return root


@pytest.fixture(scope="module")
def shards(videos, tmp_path_factory):
    return made(videos, tmp_path_factory.mktemp("shards"))


def made(videos, out):
    with pytest.raises(SystemExit, match=r"1 of 13 videos failed: see .*shards_report\.csv"):
        make_shards(videos, out, "--group", r"(class \d)", "--scenes", videos / "scenes.csv", lists=LISTS)
    return out


def samples(tar):
    """The files of each sample by suffix, as WebDataset groups them: by what is before the first dot of a name."""
    grouped = {}
    with tarfile.open(tar) as members:
        for member in members:
            key, _, suffix = member.name.partition(".")
            assert key not in grouped or key == list(grouped)[-1]  # its files follow each other
            grouped.setdefault(key, {})[suffix] = members.extractfile(member).read()
    return grouped


def test_each_video_is_in_one_shard_as_it_is_with_its_label_and_what_is_known_of_it(videos, shards):
    found = {}
    for tar in sorted(shards.glob("*.tar")):
        assert tar.stat().st_size <= 20_480
        for sample in samples(tar).values():
            facts = json.loads(sample["json"])
            assert sample["mp4"] == (videos / facts["path"]).read_bytes()
            assert sample["cls"] == str(facts["label"]).encode()
            assert facts["path"] not in found
            found[facts["path"]] = facts
    assert len(found) == 12
    assert found["class 1/video 9.mp4"] == {
        "path": "class 1/video 9.mp4",
        "label": 1,
        "num_frames": 21,
        "scene": "hall",
        "group": "class 1",
    }


def test_tables_and_index_say_where_each_video_lies(videos, shards):
    index = read_index((shards / INDEX).read_bytes(), INDEX)
    for table in shards.glob("*-*.csv"):
        with tarfile.open(table.with_suffix(".tar")) as tar, table.open(newline="") as rows:
            for row in csv.DictReader(rows):
                member = tar.getmember(f"{row['key']}.mp4")
                assert (int(row["offset"]), int(row["size"])) == (member.offset_data, member.size)
                piece = index.places_of([row["path"].encode()]).piece(0)
                assert piece == (table.stem + ".tar", member.offset_data, member.size, int(row["crc32"]))
    assert set(index.column("scene")) == {"beach", "hall"}
    assert len(index) == 12


def test_lists_keep_paths_and_labels_and_gain_numbers_of_frames(shards):
    assert (shards / "train.txt").read_text().splitlines()[:2] == [
        "class 0/video 0.mp4 0 12",
        "class 1/video 1.mp4 1 13",
    ]
    assert (shards / "odd.txt").read_text() == "class 1/video 1.mp4 1 13\nclass 1/video 9.mp4 1 21\n"
    assert "class 1/video 1.mp4 class_1\n" in (shards / "groups.txt").read_text()
    assert "class 0/video 8.mp4,hall\n" in (shards / "scenes.csv").read_text()
    assert not list(shards.glob("odd-*.tar"))  # its videos are in the shards of others


def test_a_second_run_keeps_what_is_whole_and_makes_again_what_is_not(videos, shards, tmp_path):
    again = shutil.copytree(shards, tmp_path / "again")
    tars = sorted(again.glob("*.tar"))
    before = {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in tars}
    tars[0].unlink()
    tars[1].write_bytes(tars[1].read_bytes()[:1000])
    (again / f"{tars[2].name}.{'0' * 32}.part").write_bytes(b"of a run that was killed")
    made(videos, again)
    after = {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in tars}
    assert {name: content for name, (_, content) in after.items()} == {name: each[1] for name, each in before.items()}
    assert [name for name in before if before[name][0] == after[name][0]] == [file.name for file in tars[2:]]
    assert (again / INDEX).read_bytes() == (shards / INDEX).read_bytes()
    assert not list(again.glob("*.part"))


def test_a_video_that_changes_after_it_was_looked_at_is_not_packed(videos, tmp_path):
    root = shutil.copytree(videos, tmp_path / "videos")
    make_shards(root, tmp_path / "out")
    (tmp_path / "out" / "test-000000.tar").unlink()
    for file in root.glob("*/*.mp4"):
        file.write_bytes(file.read_bytes()[::-1])
    with pytest.raises(
        SystemExit, match=r"1 of \d shards could not be written: .*expected the file that was looked at"
    ):
        make_shards(root, tmp_path / "out")
    assert not (tmp_path / "out" / INDEX).exists()  # it would name a shard that is not there


def test_other_settings_need_another_folder(videos, shards):
    with pytest.raises(SystemExit, match=r"expected a report of a run with size=2e-05 seed=1, got one with .* seed=0"):
        make_shards(videos, shards, "--seed", 1)


def test_the_order_follows_from_seed_and_paths_not_from_the_list():
    rows = [Sample("", 0, 1000 + number, 0, f"{number}.mp4", 0, 1) for number in range(50)]
    plans = [plan_of("train", in_order(given, seed), 50_000) for given, seed in ((rows, 0), (rows[::-1], 0), (rows, 1))]
    assert plans[0] == plans[1] != plans[2]
    assert all(shard.length() <= 50_000 + 10_240 for shard in plans[0])
    (large,) = plan_of("train", [Sample("", 0, 10**6, 0, "a.MKV", 0, 1)], 50_000)
    assert large.samples[0].members()[0] == ("000000000.mkv", None)


def test_what_processes_are_given_can_be_sent_to_them():
    for work in (Looking(Path("videos")), Writing(Path("videos"), Path("out"))):
        assert pickle.loads(pickle.dumps(work)) == work
