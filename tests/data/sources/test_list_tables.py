"""Lists as CSV and Parquet: the same records as of text, scenes and groups by column, and what is wrong by row."""

import os
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from tbe.data.sources import list_tables
from tbe.data.sources.records import make_records, read_list, write_list, write_records
from tbe.data.sources.text_columns import Names, TextColumn
from tbe.data.sources.video_lists import VideoLists

CSV = 'id,path,label,num_frames,scene,group\n1,a b.mp4,1,30,park,eve\n2,"c,d.mp4",0,,street,ada\n3,e.mp4,1,7,park,ada\n'


def csv_list(tmp_path, text, name="train.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    return tmp_path / name


def of_parquet(tmp_path, columns, name="train.parquet", **settings):
    parquet.write_table(pa.table(columns), tmp_path / name, **settings)
    return tmp_path / name


def listed(records):
    return [records.paths.tolist(), records.labels.tolist(), records.num_frames.tolist()]


def test_a_csv_is_read_by_the_names_of_its_columns(tmp_path):
    for text in (CSV, CSV.replace("\n", "\r\n"), "\ufeff" + CSV, CSV.replace("id,path", '" id","path"')):
        records = read_list(csv_list(tmp_path, text), "/r")
        assert listed(records) == [[b"a b.mp4", b"c,d.mp4", b"e.mp4"], [1, 0, 1], [30, 0, 7]]
        assert records.scenes.tolist() == [b"park", b"street", b"park"]
        assert records.groups.known.tolist() == [b"ada", b"eve"]
        assert records.groups.numbers.tolist() == [1, 0, 0]
        assert records.path(1) == "/r/c,d.mp4"
    (tmp_path / "train.csv").write_bytes(CSV.encode("utf-16"))
    assert listed(read_list(tmp_path / "train.csv", "/r")) == listed(records)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_is_read_whatever_its_types_and_in_parts(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("tbe.data.sources.list_tables.ROWS_AT_ONCE", 7)
    paths, scenes = [f"{number % 3}/ü{number}.mp4" for number in range(50)], [f"s{number % 4}" for number in range(50)]
    scenes[3], scenes[4] = None, ""
    columns = {"label": pa.array(range(50), pa.int16()), "path": pa.array(paths, pa.string()).cast(kind)}
    columns |= {"scene": scenes, "group": pa.array([number // 10 for number in range(50)])}
    records = read_list(of_parquet(tmp_path, columns, row_group_size=20), "/r")
    assert listed(records) == [[path.encode() for path in paths], list(range(50)), [0] * 50]
    assert records.scenes.tolist() == [(scene or "").encode() for scene in scenes]
    assert records.scenes.numbers[3] == records.scenes.numbers[4] == -1
    assert records.groups.tolist() == [str(number // 10).encode() for number in range(50)]


def test_a_list_of_spaces_may_be_named_csv(tmp_path):
    assert listed(read_list(csv_list(tmp_path, "a.mp4 1\nb.mp4 0\n"), "/r")) == [[b"a.mp4", b"b.mp4"], [1, 0], [0, 0]]


@pytest.mark.parametrize("name", ["list.csv", "list.parquet", "list.txt"])
def test_written_records_are_read_back_whatever_the_bytes_of_a_name(tmp_path, name):
    odd = os.fsdecode(b"caf\xe9/\xff 1.avi")
    names = Names(np.array([1, -1], np.int32), TextColumn.of([b"a", b"b"]))
    records = make_records("/r", [odd, "b.mp4"], [2, 0], [9, 8])
    records = type(records)(records.root, *listed_columns(records), scenes=names, groups=None)
    write_records(tmp_path / name, records)
    again = read_list(tmp_path / name, "/r")
    assert listed(again) == listed(records)
    assert again.path(0) == f"/r/{odd}"
    assert name == "list.txt" or again.scenes.tolist() == [b"b", b""]
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("last", [b"caf\xe9.mp4", b"z.mp4"])
def test_a_table_that_is_written_some_rows_at_a_time_is_the_one_that_is_written_at_once(tmp_path, monkeypatch, last):
    monkeypatch.setattr(list_tables, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(list_tables, "GROUP", 6)
    paths = [f"{number}.mp4".encode() for number in range(16)] + [last]
    scenes = Names(np.arange(17, dtype=np.int32) % 4 - 1, TextColumn.of([b"hall", b"park", b"street"]))
    records = replace(make_records("", paths, range(17), [9] * 17), scenes=scenes)
    kept = np.arange(17) != 5
    write_records(tmp_path / "list.parquet", records, kept)
    chosen = records.select(np.flatnonzero(kept))
    columns = {"path": chosen.paths.tolist(), "label": chosen.labels, "num_frames": chosen.num_frames}
    table = pa.table(columns | {"scene": chosen.scenes.tolist()})
    kinds = {"path": pa.binary() if last.startswith(b"caf") else pa.string(), "scene": pa.string()}
    table = table.cast(pa.schema([(name, kinds.get(name, pa.int64())) for name in table.column_names]))
    parquet.write_table(table, tmp_path / "at_once.parquet", row_group_size=6)
    assert (tmp_path / "list.parquet").read_bytes() == (tmp_path / "at_once.parquet").read_bytes()


def listed_columns(records):
    return records.paths, records.labels, records.num_frames


WRONG = {
    "path,class\na,1\n": r"train.csv: expected columns path, label .*, got path, class",
    "path,label,label\na,1,1\n": r"train.csv: expected columns path, label .*, got label twice",
    "path,label\n": r"train.csv: expected at least one row of path, label, got an empty table",
    "path,label\na,1\n,2\n": r"train.csv: row 2: expected a path, got none",
    "path,label\na,1\nb,\n": r"train.csv: row 2: expected a label, got none",
    "path,label\na,-1\n": r"train.csv: row 1: expected a label from 0 on, got -1",
    "path,label\na,1\nb,running\n": r"train.csv: expected columns .*Row #3: .*'running'",
    "path,label\na,1\nb,2,3\n": r"train.csv: expected columns .*Row #3: Expected 2 columns, got 3",
    "path,label\na,1\nb,2\nx/../a,2\n./b,3\n": r"train.csv:4: .* got 3 for './b', which has 2 on line 2",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_table_is_said_in_one_line(tmp_path, text):
    with pytest.raises(ValueError, match=WRONG[text]) as raised:
        read_list(csv_list(tmp_path, text), "")
    assert "\n" not in str(raised.value)


def test_a_path_with_a_line_break_and_a_file_that_is_no_parquet_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"train.parquet: row 2: expected a path without line breaks, got 'b\\nc'"):
        read_list(of_parquet(tmp_path, {"path": ["a", "b\nc"], "label": [1, 2]}), "")
    write_list(tmp_path / "train.parquet", [("a", 1)])
    with pytest.raises(ValueError, match=r"train.parquet: expected columns path, label .*, got an error: Parquet"):
        read_list(tmp_path / "train.parquet", "")


def test_without_pyarrow_a_table_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"expected the package pyarrow, got none\. .*tbe-video\[tables\]"):
        read_list(csv_list(tmp_path, CSV), "")


def test_scenes_and_groups_of_columns_are_those_of_the_source(tmp_path):
    csv_list(tmp_path, CSV)
    csv_list(tmp_path, "path,label,scene,group\nf.mp4,0,beach,bob\ng.mp4,1,park,eve\n", "test.csv")
    splits = {"train": "train.csv", "test": "test.csv"}
    source = VideoLists("lists", str(tmp_path), splits, num_classes=2, val_share=0)
    assert source.labelings()["scene"].class_names == ["beach", "park", "street"]
    assert [source.scenes(split).tolist() for split in splits] == [[1, 2, 1], [0, 1]]
    assert [source.groups(split).tolist() for split in splits] == [[1, 0, 0], [0, 1]]
    assert source.labelings()["scene"].records("test").labels.tolist() == [0, 1]
    held = VideoLists("lists", str(tmp_path), splits, num_classes=2, val_share=0.5)
    assert held.scenes("val").tolist() == [1]
    csv_list(tmp_path, "path,label,scene\nf.mp4,0,beach\ng.mp4,1,\n", "test.csv")
    with pytest.raises(ValueError, match=r"the scene of each video of test in the column scene .* none of 'g.mp4'"):
        source.scenes("test")
    assert source.groups("test") is None
