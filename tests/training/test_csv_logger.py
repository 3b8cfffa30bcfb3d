import csv
import os
import resource

import pytest

from tbe.training.csv_logger import CsvLogger


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_new_metrics_become_new_columns_and_no_row_is_lost(tmp_path):
    logger = CsvLogger(tmp_path, flush_every=2)
    for step in range(5):
        logger.log_metrics({"train/loss": step / 2, **({"val/top1": 7.0} if step == 3 else {})}, step)
    logger.finalize("success")
    assert [float(row["train/loss"]) for row in rows(tmp_path)] == [0, 0.5, 1, 1.5, 2]
    assert [row["val/top1"] for row in rows(tmp_path)] == ["", "", "", "7.0", ""]


def test_a_resumed_run_continues_its_file(tmp_path):
    first = CsvLogger(tmp_path)
    for step in range(6):
        first.log_metrics({"a": step}, step)
    first.finalize("failed")
    second = CsvLogger(tmp_path)  # the checkpoint was written at step 4
    for step in (4, 5, 6):
        second.log_metrics({"a": 10 * step, "b": 1}, step)
    second.finalize("success")
    assert [float(row["a"]) for row in rows(tmp_path)] == [0, 1, 2, 3, 40, 50, 60]


def test_rows_are_in_the_table_when_a_checkpoint_is_saved(tmp_path):
    logger = CsvLogger(tmp_path)
    logger.log_metrics({"val/top1": 1.0}, 3)
    assert not (tmp_path / "metrics.csv").exists()
    logger.after_save_checkpoint(None)
    assert len(rows(tmp_path)) == 1


def written(folder):
    """A logger that has written a table, and what that holds."""
    logger = CsvLogger(folder, flush_every=1)
    for step in range(3):
        logger.log_metrics({"a": step}, step)
    return logger, (folder / "metrics.csv").read_bytes()


@pytest.mark.parametrize(("metrics", "resumes"), [({"b": 1.0}, False), ({"a": 1.0}, True)])
def test_a_run_that_ends_while_it_writes_the_table_anew_leaves_the_old_one(tmp_path, monkeypatch, metrics, resumes):
    """For a new column, and for a run that resumes."""
    logger, before = written(tmp_path)

    def killed(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        (CsvLogger(tmp_path) if resumes else logger).log_metrics(metrics, 2)
    assert (tmp_path / "metrics.csv").read_bytes() == before


@pytest.mark.parametrize("metrics", [{"a": 0.123456}, {"a": 0.123456, "b": 1.0}])
def test_a_full_disk_costs_no_row_that_was_written_and_writes_none_twice(tmp_path, metrics):
    logger, before = written(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 4, limits[1]))  # larger files fail as on a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            logger.log_metrics(metrics, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "metrics.csv").read_bytes() == before
    logger.finalize("failed")
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "2", "3"]
    assert {name: float(rows(tmp_path)[-1][name]) for name in metrics} == metrics


def test_a_part_of_a_last_line_is_dropped_by_the_run_that_resumes(tmp_path):
    _, before = written(tmp_path)
    (tmp_path / "metrics.csv").write_bytes(before + b",1")  # of step 17
    second = CsvLogger(tmp_path, flush_every=1)
    second.log_metrics({"a": 7}, 3)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "2", "3"]
