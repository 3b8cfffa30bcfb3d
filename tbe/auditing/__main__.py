"""Draws the card of audits that are there, or the table of a leaderboard.

sources: a leaderboard (.csv), folders of audits for one card, or, for models with several seeds,
`<name>=<folder>[,<folder>...]`: all audits below the folders, which may be patterns, are seeds of the model.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tbe import runs
from tbe.auditing.card.seeds import seeds_card, seeds_csv, verdicts
from tbe.auditing.card.seeds_html import seeds_page
from tbe.auditing.leaderboard import append, read, table
from tbe.auditing.record import Audited, find_audits, told_apart
from tbe.auditing.seeds import check_comparable, measure, read_models
from tbe.auditing.task import write_card
from tbe.errors import UserError, ended_in_one_line

SEEDS = "audit_seeds"


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line and writes what is asked for."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tbe.auditing", description=__doc__, formatter_class=form)
    parser.add_argument("sources", nargs="+", help="see above")
    parser.add_argument("--out", type=Path, help="the folder to write to; default: that of the first source")
    parser.add_argument("--leaderboard", type=Path, help="a CSV to which a row is appended for each audit in folders")
    chosen = parser.parse_args(arguments)
    with ended_in_one_line():
        for file in write(chosen.sources, chosen.out, chosen.leaderboard):
            print(f"audit: {file}")


def write(sources: Sequence[str | Path], out: Path | None = None, leaderboard: Path | None = None) -> list[Path]:
    """Writes <leaderboard>.md beside a leaderboard, or a card for each data set and split; returns the files.

    leaderboard: a CSV to which a row is appended for each audit of a card of single audits.
    """
    names = [str(source) for source in sources]
    named = ["=" in name and not Path(name).exists() for name in names]
    if any(named):
        if not all(named):
            raise UserError(f"expected <name>=<folders> for all models or for none, got {', '.join(names)}")
        if leaderboard:
            raise UserError("--leaderboard: expected folders of audits, which get a row each, got models with seeds")
        return write_seeds(names, out or Path())
    return _write(list(map(Path, names)), out, leaderboard)


def write_seeds(sources: Sequence[str], out: Path) -> list[Path]:
    """Writes audit_seeds.html, .md and .csv of models with seeds, for each data set and split; prints the order."""
    models = read_models(sources)
    kinds = _kinds([audited for audits in models.values() for audited in audits])
    files = []
    for kind in kinds:
        of_kind = {name: _of(audits, kind) for name, audits in models.items()}
        if lacking := [name for name, audits in of_kind.items() if not audits]:
            raise UserError(f"expected audits of {', '.join(kind)} of each model, got none of {', '.join(lacking)}")
        audits = [audited for of_model in of_kind.values() for audited in of_model]
        readers = [name for name in audits[0].readers if all(name in audited.readers for audited in audits)]
        found = {reader: measure(of_kind, reader) for reader in readers}
        stem = "_".join((SEEDS, *kind)) if len(kinds) > 1 else SEEDS
        forms = {".html": seeds_page(of_kind, found), ".md": seeds_card(of_kind, found), ".csv": seeds_csv(found)}
        for suffix, text in forms.items():
            files.append(out / f"{stem}{suffix}")
            with runs.replacing(files[-1]) as part:
                part.write_text(text, encoding="utf-8")
        print("\n".join([", ".join(kind), *verdicts(found[readers[0]])]))
    return files


def _write(sources: list[Path], out: Path | None, leaderboard: Path | None) -> list[Path]:
    if sources[0].suffix == ".csv":
        if leaderboard:
            raise UserError("--leaderboard: expected folders of audits, which get a row each, got a leaderboard")
        if sources[1:]:
            raise UserError(f"expected one leaderboard, got {', '.join(map(str, sources))}")
        file = (out or sources[0].parent) / f"{sources[0].stem}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(table(read(sources[0])), encoding="utf-8")
        return [file]
    audits = [audited for folder in sources for audited in find_audits(folder)]
    if not audits:
        raise UserError(f"expected folders with audits (audit.json), found none in {', '.join(map(str, sources))}")
    kinds = _kinds(audits)
    for kind in kinds:
        check_comparable(_of(audits, kind))
    if leaderboard:
        for audited in audits:
            append(leaderboard, audited)
    folder = out or sources[0]
    return [
        write_card(told_apart(_of(audits, kind)), folder, "_".join(kind) if len(kinds) > 1 else "") for kind in kinds
    ]


def _kinds(audits: Sequence[Audited]) -> list[tuple[str, str]]:
    """Returns the data sets and splits of audits."""
    return list(dict.fromkeys((audited.about["data"], audited.about["split"]) for audited in audits))


def _of(audits: Sequence[Audited], kind: tuple[str, str]) -> list[Audited]:
    return [audited for audited in audits if (audited.about["data"], audited.about["split"]) == kind]


if __name__ == "__main__":
    main()
