"""Shards of small videos, made by the command without processes of its own."""

from unittest.mock import patch

import tbe.prepare.__main__ as prepare
from tbe.prepare.common import work
from tests.prepare.composites import in_this_process

SMALL = "0.00002"  # GB: few of the small videos of the tests fit into a shard


def make_shards(root, out, *options, lists=("train.txt", "test.txt")):
    """Runs `python -m tbe.prepare shards` in this process; returns the folder of the shards."""
    options = ["--root", root, "--list", *(root / name for name in lists), "--out", out, "--size", SMALL, *options]
    with patch.object(work, "call_in_processes", in_this_process):
        prepare.main(["shards", *map(str, options)])
    return out
