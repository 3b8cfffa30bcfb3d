"""Tests in the format of the published csv: label, youtube_id, time_start, time_end, split, is_cc."""

import pytest

import tbe.prepare.__main__ as prepare
from tbe.data.sources.video_lists import VideoLists

CSV = """label,youtube_id,time_start,time_end,split,is_cc
archery,0zFbEjoGlhc,6,10,test,0
archery,0zFbEjoGlhc,14,24,test,0
punching person (boxing),9qUKSCHQ3z0,57,59,test,0
punching person (boxing),FUIqsc5hMMQ,182,184,test,0
"""


@pytest.fixture
def mimetics(annotations, tmp_path):
    """mimetics(videos) runs the command where these videos exist, and returns the folder of the lists."""

    def run(*videos, classes="abseiling\narchery\npunching person (boxing)\n", text=CSV):
        folder = annotations({"mimetics_v1.0.csv": text, "classes.txt": classes})
        for video in videos:
            file = tmp_path / "videos" / video
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        given = ["--annotations", folder / "mimetics_v1.0.csv", "--root", tmp_path / "videos", "--lists", folder]
        prepare.main(["mimetics", *map(str, given)])
        return folder

    return run


def test_labels_follow_kinetics_for_all_naming_schemes(mimetics, rows, tmp_path, capsys):
    names = ["archery/0zFbEjoGlhc_000006_000010.mp4", "archery/0zFbEjoGlhc_14_24.mp4", "FUIqsc5hMMQ_000182_000184.mp4"]
    folder = mimetics(*names)
    found = rows(folder / "mimetics.txt")
    assert found == [(str(tmp_path / "videos" / name), label) for name, label in zip(names, (1, 1, 2), strict=True)]
    said = capsys.readouterr().out
    assert "3 of the 4 mimetics videos found, 1 missing" in said
    assert "4 rows (officially 713)" in said
    assert "2 classes" in said


def test_the_list_is_a_further_split(mimetics, tmp_path):
    folder = mimetics("archery/0zFbEjoGlhc_000006_000010.mp4")
    (tmp_path / "k400").mkdir()
    (folder / "val.txt").write_text("abseiling/a.mp4 0\n")
    splits = {"test": "val.txt", "mimetics": "mimetics.txt"}
    data = VideoLists("kinetics400", str(tmp_path / "k400"), splits, 3, lists=str(folder), allow_outside_root=True)
    data.prepare()
    assert data.records("mimetics").path(0) == str(tmp_path / "videos" / "archery/0zFbEjoGlhc_000006_000010.mp4")


def test_missing_inputs_are_named(mimetics, tmp_path):
    with pytest.raises(SystemExit, match=r"videos: expected the folder of the videos, got no such folder"):
        mimetics()
    (tmp_path / "videos").mkdir()
    with pytest.raises(SystemExit, match=r"expected videos like 'archery/0zFbEjoGlhc_000006_000010.mp4', found none"):
        mimetics()
    with pytest.raises(
        SystemExit, match=r"classes.txt: expected the classes of .*csv among its 1; missing: punching pe"
    ):
        mimetics(classes="archery\n")
    with pytest.raises(SystemExit, match=r"missing classes.txt|missing: classes.txt"):
        prepare.main(["mimetics", "--annotations", str(tmp_path / "annotations" / "mimetics_v1.0.csv"), "--root", "x"])
    with pytest.raises(SystemExit, match=r"csv:1: expected a header with label, youtube_id"):
        mimetics(text="archery,0zFbEjoGlhc,6,10,test,0\n")
