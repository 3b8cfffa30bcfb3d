"""Tests in the format of the published code: <video>__<number> folders of frames, '<path> <num_frames> <label>'."""

import json

import pytest
import torch
from torchvision.io import write_jpeg

import tbe.prepare.__main__ as prepare

OWN = "brush_hair/a_brush.avi 0\nwalk/b_walk.avi 1\n"
PUBLISHED = "a_brush__0 2 0\na_brush__1 2 0\nb_walk__0 2 1\nsomebody_else__0 2 1\n"


def frames(folder, template):
    folder.mkdir(parents=True)
    for number in (1, 2):
        write_jpeg(torch.zeros(3, 16, 16, dtype=torch.uint8), str(folder / (template % number)))


@pytest.fixture
def scuba(annotations, tmp_path):
    """scuba("a_brush__0", ...) runs the command where these folders exist, and returns the folder of the lists."""

    def run(*videos, published=PUBLISHED, template="frame%06d.jpg", options=()):
        folder = annotations({"testlist01.txt": published, "test_1.txt": OWN})
        for video in videos:
            frames(tmp_path / "generated_videos" / video, template)
        given = ["--root", tmp_path / "generated_videos", "--annotations", folder / "testlist01.txt"]
        prepare.main(["scuba", *map(str, [*given, "--list", folder / "test_1.txt", *options])])
        return folder

    return run


def test_the_published_list_becomes_a_split(scuba, rows, tmp_path, capsys):
    folder = scuba("a_brush__0", "b_walk__0", "somebody_else__0")
    root = tmp_path / "generated_videos"
    expected = [(str(root / name), label) for name, label in (("a_brush__0", 0), ("b_walk__0", 1))]
    assert rows(folder / "scuba.txt")[:2] == expected
    said = capsys.readouterr().out
    assert "test_1.txt: has the videos of 3 of 4 rows, with the same labels" in said
    assert "3 of the 4 scuba videos found, 1 missing" in said
    assert (
        f"+data.splits.scuba={folder}/scuba.txt ++data.allow_outside_root=true 'query=[test,scuba]' reader=mixed"
        in said
    )
    assert "reader.folders.template=frame%06d.jpg" in said


def test_missing_parent_folders_of_a_list_are_ignored(scuba, rows, tmp_path, capsys):
    published = "val/a_brush__0 2 0\nwalk with spaces/b_walk__0 2 1\n"
    folder = scuba(
        "a_brush__0",
        "walk with spaces/b_walk__0",
        published=published,
        template="%06d.jpg",
        options=["--name", "sine_1"],
    )
    paths = [path for path, _ in rows(folder / "sine_1.txt")]
    root = tmp_path / "generated_videos"
    assert paths == [str(root / "a_brush__0"), str(root / "walk with spaces/b_walk__0")]
    assert "reader.folders.template=%06d.jpg" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"published": "a_brush__0 2 1\n"},
            r"testlist01.txt:1: expected the label 0, as --list has it for a_brush, got 1",
        ),
        ({"published": "a_brush__0 0\n"}, r"testlist01.txt:1: expected '<video>__<number> <num_frames> <label>', got"),
        ({"published": "a_brush__0 2 0\n" * 2}, r"scuba: expected each video once, got .*a_brush__0' again"),
        ({"published": "b_walk__0 2 1\n"}, r"expected videos like 'b_walk__0', found none"),
        ({"template": "img_%05d.jpg"}, r"a_brush__0: expected frame000001.jpg or 000001.jpg, got neither"),
        (
            {"options": ["--name", "1st"]},
            r"expected a name of letters, digits and '_' that starts with a letter, got '1st'",
        ),
        ({"options": ["--list", "gone.txt"]}, r"gone.txt: expected a list, got no such file"),
    ],
)
def test_inconsistent_lists_are_refused(scuba, changes, message):
    with pytest.raises(SystemExit, match=message):
        scuba("a_brush__0", **changes)


def test_a_missing_folder_is_named(scuba):
    with pytest.raises(SystemExit, match=r"generated_videos: expected the folder of the videos, got no such folder"):
        scuba()


def test_the_split_is_evaluated_beside_the_test_split(video_folder, annotations, evaluate, tmp_path):
    for number in (8, 9):
        frames(tmp_path / "generated" / f"video {number}__0", "frame%06d.jpg")
    published = annotations({"testlist01.txt": "video 8__0 2 0\nvideo 9__0 2 1\n"}) / "testlist01.txt"
    given = ["--root", tmp_path / "generated", "--annotations", published, "--list", video_folder / "test.txt"]
    prepare.main(["scuba", *map(str, given), "--out", str(tmp_path)])
    data = [
        "data=folder",
        f"data.root={video_folder}",
        "data.num_classes=2",
        f"+data.splits.scuba={tmp_path}/scuba.txt",
        "++data.allow_outside_root=true",
    ]
    reader = ["reader=mixed", "reader.folders.template=frame%06d.jpg"]
    network = ["checkpoint=random", "backbone=tiny", "clip=8x2_32", "cache=null"]
    run = evaluate("task=linear", "query=[test,scuba]", *data, *reader, *network)
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"linear/top1/test", "linear/top1/scuba"} <= metrics.keys()
