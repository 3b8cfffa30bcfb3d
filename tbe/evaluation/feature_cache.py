"""Caches features on disk, so that later tasks on the same network and videos reuse them."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tbe.data.sources.records import Records
from tbe.distributed import rank
from tbe.errors import first_line
from tbe.evaluation.features import Features
from tbe.evaluation.perturbations import Perturbation
from tbe.runs import replacing

log = logging.getLogger(__name__)

NUM_FILES = 64  # videos of a split whose size and modification time are checked


@dataclass(frozen=True)
class FeatureCache:
    """Stores features of one network under one protocol, in files named by a hash of everything they depend on.

    folder: of the files, which may be deleted at any time. network: `weights_digest` of the backbone; protocol: plain
    types: data, clips, reader, augmentation, precision, versions, ... If a folder can't be written or a file can't be
    read, the features are computed again, with a warning.
    """

    folder: Path
    network: str
    protocol: dict[str, Any]
    _refused: list[OSError] = field(
        default_factory=list, repr=False, compare=False
    )  # the error after which nothing more is written

    def file(
        self, records: Records, split: str, perturbation: Perturbation, per_clip: bool, masks: list | None = None
    ) -> Path:
        """Returns the file of these features; its name changes when a list, or a checked video, changes.

        masks: what changes with the masks that the perturbation looks at, as plain types; None if it has none.
        """
        known = [self.network, self.protocol, split, repr(perturbation), per_clip, _seen(records)]
        known += [] if masks is None else [masks]
        digest = hashlib.blake2b(json.dumps(known, sort_keys=True).encode(), digest_size=16)
        for column in (records.paths, records.labels):
            digest.update(column.tobytes())
        return self.folder / f"{digest.hexdigest()}.npz"

    def read(self, file: Path) -> Features | None:
        """Returns the features in the file; None if it is missing or unreadable."""
        try:
            with np.load(file) as arrays:
                return Features(torch.from_numpy(arrays["vectors"]), torch.from_numpy(arrays["labels"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:  # corrupt bytes raise various errors of zip, NumPy and the system
            if rank() == 0:
                log.warning("%s: can't read the features (%s), computing them again", file, first_line(error))
            return None

    def write(self, file: Path, found: Features) -> None:
        """Writes the file atomically on the first process; after a failure warns and writes nothing more."""
        if rank() or self._refused:
            return
        try:
            with replacing(file) as part, part.open("wb") as out:
                np.savez(out, vectors=found.vectors.numpy(), labels=found.labels.numpy())
        except OSError as error:
            self._refused.append(error)
            log.warning(
                "cache=%s: expected a writable folder, got %s. Features are not cached; set cache=<folder>, or "
                "cache=null for no cache",
                self.folder,
                error,
            )


def weights_digest(network: nn.Module) -> str:
    """Returns a hash of the structure and all weights of a network."""
    digest = hashlib.blake2b(repr(network).encode(), digest_size=16)
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _seen(records: Records) -> list[tuple[int, ...]]:
    """Returns the versions of some of the videos."""
    some = np.unique(np.linspace(0, len(records) - 1, NUM_FILES).round().astype(int))[: len(records)]
    versions = map(records.version, some.tolist())
    return [version for version in versions if version is not None]
