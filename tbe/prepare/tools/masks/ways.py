"""The ways to find people, by the name that --by takes."""

from __future__ import annotations

from tbe.prepare.tools.masks.finding import Finder


def matte() -> Finder:
    from tbe.prepare.tools.masks.matte import find_before_wall  # scipy, which only the processes need

    return find_before_wall


def motion() -> Finder:
    from tbe.prepare.tools.masks.motion import find_motion  # torch, likewise

    return find_motion


WAYS = {"matte": matte, "motion": motion}
