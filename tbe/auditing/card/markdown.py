"""Writes a card in Markdown."""

from __future__ import annotations

from tbe.auditing.card import texts
from tbe.auditing.card.protocol import protocol
from tbe.auditing.measures import HEADLINES
from tbe.auditing.record import Audited


def markdown(audits: list[Audited]) -> str:
    """Returns the card of audits of the same split: headlines, table, differences, protocol."""
    about = audits[0].about
    parts = [f"# Background bias: {about['data']}, {about['split']}", "", texts.units(audits), texts.READING, ""]
    for reader in texts.readers(audits):
        parts += [f"## By {texts.READERS[reader]}", "", *_headlines(audits, reader), ""]
        weak = [f"- {said}" for one in audits for said in texts.too_weak(one, reader)]
        parts += [*weak, *([""] if weak else []), *_table(audits, reader), "", texts.BEYOND, ""]
        parts += _differences(audits, reader)
    for name in HEADLINES:
        parts.append(f"- **{texts.TITLES[name]}** = {texts.FORMULAS[name]}. {texts.DEFINITIONS[name]}")
    parts += ["", texts.SOURCES, "", "## Protocol"]
    for audited in audits:
        parts += ["", f"**{audited.name}**", ""]
        parts += [f"- {name}: {f'`{text}`' if name == 'command' else text}" for name, text in protocol(audited).items()]
    return "\n".join(parts) + "\n"


def _headlines(audits: list[Audited], reader: str) -> list[str]:
    rows = [(texts.TITLES[name], [one.measures.get(reader, {}).get(name) for one in audits]) for name in HEADLINES]
    return grid(
        ["", *(one.name for one in audits)], [[f"**{title}**", *map(texts.headline, cells)] for title, cells in rows]
    )


def _table(audits: list[Audited], reader: str) -> list[str]:
    rows = []
    for line in texts.lines(audits, reader):
        cells = []
        for audited in audits:
            found = audited.measures.get(reader, {})
            beyond = texts.to_own(found, line)
            cells.append(texts.shown(found.get(line.measure)) + (f"; {beyond.value:+.1f} to own" if beyond else ""))
        rows.append([f"{line.title}: {line.meaning}", *cells])
    return grid(["", *(one.name for one in audits)], rows)


def _differences(audits: list[Audited], reader: str) -> list[str]:
    rows = [
        [f"{one} − {first}, {count} videos", *map(texts.shown, found.values())]
        for one, first, count, found in texts.compared(audits, reader)
    ]
    if not rows:
        return []
    heads = ["difference, paired", *(texts.TITLES.get(name, "SBErr") for name in texts.COMPARED)]
    return [*grid(heads, rows), ""]


def grid(heads: list[str], rows: list[list[str]]) -> list[str]:
    """Returns the lines of a table."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (heads, *rows)]
    written = [f"| {' | '.join(row)} |" for row in lines]
    return [written[0], "|---" + "|---:" * (len(heads) - 1) + "|", *written[1:]]
