import argparse
from typing import NamedTuple

import pytest

from tbe.prepare.common import work
from tbe.prepare.common.processes import Outcome
from tbe.prepare.common.report import Report


class Row(NamedTuple):
    path: str
    status: str
    number: int = 0
    reason: str = ""


def row_of(outcome):
    return Row(outcome.item, outcome.status, outcome.value or 0, outcome.reason)


@pytest.fixture
def through(tmp_path):
    """through(["1", ...]) processes these numbers and returns the rows of the report."""

    def start(paths, **options):
        report = Report(tmp_path / "report.csv", Row)
        chosen = argparse.Namespace(**{"workers": 2, "timeout": 60, "retry": False, **options})
        work.work_through("counting", paths, report, int, row_of, chosen)
        return report.rows

    return start


def test_videos_in_the_report_are_not_processed_again(through, tmp_path, capsys):
    assert through(["1", "x"])["x"].reason == "invalid literal for int() with base 10: 'x'"
    assert "x: failed: invalid literal" in capsys.readouterr().out
    rows = through(["1", "x", "2", "2"])
    assert [rows[path].number for path in ("1", "2")] == [1, 2]
    assert len((tmp_path / "report.csv").read_text().splitlines()) == 4
    through(["1", "x"], retry=True)
    assert len((tmp_path / "report.csv").read_text().splitlines()) == 5


def test_ctrl_c_keeps_the_report_and_says_how_to_continue(through, monkeypatch, capsys, tmp_path):
    def interrupted(function, items, num_workers, timeout):
        yield Outcome("1", "ok", 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(work, "call_in_processes", interrupted)
    with pytest.raises(SystemExit) as stopped:
        through(["1", "2"])
    assert stopped.value.code == 130
    assert "report.csv is kept: run the same command again to continue" in capsys.readouterr().err
    assert (tmp_path / "report.csv").read_text() == "path,status,number,reason\n1,ok,1,\n"
