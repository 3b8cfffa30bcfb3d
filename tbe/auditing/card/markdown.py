"""Writes a card in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from tbe.auditing.card import texts
from tbe.auditing.measures import HEADLINES
from tbe.auditing.record import Audited


def markdown(audits: list[Audited]) -> str:
    """Returns the card of audits of the same split: headlines, table, differences, protocol."""
    about = audits[0].about
    parts = [f"# Background bias: {about['data']}, {about['split']}", "Percent, with 95 % intervals over videos.", ""]
    for reader in texts.readers(audits):
        parts += [f"## By {texts.READERS[reader]}", "", *_headlines(audits, reader), "", *_table(audits, reader), ""]
        parts += _differences(audits, reader)
    for name in HEADLINES:
        parts.append(f"- **{texts.TITLES[name]}** = {texts.FORMULAS[name]}. {texts.DEFINITIONS[name]}")
    parts += [f"- {said}" for said in map(texts.unmeasured, audits) if said]
    parts += ["", texts.SOURCES, "", "## Protocol"]
    for audited in audits:
        parts += ["", f"**{audited.name}**", ""]
        parts += [f"- {name}: {f'`{text}`' if name == 'command' else text}" for name, text in _protocol(audited)]
    return "\n".join(parts) + "\n"


def _protocol(audited: Audited) -> Iterator[tuple[str, str]]:
    yield from texts.protocol(audited).items()


def _headlines(audits: list[Audited], reader: str) -> list[str]:
    rows = [(texts.TITLES[name], [one.measures.get(reader, {}).get(name) for one in audits]) for name in HEADLINES]
    return grid(
        ["", *(one.name for one in audits)], [[f"**{title}**", *map(texts.shown, cells)] for title, cells in rows]
    )


def _table(audits: list[Audited], reader: str) -> list[str]:
    rows = []
    for line in texts.lines(audits, reader):
        cells = []
        for audited in audits:
            found = audited.measures.get(reader, {})
            lost = found.get(line.beyond or "")
            beyond = "" if lost is None or lost.value != lost.value else f"; {-lost.value:+.1f} to own"
            cells.append(texts.shown(found.get(line.measure)) + beyond)
        rows.append([f"{line.title}: {line.meaning}", *cells])
    return grid(["", *(one.name for one in audits)], rows)


def _differences(audits: list[Audited], reader: str) -> list[str]:
    rows = [
        [f"{one} − {first}, {count} videos", *map(texts.shown, found.values())]
        for one, first, count, found in texts.compared(audits, reader)
    ]
    if not rows:
        return []
    heads = ["difference, paired", *(texts.TITLES.get(name, "SBErr") for name in (*HEADLINES, "sberr"))]
    return [*grid(heads, rows), ""]


def grid(heads: list[str], rows: list[list[str]]) -> list[str]:
    """Returns the lines of a table."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (heads, *rows)]
    written = [f"| {' | '.join(row)} |" for row in lines]
    return [written[0], "|---" + "|---:" * (len(heads) - 1) + "|", *written[1:]]
