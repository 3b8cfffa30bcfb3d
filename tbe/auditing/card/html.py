"""Writes a card as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tbe.auditing.card import texts
from tbe.auditing.card.charts import bars, curves
from tbe.auditing.card.films import films
from tbe.auditing.card.protocol import protocol
from tbe.auditing.measures import HEADLINES, Estimate
from tbe.auditing.record import Audited
from tbe.reporting.html import page as report
from tbe.reporting.html.markup import Markup, tag

STYLE = """
.headlines { display: flex; flex-wrap: wrap; gap: 12px; }
.headline { flex: 1 1 300px; background: var(--panel); border-radius: 8px; padding: 8px 16px 16px; }
.number { font-size: 2rem; font-weight: 600; line-height: 1.2; }
.films { display: flex; flex-wrap: wrap; gap: 10px; }
.films figure { margin: 0; width: 112px; font-size: .8rem; }
.films img { width: 112px; height: 112px; display: block; border-radius: 4px; image-rendering: auto; }
.wrong { color: #d55e00; }
.right { color: #009e73; }
svg .whisker { stroke: var(--ink); stroke-width: 1; }
svg .control { stroke-width: 1.5; stroke-dasharray: 2 1; stroke: var(--ink); }
.chart > svg { max-width: 560px; }
th small, td small { display: block; }
.chart text { font-size: 10px; fill: var(--soft); }
.chart polyline { fill: none; stroke-width: 2; }
.chart .grid { stroke: var(--rule); }
"""


def page(audits: list[Audited]) -> str:
    """Returns the card of audits of the same split."""
    about = audits[0].about
    title = f"Background bias: {about['data']}, {about['split']}"
    body = [tag("h1", title), tag("p", texts.units(audits), class_="note"), tag("p", texts.READING, class_="note")]
    for reader in texts.readers(audits):
        body += _answers_by(audits, reader)
    body += [tag("h2", "Clips and answers"), *films(audits)]
    body += [tag("h2", "Protocol"), tag("p", texts.SOURCES, class_="note"), *map(_protocol, audits)]
    return document(title, body)


def document(title: str, body: Sequence[Markup]) -> str:
    """Returns a page that needs nothing else."""
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=report.POLICY),
        tag("title", title),
        tag("style", Markup((report.HERE / "page.css").read_text(encoding="utf-8") + STYLE)),
    ]
    return "<!DOCTYPE html>\n" + tag("html", tag("head", *head), tag("body", tag("main", *body)), lang="en") + "\n"


def headline(name: str, found: Iterable[tuple[str, Estimate]]) -> Markup:
    """Returns the box of a headline: each model with its number, and what the number means."""
    rows = [tag("div", _number(estimate), " ", tag("small", model)) for model, estimate in found]
    formula = tag("p", tag("b", f"= {texts.FORMULAS[name]}. "), texts.DEFINITIONS[name], class_="note")
    return tag("div", tag("h3", texts.TITLES[name]), *rows, formula, class_="headline")


def grid(heads: Iterable[str], rows: Iterable[Iterable[Markup]]) -> Markup:
    """Returns a table that scrolls in its own box."""
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads)))
    return tag("div", tag("table", head, tag("tbody", *(tag("tr", *row) for row in rows))), class_="scroll")


def row_head(line: texts.Line) -> Markup:
    """Returns the head of a row: a measure, and what it is."""
    return tag("th", tag("span", line.title), tag("small", line.meaning), scope="row")


def plain_grid(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Markup:
    """Returns a table of texts."""
    return grid(heads, ([tag("td", cell) for cell in row] for row in rows))


def _answers_by(audits: list[Audited], reader: str) -> Iterator[Markup]:
    models = [one for one in audits if reader in one.readers]
    found = [(one.name, one.measures[reader]) for one in models]
    yield tag("h2", f"Answers by {texts.READERS[reader]}")
    yield tag(
        "div", *(headline(name, ((model, of[name]) for model, of in found)) for name in HEADLINES), class_="headlines"
    )
    yield from (tag("p", said, class_="note") for one in models for said in texts.too_weak(one, reader))
    yield tag("h3", "Numbers")
    yield _table(audits, reader)
    yield tag("p", texts.BEYOND, class_="note")
    rows = list(texts.compared(audits, reader))
    if rows:
        yield tag("h3", "Differences, of the same videos")
        heads = ["", *(texts.TITLES.get(name, "SBErr") for name in texts.COMPARED)]
        pairs = (
            [f"{one} − {first} ({count} videos)", *map(texts.shown, of.values())] for one, first, count, of in rows
        )
        yield plain_grid(heads, pairs)
    yield tag("h3", texts.BARS)
    yield bars(found)
    if any(one.about["weights"] for one in models):
        yield tag("h3", "What is mixed in")
        yield curves(audits, reader, "frame", "top-1 over the weight of a frame of the clip")
        yield curves(audits, reader, "backdrop", "top-1 over the weight of another class's background")


def _number(estimate: Estimate) -> Markup:
    if not estimate.is_known:
        return tag("b", texts.WEAK)
    interval = tag("small", f" {estimate.low:.0f} to {estimate.high:.0f}")
    return tag("span", tag("span", f"{estimate.value:.0f}", interval), class_="number")


def _table(audits: list[Audited], reader: str) -> Markup:
    rows = []
    for line in texts.lines(audits, reader):
        cells = [row_head(line)]
        for audited in audits:
            found = audited.measures.get(reader, {})
            beyond = texts.to_own(found, line)
            note = tag("small", f"to own: {texts.shown(beyond)}") if beyond else None
            cells.append(tag("td", texts.shown(found.get(line.measure)), note))
        rows.append(cells)
    return grid(["", *(one.name for one in audits)], rows)


def _protocol(audited: Audited) -> Markup:
    rows = [
        tag("tr", tag("th", name, scope="row"), tag("td", tag("code", text) if name == "command" else text))
        for name, text in protocol(audited).items()
    ]
    return tag("div", tag("h3", audited.name), tag("table", tag("tbody", *rows)), class_="scroll")
