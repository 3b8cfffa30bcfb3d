"""Loads an encoder by name: of this project, or of a library."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import Any

from tbe import runs as folders
from tbe.encoders.base import Encoder
from tbe.encoders.own import load_own
from tbe.encoders.torchvision import load_torchvision
from tbe.errors import UserError

LOADERS: dict[str, Callable[..., Encoder]] = {
    "torchvision": load_torchvision,
}
FORMS = (
    "a file or run of this project, 'latest', torchvision:<name>[@<weights>], hf:<folder or id>, "
    "timm:<name>[@<weights>] or <module>:<function>"
)


def load_encoder(
    name: str,
    *,
    pool: str | None = None,
    allow: Collection[str] = (),
    trust_remote_code: bool = False,
    min_matched: float = 1.0,
    runs: str | os.PathLike | None = None,
    **options: Any,
) -> Encoder:
    """Returns the encoder of a name, in eval mode on the CPU.

    name: a checkpoint, a run or 'latest' as in `tbe.load`; `torchvision:<name>@<weights>` with a file, a name of
    torchvision's weights or 'random'.
    pool: the readout; None: that of the model's own library. min_matched: the fraction of the encoder's tensors that
    the weights must provide. allow: patterns (fnmatch) of tensors that may be missing all the same.
    trust_remote_code: whether code of a Hub repository may run. options: of the spec, such as num_frames, frame_stride
    and size, or of the family. Raises UserError for an unknown name, and for weights that lack tensors of the encoder
    or have them in another shape, with the counts.
    """
    if not 0 <= min_matched <= 1:
        raise UserError(f"load_encoder: expected min_matched between 0 and 1, got {min_matched}")
    kind, _, rest = name.partition(":")
    if kind in LOADERS:
        strictness = {"allow": tuple(allow), "min_matched": min_matched, "trust_remote_code": trust_remote_code}
        return LOADERS[kind](name, rest, pool=pool, **strictness, **options).eval()
    root = os.environ.get("TBE_RUNS", "runs") if runs is None else runs
    path = str(folders.find(name, root))
    return load_own(name, path, pool=pool, min_matched=min_matched, **options).eval()


def is_encoder_name(name: str) -> bool:
    """Returns whether a name is that of a library's encoder rather than a checkpoint's."""
    return name.partition(":")[0] in LOADERS
