"""Tells what a report's outputs were made of, so that other videos of the same names are not taken for made."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from tbe.data.sources.text_columns import TextColumn
from tbe.errors import UserError
from tbe.prepare.common.path_column import PathColumn
from tbe.prepare.common.report import Report

FOLDERS = ("root", "masks", "boxes")  # options; where a folder lies may change, as on the nodes of a cluster
OF = " of "  # between the settings of a row and its inputs, which reports of earlier versions do not tell
ANEW = "change --out, or remove the old output"


def with_inputs(settings: str, args: argparse.Namespace) -> str:
    """Returns settings with the names of the folders that the outputs are made of."""
    folders = {name: getattr(args, name, None) for name in FOLDERS}
    named = [f"{name}={os.path.basename(os.path.abspath(folder))}" for name, folder in folders.items() if folder]
    return f"{settings}{OF}{' '.join(named)}"


def check_same(report: Report, settings: str, paths: Sequence[str], remedy: str = ANEW) -> None:
    """Raises UserError for rows of other settings, and for rows of these paths that were made of other folders.

    remedy: what the message says to do.
    """
    own, _, inputs = settings.partition(OF)
    others: list[Any] = []
    for row in report:
        before, _, its_inputs = row.settings.partition(OF)
        if before != own:
            raise UserError(f"{report.file}: expected a report of a run with {own}, got one with {before}: {remedy}")
        if inputs and its_inputs and its_inputs != inputs:
            others.append(row)
    places = PathColumn.of(paths).positions(TextColumn.of(os.fsencode(row.path) for row in others))
    alike = [row for row, place in zip(others, places.tolist(), strict=True) if place >= 0]
    if alike:
        raise UserError(
            f"{report.file}: expected videos of {inputs}, got {len(alike)} of the same names that were made of "
            f"{alike[0].settings.partition(OF)[2]}, such as {alike[0].path!r}: {remedy}"
        )
