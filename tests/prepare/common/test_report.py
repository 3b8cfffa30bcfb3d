from typing import NamedTuple

import pytest

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


def test_an_incomplete_last_line_is_dropped(tmp_path):
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
