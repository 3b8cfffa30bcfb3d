"""Writes a card as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from tbe.auditing.card import texts
from tbe.auditing.card.charts import bars, curves
from tbe.auditing.clips import MEANING
from tbe.auditing.measures import HEADLINES, Estimate
from tbe.auditing.pictures import MAPPED, MAPS, SHOWN
from tbe.auditing.record import PICTURES, Audited
from tbe.reporting.html import page as report
from tbe.reporting.html.markup import Markup, tag

MAX_BYTES = 7 * 2**20  # of films before their encoding in the page, which adds a third: under 10 MiB
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
    readers = texts.readers(audits)
    body = [tag("h1", title), tag("p", "Percent, with 95 % intervals over videos.", class_="note")]
    for reader in readers:
        body += _answers_by(audits, reader)
    body += [tag("h2", "Clips and answers"), *_films(audits)]
    body += [tag("h2", "Protocol"), tag("p", texts.SOURCES, class_="note"), *map(_protocol, audits)]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=report.POLICY),
        tag("title", title),
        tag("style", Markup((report.HERE / "page.css").read_text(encoding="utf-8") + STYLE)),
    ]
    return "<!DOCTYPE html>\n" + tag("html", tag("head", *head), tag("body", tag("main", *body)), lang="en") + "\n"


def _answers_by(audits: list[Audited], reader: str) -> Iterator[Markup]:
    yield tag("h2", f"Answers by {texts.READERS[reader]}")
    yield tag("div", *(_headline(audits, reader, name) for name in HEADLINES), class_="headlines")
    yield from (tag("p", said, class_="note") for said in map(texts.unmeasured, audits) if said)
    yield tag("h3", "Numbers")
    yield _table(audits, reader)
    rows = list(texts.compared(audits, reader))
    if rows:
        yield tag("h3", "Differences, of the same videos")
        heads = ["", *(texts.TITLES.get(name, "SBErr") for name in (*HEADLINES, "sberr"))]
        cells = [
            [f"{one} − {first} ({count} videos)", *map(texts.shown, found.values())]
            for one, first, count, found in rows
        ]
        yield _grid(heads, [[tag("td", cell) for cell in row] for row in cells])
    yield tag("h3", "Top-1 of each clip; the dashed line is the model's control, own")
    yield bars(audits, reader)
    yield tag("h3", "What is mixed in")
    yield curves(audits, reader, "frame", "top-1 over the weight of a frame of the clip")
    yield curves(audits, reader, "backdrop", "top-1 over the weight of another class's background")


def _headline(audits: list[Audited], reader: str, name: str) -> Markup:
    rows = [
        tag("div", tag("span", _number(found[name]), class_="number"), " ", tag("small", audited.name))
        for audited in audits
        if (found := audited.measures.get(reader))
    ]
    formula = tag("p", tag("b", f"= {texts.FORMULAS[name]}. "), texts.DEFINITIONS[name], class_="note")
    return tag("div", tag("h3", texts.TITLES[name]), *rows, formula, class_="headline")


def _number(estimate: Estimate) -> Markup:
    if estimate.value != estimate.value:
        return tag("span", "–")
    interval = tag("small", f" {estimate.low:.0f} to {estimate.high:.0f}")
    return tag("span", f"{estimate.value:.0f}", interval)


def _table(audits: list[Audited], reader: str) -> Markup:
    rows = []
    for line in texts.lines(audits, reader):
        cells = [tag("th", tag("span", line.title), tag("small", line.meaning), scope="row")]
        for audited in audits:
            found = audited.measures.get(reader, {})
            lost = found.get(line.beyond or "")
            beyond = None if lost is None else tag("small", f"lost beyond the cut: {texts.shown(lost)}")
            cells.append(tag("td", texts.shown(found.get(line.measure)), beyond))
        rows.append(cells)
    return _grid(["", *(one.name for one in audits)], rows)


def _grid(heads: list[str], rows: list[list[Markup]]) -> Markup:
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads)))
    return tag("div", tag("table", head, tag("tbody", *(tag("tr", *row) for row in rows))), class_="scroll")


def _films(audits: list[Audited]) -> Iterator[Markup]:
    """Yields the clips of each video that was drawn for the first model, with the answers of all, then the maps."""
    room = MAX_BYTES
    folder = audits[0].folder / PICTURES
    rows = sorted({int(file.name.split("_")[0]) for file in folder.glob("*.webp")})
    for row in rows:
        path, truth = audits[0].answers.paths[row], _class(audits[0], int(audits[0].answers.facts["label"][row]))
        yield tag("h4", f"{path}: {truth}")
        figures = []
        for clip in SHOWN:
            film, room = _film(folder / f"{row}_{clip}.webp", MEANING[clip], room)
            figures.append(tag("figure", film, tag("b", clip), *(_answer(one, path, clip) for one in audits)))
        yield tag("div", *figures, class_="films")
        maps = []
        for audited in audits:
            for clip in MAPPED:
                file = audited.folder / PICTURES / f"{row}_{clip}_{MAPS}.webp"
                if file.is_file():
                    film, room = _film(file, f"energy of the features, {clip}", room)
                    maps.append(tag("figure", film, f"{audited.name}: {clip}"))
        if maps:
            yield tag("p", "Where the feature maps are large (energy):", class_="note")
            yield tag("div", *maps, class_="films")
    if not rows:
        yield tag("p", "None were drawn.", class_="note")


def _film(file: Path, text: str, room: int) -> tuple[Markup, int]:
    """Returns a film and what room is left; a note in its place where there is none or no room."""
    content = file.read_bytes() if file.is_file() else b""
    if not content or len(content) > room:
        return tag("small", "no room for this film" if content else "no film"), room
    source = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
    return tag("img", src=source, alt=text, title=text), room - len(content)


def _answer(audited: Audited, path: str, clip: str) -> Markup | None:
    """Returns what a model answered for a clip; None if it was not asked about the video."""
    if path not in audited.answers.paths:
        return None
    row = audited.answers.paths.index(path)
    reader = audited.readers[-1]  # its own head, if it has one
    given = int(audited.answers.of(reader)[clip][row])
    is_right = given == int(audited.answers.facts["label"][row])
    mark = "✓" if is_right else "✗"
    text = f"{mark} {audited.name}: {_class(audited, given)}"
    return tag("div", text, class_="right" if is_right else "wrong")


def _class(audited: Audited, label: int) -> str:
    names = audited.about["classes"]
    return str(names[label]) if 0 <= label < len(names) else f"class {label}"


def _protocol(audited: Audited) -> Markup:
    rows = [
        tag("tr", tag("th", name, scope="row"), tag("td", tag("code", text) if name == "command" else text))
        for name, text in texts.protocol(audited).items()
    ]
    return tag("div", tag("h3", audited.name), tag("table", tag("tbody", *rows)), class_="scroll")
