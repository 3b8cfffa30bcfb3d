"""Writes models with several seeds side by side, in Markdown, and the values of all seeds as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from tbe.auditing.card import texts
from tbe.auditing.card.markdown import grid
from tbe.auditing.measures import HEADLINES, Estimate
from tbe.auditing.record import Audited
from tbe.auditing.seeds import Seeds, ordered

Found = Mapping[str, Mapping[str, Seeds]]
HOW = (
    "Means over seeds, in percent, with 95 % intervals over seeds and videos: Student's, of the variance between seeds "
    "and of that over resampled videos; of one seed, over videos alone. Differences are of the same videos. A model of "
    "which any seed is too weak to judge has no headline. An interval may reach beyond 0 and 100."
)


def seeds_card(models: Mapping[str, Sequence[Audited]], found: Mapping[str, Found]) -> str:
    """Returns the card; found: by reader, the measures of each model."""
    parts = [f"# {title(models)}", "", HOW, "", texts.READING, ""]
    for reader, of_models in found.items():
        parts += [f"## By {texts.READERS[reader]}", "", *verdicts(of_models), ""]
        parts += [*_table(models, of_models), "", *_differences(of_models), *_each_seed(of_models), ""]
    parts += [
        *(f"- **{texts.TITLES[name]}** = {texts.FORMULAS[name]}. {texts.DEFINITIONS[name]}" for name in HEADLINES)
    ]
    parts += ["", "## Protocol", ""]
    for name, audits in models.items():
        parts.append(f"- **{name}**: {origins(audits)}; {', '.join(f'`{command}`' for command in commands(audits))}")
    return "\n".join(parts) + "\n"


def title(models: Mapping[str, Sequence[Audited]]) -> str:
    """Returns the title of the card."""
    about = next(iter(models.values()))[0].about
    return f"Background bias over seeds: {about['data']}, {about['split']}"


def verdicts(found: Found) -> list[str]:
    """Returns for each headline, as an item of a list, how the models are ordered, and if their intervals are apart."""
    return [f"- **{title}**: {said}" for title, said in orders(found)]


def orders(found: Found) -> Iterator[tuple[str, str]]:
    """Yields for each headline its title and, in words, the order of the models."""
    for name in HEADLINES:
        order = ordered(found, name)
        shown = " > ".join(f"{model} {texts.headline(found[model][name].estimate)}" for model in order.names)
        met = [f"{' and '.join(pair)} not apart, {_difference(found, *pair, name)}" for pair in order.met]
        verdict = f"intervals of {'; of '.join(met)}" if met else "intervals apart"
        yield texts.TITLES[name], shown + (f": {verdict}" if len(order.names) > 1 else "")


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


def heads(models: Mapping[str, Sequence[Audited]]) -> list[str]:
    """Returns the heads of the table's columns: each model with the number of its seeds."""
    return [f"{name} ({len(audits)} seed{'s' * (len(audits) != 1)})" for name, audits in models.items()]


def lines(found: Found) -> Iterator[tuple[texts.Line, list[Estimate]]]:
    """Yields the rows of the table that all models have, the headlines not among them."""
    for line in texts.LINES:
        if all(line.measure in measures for measures in found.values()):
            yield line, [measures[line.measure].estimate for measures in found.values()]


def differences(found: Found) -> Iterator[tuple[str, list[Estimate]]]:
    """Yields each pair of models with the differences of `texts.COMPARED`."""
    for one, other in combinations(found, 2):
        yield f"{one} − {other}", [found[one][name].minus(found[other][name]) for name in texts.COMPARED]


def compared_heads() -> list[str]:
    """Returns the heads of the columns of the differences."""
    return ["difference", *(texts.TITLES.get(name, "SBErr") for name in texts.COMPARED)]


def origins(audits: Sequence[Audited]) -> str:
    """Returns the weights of each seed."""
    return ", ".join(audited.weights for audited in audits)


def commands(audits: Sequence[Audited]) -> list[str]:
    """Returns the commands of the audits, each once."""
    return list(dict.fromkeys(audited.about["command"] for audited in audits))


def _difference(found: Found, one: str, other: str, name: str) -> str:
    difference = found[one][name].minus(found[other][name])
    return f"their difference {texts.shown(difference)}"


def _table(models: Mapping[str, Sequence[Audited]], found: Found) -> list[str]:
    top = [
        [f"**{texts.TITLES[name]}**", *(texts.headline(measures[name].estimate) for measures in found.values())]
        for name in HEADLINES
    ]
    rows = [[f"{line.title}: {line.meaning}", *map(texts.shown, cells)] for line, cells in lines(found)]
    return grid(["", *heads(models)], top + rows)


def _differences(found: Found) -> list[str]:
    rows = [[pair, *map(texts.shown, cells)] for pair, cells in differences(found)]
    return [*grid(compared_heads(), rows), ""] if rows else []


def _each_seed(found: Found) -> list[str]:
    rows = [
        [f"{model}, {texts.TITLES[name]}", ", ".join(f"{value:.1f}" for value in measures[name].values)]
        for model, measures in found.items()
        for name in HEADLINES
    ]
    return grid(["", "each seed"], rows)
