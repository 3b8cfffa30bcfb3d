"""Groups final metrics into one small table per task, and describes them in words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Metrics = Mapping[str, float]

# Lower is better: scene leakage, drops under changed backgrounds and scenes, errors.
LOWER_IS_BETTER = re.compile(r"[/_]scene_|background_drop|background_reliance|sberr|/drop/|_error|loss|consistency")
# Neither higher nor lower is better, or not a score.
NO_ORDER = re.compile(
    r"_gap|_interval|_deviation|_low|_high|motion_drop|motion_reliance|_control|frames_|foreground_|background_only|"
    r"/static|/median|/shuffled|/reversed|masks|videos|lr|learning_rate|epoch|step|^train/|^loss$"
)
CURVE = re.compile(r"added_(frame|backdrop)_")  # one of many weights, shown in a plot instead
# Settings, counts and ends of intervals, shown in the table of all numbers.
NO_SCORE = re.compile(r"^(linear/strength|features/|tsne/|(scene_swap|audit)/.*_(low|high)\b)")
MEASURES = ("head_top1", "linear_top1", "R@1")  # for perturbed clips, the first available one is shown
# Of a column of one official split, of their mean or deviation: which of these.
PART = re.compile(r"(?:^|, | / )(split \d+|mean|deviation)$")
DEVIATION = "deviation"
MIN_LOSS, MAX_LOSS = 0.15, 0.75  # lost fractions of a score: below the first it is called kept, above the second lost


Rows = dict[str, dict[tuple[str, str], float]]  # measure -> (checkpoint, split) -> value


class SmallTable(NamedTuple):
    """A table of one task: `cells[row][column]` is a number or None; `best` has the (row, column) of best scores."""

    title: str
    columns: list[str]
    rows: list[str]
    cells: list[list[float | None]]
    best: frozenset[tuple[int, int]] = frozenset()


def small_tables(columns: Mapping[str, Metrics], splits: Iterable[str] = ()) -> list[SmallTable]:
    """Returns a table for each task of the metrics of each checkpoint: rows are measures, columns checkpoints x splits.

    splits: the query splits, whose names end the keys if there are several. For perturbed clips the first available of
    MEASURES is shown; points of curves are omitted. The best of several checkpoints on a split is marked.
    """
    splits = list(splits) if len(list(splits)) > 1 else [""]
    tasks: dict[str, Rows] = {}
    for checkpoint, metrics in columns.items():
        for key, value in metrics.items():
            if not isinstance(value, (int, float)) or NO_SCORE.match(key):
                continue
            name, split = _without_split(key, splits)
            task, _, row = name.partition("/") if "/" in name else ("", "", name)
            tasks.setdefault(task, {}).setdefault(row, {})[checkpoint, split] = value
    return [_table(task, rows, list(columns)) for task, rows in tasks.items()]


def sentences(columns: Mapping[str, Metrics], splits: Iterable[str] = ()) -> list[str]:
    """Describes each checkpoint's dependence on background and motion in at most three findings.

    Uses perturbed clips of the first split, where the clean score is high enough to lose.
    """
    splits = list(splits)
    first = f"/{splits[0]}" if len(splits) > 1 else ""
    told = {checkpoint: row for checkpoint, row in columns.items() if _part(checkpoint) != DEVIATION}
    return [f"{checkpoint}: {text}" for checkpoint, row in told.items() for text in _findings(row, first)]


def _part(column: str) -> str:
    """Returns the official split that a column is of, 'mean' or 'deviation'; '' if there is one split."""
    found = PART.search(column)
    return found[1] if found else ""


def _findings(metrics: Metrics, split: str) -> Iterable[str]:
    home, away = metrics.get("linear/top1/iid"), metrics.get("linear/top1/swap")
    if home and away is not None:
        yield f"linear top-1 {_change(home, away)} where the scene is another action's: {_verdict(home, away)}"
    home, away = (metrics.get(f"scene_swap/{kind}/linear_top1{split}") for kind in ("home", "swap"))
    if home and away is not None:
        yield f"linear top-1 {_change(home, away)} in the scenes of other classes: {_verdict(home, away)}"
    measure = next((kind for kind in MEASURES if f"robustness/clean/{kind}{split}" in metrics), None)
    if measure is None or math.isnan(metrics.get(f"robustness/background_drop{split}", 0.0)):  # not above chance
        return
    where = f" ({split[1:]})" if split else ""
    clean, name = metrics[f"robustness/clean/{measure}{split}"], measure.replace("_", " ").replace("top1", "top-1")
    swapped = metrics.get(f"robustness/swap/{measure}{split}")
    if swapped is not None and clean and away is None:
        yield f"{name}{where} {_change(clean, swapped)} on another video's background: {_verdict(clean, swapped)}"
    removed = metrics.get(f"robustness/foreground_removed/{measure}{split}")
    if removed is not None and clean:
        kept = "the background alone gives the answer" if _lost(clean, removed) < MIN_LOSS else "the actor matters"
        yield f"{name}{where} {_change(clean, removed)} without the actor: {kept}"
    static = metrics.get(f"robustness/static/{measure}{split}")
    if static is not None and clean:
        used = "motion is hardly used" if _lost(clean, static) < MIN_LOSS else "motion is used"
        yield f"{name}{where} {_change(clean, static)} with one frame repeated: {used}"


def _change(before: float, after: float) -> str:
    if abs(before - after) < 1:
        return f"stays at {after:.0f}"
    return f"{'falls' if after < before else 'rises'} from {before:.0f} to {after:.0f}"


def _lost(clean: float, changed: float) -> float:
    return (clean - changed) / clean


def _verdict(clean: float, changed: float) -> str:
    lost = _lost(clean, changed)
    if lost > MAX_LOSS:
        return "the scene is read"
    return "the scene is hardly used" if lost < MIN_LOSS else "part of it came from the scene"


def _without_split(key: str, splits: list[str]) -> tuple[str, str]:
    for split in splits:
        if split and key.endswith(f"/{split}"):
            return key.removesuffix(f"/{split}"), split
    return key, ""


def _table(task: str, rows: Rows, checkpoints: list[str]) -> SmallTable:
    title = task
    if task == "robustness":
        rows, title = _perturbations(rows)
    heads = list(dict.fromkeys(head for row in rows.values() for head in row))
    heads.sort(key=lambda head: checkpoints.index(head[0]))
    cells = [[row.get(head) for head in heads] for row in rows.values()]
    names = list(rows)
    best = frozenset(
        (number, column)
        for number, name in enumerate(names)
        if not NO_ORDER.search(f"{task}/{name}")
        for column in _best(cells[number], heads, bool(LOWER_IS_BETTER.search(f"{task}/{name}")))
    )
    columns = [f"{checkpoint} · {split}" if split else checkpoint for checkpoint, split in heads]
    return SmallTable(title, columns, names, cells, best)


def _perturbations(
    rows: dict[str, dict[tuple[str, str], float]],
) -> tuple[dict[str, dict[tuple[str, str], float]], str]:
    """Returns a row per perturbation with its first available measure, then the summaries; and the title."""
    measure = next((kind for kind in MEASURES if f"clean/{kind}" in rows), None)
    shown = {
        name.removesuffix(f"/{measure}"): row
        for name, row in rows.items()
        if not CURVE.match(name) and ("/" not in name or name.endswith(f"/{measure}"))
    }
    return shown, f"robustness: {measure} of perturbed clips" if measure else "robustness"


def _best(cells: list[float | None], heads: list[tuple[str, str]], lower: bool) -> Iterable[int]:
    """Yields the columns with the best value of each split, if several checkpoints differ."""
    kinds = [(_part(checkpoint), split) for checkpoint, split in heads]
    for kind in dict.fromkeys(kind for kind in kinds if kind[0] != DEVIATION):
        known = {
            column: value
            for column, (value, of_column) in enumerate(zip(cells, kinds, strict=True))
            if of_column == kind and value is not None and not math.isnan(value)
        }
        if len(known) > 1 and len(set(known.values())) > 1:
            best = min(known.values()) if lower else max(known.values())
            yield from (column for column, value in known.items() if value == best)
