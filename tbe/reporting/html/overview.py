"""Compares runs: their kind, protocol and settings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import yaml

from tbe.reporting.html import tables
from tbe.reporting.html.folders import KINDS, Run
from tbe.reporting.html.markup import Markup, tag
from tbe.reporting.html.settings import differences, flattened, main_settings
from tbe.reporting.html.tables import Table


def overview(runs: list[Run]) -> Table:
    """Returns a table of what each run is, when it ran, and how it was measured."""
    columns = [_described(run) for run in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [[name, *(column.get(name, "") for column in columns)] for name in names]
    return Table("what, when and how", ["", *(run.label for run in runs)], rows)


def _described(run: Run) -> dict[str, str]:
    protocol: dict[str, Any] = run.protocol or run.config
    data = protocol.get("data")
    chosen = ("stage", "seed", "epochs", "steps", "batch_size", "gallery", "query", "split", "clips", "precision")
    known = {
        "folder": str(run.folder),
        "kind": KINDS[run.kind],
        "written": run.written,
        "data": data.get("name") if isinstance(data, dict) else data,
        "backbone": _class(protocol.get("backbone") or run.config.get("backbone")),
        **{name: protocol.get(name) for name in chosen},
        "tasks": ", ".join(run.config.get("tasks") or ()),
        "versions": ", ".join(f"{name} {version}" for name, version in protocol.get("versions", {}).items()),
    }
    if run.config and not run.metrics:
        known["numbers"] = "none yet: the run has not ended"
    return {name: flattened({name: value})[name] for name, value in known.items() if value not in (None, "", {})}


def _class(part: Any) -> str | None:
    return part.get("_target_", "").split(".")[-1] if isinstance(part, dict) else part


def settings(runs: list[Run]) -> Iterable[Markup]:
    """Yields the differences between runs of a kind, then each run's main settings and, folded, all settings."""
    for kind, title in KINDS.items():
        alike = [run for run in runs if run.kind == kind and run.config]
        if len(alike) > 1:
            head = ["key", *(run.label for run in alike)]
            differing, repeated = differences([run.config for run in alike])
            yield tables.show(_rows(f"{title}: what differs", head, differing), is_open=True)
            if repeated:
                yield tables.show(_rows(f"{title}: what repeats these", head, repeated), is_open=False)
    for run in runs:
        parts = list(_details(run, is_open=len(runs) == 1))
        if len(runs) == 1:
            yield from parts
        elif parts:
            yield tag("details", tag("summary", run.label), *parts)


def _details(run: Run, is_open: bool) -> Iterable[Markup]:
    if run.config:
        yield tables.show(_rows("main settings", ["key", "value"], main_settings(run.config)), is_open=is_open)
        yield _folded("the whole config", yaml.safe_dump(run.config, sort_keys=False))
    if run.protocol:
        yield _folded("how it was measured", json.dumps(run.protocol, indent=2))


def _rows(title: str, head: list[str], rows: list[tuple[str, list[str]]]) -> Table:
    return Table(title, head, [[key, *values] for key, values in rows])


def _folded(title: str, text: str) -> Markup:
    return tag("details", tag("summary", title), tag("pre", text, tabindex=0))
