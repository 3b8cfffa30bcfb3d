"""Writes models with several seeds side by side, as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tbe.auditing.card import seeds, texts
from tbe.auditing.card.charts import bars, dots
from tbe.auditing.card.html import document, grid, headline, plain_grid, row_head
from tbe.auditing.card.protocol import protocol
from tbe.auditing.card.seeds import Found
from tbe.auditing.measures import HEADLINES
from tbe.auditing.record import Audited
from tbe.reporting.html.markup import Markup, tag


def seeds_page(models: Mapping[str, Sequence[Audited]], found: Mapping[str, Found]) -> str:
    """Returns the card; found: by reader, the measures of each model."""
    title = seeds.title(models)
    body = [tag("h1", title), tag("p", seeds.HOW, class_="note"), tag("p", texts.READING, class_="note")]
    for reader, of_models in found.items():
        body += [tag("h2", f"Answers by {texts.READERS[reader]}"), *_answers(models, of_models)]
    body += [tag("h2", "Protocol"), tag("p", texts.SOURCES, class_="note")]
    for name, audits in models.items():
        body += [tag("h3", name), _protocol(audits)]
    return document(title, body)


def _answers(models: Mapping[str, Sequence[Audited]], found: Found) -> Iterator[Markup]:
    means = {name: [(model, measures[name].estimate) for model, measures in found.items()] for name in HEADLINES}
    yield tag("div", *(headline(name, of_models) for name, of_models in means.items()), class_="headlines")
    yield tag("ul", *(tag("li", tag("b", name), f": {said}") for name, said in seeds.orders(found)), class_="said")
    yield tag("h3", "Each seed")
    yield tag("p", "A dot is a seed, the upright line their mean, the other its interval.", class_="note")
    for name, of_models in means.items():
        rows = [(model, found[model][name].values.tolist(), mean) for model, mean in of_models]
        yield dots(rows, f"{texts.TITLES[name]}, percent")
    yield tag("h3", "Numbers")
    table = ([row_head(line), *(tag("td", texts.shown(cell)) for cell in cells)] for line, cells in seeds.lines(found))
    yield grid(["", *seeds.heads(models)], table)
    if len(found) > 1:
        yield tag("h3", "Differences, of the same videos")
        pairs = ([pair, *map(texts.shown, cells)] for pair, cells in seeds.differences(found))
        yield plain_grid(seeds.compared_heads(), pairs)
    yield tag("h3", texts.BARS)
    yield bars([(model, {name: of.estimate for name, of in measures.items()}) for model, measures in found.items()])


def _protocol(audits: Sequence[Audited]) -> Markup:
    """Returns what is said of the first audit, with the weights and commands of all."""
    said = protocol(audits[0]) | {"weights": seeds.origins(audits)}
    rows = [(name, [text]) for name, text in said.items() if name != "command"]
    rows += [("commands", [tag("code", command) for command in seeds.commands(audits)])]
    cells = ([tag("th", name, scope="row"), tag("td", *(tag("div", text) for text in of))] for name, of in rows)
    return tag("div", tag("table", tag("tbody", *(tag("tr", *row) for row in cells))), class_="scroll")
