"""Self-supervised video representations that look at the motion, not at the background.

The letters that docstrings use for the axes of a tensor:

    B  videos of a batch          D  dimensions of an embedding
    N  clips of a video           F  features of a backbone
    C  channels                   K  negatives of a query
    T  frames of a clip           H, W  height and width in pixels
"""

import os

# Before torch is loaded: threads that spin while they wait take the cores that the workers decode with
# (on two cores a step took three times as long).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tbe.erasing import BackgroundErasing

__version__ = "0.1.0"
__all__ = ["BackgroundErasing", "__version__"]
