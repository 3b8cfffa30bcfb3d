"""Finds the number that a comparison varies: a setting's value, or what tells the names of folders or lists apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

NUMBER = re.compile(r"(\d+(?:\.\d+)?)")
NAMES = "data."  # settings whose values are names of folders and lists


class Varied(NamedTuple):
    """The varied setting, what an axis is called, and which number of its value counts; None if the value is one."""

    setting: str
    label: str
    number: int | None

    def of(self, settings: Mapping[str, str]) -> float:
        """Returns the number of one variant."""
        value = settings[self.setting]
        return float(value if self.number is None else NUMBER.split(value)[self.number])


def varied_number(variants: Sequence[Mapping[str, str]]) -> Varied | None:
    """Returns the only setting with a number in every variant; None if there is none, or several.

    Names of folders or lists that differ in one number alone count as it: data.root=composite_0.1, composite_0.5.
    """
    if len(variants) < 2:
        return None
    found = [_varied(name, [settings.get(name, "") for settings in variants]) for name in variants[0]]
    found = [varied for varied in found if varied is not None]
    return found[0] if len(found) == 1 else None


def _varied(setting: str, values: Sequence[str]) -> Varied | None:
    if all(map(_is_number, values)):
        return Varied(setting, setting, None)
    if not setting.startswith(NAMES):
        return None
    parts = [NUMBER.split(value) for value in values]  # text, number, text, number, ..., text
    if len({len(of_value) for of_value in parts}) > 1:
        return None
    differing = [place for place, found in enumerate(zip(*parts, strict=True)) if len(set(found)) > 1]
    if len(differing) != 1 or differing[0] % 2 == 0:
        return None
    (place,) = differing
    texts = {of_value[place] for of_value in parts}
    if len(set(map(float, texts))) < len(texts):  # at_1 and at_1.0
        return None
    return Varied(setting, f"{setting}: {''.join([*parts[0][:place], '*', *parts[0][place + 1 :]])}", place)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
