import pytest

SPLIT = {
    "train": "Jump/v_Jump_g02_c01.avi 1\r\nTai Chi/v_Tai_g02_c01.avi 2\r\n",
    "test": "Tai Chi/v_Tai_g01_c01.avi\r\n",
}
FILES = {
    "classInd.txt": "1 Jump\r\n2 Tai Chi\r\n",
    **{f"{part}list0{split}.txt": text for split in (1, 2, 3) for part, text in SPLIT.items()},
}


def test_labels_start_at_zero_in_both_lists(annotations, lists, rows):
    folder = lists("ucf101", "--annotations", annotations(FILES))
    assert rows(folder / "train_1.txt") == [("Jump/v_Jump_g02_c01.avi", 0), ("Tai Chi/v_Tai_g02_c01.avi", 1)]
    assert rows(folder / "test_3.txt") == [("Tai Chi/v_Tai_g01_c01.avi", 1)]
    assert (folder / "classes.txt").read_text() == "Jump\nTai Chi\n"
    assert len(list(folder.iterdir())) == 7


def test_numbers_that_differ_from_the_official_ones_are_reported(annotations, lists, capsys):
    lists("ucf101", "--annotations", annotations(FILES))
    assert "train_2.txt: 2 videos (officially 9586)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("trainlist01.txt", "Jump/a.avi 2", r"trainlist01.txt:1: expected 1, the number of its class in classInd.txt"),
        (
            "trainlist01.txt",
            "Jump/a.avi 1\nRun/b.avi 1",
            r"trainlist01.txt:2: expected '<class>/<video>' with a class of",
        ),
        (
            "trainlist02.txt",
            "Jump/a.avi",
            r"trainlist02.txt:1: expected '<class>/<video> <number>', got 'Jump/a.avi'.$",
        ),
        ("trainlist02.txt", "1 Jump/a.avi", r"got '1 Jump/a.avi'. The columns look swapped"),
        ("testlist02.txt", "Jump/a.avi 1", r"testlist02.txt:1: expected '<class>/<video>' without a number"),
        ("testlist02.txt", "1 Jump/a.avi", r"testlist02.txt:1: .* The columns look swapped"),
        ("testlist03.txt", "a.avi", r"testlist03.txt:1: expected '<class>/<video>'"),
        ("classInd.txt", "Jump 1", r"classInd.txt:1: expected '<number> <class>'.* The columns look swapped"),
        ("classInd.txt", "1 Jump\n3 Run", r"classInd.txt:2: expected a new class with the number 2, got '3 Run'"),
        ("testlist01.txt", "", r"test_1.txt: expected at least one video, got none"),
        ("testlist01.txt", "Jump/v_Jump_g02_c01.avi", r"train_1 and test_1: expected no video in both, got 'Jump/v_J"),
        ("trainlist03.txt", "Jump/a.avi 1\nJump/a.avi 1", r"train_3: expected each video once, got 'Jump/a.avi' again"),
        (
            "trainlist03.txt",
            "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
            r"trainlist03.txt:1: expected",
        ),
    ],
)
def test_invalid_files_are_refused_with_their_place(annotations, refused, tmp_path, file, text, message):
    refused(message, "ucf101", "--annotations", annotations({**FILES, file: text}))
    assert not (tmp_path / "lists").exists()


def test_text_that_is_not_utf8_is_refused(annotations, refused):
    folder = annotations(FILES)
    (folder / "classInd.txt").write_bytes(b"1 \xff\n")
    refused(
        r"classInd.txt: expected text in UTF-8, got invalid start byte at byte 2", "ucf101", "--annotations", folder
    )


def test_a_byte_order_mark_is_ignored(annotations, lists):
    folder = lists("ucf101", "--annotations", annotations({**FILES, "classInd.txt": "\ufeff1 Jump\r\n2 Tai Chi"}))
    assert (folder / "classes.txt").read_text() == "Jump\nTai Chi\n"


def test_missing_files_are_listed(annotations, refused, tmp_path):
    folder = annotations(FILES)
    (folder / "testlist02.txt").unlink()
    refused(r"expected classInd.txt, .*; missing: testlist02.txt", "ucf101", "--annotations", folder)
    refused(r"missing: classInd.txt, .* \(no such folder\)", "ucf101", "--annotations", tmp_path / "gone")


def test_the_official_files_give_the_official_lists(official, lists, rows, capsys):
    folder = lists("ucf101", "--annotations", official("ucf101"))
    assert "officially" not in capsys.readouterr().out
    assert [len(rows(folder / f"train_{split}.txt")) for split in (1, 2, 3)] == [9537, 9586, 9624]
    assert [len(rows(folder / f"test_{split}.txt")) for split in (1, 2, 3)] == [3783, 3734, 3696]
    classes = (folder / "classes.txt").read_text().splitlines()
    assert len(classes) == 101
    for split in (1, 2, 3):
        videos = rows(folder / f"train_{split}.txt") + rows(folder / f"test_{split}.txt")
        assert len(set(videos)) == 13320
        assert all(path.split("/")[0] == classes[label] for path, label in videos)
