"""Writes the comparison: `runs.json`, `table.md` and plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tbe.errors import UserError
from tbe.reporting.comparison.drawing import draw_curves, draw_points
from tbe.reporting.comparison.references import references
from tbe.reporting.comparison.runs import Chosen, Run, read_chosen, read_runs, read_sweeps, variants, write_runs
from tbe.reporting.comparison.table import markdown, paired_markdown
from tbe.reporting.comparison.varied import Varied, varied_number

FILE = "runs.json"
MAX_METRICS = 6  # number of metrics shown by default


def compare(
    sweeps: Sequence[str],
    out: Path | None,
    metrics: list[str] | None,
    against: str | None,
    only: list[str] | None = None,
) -> None:
    """Writes the comparison of sweeps, of files runs.json, or of both together, and prints the table.

    out: None for the folder of the first sweep. metrics, against: None for those stored in runs.json (given, or in the
    first folder); without one, the last metrics common to all runs, and no variant. only: the variants to show; None
    for all.
    """
    first = Path(sweeps[0])
    is_file = first.suffix == ".json"
    runs = _read_all(sweeps)
    if only:
        runs = _only(runs, only)
    before = read_chosen(first if is_file else first / FILE)
    out = out or (first.parent if is_file else first)
    if only and (out / FILE).resolve() in {Path(part).resolve() for part in sweeps}:
        raise UserError(f"--variants: expected --out=<another folder>, as {out / FILE} would lose its other variants")
    found = variants(runs)
    varied = varied_number([of_variant[0].settings for of_variant in found.values()])
    if varied is not None:
        found = _along(found, varied)
    shared = [name for name in runs[0].metrics if all(name in run.metrics for run in runs) and name[:3] != "lr-"]
    shown = metrics or before.metrics or shared[-MAX_METRICS:]
    chosen = Chosen(shown, against or before.against)
    compared = references(found, chosen.against)
    table = markdown(found, shown, compared)
    alike = "" if chosen.against in found else ", all else alike"
    if paired := paired_markdown(found, shown, compared, f"minus {chosen.against}{alike}"):
        table += f"\n{paired}"
    write_runs(runs, chosen, out / FILE)
    (out / "table.md").write_text(table, encoding="utf-8")
    draw_points(found, shown, out / "points.png")
    if varied is not None:
        draw_curves(found, varied, shown, out / "curves.png")
    print(f"{table}\ncomparison: {out}")


def _read_all(parts: Sequence[str]) -> list[Run]:
    """Returns the runs of files runs.json and of folders of sweeps, in this order; UserError for other settings."""
    files, folders = ([part for part in parts if part.endswith(".json") == is_file] for is_file in (True, False))
    by_part = {file: read_runs(file) for file in files}
    kept = list(dict.fromkeys(key for runs in by_part.values() for run in runs for key in run.settings))
    if folders:
        by_part[", ".join(folders)] = read_sweeps(folders, kept)
    told = {part: sorted({key for run in runs for key in run.settings}) for part, runs in by_part.items()}
    (first, expected), *others = told.items()
    for part, keys in others:
        if keys != expected:
            raise UserError(
                f"expected parts of one comparison, which vary the same settings: {first} varies "
                f"{', '.join(expected) or 'none'}, {part} {', '.join(keys) or 'none'}. Compare them one by one"
            )
    return [run for runs in by_part.values() for run in runs]


def _along(found: dict[str, list[Run]], varied: Varied) -> dict[str, list[Run]]:
    """Sorts variants by first appearance, then by the varied number."""
    names = list(dict.fromkeys(of_variant[0].settings.get("variant") for of_variant in found.values()))

    def place(item: tuple[str, list[Run]]) -> tuple[int, float]:
        settings = item[1][0].settings
        return names.index(settings.get("variant")), varied.of(settings)

    return dict(sorted(found.items(), key=place))


def _only(runs: Sequence[Run], names: Sequence[str]) -> list[Run]:
    known = list(dict.fromkeys(run.settings.get("variant") for run in runs))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"expected variants of these runs, {', '.join(map(str, known))}, got {', '.join(unknown)}")
    return [run for run in runs if run.settings.get("variant") in names]
