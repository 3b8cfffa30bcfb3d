"""Features on disk, so that another task over the same network and videos need not compute them again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tbe.data.sources.records import Records
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.distributed import rank
from tbe.errors import first_line
from tbe.evaluation.features import Features
from tbe.evaluation.perturbations import Perturbation
from tbe.runs import replacing

log = logging.getLogger(__name__)

NUM_FILES = 64  # videos of a split whose size and time of change are looked at


@dataclass(frozen=True)
class FeatureCache:
    """Features of one network under one protocol, in files named by all that they depend on.

    folder: where they lie; any of them may be deleted at any time. network: `weights_digest` of the backbone;
    protocol: plain types: data, clips, reader, augmentation, precision, versions, ... A folder that can't be written,
    and a file that can't be read, cost the time to compute the features again, and a warning.
    """

    folder: Path
    network: str
    protocol: dict[str, Any]
    _refused: list[OSError] = field(default_factory=list, repr=False, compare=False)  # why nothing is written any more

    def file(self, records: Records, split: str, perturbation: Perturbation, per_clip: bool) -> Path:
        """The file of these features. It has another name when a list, or a video looked at, has changed."""
        known = [self.network, self.protocol, split, repr(perturbation), per_clip, _seen(records)]
        digest = hashlib.blake2b(json.dumps(known, sort_keys=True).encode(), digest_size=16)
        for column in (records.paths, records.labels):
            digest.update(column.tobytes())
        return self.folder / f"{digest.hexdigest()}.npz"

    def read(self, file: Path) -> Features | None:
        """What the file holds; None where there is none, or one that can't be read."""
        try:
            with np.load(file) as arrays:
                return Features(torch.from_numpy(arrays["vectors"]), torch.from_numpy(arrays["labels"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:  # torn or changed bytes have many names: zip's, NumPy's, the system's
            if rank() == 0:
                log.warning("%s: features can't be read (%s), they are computed again", file, first_line(error))
            return None

    def write(self, file: Path, found: Features) -> None:
        """Writes the file, whole or not at all, on the first process; after a first failure no more, and says so."""
        if rank() or self._refused:
            return
        try:
            with replacing(file) as part, part.open("wb") as out:
                np.savez(out, vectors=found.vectors.numpy(), labels=found.labels.numpy())
        except OSError as error:
            self._refused.append(error)
            log.warning(
                "cache=%s: expected a folder to keep features in, got %s. They are not kept, and computed again the "
                "next time; set cache=<folder>, or cache=null for none",
                self.folder,
                error,
            )


def weights_digest(network: nn.Module) -> str:
    """A fingerprint of the structure and of all weights of a network."""
    digest = hashlib.blake2b(repr(network).encode(), digest_size=16)
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _seen(records: Records) -> list[tuple[int, int]]:
    """Size and time of change of some of the videos."""
    some = np.unique(np.linspace(0, len(records) - 1, NUM_FILES).round().astype(int))[: len(records)]
    paths = [path_on_disk(records.path(index)) for index in some.tolist()]
    states = [os.stat(path) for path in paths if os.path.exists(path)]
    return [(state.st_size, state.st_mtime_ns) for state in states]
