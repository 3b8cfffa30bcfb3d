import random
from typing import NamedTuple

import pytest

from tbe.data.sources import text_columns
from tbe.prepare.common import report as report_module
from tbe.prepare.common import row_columns
from tbe.prepare.common.path_column import PathColumn
from tbe.prepare.common.report import Report


class Measured(NamedTuple):
    path: str
    status: str
    motion: float = 0.0
    pairs: int = 0
    reason: str = ""


def test_rows_are_kept_with_their_types(tmp_path):
    Report(tmp_path / "new" / "r.csv", Measured).add(Measured("a, b.avi", "ok", 0.25, 7))
    report = Report(tmp_path / "new" / "r.csv", Measured)
    report.add(Measured("c.avi", "failed", reason="two\n lines" + "x" * 500))
    rows = Report(report.file, Measured).rows
    assert rows["a, b.avi"] == Measured("a, b.avi", "ok", 0.25, 7)
    assert rows["c.avi"].reason.startswith("two lines")
    assert len(rows["c.avi"].reason) == 300


def test_the_last_row_of_a_video_counts(tmp_path):
    report = Report(tmp_path / "r.csv", Measured)
    report.add(Measured("a.avi", "failed"))
    report.forget(lambda row: row.status != "ok")
    assert not report.rows
    report.add(Measured("a.avi", "ok", 1.0, 1))
    assert Report(report.file, Measured).rows["a.avi"].status == "ok"


@pytest.mark.parametrize("bytes_at_once", [2**16, 3])
def test_an_incomplete_last_line_is_dropped(tmp_path, monkeypatch, bytes_at_once):
    monkeypatch.setattr(report_module, "BYTES_AT_ONCE", bytes_at_once)
    report = Report(tmp_path / "r.csv", Measured)
    report.add(Measured("a.avi", "ok", 1.0, 1))
    with open(report.file, "a") as file:
        file.write("b.avi,ok,0.")
    assert list(Report(report.file, Measured).rows) == ["a.avi"]
    assert report.file.read_text().endswith(",1,\n")


def test_two_processes_cannot_share_a_report(tmp_path):
    pytest.importorskip("fcntl")
    one, other = Report(tmp_path / "r.csv", Measured), Report(tmp_path / "r.csv", Measured)
    with one.alone(), pytest.raises(ValueError, match=r"r.csv: expected to be the only process"), other.alone():
        pass
    with other.alone():
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,motion\n", r"r.csv: expected a report of this command \(path,status,motion,pairs,reason\), got"),
        ("path,status,motion,pairs,reason\na,ok,much,2,\n", r"r.csv:2: expected path,status,motion"),
        ("path,status,motion,pairs,reason\na,fine,1,2,\n", r"r.csv:2: expected path,status,motion"),
        ("path,status,motion,pairs,reason\na,ok,1\n", r"r.csv:2: expected path,status,motion"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, content, message):
    (tmp_path / "r.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        Report(tmp_path / "r.csv", Measured)


def drawn_rows(rng, names):
    values = [(0.0, 0), (1.5, 7), (-0.1, -3), (2e300, 2**40), (float("inf"), 2**63), (0.1, 300)]
    for name in rng.choices(names, k=60):
        status = rng.choice(["ok", "failed"])
        yield Measured(name, status, *rng.choice(values), rng.choice(["", "two, three", "caf\udce9"]))


def test_rows_of_known_videos_kept_as_columns_are_those_that_are_kept_one_by_one(tmp_path, monkeypatch):
    rng = random.Random(0)
    for module in (row_columns, text_columns):
        monkeypatch.setattr(module, "CHUNK", 5)
    names = [f"{number}/\u00e9 {number}.avi" for number in range(30)]
    for part in ("one", "two"):
        report = Report(tmp_path / f"{part}.csv", Measured)
        for row in drawn_rows(rng, [*names, "of another list.avi"]):
            report.add(row)
    whole = Report(tmp_path / "one.csv", Measured)
    columns = Report(tmp_path / "one.csv", Measured, PathColumn.of(names))
    for report in (whole, columns):
        report.include(tmp_path / "two.csv")
        report.forget(lambda row: row.pairs == -3)
    known = [name for name in names if name in whole.rows]
    assert 10 < len(known) < 30
    assert list(columns) == [whole.rows[name] for name in known]
    shuffled = rng.sample(known, k=len(known))
    assert list(columns.rows_of(shuffled)) == list(whole.rows_of(shuffled))
    assert list(columns.has([*names, "none"])) == list(whole.has([*names, "none"]))
    assert list(columns.has(PathColumn.of(names)[3:9])) == list(whole.has(names[3:9]))
    with pytest.raises(KeyError):
        list(columns.rows_of(names))
    for report, name in ((whole, "whole"), (columns, "columns")):
        report.file = tmp_path / f"{name}.csv"
        report.rewrite(shuffled)
    assert (tmp_path / "columns.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
