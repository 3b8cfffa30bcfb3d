"""Export task: writes a network, verifies the files, and describes them on a card."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn

from tbe.errors import UserError
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.export.card import clip_shape, describe, write_card
from tbe.evaluation.tasks.export.formats import FORMATS, SIZES, Network, check_formats, trace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Export:
    """Exports a network for use without this project, below `export/<name of the checkpoint>`.

    `backbone.*` maps clips to features; `classifier.*` maps clips to logits, if the checkpoint has a trained head.
    safetensors contains only weights, the other formats also the network. Each file is read back and compared with the
    network on random clips; if outputs differ by more than `tolerance` times the largest output, the file is deleted
    and UserError raised. `card.json` and `README.md` describe inputs, outputs, the origin of the weights and how to
    load each file. The folder is what `tbe.load` and `tbe.push` take. Reads no video.

    audit: a folder of audits of this model (`task=audit`), whose numbers the card gets; None for those of the same
    evaluation, if there are any. dynamic_sizes: those of frames, height and width that may vary in a traced network,
    besides the batch.
    The metrics `export/<format>_max_error` are the largest absolute differences.
    """

    formats: Sequence[str] = ("safetensors", "torch_export")
    dynamic_sizes: Sequence[str] = ()
    tolerance: float = 1e-4
    audit: str | None = None

    def __post_init__(self) -> None:
        check_formats(self.formats)
        if not SIZES.keys() >= set(self.dynamic_sizes):
            raise UserError(
                f"tasks.export.dynamic_sizes: expected some of {', '.join(SIZES)}, got {list(self.dynamic_sizes)}"
            )

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        # Not tbe.distributed.rank(): before a loader has run, processes are not connected yet.
        if rank_zero_only.rank != 0:  # type: ignore[attr-defined]  # Lightning sets it later
            return {}
        backbone = evaluation.require_backbone("export")
        folder = evaluation.folder / "export" / evaluation.name
        folder.mkdir(parents=True, exist_ok=True)
        probes = random_clips(clip_shape(evaluation), self.dynamic_sizes)
        files = self.write("backbone", backbone, folder, probes)
        if evaluation.classifier is not None:
            files |= self.write("classifier", evaluation.classifier, folder, probes)
        checked = {"tolerance": self.tolerance, "checked_on": [list(clips.shape) for clips in probes]}
        card = describe(evaluation, self.dynamic_sizes) | checked | {"files": files, "audits": self._audits(evaluation)}
        write_card(card, folder)
        log.info("export: %s", folder)
        return {
            f"export/{name}_max_error": max(file["max_error"] for file in files.values() if file["format"] == name)
            for name in self.formats
        }

    def _audits(self, evaluation: Evaluation) -> list[dict[str, Any]]:
        """Returns the records of the audits of this model; raises UserError for a folder without any."""
        folder = evaluation.folder / "audit" / evaluation.name if self.audit is None else Path(self.audit)
        found = {file: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.rglob("audit.json"))}
        if self.audit is None:
            return list(found.values())
        own = [record for file, record in found.items() if _is_of(evaluation.origin, record, file)]
        if not own:
            others = ", ".join(dict.fromkeys(str(record["about"]["model"]) for record in found.values()))
            got = f"those of {others}, with other weights" if found else "none below it"
            raise UserError(
                f"tasks.export.audit={folder}: expected a folder with audits (audit.json) of {evaluation.name}, got "
                f"{got}"
            )
        return own

    @torch.no_grad()
    def write(self, name: str, network: nn.Module, folder: Path, probes: list[Tensor]) -> dict[str, dict[str, Any]]:
        """Writes and verifies one network in all formats; returns the card entries by file name."""
        network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
        expected = [network(clips) for clips in probes]
        wants_trace = any(FORMATS[chosen].traced for chosen in self.formats)
        traced = trace(network, probes, self.dynamic_sizes) if wants_trace else None
        written = {}
        for chosen in self.formats:
            form = FORMATS[chosen]
            file = folder / f"{name}.{form.suffix}"
            form.write(network, traced, file)
            written[file.name] = {
                "network": name,
                "format": chosen,
                "max_error": self._check(file, form.read(file, network), probes, expected),
                "largest_output": max(float(vectors.abs().max()) for vectors in expected),
                "bytes": file.stat().st_size,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            }
        return written

    def _check(self, file: Path, exported: Network, probes: list[Tensor], expected: list[Tensor]) -> float:
        """Returns the largest absolute difference from the expected outputs; raises UserError above the tolerance."""
        largest = 0.0
        for clips, vectors in zip(probes, expected, strict=True):
            error, scale = float((exported(clips) - vectors).abs().max()), float(vectors.abs().max())
            if not error <= self.tolerance * scale:  # also true for nan
                file.unlink()
                raise UserError(
                    f"{file}: expected outputs within {self.tolerance:g} of the network's, relative to its largest "
                    f"({scale:.3g}), got a difference of {error:.3g} for clips {tuple(clips.shape)}: file deleted"
                )
            largest = max(largest, error)
        return largest


def random_clips(shape: tuple[int, ...], dynamic_sizes: Sequence[str]) -> list[Tensor]:
    """Returns clips (B, C, T, H, W) for tracing (the first) and comparing, some with larger dynamic sizes."""
    generator = torch.Generator().manual_seed(0)
    larger = list(shape)
    for size in dynamic_sizes:
        larger[SIZES[size] - 1] += shape[1] // 2 if size == "frames" else 32
    return [torch.randn(batch, *sizes, generator=generator) for batch, sizes in ((2, shape), (1, shape), (3, larger))]


def _is_of(origin: Any, record: dict[str, Any], file: Path) -> bool:
    """Checks whether an audit is of these weights: it names them, or was made by the run that trained them."""
    audited = record["about"]["origin"]
    if audited is not None or not isinstance(origin, dict):
        return bool(audited == origin)
    return Path(origin.get("path", "")).resolve().parent.parent in file.resolve().parents
