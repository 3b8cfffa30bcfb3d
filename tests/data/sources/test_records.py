import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tbe.data.sources.records import check_labels, hold_out, hold_out_groups, make_records, read_list, write_list


def listed(tmp_path, text):
    file = tmp_path / "list.txt"
    file.write_text(text, encoding="utf-8", newline="")
    return file


def test_two_columns_are_path_and_label(tmp_path):
    records = read_list(listed(tmp_path, "a/b.mp4 3\nc.avi 0\n"), "/root")
    assert [records.path(0), records.path(1)] == ["/root/a/b.mp4", "/root/c.avi"]
    assert records.labels.tolist() == [3, 0]
    assert records.num_frames.tolist() == [0, 0]


def test_three_columns_add_the_number_of_frames(tmp_path):
    records = read_list(listed(tmp_path, "# a comment\na.mp4 3 120\n\nb.mp4 1 7\n"), "/root")
    assert records.labels.tolist() == [3, 1]
    assert records.num_frames.tolist() == [120, 7]


def test_paths_with_spaces_and_foreign_letters_and_windows_line_ends(tmp_path):
    records = read_list(listed(tmp_path, "my clip 12.mp4 3\r\nгуляние/идёт.mp4 1\r\n"), "/root")
    assert [records.path(i) for i in range(2)] == ["/root/my clip 12.mp4", "/root/гуляние/идёт.mp4"]


def test_a_folder_name_that_ends_with_a_number_is_found_on_disk(tmp_path):
    (tmp_path / "clip 7").mkdir()
    file = listed(tmp_path, "clip 7 3\ntape 8 1\n")
    records = read_list(file, tmp_path)
    assert [records.path(i) for i in range(2)] == [f"{tmp_path}/clip 7", f"{tmp_path}/tape 8"]
    assert records.labels.tolist() == [3, 1]
    assert read_list(file, "/elsewhere").labels.tolist() == [7, 8]


@pytest.mark.parametrize("line", ["b.mp4", "b.mp4 one", "b.mp4 -1", "b.mp4 1.5", "17"])
def test_a_bad_line_is_refused_with_its_place(tmp_path, line):
    file = listed(tmp_path, f"a.mp4 0\n{line}\n")
    with pytest.raises(ValueError, match=rf"list.txt:2: expected '<path> <label>' like .*, got '{line}'"):
        read_list(file, "/root")


def test_a_missing_column_among_three_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"list.txt:3: expected '<path> <label> <num_frames>'"):
        read_list(listed(tmp_path, "a.mp4 0 10\nb.mp4 0 10\nc.mp4 0\n"), "/root")


def test_a_bad_first_line_names_both_formats(tmp_path):
    with pytest.raises(
        ValueError, match=r"list.txt:1: expected '<path> <label>' or '<path> <label> <num_frames>', got 'a.mp4'"
    ):
        read_list(listed(tmp_path, "a.mp4\n"), "/root")


def test_an_empty_list_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one line"):
        read_list(listed(tmp_path, "# nothing\n"), "/root")


def test_a_written_list_is_read_back(tmp_path):
    write_list(tmp_path / "deep" / "list.txt", [("a b.mp4", 1, 9), ("c.mp4", 0, 8)])
    records = read_list(tmp_path / "deep" / "list.txt", "/r")
    assert records.path(0) == "/r/a b.mp4"
    assert records.num_frames.tolist() == [9, 8]


def test_names_that_are_not_utf8_are_kept(tmp_path):
    name = os.fsdecode(b"caf\xe9/\xff 1.avi")
    write_list(tmp_path / "list.txt", [(name, 2)])
    assert (tmp_path / "list.txt").read_bytes() == b"caf\xe9/\xff 1.avi 2\n"
    records = read_list(tmp_path / "list.txt", "/r")
    assert records.path(0) == f"/r/{name}"
    write_list(tmp_path / "again.txt", [(os.fsdecode(records.paths[0]), 2)])
    assert (tmp_path / "again.txt").read_bytes() == (tmp_path / "list.txt").read_bytes()


def test_a_byte_order_mark_is_not_part_of_a_path(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa.mp4 1\n")
    assert read_list(tmp_path / "list.txt", "/r").path(0) == "/r/a.mp4"


def test_a_list_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    write_list(tmp_path / "list.txt", [("a.mp4", 1)])
    with pytest.raises(UnicodeEncodeError):
        write_list(tmp_path / "list.txt", [("\ud800.mp4", 1)])  # names nothing on any disk
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]
    assert (tmp_path / "list.txt").read_text() == "a.mp4 1\n"


def test_many_writers_of_one_list_do_not_collide(tmp_path):
    rows = [(f"{number}.mp4", number) for number in range(2000)]
    with ThreadPoolExecutor(8) as executor:
        list(executor.map(lambda _: write_list(tmp_path / "list.txt", rows), range(32)))
    assert len(read_list(tmp_path / "list.txt", "")) == 2000
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


def test_labels_out_of_range_are_refused():
    records = make_records("/r", ["a", "b"], [0, 5], [0, 0])
    with pytest.raises(ValueError, match="here: expected labels from 0 to 4, got 5 for 'b'"):
        check_labels(records, 5, "here")


def test_select_keeps_the_order_asked_for():
    records = make_records("/r", ["a", "b", "c"], [0, 1, 2], [0, 0, 0]).select(np.array([2, 0]))
    assert [records.path(i) for i in range(2)] == ["/r/c", "/r/a"]


def test_a_share_of_each_class_is_held_out():
    labels = np.array([0] * 20 + [1] * 10 + [2] * 2 + [3])
    held = hold_out(labels, 0.2)
    assert [int(held[labels == label].sum()) for label in range(4)] == [4, 2, 1, 0]
    assert np.array_equal(held, hold_out(labels, 0.2))


def test_whole_groups_are_held_out_and_no_class_is_left_without_a_video():
    groups = np.repeat([0, 1, 2, 3, -1], [10, 10, 10, 10, 10])
    labels = np.arange(50) % 5
    labels[groups == 3] = 5  # of one group alone
    for seed in range(20):
        held = hold_out_groups(groups, labels, 0.2, seed)
        assert all(held[groups == group].all() or not held[groups == group].any() for group in range(4))
        assert not held[groups == 3].any()
        assert 10 <= held.sum() < 20  # of 50; the last group may go beyond the share
        assert np.array_equal(held, hold_out_groups(groups, labels, 0.2, seed))
    assert not hold_out_groups(np.zeros(50, int), np.arange(50) % 5, 0.2).any()


@pytest.mark.parametrize("interruption", ["", "# a comment", "   "])
def test_a_list_reads_the_same_with_or_without_skipped_lines(tmp_path, interruption):
    lines = [f"a folder/clip {number}.avi {number % 7} {number + 10}" for number in range(50)]
    (tmp_path / "rows.txt").write_text("\n".join(lines))
    (tmp_path / "interrupted.txt").write_text("\n".join([*lines[:20], interruption, *lines[20:], ""]))
    rows, interrupted = (read_list(tmp_path / name, tmp_path) for name in ("rows.txt", "interrupted.txt"))
    assert rows.paths.tolist() == interrupted.paths.tolist()
    assert rows.path(49) == str(tmp_path / "a folder" / "clip 49.avi")
    assert rows.labels.tolist() == interrupted.labels.tolist() == [number % 7 for number in range(50)]
    assert rows.num_frames.tolist() == interrupted.num_frames.tolist() == list(range(10, 60))


def test_frames_that_were_extracted_again_are_another_version_of_their_video(tmp_path):
    records = make_records(str(tmp_path), ["a"], [0], [0])
    (tmp_path / "a").mkdir()
    for number in range(3):
        (tmp_path / "a" / f"{number}.jpg").write_bytes(b"before")
    before = records.version(0)
    assert records.version(0) == before
    (tmp_path / "a" / "2.jpg").write_bytes(b"other")  # the folder itself is as it was
    assert records.version(0) != before
