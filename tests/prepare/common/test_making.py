from pathlib import PurePosixPath

import pytest

from tbe.prepare.common.making import mp4_name, unique_targets
from tbe.prepare.tools.frames import folder_name

ODD = ["a.avi", "b/a.b.avi", "b.c/a", ".a", "b/.a", "a.", "b/..avi", "a..avi", "a b/c.d/e", "./a.avi", "a//b.x"]


@pytest.mark.parametrize("path", ODD)
def test_a_target_is_named_as_pathlib_names_it(path):
    expected = PurePosixPath(path).with_suffix(".mp4").as_posix()
    targets = unique_targets([path], mp4_name)
    assert targets[path] == expected
    if PurePosixPath(path).stem == ".":  # newer Pythons have no such name
        return
    without = PurePosixPath(path).with_suffix("").as_posix()
    assert unique_targets([path], folder_name)[path] == PurePosixPath(without).as_posix()
    assert unique_targets([path], str)[path] == PurePosixPath(path).as_posix()


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a/b.avi", "c.avi", "c.mkv", "a/b.mkv"], "expected one video to become 'c.mp4', got 'c.avi' and 'c.mkv'"),
        (["a.avi", "./a.avi"], "expected one video to become 'a.mp4'"),
        (["a.avi", "b/../../c.avi"], "expected paths below --root, got 'b/../../c.avi'"),
        (["/a.avi"], "expected paths below --root, got '/a.avi'"),
    ],
)
def test_videos_of_one_target_and_paths_outside_are_refused(paths, message):
    with pytest.raises(ValueError, match=message):
        unique_targets(paths, mp4_name)
    assert unique_targets(["a..avi", "..b/a.avi"], mp4_name)["..b/a.avi"] == "..b/a.mp4"
