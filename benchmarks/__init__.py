"""Measurements, run by hand from the repository's root: what is fast, and what faults cost."""

import tbe  # noqa: F401 - says how torch's threads wait, before torch is loaded
