"""Draws the card of audits that are there, or the table of a leaderboard (python -m tbe.auditing --help)."""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.auditing.leaderboard import read, table
from tbe.auditing.record import find_audits, told_apart
from tbe.auditing.task import write_card
from tbe.errors import UserError, ended_in_one_line


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line and writes what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tbe.auditing", description=__doc__)
    parser.add_argument("sources", nargs="+", type=Path, help="a leaderboard (.csv), or folders of audits for one card")
    parser.add_argument("--out", type=Path, help="the folder to write to; default: that of the first source")
    chosen = parser.parse_args(arguments)
    with ended_in_one_line():
        for file in write(chosen.sources, chosen.out):
            print(f"audit: {file}")


def write(sources: list[Path], out: Path | None = None) -> list[Path]:
    """Writes <leaderboard>.md beside a leaderboard, or a card for each data set and split of folders of audits."""
    if sources[0].suffix == ".csv":
        if sources[1:]:
            raise UserError(f"expected one leaderboard, got {', '.join(map(str, sources))}")
        file = (out or sources[0].parent) / f"{sources[0].stem}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(table(read(sources[0])), encoding="utf-8")
        return [file]
    audits = [audited for folder in sources for audited in find_audits(folder)]
    if not audits:
        raise UserError(f"expected folders with audits (audit.json), found none in {', '.join(map(str, sources))}")
    kinds = dict.fromkeys((audited.about["data"], audited.about["split"]) for audited in audits)
    folder = out or sources[0]
    return [
        write_card(
            told_apart([one for one in audits if (one.about["data"], one.about["split"]) == kind]),
            folder,
            "_".join(kind) if len(kinds) > 1 else "",
        )
        for kind in kinds
    ]


if __name__ == "__main__":
    main()
