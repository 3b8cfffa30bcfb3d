"""Writes models with several seeds side by side, in Markdown, and the values of all seeds as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from tbe.auditing.card import texts
from tbe.auditing.card.markdown import grid
from tbe.auditing.measures import HEADLINES
from tbe.auditing.record import Audited
from tbe.auditing.seeds import Seeds, ordered

Found = Mapping[str, Mapping[str, Seeds]]
HOW = (
    "Means over seeds, in percent, with 95 % intervals over seeds and videos: Student's, of the variance between seeds "
    "and of that over resampled videos; of one seed, over videos alone. Differences are of the same videos."
)


def seeds_card(models: Mapping[str, Sequence[Audited]], found: Mapping[str, Found]) -> str:
    """Returns the card; found: by reader, the measures of each model."""
    about = next(iter(models.values()))[0].about
    lines = [f"# Background bias over seeds: {about['data']}, {about['split']}", "", HOW, ""]
    for reader, of_models in found.items():
        lines += [f"## By {texts.READERS[reader]}", "", *verdicts(of_models), ""]
        lines += [*_table(models, of_models), "", *_differences(of_models), *_each_seed(of_models), ""]
    lines += ["## Protocol", ""]
    for name, audits in models.items():
        lines.append(
            f"- **{name}**: {', '.join(audited.weights for audited in audits)}; `{audits[0].about['command']}`"
        )
    return "\n".join(lines) + "\n"


def verdicts(found: Found) -> list[str]:
    """Returns for each headline, in words, how the models are ordered and whether their intervals are apart."""
    said = []
    for name in HEADLINES:
        order = ordered(found, name)
        shown = " > ".join(f"{model} {texts.shown(found[model][name].estimate)}" for model in order.names)
        met = "intervals apart" if order.is_apart else "intervals not apart"
        said.append(f"- **{texts.TITLES[name]}**: {shown}" + (f": {met}" if len(order.names) > 1 else ""))
    return said


def seeds_csv(found: Mapping[str, Found]) -> str:
    """Returns a row for each reader, measure, model and seed, the seeds in the order of their audits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["reader", "measure", "model", "seed", "value"])
    for reader, of_models in found.items():
        for model, measures in of_models.items():
            for name, seeds in measures.items():
                rows = enumerate(seeds.values.tolist(), start=1)
                writer.writerows([reader, name, model, number, f"{value:.4f}"] for number, value in rows)
    return out.getvalue()


def _table(models: Mapping[str, Sequence[Audited]], found: Found) -> list[str]:
    heads = ["", *(f"{name} ({len(models[name])} seeds)" for name in found)]
    rows = [[f"**{texts.TITLES[name]}**", *_cells(found, name)] for name in HEADLINES]
    rows += [[f"{title}: {meaning}", *_cells(found, name)] for name, title, meaning in _measures(found)]
    return grid(heads, rows)


def _measures(found: Found) -> Iterator[tuple[str, str, str]]:
    for line in texts.LINES:
        if all(line.measure in measures for measures in found.values()):
            yield line.measure, line.title, line.meaning


def _cells(found: Found, name: str) -> list[str]:
    return [texts.shown(measures[name].estimate) for measures in found.values()]


def _differences(found: Found) -> list[str]:
    """Returns the differences of each pair of models."""
    names = list(found)
    pairs = [(one, other) for place, one in enumerate(names) for other in names[place + 1 :]]
    if not pairs:
        return []
    shown = (*HEADLINES, "sberr")
    rows = [
        [f"{one} − {other}", *(texts.shown(found[one][name].minus(found[other][name])) for name in shown)]
        for one, other in pairs
    ]
    heads = ["difference", *(texts.TITLES.get(name, "SBErr") for name in shown)]
    return [*grid(heads, rows), ""]


def _each_seed(found: Found) -> list[str]:
    rows = [
        [f"{model}, {texts.TITLES[name]}", ", ".join(f"{value:.1f}" for value in measures[name].values)]
        for model, measures in found.items()
        for name in HEADLINES
    ]
    return grid(["", "each seed"], rows)
