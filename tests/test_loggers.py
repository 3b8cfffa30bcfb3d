import csv

from tbe.loggers import CsvLogger


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


def test_a_resumed_run_goes_on_with_its_file(tmp_path):
    first = CsvLogger(tmp_path)
    for step in range(6):
        first.log_metrics({"a": step}, step)
    first.finalize("failed")
    second = CsvLogger(tmp_path)  # the checkpoint was written at step 4
    for step in (4, 5, 6):
        second.log_metrics({"a": 10 * step, "b": 1}, step)
    second.finalize("success")
    assert [float(row["a"]) for row in rows(tmp_path)] == [0, 1, 2, 3, 40, 50, 60]
