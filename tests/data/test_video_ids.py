import os
from unicodedata import normalize

import pytest

from tbe.data.sources.records import make_records
from tbe.data.video_ids import video_ids


def ids(root, *paths):
    return video_ids(make_records(root, paths, [0] * len(paths), [0] * len(paths))).tolist()


def test_a_video_has_one_id_however_its_path_is_written(tmp_path, monkeypatch):
    (tmp_path / "videos" / "a").mkdir(parents=True)
    os.symlink(tmp_path / "videos", tmp_path / "link")
    monkeypatch.chdir(tmp_path)
    same = ["a/1.avi", "./a/1.avi", "a//1.avi", "a/./1.avi", "a/../a/1.avi", "../videos/a/1.avi", "../link/a/1.avi"]
    same += [f"{tmp_path}/videos/a/1.avi", f"{tmp_path}/link/a/1.avi", "a/1.avi/"]
    (number,) = set(ids(tmp_path / "videos", *same))
    roots = ["videos", "./videos/", "link", tmp_path / "link", f"{tmp_path}/videos/../link"]
    assert {found for root in roots for found in ids(root, "a/1.avi")} == {number}
    others = ids("videos", "a/2.avi", "1.avi", "a", "b/1.avi", "a/1.AVI", " a/1.avi") + ids(tmp_path, "a/1.avi")
    assert len({number, *others}) == 8


def test_undecodable_names_and_both_unicode_forms_have_one_id(tmp_path):
    composed, parted = (normalize(form, "é.avi") for form in ("NFC", "NFD"))
    one, other, raw, another = ids(tmp_path, composed, parted, b"\xe9.avi", b"\xe8.avi")
    assert one == other
    assert len({one, raw, another}) == 3


@pytest.mark.parametrize("path", [".", "a/.."])
def test_a_folder_of_frames_may_be_the_root(tmp_path, path):
    (tmp_path / "a").mkdir()
    assert ids(tmp_path, path) == ids(tmp_path.parent, tmp_path.name)
