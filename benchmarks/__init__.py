"""Benchmarks of speed and of the effects of faults, run manually from the repository's root."""

import tbe  # noqa: F401 - sets how torch's threads wait, before torch is imported
