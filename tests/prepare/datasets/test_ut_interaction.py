import numpy as np
import pytest

import tbe.prepare.__main__ as prepare
from tbe.config import build, plain
from tbe.data.sources.records import read_list
from tests.conftest import SHARED, composed


def prepared(root, lists):
    prepare.main(["ut_interaction", "--root", str(root), "--out", str(lists)])
    source = build(
        plain(composed("train", "data=ut_interaction", run_dir=".").data) | {"root": str(root)} | places(lists)
    )
    source.prepare()
    return source


def places(lists):
    return {"lists": str(lists), "scenes": str(lists / "scenes")}


def test_actions_scenes_and_recordings_are_told_by_the_names(tmp_path, capsys):
    for name in ("hug/lawn_11_005", "hug/parking_lot_01_002", "kick/lawn_11_001", "kick/parking_lot_01_001"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.avi").touch()
    source = prepared(tmp_path, tmp_path / "lists")
    assert source.records("train").labels.tolist() == source.records("test").labels.tolist() == [0, 0, 1, 1]
    assert source.scenes("test").tolist() == source.groups("test").tolist() == [0, 1, 0, 1]
    assert (tmp_path / "lists" / "classes.txt").read_text().split() == ["hug", "kick"]
    assert source.labelings()["scene"].class_names == ["lawn", "parking_lot"]
    assert "4 videos: 2 lawn, 2 parking_lot" in capsys.readouterr().out


def test_the_published_videos_are_balanced(tmp_path):
    root = SHARED / "ut_interaction"
    if not root.is_dir():
        pytest.skip(f"needs the real videos in {root} (or TBE_SHARED_DATA=<folder>)")
    source = prepared(root, tmp_path)
    labels, scenes, groups = source.records("test").labels, source.scenes("test").numpy(), source.groups("test").numpy()
    assert np.bincount(6 * scenes + labels).tolist() == [10] * 12
    assert len(np.unique(groups)) == len(np.unique(np.stack([groups, scenes]), axis=1).T) == 20
    assert len(read_list(tmp_path / "scenes" / "videos.txt", root)) == 120


@pytest.mark.parametrize(
    ("video", "message"),
    [
        ("kick/a.mp4", "expected videos <action>/<scene>_<sequence>_<id>.avi, found none"),
        ("kick/lawn.avi", "got kick/lawn.avi"),
    ],
)
def test_other_folders_are_refused(tmp_path, video, message):
    (tmp_path / video).parent.mkdir()
    (tmp_path / video).touch()
    with pytest.raises(SystemExit, match=message):
        prepare.main(["ut_interaction", "--root", str(tmp_path), "--out", str(tmp_path / "lists")])
