"""Parts of a command on several machines, joined: what is missing is named, and all is as one machine makes it."""

import argparse

import numpy as np
import pytest

import tbe.prepare.__main__ as prepare
from tbe.data.sources.records import read_list, write_list
from tbe.data.video_writer import write_video
from tbe.prepare.common import throughput, work
from tbe.prepare.common.parts import Part, parsed_part
from tests.conftest import moving_square
from tests.prepare.composites import in_this_process, options, write_actors

TOOLS = {"transcode": (), "frames": ("--short-side", 16), "masks": ("--by", "motion"), "verify": ()}
VIDEOS = 5


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setattr(work, "call_in_processes", in_this_process)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    for number in range(VIDEOS):
        write_video(root / f"{number}.mp4", moving_square(6 + number, 48, 64), fps=25)
    write_list(root / "all.txt", [(f"{number}.mp4", number % 2) for number in range(VIDEOS)])
    return root


def called(command, *given):
    """Runs a command; its exit status."""
    try:
        prepare.main([command, *map(str, given)])
    except SystemExit as ended:
        return ended.code
    return 0


def of_tool(tool, videos, out):
    given = ["--root", videos, "--list", videos / "all.txt", *TOOLS[tool], "--workers", 1]
    return [
        *given,
        *(["--report", out / "report.csv", "--out", out / "all.txt"] if tool == "verify" else ["--out", out]),
    ]


def names(out):
    return sorted(file.relative_to(out).as_posix() for file in out.rglob("*") if ".part-" not in file.name)


def texts(out):
    return {file.name: file.read_text() for file in out.glob("*.[tc][xs][tv]") if ".part-" not in file.name}


@pytest.mark.parametrize("tool", TOOLS)
def test_joined_parts_are_what_one_machine_makes(videos, tmp_path, tool, capsys):
    alone, parts = tmp_path / "alone", tmp_path / "parts"
    assert called(tool, *of_tool(tool, videos, alone)) == 0
    given = of_tool(tool, videos, parts)
    for number in (3, 1):
        assert called(tool, *given, "--part", f"{number}/3") == 0
        assert f"part {number}/3 is done" in capsys.readouterr().out
    assert not list(parts.glob("*.txt"))
    assert called(tool, *given, "--join") == (
        "error: --join: expected all 5 videos, got none of 2, such as '1.mp4': run again with --part 2/3 (2 missing)"
    )
    assert called(tool, *given, "--part", "2/3") == 0
    capsys.readouterr()
    for _ in range(2):  # joining again changes nothing
        assert called(tool, *given, "--join") == 0
    assert "5 ok" in capsys.readouterr().out
    assert names(parts) == names(alone)
    assert texts(parts) == texts(alone)


def test_a_composite_in_parts_is_that_of_one_machine_and_no_part_draws_its_sheet(tmp_path):
    folder = write_actors(tmp_path, repetitions=1)
    assert called(*options(folder, tmp_path / "alone")) == 0
    given = options(folder, tmp_path / "parts")
    half_done = tmp_path / "parts" / "masks" / "swap" / "walk" / "dan_0.mp4.part"  # another machine is at work
    half_done.parent.mkdir(parents=True)
    half_done.touch()
    kept = []
    for number in (1, 2):
        assert called(*given, "--part", f"{number}/2") == 0
        assert not (tmp_path / "parts" / "sheet.png").exists()
        kept.append(half_done.exists())
    assert kept in ([True, False], [False, False])  # only the part that makes this clip may remove it
    assert called(*given, "--join") == 0
    assert names(tmp_path / "parts") == names(tmp_path / "alone")
    assert texts(tmp_path / "parts") == texts(tmp_path / "alone")


def test_a_part_goes_on_where_it_was_stopped_and_fails_for_itself(videos, tmp_path, monkeypatch):
    def stopped(function, items, num_workers, timeout):
        yield from in_this_process(function, list(items)[:1], num_workers, timeout)
        raise KeyboardInterrupt

    (tmp_path / "videos").mkdir()
    for name in ("0.mp4", "2.mp4", "all.txt"):
        (tmp_path / "videos" / name).write_bytes((videos / name).read_bytes())
    given = [*of_tool("transcode", tmp_path / "videos", tmp_path / "out"), "--part", "1/2"]
    monkeypatch.setattr(work, "call_in_processes", stopped)
    assert called("transcode", *given) == 130
    done = []
    monkeypatch.setattr(
        work, "call_in_processes", lambda function, items, *rest: done.extend(items) or stopped(function, [], *rest)
    )
    assert called("transcode", *given) == 130
    assert done == ["2.mp4", "4.mp4"]
    monkeypatch.setattr(work, "call_in_processes", in_this_process)
    assert called("transcode", *given).startswith("1 of 3 videos failed: see ")
    (tmp_path / "videos" / "4.mp4").write_bytes((videos / "4.mp4").read_bytes())
    assert called("transcode", *given, "--retry") == 0
    (tmp_path / "out" / "2.mp4").unlink()
    assert "such as '1.mp4': run again with --part 1/2 (1 missing), 2/2 (2 missing)" in called(
        "transcode", *given[:-2], "--join"
    )


def test_a_join_without_parts_or_of_two_divisions_or_with_other_settings_is_refused(videos, tmp_path):
    given = of_tool("transcode", videos, tmp_path)
    assert "--join: expected reports transcode_report.part-" in called("transcode", *given, "--join")
    assert called("transcode", *given, "--part", "1/2") == 0
    assert "expected a report of a run with" in called("transcode", *given, "--crf", 30, "--join")
    assert "expected --retry with --part" in called("transcode", *given, "--retry", "--join")
    assert called("transcode", *given, "--part", "1/3") == 0
    assert "got parts of 2 and 3: remove the reports" in called("transcode", *given, "--join")


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "1/2/3", "-1/2"])
def test_a_part_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected K/N with K from 1 to N"):
        parsed_part(text)


def test_parts_take_each_video_once_and_are_of_one_size():
    parts = [Part(number, 7).of(range(100)) for number in range(1, 8)]
    assert sorted(place for part in parts for place in part) == list(range(100))
    assert {len(part) for part in parts} == {14, 15}


def test_a_log_says_how_fast_it_goes_and_what_is_left():
    now = 0.0
    counted = throughput.Throughput(100, clock=lambda: now)
    due = []
    for _ in range(50):
        now += 2.5
        counted.advance()
        due.append(counted.is_due())
    assert np.flatnonzero(due).tolist() == [3, 27]
    assert counted.under_way() == "50 of 100 videos, 0.4 videos/s, 2 min 5 s left"
    assert counted.at_the_end() == "50 videos in 2 min 5 s, 0.4 videos/s"
    assert [throughput.in_words(seconds) for seconds in (3.4, 7260)] == ["3 s", "2 h 1 min"]


@pytest.mark.parametrize("total", [1, 2, 9])
def test_the_frames_of_a_joined_list_are_those_that_were_made_however_many_parts_there_are(videos, tmp_path, total):
    given = of_tool("transcode", videos, tmp_path)
    for number in range(1, total + 1):
        assert called("transcode", *given, "--part", f"{number}/{total}") == 0
        assert not (tmp_path / "all.txt").exists()
    assert called("transcode", *given, "--join") == 0
    assert read_list(tmp_path / "all.txt", "").num_frames.tolist() == [6 + number for number in range(VIDEOS)]
