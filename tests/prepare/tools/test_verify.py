import csv
import os
import sys

import pytest
import torch
from torchvision.io import write_jpeg

import tbe.prepare.__main__ as prepare
from tbe.data.readers import DecodeError
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.sources.records import list_suffix, read_list, write_list
from tbe.data.video_writer import write_video
from tbe.errors import UserError
from tbe.prepare.common.report import Report
from tbe.prepare.tools.verify import Decoding, Verified, named_reader, write_clean_list
from tests.conftest import moving_square, remux


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two good videos, a truncated one, a text file, and a missing one."""
    root = tmp_path_factory.mktemp("verify")
    write_video(root / "a b" / "[good] 1.mp4", moving_square(19), fps=25)
    write_video(root / "good.avi", moving_square(20), fps=25, codec="mpeg4")
    content = (root / "a b" / "[good] 1.mp4").read_bytes()
    (root / "truncated.mp4").write_bytes(content[: len(content) // 2])
    remux(root / "a b" / "[good] 1.mp4", root / "truncated_index_first.mp4")
    content = (root / "truncated_index_first.mp4").read_bytes()
    (root / "truncated_index_first.mp4").write_bytes(content[: len(content) * 2 // 3])
    (root / "text.mp4").write_text("no video\n" * 100)
    return root


PATHS = ["good.avi", "truncated.mp4", "a b/[good] 1.mp4", "text.mp4", "gone.mp4"]


@pytest.fixture
def listed(tmp_path):
    write_list(tmp_path / "train.txt", [(path, label) for label, path in enumerate(PATHS)])
    return tmp_path / "train.txt"


def verify(root, file, *options):
    prepare.main(["verify", "--root", str(root), "--list", str(file), "--workers", "2", *map(str, options)])


def settings(root):
    return f"reader=auto of root={root.name}"


def reported(file):
    with open(file, newline="") as rows:
        return {row["path"]: row for row in csv.DictReader(rows)}


def test_decodable_videos_are_listed_and_the_rest_is_reported(videos, listed, capsys):
    with pytest.raises(SystemExit, match="3 of 5 videos failed: see .*train_report.csv"):
        verify(videos, listed)
    assert listed.with_name("train_clean.txt").read_text() == "good.avi 0 20\na b/[good] 1.mp4 2 19\n"
    report = reported(listed.with_name("train_report.csv"))
    assert list(next(iter(report.values()))) == list(Verified._fields)
    assert list(report["good.avi"].values()) == ["good.avi", "0", "ok", "20", "32", "40", settings(videos), ""]
    assert {path for path, row in report.items() if row["status"] == "failed"} == {
        "truncated.mp4",
        "text.mp4",
        "gone.mp4",
    }
    assert "could not open" in report["text.mp4"]["reason"]
    said = capsys.readouterr().out
    assert "text.mp4: failed: could not open" in said
    assert "3 failed, 2 ok" in said


def test_a_list_without_failures_passes(videos, tmp_path, capsys):
    write_list(tmp_path / "list.txt", [("good.avi", 4, 21)])
    verify(
        videos, tmp_path / "list.txt", "--out", tmp_path / "new" / "clean.txt", "--report", tmp_path / "new" / "r.csv"
    )
    assert (tmp_path / "new" / "clean.txt").read_text() == "good.avi 4 20\n"
    assert "1 videos have fewer frames than the list says" in capsys.readouterr().out


def test_videos_in_the_report_are_not_decoded_again(videos, listed, tmp_path):
    report = Report(tmp_path / "report.csv", Verified)
    for path in PATHS[1:]:
        report.add(Verified(path, 1, "ok", 99, 2, 2, settings(videos)))
    with open(report.file, "a") as file:
        file.write("good.avi,0,ok,7")  # a run was killed while it wrote
    verify(videos, listed, "--report", report.file)
    records = read_list(listed.with_name("train_clean.txt"), "")
    assert records.num_frames.tolist() == [20, 99, 99, 99, 99]
    assert records.labels.tolist() == [0, 1, 2, 3, 4]
    assert len(report.file.read_text().splitlines()) == 6


def test_what_was_verified_in_another_folder_or_by_another_reader_is_verified_again(videos, tmp_path):
    write_list(tmp_path / "list.txt", [("good.avi", 0)])
    verify(videos, tmp_path / "list.txt")
    remedy = "name another one with --report, or remove it"
    with pytest.raises(SystemExit, match=f"of root={tmp_path.name}, got 1 .* of root={videos.name}, .*: {remedy}"):
        verify(tmp_path, tmp_path / "list.txt")
    with pytest.raises(SystemExit, match=f"of a run with reader=pyav, got one with reader=auto: {remedy}"):
        verify(videos, tmp_path / "list.txt", "--reader", "pyav")
    verify(videos, tmp_path / "list.txt", "--reader", "pyav", "--report", tmp_path / "pyav.csv")


def test_failed_videos_are_retried_on_request(videos, tmp_path):
    write_list(tmp_path / "list.txt", [("good.avi", 0), ("a b/[good] 1.mp4", 1)])
    report = Report(tmp_path / "list_report.csv", Verified)
    report.add(Verified("good.avi", 0, "failed", settings=settings(videos), reason="the disk was away"))
    report.add(Verified("a b/[good] 1.mp4", 1, "ok", 99, 2, 2, settings(videos)))
    with pytest.raises(SystemExit, match="1 of 2 videos failed: see .*list_report.csv; --retry tries them again"):
        verify(videos, tmp_path / "list.txt")
    verify(videos, tmp_path / "list.txt", "--retry")
    assert (tmp_path / "list_clean.txt").read_text() == "good.avi 0 20\na b/[good] 1.mp4 1 99\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_names_that_are_not_utf8_are_verified(videos, tmp_path, capsys):
    (tmp_path / os.fsdecode(b"\xe9.avi")).write_bytes((videos / "good.avi").read_bytes())
    (tmp_path / "list.txt").write_bytes(b"\xe9.avi 3\n\xff.avi 1\n")
    with pytest.raises(SystemExit, match="1 of 2 videos failed"):
        verify(tmp_path, tmp_path / "list.txt")
    assert (tmp_path / "list_clean.txt").read_bytes() == b"\xe9.avi 3 20\n"
    assert "\\xff.avi: failed" in capsys.readouterr().out


def test_a_list_without_decodable_videos_gives_no_clean_list(videos, tmp_path, capsys):
    write_list(tmp_path / "list.txt", [("text.mp4", 0)])
    with pytest.raises(SystemExit, match="1 of 1 videos failed"):
        verify(videos, tmp_path / "list.txt")
    assert "list_clean.txt: not written, as no video is left" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\n", r"report.csv: expected a report of this command \(path,label,status,"),
        (
            "path,label,status,frames,height,width,settings,reason\na,0,fine,1,2,3,,\n",
            r"report.csv:2: expected path,label,status",
        ),
        (
            "path,label,status,frames,height,width,settings,reason\na,0,ok,many,2,3,,\n",
            r"report.csv:2: expected path,label,status",
        ),
    ],
)
def test_an_invalid_report_is_refused(videos, listed, tmp_path, content, message):
    (tmp_path / "report.csv").write_text(content)
    with pytest.raises(SystemExit, match=message):
        verify(videos, listed, "--report", tmp_path / "report.csv")


def test_a_link_out_of_the_root_fails_unless_it_is_allowed(videos, tmp_path):
    (tmp_path / "link.avi").symlink_to(videos / "good.avi")
    with pytest.raises(DecodeError, match=r"link\.avi: it is a link to .*good\.avi.*--allow-outside-root"):
        Decoding(tmp_path)("link.avi")
    assert Decoding(tmp_path, is_fenced=False)("link.avi").num_frames == 20


def test_verified_videos_are_read_in_training_with_the_same_lengths(videos, tmp_path):
    remux(videos / "a b" / "[good] 1.mp4", tmp_path / "cut.mp4", hide=5)  # decord counts 19
    remux(videos / "a b" / "[good] 1.mp4", tmp_path / "whole.ts")
    write_list(tmp_path / "list.txt", [("cut.mp4", 0), ("whole.ts", 1)])
    verify(tmp_path, tmp_path / "list.txt")
    assert (tmp_path / "list_clean.txt").read_text() == "cut.mp4 0 14\nwhole.ts 1 19\n"
    assert [len(AutoReader()(str(tmp_path / name))) for name in ("cut.mp4", "whole.ts")] == [14, 19]
    with pytest.raises(DecodeError, match="torn"):
        Decoding(videos)("truncated_index_first.mp4")


def test_another_reader_is_selected_as_in_training(videos, tmp_path, capsys):
    (tmp_path / "clip").mkdir()
    for number in range(3):
        write_jpeg(torch.zeros(3, 8, 12, dtype=torch.uint8), str(tmp_path / "clip" / f"{number:03d}.jpg"))
    write_list(tmp_path / "list.txt", [("clip", 4)])
    verify(tmp_path, tmp_path / "list.txt", "--reader", "frames", "template=%03d.jpg")
    assert (tmp_path / "list_clean.txt").read_text() == "clip 4 3\n"
    decord = Decoding(videos, reader=named_reader(["decord", "device=cpu", "num_threads=1"]))
    assert decord("good.avi") == (20, 32, 40)
    for words, message in [
        (["ffmpeg"], "reader: expected a choice among auto, decord, .*, got 'ffmpeg'"),
        (["pyav", "threads=2"], "expected overrides of reader pyav among .*num_threads.*, got threads"),
        (["frames", "%06d.jpg"], "--reader frames %06d.jpg: expected settings SETTING=VALUE after the name"),
    ]:
        with pytest.raises(UserError, match=message):
            named_reader(words)


def test_long_videos_are_decoded_a_few_frames_at_a_time(videos, monkeypatch):
    monkeypatch.setattr("tbe.prepare.tools.verify.BYTES_AT_ONCE", 7 * 3 * 32 * 40)
    assert Decoding(videos)("good.avi") == (20, 32, 40)


def test_impossible_options_are_refused(videos, listed, tmp_path):
    write_list(tmp_path / "out.txt", [("good.avi", 0), ("../good.avi", 1)])
    for root, file, options, message in [
        (tmp_path / "gone", listed, [], "gone: expected the folder of the videos"),
        (videos, tmp_path / "gone.txt", [], "gone.txt: expected a list"),
        (videos, tmp_path / "out.txt", [], r"out.txt: expected paths below .*, got '../good.avi' as video 2"),
        (videos, listed, ["--timeout", 0], "expected workers >= 1 and timeout > 0, got 2 and 0.0"),
    ]:
        with pytest.raises(SystemExit, match=message):
            verify(root, file, *options)


def test_the_clean_list_of_a_table_is_one_with_its_columns(tmp_path, capsys):
    file = tmp_path / "all.csv"
    file.write_text("path,label,num_frames,group\na.mp4,1,30,x\nb.mp4,0,9,y\nc.mp4,1,8,\n")
    report = Report(tmp_path / "report.csv", Verified)
    for name, status in zip("abc", ("ok", "failed", "ok"), strict=True):
        report.add(Verified(f"{name}.mp4", 1, status, 9))
    write_clean_list(read_list(file, ""), report, tmp_path / f"clean{list_suffix(file)}")
    assert (tmp_path / "clean.csv").read_text() == "path,label,num_frames,group\na.mp4,1,9,x\nc.mp4,1,9,\n"
    assert "1 videos have fewer frames than the list says" in capsys.readouterr().out
