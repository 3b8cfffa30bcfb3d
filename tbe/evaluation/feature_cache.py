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


@dataclass(frozen=True)
class FeatureCache:
    """Stores features of one network under one protocol, in files named by a hash of everything they depend on.

    folder: of the files, which may be deleted at any time. network: `weights_digest` of the backbone; protocol: plain
    types: data, clips, reader, augmentation, precision, versions, ...; seen: what was seen of videos so far, which
    caches of other networks may share. If a folder can't be written or a file can't be read, the features are computed
    again, with a warning.
    """

    folder: Path
    network: str
    protocol: dict[str, Any]
    _refused: list[OSError] = field(
        default_factory=list, repr=False, compare=False
    )  # the error after which nothing more is written
    seen: dict[tuple[str, bytes], str] = field(default_factory=dict, repr=False, compare=False)

    def file(
        self, records: Records, split: str, perturbation: Perturbation, per_clip: bool, masks: list | None = None
    ) -> Path:
        """Returns the file of these features; its name changes with a list, and with a video on disk or in a shard.

        Videos are looked at once. masks: what changes with the masks that the perturbation looks at, as plain types;
        None if it has none.
        """
        known = [self.network, self.protocol, split, repr(perturbation), per_clip, self._versions(records)]
        known += [] if masks is None else [masks]
        digest = hashlib.blake2b(json.dumps(known, sort_keys=True).encode(), digest_size=16)
        for column in (records.paths, records.labels):
            digest.update(column.tobytes())
        return self.folder / f"{digest.hexdigest()}.npz"

    def _versions(self, records: Records) -> str:
        """Returns `Records.digest`, for which all videos are looked at, once."""
        key = records.root, hashlib.blake2b(records.paths.tobytes(), digest_size=16).digest()
        if key not in self.seen:
            self.seen[key] = records.digest()
        return self.seen[key]

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
