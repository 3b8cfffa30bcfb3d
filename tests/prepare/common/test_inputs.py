from argparse import Namespace

import pytest

from tbe.prepare.common.inputs import check_same, with_inputs
from tbe.prepare.common.making import MadeRow
from tbe.prepare.common.report import Report


def test_what_was_made_of_another_folder_is_not_taken_for_a_video_of_the_same_name(tmp_path):
    report = Report(tmp_path / "report.csv", MadeRow)
    train, val = (with_inputs("crf=23", Namespace(root=tmp_path / name, masks=None)) for name in ("train", "val"))
    report.add(MadeRow("run/1.mp4", "ok", 9, 8, 8, train))
    report.add(MadeRow("run/2.mp4", "ok", 9, 8, 8, "crf=23"))  # of an earlier version
    check_same(report, train, ["run/1.mp4"])
    check_same(report, val, ["run/2.mp4", "run/3.mp4"])
    with pytest.raises(ValueError, match="of root=val, got 1 .* made of root=train, such as 'run/1.mp4'"):
        check_same(report, val, ["run/2.mp4", "run/1.mp4"])
    with pytest.raises(ValueError, match="expected a report of a run with crf=9, got one with crf=23: change --out"):
        check_same(report, train.replace("23", "9"), [])
