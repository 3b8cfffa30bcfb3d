from types import SimpleNamespace

import pytest

from tbe.data.sources.class_names import class_names, display_path
from tbe.data.sources.records import make_records
from tbe.data.sources.video_lists import VideoLists


def records(*paths_and_labels):
    paths, labels = zip(*paths_and_labels, strict=True)
    return make_records("/videos", list(paths), list(labels), [0] * len(labels))


IN_FOLDERS = records(("UCF/run/1.avi", 1), ("UCF/jump/1.avi", 0), ("UCF/run/2.avi", 1))


def listed(folder):
    return VideoLists("mine", str(folder), {"train": "train.txt"}, num_classes=3)


@pytest.mark.parametrize(
    "content", [b"a b\nc\nd\n", b"a b\r\nc\r\nd", "\ufeffa b\nc\nd\n".encode(), "a b\nc\nd\n".encode("utf-16")]
)
def test_class_names_of_the_source_come_first(tmp_path, content):
    (tmp_path / "classes.txt").write_bytes(content)
    assert class_names(listed(tmp_path), IN_FOLDERS) == ["a b", "c", "d"]


def test_folders_of_one_class_each_come_second(tmp_path):
    assert class_names(listed(tmp_path / "nowhere"), IN_FOLDERS) == ["jump", "run", "class 2"]


def test_a_file_with_another_number_of_classes_is_ignored(tmp_path):
    (tmp_path / "classes.txt").write_text("a\nb\n")
    assert class_names(listed(tmp_path), IN_FOLDERS)[0] == "jump"


@pytest.mark.parametrize(
    "found", [records(("1.avi", 0), ("2.avi", 1)), records(("all/1.avi", 0), ("all/2.avi", 1)), records(("a/1", -1))]
)
def test_unnamed_classes_are_numbered(found):
    assert class_names(SimpleNamespace(num_classes=2, class_names=None), found) == ["class 0", "class 1"]


def test_any_path_can_be_displayed():
    assert display_path(b"a/\xff.avi") == "a/�.avi"
