"""The metrics of a run as one table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only


class CsvLogger(Logger):
    """Writes `<folder>/metrics.csv`: one row for each time something was logged, one column a metric.

    Unlike Lightning's own, it goes on with the file of a resumed run: rows beyond the step at which the run
    resumes are dropped, all others stay. A new metric gets a new column.
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
        """The run's folder holds its config."""

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
            earlier = self._rows()
            self.columns += sorted(set(new))
            self._write(earlier, "w")
        self._write(self.waiting, "a")
        self.waiting = []

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self.waiting:
            self.save()

    def _go_on(self, step: int) -> None:
        self.started = True
        earlier = self._rows()
        if earlier:
            self.columns = list(earlier[0])
            self._write([row for row in earlier if int(float(row["step"] or 0)) < step], "w")

    def _rows(self) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        with self.file.open(newline="") as file:
            return list(csv.DictReader(file))

    def _write(self, rows: list[dict[str, Any]], mode: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open(mode, newline="") as file:
            writer = csv.DictWriter(file, self.columns, restval="")
            if mode == "w":
                writer.writeheader()
            writer.writerows(rows)
