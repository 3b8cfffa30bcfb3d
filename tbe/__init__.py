"""Self-supervised video representations that look at the motion, not at the background.

The Python API: `load` a trained backbone, `embed` videos with it, `audit` any model for background bias, `push` an
exported backbone to a Hub, `build` anything that has a config, and distract clips in a training loop of your own. Each
name is imported when it is first used: `import tbe` takes milliseconds.

The letters that docstrings use for the axes of a tensor:

    B  videos of a batch          D  dimensions of an embedding
    N  clips of a video           F  features of a backbone
    C  channels                   K  negatives of a query
    T  frames of a clip           H, W  height and width in pixels
    V  videos, of all batches
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Before torch is loaded: threads that spin while they wait take the cores that the workers decode with
# (on two cores a step took three times as long).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from tbe.api.audit import audit
    from tbe.api.build import build
    from tbe.api.embed import embed
    from tbe.api.hub import Pretrained, push
    from tbe.api.load import load
    from tbe.api.mteb import for_mteb
    from tbe.backbones.preprocessing import Preprocessing
    from tbe.data.readers.base import DecodeError
    from tbe.erasing import BackgroundErasing, InterVideoErasing

__version__ = "0.1.0"
__all__ = [
    "BackgroundErasing",
    "DecodeError",
    "InterVideoErasing",
    "Preprocessing",
    "Pretrained",
    "__version__",
    "audit",
    "build",
    "embed",
    "for_mteb",
    "load",
    "push",
]

_MODULES = {
    "BackgroundErasing": "tbe.erasing",
    "DecodeError": "tbe.data.readers.base",
    "InterVideoErasing": "tbe.erasing",
    "Preprocessing": "tbe.backbones.preprocessing",
    "Pretrained": "tbe.api.hub",
    "audit": "tbe.api.audit",
    "build": "tbe.api.build",
    "embed": "tbe.api.embed",
    "for_mteb": "tbe.api.mteb",
    "load": "tbe.api.load",
    "push": "tbe.api.hub",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return list(__all__)
