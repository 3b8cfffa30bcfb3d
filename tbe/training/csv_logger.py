"""Loggers besides TensorBoard: one CSV file per run, and Weights & Biases."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from tbe import runs
from tbe.runs import replacing


class CsvLogger(Logger):
    """Writes `<folder>/metrics.csv`: one row per logging call, one column per metric.

    Unlike Lightning's logger, it continues the file of a resumed run: rows beyond the resumed step are dropped, all
    others are kept. A new metric adds a column. Rows are written before the checkpoint that a run could resume from,
    and a killed process or a full disk loses none that were written.
    """

    def __init__(self, folder: str, flush_every: int = 20):
        super().__init__()
        self.file = Path(folder, "metrics.csv")
        self.flush_every = flush_every
        self.columns: list[str] = ["epoch", "step"]
        self.waiting: list[dict[str, Any]] = []
        self.started = False

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.file.parent)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the run's folder holds its config."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if not self.started:
            self._go_on(step or 0)
        self.waiting.append({"step": step, **metrics})
        if len(self.waiting) >= self.flush_every:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        new = [name for row in self.waiting for name in row if name not in self.columns]
        if new or not self.file.exists():
            self._replace(self._rows(), self.columns + sorted(set(new)))
        self._append(self.waiting)
        self.waiting = []

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        if self.waiting:
            self.save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self.waiting:
            self.save()

    def _go_on(self, step: int) -> None:
        self.started = True
        earlier = self._rows()
        if earlier:
            known = [row for row in earlier if int(float(row["step"] or 0)) < step]
            self._replace(known, list(earlier[0]))

    def _rows(self) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        with self.file.open(newline="", encoding="utf-8") as file:
            content = file.read()
        whole = content[: content.rfind("\n") + 1]  # a crash can leave an incomplete last line
        return list(csv.DictReader(io.StringIO(whole, newline="")))

    def _replace(self, rows: list[dict[str, Any]], columns: list[str]) -> None:
        with replacing(self.file) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
            file.flush()
            os.fsync(file.fileno())
        self.columns = columns

    def _append(self, rows: list[dict[str, Any]]) -> None:
        size = self.file.stat().st_size
        try:
            with self.file.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns, restval="").writerows(rows)
        except OSError:  # a full disk stores only some rows, which a retry would repeat
            os.truncate(self.file, size)
            raise


def wandb_logger(folder: str, id: str | None = None, **settings: Any) -> WandbLogger:
    """Returns a Weights & Biases logger; a run resumed in the same folder continues the same W&B run."""
    return WandbLogger(id=id or Path(folder, runs.ID).read_text(encoding="utf-8").strip(), save_dir=folder, **settings)
