"""Lists with other columns than those that are read."""

import re

import pytest

from tbe.data.sources.records import check_labels, make_records, read_list


@pytest.fixture
def refused(tmp_path):
    """refused(text) is the error message of read_list for a list."""

    def read(text):
        (tmp_path / "list.txt").write_text(text)
        with pytest.raises(ValueError, match="expected") as error:
            read_list(tmp_path / "list.txt", tmp_path)
        return str(error.value)

    return read


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("a/b.mp4,3\n", ":1:", "The columns look separated by ',': separate them by spaces."),
        ("a.mp4 0\nmy clip.mp4,3,120\n", ":2:", "The columns look separated by ','"),
        ("a.mp4, 3\n", ":1:", "The columns look separated by ','"),
        ("a.mp4, 3, 120\n", ":1:", "The columns look separated by ','"),
        ("7;3\n", ":1:", "The columns look separated by ';'"),
        ("path label\na.mp4 3\n", ":1:", "It looks like a header: remove it, or start it with '#'."),
        ("Path,Label,Num_Frames\na.mp4,3,9\n", ":1:", "a header.* separated by ','"),
        ("3 a/b.mp4\n", ":1:", "The path looks to come last: the order is path, label, num_frames."),
        ("3 120 a/my clip.mp4\n", ":1:", "The path looks to come last"),
    ],
)
def test_an_invalid_line_is_recognized(refused, text, place, hint):
    message = refused(text)
    assert f"list.txt{place} expected '<path> <label>'" in message
    assert re.search(hint, message), message


def test_a_label_before_the_path_is_recognized_by_the_files(refused, tmp_path):
    (tmp_path / "a.mp4").touch()
    assert "look like label, path, num_frames ('a.mp4' exists)" in refused("3 a.mp4 120\n")
    (tmp_path / "3 a.mp4").touch()
    assert read_list(tmp_path / "list.txt", tmp_path).labels.tolist() == [120]


def test_frames_before_labels_are_recognized_by_zeros(refused):
    message = refused("a.mp4 120 1\nb.mp4 90 0\n")
    assert "got what looks like '<path> <num_frames> <label>'" in message
    assert "the third column has zeros, as for 'b.mp4', the second none" in message
    refused("a 30 0\nb 31 1\nc 32 2\nd 33 35\ne 34 34\n" + "".join(f"f{n} 30 {n}\n" for n in range(36)))


@pytest.mark.parametrize(
    "rows",
    [
        [(0, 9), (1, 9), (2, 9)],  # short videos of one length
        [(0, 3), (1, 2), (2, 1)],  # shorter than there are classes
        [(1, 120), (2, 0), (3, 80)],  # a list without class 0 and with a length that is not known
        [(1, 0), (2, 0)],
        [(5, 5)],
    ],
)
def test_lists_in_order_raise_no_alarm(tmp_path, rows):
    text = "".join(f"{number}.mp4 {label} {length}\n" for number, (label, length) in enumerate(rows))
    (tmp_path / "list.txt").write_text(text)
    check_labels(read_list(tmp_path / "list.txt", tmp_path), 10, "here")


def in_folders(labels, num_frames, folders="ABAB"):
    return make_records("/r", [f"{folder}/{n}.mp4" for n, folder in enumerate(folders)], labels, num_frames)


def test_frames_before_labels_are_recognized_by_class_folders():
    with pytest.raises(ValueError, match=r"here: .*got what looks like '<path> <num_frames> <label>': .* 2 folders"):
        check_labels(in_folders([30, 31, 33, 32], [1, 2, 1, 2]), 40, "here")


@pytest.mark.parametrize(
    ("labels", "num_frames", "folders"),
    [
        ([1, 2, 1, 2], [30, 31, 33, 32], "ABAB"),  # in order
        ([1, 2, 3, 4], [30, 30, 30, 30], "ABAB"),  # folders of recordings, all of one length
        ([1, 2, 3, 4], [30, 30, 30, 30], "AAAA"),
        ([1, 2, 1, 2], [30, 31, 30, 31], "ABAB"),
        ([1, 2, 3, 4], [0, 0, 0, 0], "ABAB"),
    ],
)
def test_folders_raise_no_alarm_without_a_reason(labels, num_frames, folders):
    check_labels(in_folders(labels, num_frames, folders), 40, "here")


@pytest.mark.parametrize(
    ("paths", "labels", "num_frames", "hint"),
    [
        (["a", "b"], [120, 90], [3, 1], "The columns look like path, num_frames, label: the order is path, label"),
        (["a", "b", "c"], [1, 3, 5], [30, 31, 32], "They run from 1 to 5 and look counted from 1: subtract 1."),
        (["3 a.mp4", "1 b.mp4"], [120, 90], [0, 0], "The columns look like label, path"),
        (["3", "1"], [120, 90], [0, 0], "The columns look like label, path"),
        (["a", "b"], [7, 90], [0, 0], r"\(2 such videos\)\.$"),
        (["a", "b"], [7, 90], [2, 2], r"\(2 such videos\)\.$"),
    ],
)
def test_labels_out_of_range_are_explained(paths, labels, num_frames, hint):
    with pytest.raises(ValueError, match=hint):
        check_labels(make_records("/r", paths, labels, num_frames), 5, "here")
