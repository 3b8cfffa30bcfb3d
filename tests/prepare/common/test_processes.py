import os
import sys
import time
from functools import partial

import pytest

from tbe.prepare.common.processes import call_in_processes


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_call_that_hangs_is_stopped_at_the_time_limit(tmp_path):
    os.mkfifo(tmp_path / "hangs")  # opening it waits for ever
    (tmp_path / "there").touch()
    started = time.monotonic()
    paths = [str(tmp_path / name) for name in ("hangs", "there", "gone")]
    open_file = partial(os.open, flags=os.O_RDONLY)
    statuses = {item: status for item, status, _, _ in call_in_processes(open_file, paths, 1, 1.5)}
    assert [statuses[path] for path in paths] == ["timeout", "ok", "failed"]
    assert time.monotonic() - started < 60


def crash(item):
    sys.exit(item)


def test_a_process_that_crashes_is_replaced():
    outcomes = list(call_in_processes(crash, ["one", "two", "three"], 2, 60))
    assert sorted(outcome.item for outcome in outcomes) == ["one", "three", "two"]
    assert {(outcome.status, outcome.reason) for outcome in outcomes} == {
        ("crashed", "the process ended with exit code 1")
    }


def test_every_item_has_one_outcome():
    outcomes = list(call_in_processes(int, [*map(str, range(50)), "x"], 3, 60))
    assert sorted(outcome.value for outcome in outcomes if outcome.status == "ok") == list(range(50))
    assert [outcome.reason for outcome in outcomes if outcome.status == "failed"] == [
        "invalid literal for int() with base 10: 'x'"
    ]


def test_stopping_early_ends_the_processes():
    outcomes = call_in_processes(time.sleep, ["x"] * 3, 2, 60)
    next(outcomes)
    outcomes.close()
    assert list(call_in_processes(int, [], 2, 60)) == []
