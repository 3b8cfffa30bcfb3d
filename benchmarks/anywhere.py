"""Lets benchmarks run anywhere, as soon as it is imported, and before torch is.

The repository is importable on a machine where it is not installed, and `tbe` has said how torch's threads wait, which
torch reads once. `harness` imports it, so a benchmark imports `harness` before torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
found = find_spec("tbe")
if found is None or found.origin is None:  # nowhere, or a folder of that name without the package
    sys.path.insert(0, str(ROOT))
import_module("tbe")
