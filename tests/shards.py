"""Shards of small videos, made by the command without processes of its own."""

from unittest.mock import patch

import tbe.prepare.__main__ as prepare
from tbe.prepare.common import work
from tbe.prepare.common.processes import Outcome

SMALL = "0.00002"  # GB: few of the small videos of the tests fit into a shard


def make_shards(root, out, *options, lists=("train.txt", "test.txt")):
    """Runs `python -m tbe.prepare shards` in this process; returns the folder of the shards."""
    options = ["--root", root, "--list", *(root / name for name in lists), "--out", out, "--size", SMALL, *options]
    with patch.object(work, "call_in_processes", one_by_one):
        prepare.main(["shards", *map(str, options)])
    return out


def one_by_one(function, items, num_workers, timeout):
    """What calls in processes yield, of calls in this one."""
    for item in items:
        try:
            outcome = Outcome(item, "ok", function(item))
        except Exception as error:
            outcome = Outcome(item, "failed", reason=str(error))
        yield outcome
