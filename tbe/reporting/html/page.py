"""Assembles the HTML page from its sections."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tbe.reporting.html import pictures, tables
from tbe.reporting.html.curves import chart, read_lines
from tbe.reporting.html.findings import findings
from tbe.reporting.html.folders import KINDS, SWEEP, Run
from tbe.reporting.html.markup import Markup, tag
from tbe.reporting.html.overview import overview, settings
from tbe.reporting.html.tables import read_tables
from tbe.reporting.summary import sentences, small_tables

HERE = Path(__file__).parent
# Blocks all requests, also from pictures and embedded pages.
POLICY = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "form-action 'none'; base-uri 'none'"
)


class Section(NamedTuple):
    """A part of the page with an entry in the navigation."""

    title: str
    parts: list[Markup]


def page(runs: list[Run], most_mib: float) -> str:
    """Returns the page of runs; pictures and films of more than `most_mib` MiB are only listed."""
    sections = [
        Section("Numbers", list(_numbers(runs))),
        Section("Sweeps", list(_sweeps(runs))),
        *(Section(task, parts) for task, parts in findings(runs, most_mib).items()),
        Section("Curves", list(_curves(runs))),
        Section("Runs", [tables.show(overview(runs), is_open=True)]),
        Section("Settings", list(settings(runs))),
        Section("All numbers", list(_all_numbers(runs))),
    ]
    kept = [section for section in sections if section.parts]
    names = ", ".join(run.label for run in runs) if len(runs) < 4 else f"{len(runs)} runs"
    links = [tag("li", tag("a", section.title, href=f"#{number}")) for number, section in enumerate(kept)]
    shown = [tag("section", tag("h2", section.title, id=number), *section.parts) for number, section in enumerate(kept)]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=pictures.GENERATOR),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", names),
        tag("style", Markup((HERE / "page.css").read_text(encoding="utf-8"))),
    ]
    body = [
        tag("nav", tag("ul", *links), aria_label="sections"),
        tag("main", tag("h1", names), *shown),
        _enlarged(),
        tag("script", Markup((HERE / "page.js").read_text(encoding="utf-8"))),
    ]
    return "<!DOCTYPE html>\n" + tag("html", tag("head", *head), tag("body", *body), lang="en") + "\n"


def _numbers(runs: list[Run]) -> Iterable[Markup]:
    """Yields the findings in words, then a small table per task, for each kind of run."""
    for title, measured in _measured(runs):
        columns = tables.columns_of(measured)
        splits = list(dict.fromkeys(split for run in measured for split in run.queries))
        yield tag("h3", title)
        said = [tag("li", text) for text in sentences(columns, splits)]
        if said:
            yield tag("ul", *said, class_="said")
        yield tag("div", *map(tables.show_small, small_tables(columns, splits)), class_="small-tables")


def _all_numbers(runs: list[Run]) -> Iterable[Markup]:
    for title, measured in _measured(runs):
        columns = tables.columns_of(measured)
        yield tables.show(tables.numbers_table(columns, f"{title}: all final numbers"), is_open=False)


def _measured(runs: list[Run]) -> Iterable[tuple[str, list[Run]]]:
    """Yields a title and the runs that were measured on the same data in the same way, of which the best is marked."""
    for kind, title in KINDS.items():
        alike: dict[str, list[Run]] = {}
        for run in runs:
            if run.kind == kind and run.metrics:
                alike.setdefault(_measured_on(run), []).append(run)
        for asked, measured in alike.items():
            yield f"{title}: {asked}" if len(alike) > 1 else title, measured


def _measured_on(run: Run) -> str:
    """Returns what a run's numbers are of, in words."""
    told = run.protocol | (run.protocol.get("test") or {})
    clips = f"{told['clips']} clips a video" if told.get("clips") else ""
    parts = told.get("split") or (told.get("data_config") or run.config.get("data") or {}).get("split")
    split = f"split {', '.join(map(str, parts if isinstance(parts, list) else [parts]))}" if parts else ""
    query = ", ".join(run.queries)
    crops = f"{told['crops']} crops of each" if (told.get("crops") or 1) > 1 else ""
    gallery = f"gallery {told['gallery']}" if told.get("gallery", "train") != "train" else ""
    known = [str(told.get("data") or "data unknown"), split, query, gallery, clips, crops]
    return ", ".join(filter(None, known))


def _sweeps(runs: list[Run]) -> Iterable[Markup]:
    for run in runs:
        if (run.folder / SWEEP).exists():
            for table in read_tables(run.folder / SWEEP, run.label):
                yield tables.show(table, is_open=True, source=str(run.folder / SWEEP))


def _curves(runs: list[Run]) -> Iterable[Markup]:
    charts = [chart(metric, lines) for metric, lines in read_lines(runs).items()]
    if charts:
        yield tag("div", *charts, class_="charts")


def _enlarged() -> Markup:
    close = tag("form", tag("span"), tag("button", "Close", autofocus=True), method="dialog")
    return tag("dialog", close, tag("div", tag("img", alt=""), class_="whole"), aria_label="picture")
