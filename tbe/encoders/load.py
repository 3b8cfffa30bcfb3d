"""Loads an encoder by name: of this project, or of a library."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection
from typing import Any

from tbe import runs as folders
from tbe.encoders.base import Encoder
from tbe.encoders.callables import load_callable
from tbe.encoders.huggingface import load_huggingface
from tbe.encoders.names import Settings
from tbe.encoders.own import load_own
from tbe.encoders.timm import load_timm
from tbe.encoders.torchvision import load_torchvision
from tbe.errors import UserError

log = logging.getLogger(__name__)

LOADERS: dict[str, Callable[..., Encoder]] = {
    "hf": load_huggingface,
    "torchvision": load_torchvision,
    "timm": load_timm,
}
CALLABLE = re.compile(r"[A-Za-z_][\w.]+:[A-Za-z_]\w*")  # more than a letter before the colon: that is a drive


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

    name: a checkpoint, a run or 'latest' as in `tbe.load`; `torchvision:<name>[@<weights>]` and
    `timm:<name>[@<weights>]`, with a file, 'random', or nothing for the library's own weights;
    `hf:<folder or Hub id>[@random]`; `<module>:<function>` of a package that is trusted (see TBE_PACKAGES).
    pool: the readout; None: that of the model's own library. min_matched: the fraction of the encoder's tensors that
    the weights must provide. allow: patterns (fnmatch) of tensors that may be missing all the same, of transformers and
    timm. trust_remote_code: whether code of a Hub repository may run. options: of the spec, such as num_frames,
    frame_stride and size, or of the family. Raises UserError for an unknown name, and for weights that lack tensors of
    the encoder or have them in another shape, with the counts.
    """
    if not 0 <= min_matched <= 1:
        raise UserError(f"load_encoder: expected min_matched between 0 and 1, got {min_matched}")
    encoder = _load(name, Settings(pool, min_matched, tuple(allow), trust_remote_code), runs, options).eval()
    log.log(logging.WARNING if encoder.report.is_random else logging.INFO, "%s: %s", name, encoder.report)
    return encoder


def _load(name: str, settings: Settings, runs: str | os.PathLike | None, options: dict[str, Any]) -> Encoder:
    kind, _, rest = name.partition(":")
    if kind in LOADERS:
        return LOADERS[kind](name, rest, settings, **options)
    if is_function_name(name):
        return load_callable(name, settings, **options)
    root = os.environ.get("TBE_RUNS", "runs") if runs is None else runs
    path = str(folders.find(name, root))
    return load_own(name, path, settings, **options)


def is_encoder_name(name: str) -> bool:
    """Returns whether a name is that of a library's encoder rather than a checkpoint's."""
    return name.partition(":")[0] in LOADERS or is_function_name(name)


def is_function_name(name: str) -> bool:
    """Returns whether a name is that of a function of another package, `<module>:<function>`."""
    is_library = name.partition(":")[0] in LOADERS
    return not is_library and CALLABLE.fullmatch(name) is not None and not os.path.exists(name)
