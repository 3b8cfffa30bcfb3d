"""What one task fails at costs the numbers of no other."""

import json
from types import SimpleNamespace

import pytest

from tbe.errors import UserError
from tbe.evaluation.tasks.knn import Knn
from tbe.launch.task_runner import NOT_YET, TaskRunner, TasksFailed
from tbe.training.callbacks.preemption import Interrupted


def task(outcome):
    def run(evaluation):
        if isinstance(outcome, Exception):
            raise outcome
        return {outcome: 1.0}

    return SimpleNamespace(run=run)


def test_the_others_go_on_and_what_is_known_is_handed_over_after_each(tmp_path, caplog):
    outcomes = {
        "a": "a/top1",
        "b": UserError("expected one,\n got none"),
        "c": "c/top1",
        "d": RuntimeError("of a library"),
    }
    runner, kept = TaskRunner({name: task(outcome) for name, outcome in outcomes.items()}, tmp_path), []
    found = runner.run(None, lambda *known: kept.append(tuple(map(dict, known))), "net")
    assert found == {"a/top1": 1, "c/top1": 1}
    why = f"RuntimeError: of a library (its traceback: {tmp_path}/error.log)"
    of_b = {"b of net": "expected one, got none"}
    assert kept == [
        ({"a/top1": 1}, {"b of net": NOT_YET, "c of net": NOT_YET, "d of net": NOT_YET}),
        ({"a/top1": 1}, {"c of net": NOT_YET, "d of net": NOT_YET, **of_b}),
        (found, {"d of net": NOT_YET, **of_b}),
        (found, {**of_b, "d of net": why}),
    ]
    said = [record.getMessage() for record in caplog.records]
    assert said == ["b of net failed: expected one, got none", f"d of net failed: {why}"]
    assert "of a library" in (tmp_path / "error.log").read_text()
    with pytest.raises(
        TasksFailed, match=r"2 of 4 tasks failed.*: b of net: expected one, got none; d of net: Runtime"
    ):
        runner.check()


@pytest.mark.parametrize("num_tasks", [1, 3])
def test_where_all_fail_alike_it_is_that_error(tmp_path, num_tasks):
    error = FileNotFoundError("no such list")
    runner = TaskRunner({str(number): task(error) for number in range(num_tasks)}, tmp_path)
    assert runner.run(None, lambda *_: None) == {}
    with pytest.raises(FileNotFoundError, match="no such list"):
        runner.check()
    TaskRunner({}, tmp_path).check()


def test_a_request_to_stop_and_ctrl_c_are_no_failures(tmp_path):
    for stop in (Interrupted("last.ckpt"), KeyboardInterrupt()):
        with pytest.raises(type(stop)), TaskRunner({}, tmp_path).attempt("a"):
            raise stop


def failing(*_):
    raise RuntimeError("of a library")


def test_an_evaluation_keeps_the_other_numbers_and_names_what_failed(evaluate, tmp_path, monkeypatch, capsys):
    from tests.test_eval import SMALL, UNTRAINED

    asked = ["task=[test,knn,robustness]", *UNTRAINED, "data=biased_scenes", *SMALL[:7], "tasks.robustness.weights=[]"]
    monkeypatch.setattr("tbe.evaluation.tasks.robustness.task._measures", failing)
    with pytest.raises(
        TasksFailed, match=r"^2 of 3 tasks failed.*: test of random init: .*; robustness of random init"
    ):
        evaluate(*asked)
    folder = tmp_path / "runs" / "evaluation"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics.keys() == {"knn/top1", "protocol"}
    assert metrics["protocol"]["unmeasured"].keys() == {"test of random init", "robustness of random init"}
    assert "of a library" in (folder / "error.log").read_text()
    assert capsys.readouterr().out.strip().splitlines()[-1] == f"run: {folder}"


def test_a_training_is_written_down_whatever_its_closing_tasks_do(train, tmp_path, monkeypatch):
    from tbe import runs

    monkeypatch.setattr(Knn, "run", failing)
    with pytest.raises(TasksFailed, match=r"1 of 2 tasks failed.*: knn: RuntimeError"):
        train("task=[knn,features]", "evaluation.splits=[test]", "epochs=1")
    file = tmp_path / "runs" / "run" / "metrics.json"
    metrics = json.loads(file.read_text())
    assert {"train/loss", "features/test_videos"} <= metrics.keys()
    assert list(metrics["protocol"]["unmeasured"]) == ["knn"]
    assert not runs.is_complete(file)
