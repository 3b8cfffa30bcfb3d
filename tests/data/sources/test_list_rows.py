"""List files: each is read as intended, or refused in one line."""

import random
import unicodedata

import numpy as np
import pytest

from tbe.data.readers import DecordReader
from tbe.data.sources.records import make_records, read_list
from tbe.data.sources.video_lists import VideoLists

ROWS = [("my clip 1.mp4", 3), ("гуляние/идёт.mp4", 1), ("日本/a  b.avi", 0)]


def naive(text, num_columns):
    """A naive list parser, as a reference."""
    rows = []
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        line = line.strip()
        if line and not line.startswith("#"):
            path, *numbers = line.rsplit(None, num_columns - 1)
            rows.append((path, *map(int, numbers), number))
    return rows


@pytest.mark.parametrize("seed", range(6))
def test_any_mixture_of_lines_is_read_as_one_by_one(tmp_path, monkeypatch, seed):
    monkeypatch.setattr("tbe.data.sources.list_rows.BYTES_AT_ONCE", 50)
    chance, num_columns = random.Random(seed), 2 + seed % 2
    pieces = ["a", "b c", "ü/ü", "7", "x 1", "'", "\u00a0y", "#", "-", "."]
    gaps, ends = [" ", " ", "\t", "  ", " \t", "\u3000"], ["", "", " ", "\t"]
    lines = ["first.mp4" + " 1" * (num_columns - 1)]
    for number in range(60):
        path = f"p{number}" + "".join(chance.choices(pieces, k=chance.randint(0, 4)))
        numbers = [str(chance.randint(0, 10 ** chance.randint(1, 15))) for _ in range(num_columns - 1)]
        row = chance.choice(gaps).join([path, *numbers])
        lines.append(chance.choice(["", "", " ", "\t"]) + row + chance.choice(ends))
        if chance.random() < 0.3:
            lines.append(chance.choice(["", "  ", "# 3", " # a 1", "\t"]))
    text = "".join(line + chance.choice(["\n", "\r\n", "\r"] if seed > 2 else ["\n"]) for line in lines)
    (tmp_path / "list.txt").write_bytes(text.encode())
    records = read_list(tmp_path / "list.txt", "/r")
    columns = [[path.decode() for path in records.paths], records.labels.tolist(), records.num_frames.tolist()]
    expected = [(*row[:-1], 0)[:3] for row in naive(text, num_columns)]
    assert list(zip(*columns, strict=True)) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_encoding_with_a_byte_order_mark_is_read(tmp_path, encoding, end):
    text = "".join(f"{path} {label}{end}" for path, label in ROWS)
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (tmp_path / "list.txt").write_bytes((mark + text).encode(encoding))
    records = read_list(tmp_path / "list.txt", "/r")
    assert [(records.path(n), int(records.labels[n])) for n in range(3)] == [(f"/r/{path}", n) for path, n in ROWS]


WRONG = {
    "utf-16 without its mark": (
        "a.mp4 0\n".encode("utf-16-le"),
        r"list.txt: expected text, got zero bytes, as in UTF-16 .*: save it as UTF-8",
    ),
    "half a letter": (
        b"\xff\xfea\0\x20\0\x30",
        r"list.txt: expected text in utf-16-le, as its first bytes say, got .*",
    ),
    "a quoted path": (b'"a b.mp4" 0\n', r"list.txt:1: .*got '\"a b.mp4\" 0'\. The path is in quotes: write it without"),
    "a quoted path later": (b"a.mp4 0\n'b.mp4' 1\n", r"list.txt:2: .*The path is in quotes"),
    "quoted fields": (b'"a b.mp4" "0"\n', r"list.txt:1: .*The fields are in quotes: write them without"),
    "quoted fields and commas": (b'"a b.mp4","0"\n', r"list.txt:1: .*separated by ','"),
    "a class name": (
        b"a/b.mp4 Apply Eye Makeup\n",
        r"list.txt:1: .*'Apply Eye Makeup' looks like .*number, counted from 0\.",
    ),
    "a known class": (b"a/b.mp4 run\n", r"list.txt:1: .* 'run' looks like the name of a class: .* .1 in classes.txt"),
    "a class name later": (b"a.mp4 0\na/b.MP4 run\n", r"list.txt:2: .*'run' looks like the name of a class"),
    "a class name and a length": (b"a b.mp4 run 120\n", r"list.txt:1: .*'run' looks like the name of a class"),
    "many digits": (
        b"a.mp4 0\nb.mp4 12345678901234567890123\n",
        r"list.txt:2: .*at most 18 digits, got 12345678901234",
    ),
    "many digits of frames": (b"b.mp4 1 12345678901234567890123\n", r"list.txt:1: expected at most 18 digits"),
    "two labels": (
        b"# x\na.mp4 0\nb.mp4 0\na.mp4 1\n",
        r"list.txt:4: expected one label for each video, got 1 for 'a.mp4', which has 0 on line 2 \(1 such pairs\)",
    ),
    "two labels under two names": (b"a.mp4 0\nb/a.mp4 0\n./a.mp4 1\n", r"list.txt:3: expected one label .* line 1 "),
}


@pytest.mark.parametrize("case", WRONG)
def test_files_that_are_not_lists_are_refused_in_one_line(tmp_path, case):
    content, message = WRONG[case]
    (tmp_path / "classes.txt").write_text("walk\nrun\n")
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_list(tmp_path / "list.txt", tmp_path)
    assert "\n" not in str(error.value)


def test_file_names_with_quotes_and_repeated_files_are_kept(tmp_path):
    (tmp_path / "'a' b'").touch()
    (tmp_path / "list.txt").write_text("'a' b' 2\nc.mp4 1\nc.mp4 1\n./c.mp4 1\n")
    assert read_list(tmp_path / "list.txt", tmp_path).paths.tolist() == [b"'a' b'", b"c.mp4", b"c.mp4", b"./c.mp4"]


def test_leading_zeros_do_not_count_as_digits(tmp_path):
    (tmp_path / "list.txt").write_text(f"a.mp4 {'0' * 22}7\n")
    assert read_list(tmp_path / "list.txt", tmp_path).labels.tolist() == [7]


def test_backslashes_separate_folders_unless_a_file_has_them(tmp_path, caplog):
    (tmp_path / "list.txt").write_text("run\\a b.mp4 2\nrun\\c.mp4 1\nplain.mp4 0\n")
    expected = [b"run/a b.mp4", b"run/c.mp4", b"plain.mp4"]
    assert read_list(tmp_path / "list.txt", tmp_path).paths.tolist() == expected
    assert r"'run\\a b.mp4' and others have '\' between folders, as on Windows: read as '/'" in caplog.text
    (tmp_path / "run\\c.mp4").touch()
    assert read_list(tmp_path / "list.txt", tmp_path).paths[0] == b"run\\a b.mp4"


@pytest.mark.parametrize(("on_disk", "listed"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_found_in_either_unicode_form(video_folder, tmp_path, on_disk, listed):
    folder = tmp_path / unicodedata.normalize(on_disk, "für")
    folder.mkdir()
    name = unicodedata.normalize(on_disk, "é 1.mp4")
    (folder / name).write_bytes((video_folder / "class 0/video 0.mp4").read_bytes())
    boxes = tmp_path / "boxes" / folder.name
    boxes.mkdir(parents=True)
    (boxes / name).with_suffix(".csv").write_text("0,4,4,20,20\n")
    (tmp_path / "train.txt").write_text(unicodedata.normalize(listed, "für/é 1.mp4") + " 0\n", encoding="utf-8")
    data = VideoLists("mine", str(tmp_path), {"train": "train.txt"}, 1, masks=str(tmp_path / "boxes"), val_share=0)
    data.prepare()
    records = data.records("train")
    assert records.to_open(0) == str(folder / name)
    assert len(DecordReader("cpu")(records.to_open(0))) > 0
    assert data.foreground("train", 0, [0]).any()
    both = folder / unicodedata.normalize(listed, "é 1.mp4")
    both.write_bytes(b"another video")
    found = make_records(tmp_path, [f"{folder.name}/{both.name}"], [0], [0])
    assert found.to_open(0) == str(both)  # where both are there, each is itself


def test_a_missing_name_is_reported_as_in_the_list():
    records = make_records("/nowhere", ["für/é.mp4"], np.zeros(1), np.zeros(1))
    assert records.to_open(0) == "/nowhere/für/é.mp4"
