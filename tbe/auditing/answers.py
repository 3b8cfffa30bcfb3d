"""What a model answered for each video: the table from which all numbers of an audit follow."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tbe.data.backgrounds import NOBODY, ROLES
from tbe.errors import MissingFile, UserError
from tbe.runs import replacing

FACTS = ("label", "is_known", "is_valid", "area")  # beside them who lent the backgrounds, and the scene
PAIRED = "lender_other_class"
AREA = "area"  # the only column that is no whole number


@dataclass(frozen=True)
class Answers:
    """One row per video, each column (n,).

    paths: as in the list. facts: `label`; `area`, the share of the clip that the actor covers; `is_known`, whether that
    is a true mask; `is_valid`, whether the video counts; `background_<role>`, the label of the video whose background
    was lent, and `lender_<role>`, its row, `NOBODY` for none; `scene`, if known. given: the classes that were answered,
    by '<reader>:<clip>'.
    """

    paths: list[str]
    facts: dict[str, np.ndarray]
    given: dict[str, np.ndarray]

    @property
    def readers(self) -> list[str]:
        """Returns who answered: `linear`, `head`, `frames`, `scene`."""
        return list(dict.fromkeys(name.partition(":")[0] for name in self.given))

    def of(self, reader: str) -> dict[str, np.ndarray]:
        """Returns the answers of a reader by clip."""
        found = {name.partition(":")[2]: column for name, column in self.given.items() if name.startswith(f"{reader}:")}
        if not found:
            raise UserError(f"audit: expected answers of one of {', '.join(self.readers)}, got {reader!r}")
        return found

    def valid(self) -> Answers:
        """Returns the rows of videos that count."""
        return self.select(self.facts["is_valid"] > 0)

    def select(self, rows: np.ndarray) -> Answers:
        """Returns these rows, by positions (m,) or by a mask bool (n,)."""
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        facts, given = ({name: column[places] for name, column in part.items()} for part in (self.facts, self.given))
        return Answers([self.paths[place] for place in places], facts, given)

    def write(self, file: Path) -> None:
        """Writes a CSV with a line for each video."""
        columns = {**self.facts, **self.given}
        cells = [[f"{value:.6g}" if name == AREA else value for value in columns[name].tolist()] for name in columns]
        with replacing(file) as part, part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out:
            writer = csv.writer(out)
            writer.writerow(["path", *columns])
            writer.writerows(zip(self.paths, *cells, strict=True))

    @classmethod
    def read(cls, file: Path) -> Answers:
        """Reads what `write` wrote; raises UserError for another file."""
        if not file.is_file():
            raise MissingFile(f"{file}: expected the answers of an audit, got no such file")
        with file.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
            head, *rows = csv.reader(lines)
        expected = {"path", *FACTS, *(f"background_{role}" for role in ROLES)}
        if not expected <= set(head):
            missing = ", ".join(sorted(expected - set(head)))
            raise UserError(f"{file}: expected the columns of an audit's answers, got none of {missing}")
        columns = dict(zip(head, zip(*rows, strict=True), strict=True))
        paths = list(columns.pop("path"))
        numbers = {name: np.array(column, float if name == AREA else np.int64) for name, column in columns.items()}
        facts = {name: column for name, column in numbers.items() if ":" not in name}
        return cls(paths, facts, {name: column for name, column in numbers.items() if ":" in name})


def together(tables: list[Answers]) -> list[Answers]:
    """Returns the same videos of several tables, in the same order: those that count in all of them.

    Raises UserError if a video was asked about in front of another video's background in one table than in another.
    """
    shared = set.intersection(*(set(table.valid().paths) for table in tables))
    ordered = [path for path in tables[0].paths if path in shared]
    rows = [{path: place for place, path in enumerate(table.paths)} for table in tables]
    lenders = [_lenders(table) for table in tables]
    for path in ordered:
        if len({of_table[path] for of_table in lenders if of_table}) > 1:
            raise UserError(
                f"audit: expected the same pairs of videos in all audits, got several backgrounds for {path}: ask all "
                "models with one seed and the same lists"
            )
    return [
        table.select(np.array([row[path] for path in ordered], np.int64))
        for table, row in zip(tables, rows, strict=True)
    ]


def _lenders(answers: Answers) -> dict[str, str]:
    """Returns the path of the video of another class that lent its background to each; {} in older tables."""
    if PAIRED not in answers.facts:
        return {}
    lenders = answers.facts[PAIRED].tolist()
    return {path: "" if row == NOBODY else answers.paths[row] for path, row in zip(answers.paths, lenders, strict=True)}


def lent(answers: Answers, role: str) -> np.ndarray:
    """Returns the labels (n,) of the videos that lent their background, `NOBODY` for none."""
    column: np.ndarray = answers.facts.get(f"background_{role}", np.full(len(answers.paths), NOBODY))
    return column
