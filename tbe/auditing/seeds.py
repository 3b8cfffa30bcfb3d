"""Models that were trained with several seeds: the audits of one model become one row, with intervals over both.

A value is the mean over seeds. Its variance has two parts: that between seeds, by the number of seeds, and that of the
mean over resampled videos, the same ones for all models. The 95 % interval is Student's of their sum, with the degrees
of freedom after Satterthwaite (Biometrics Bulletin 1946); of a single seed it is that over videos alone. A difference
is of the same videos; seeds of two models are independent.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from tbe.auditing.answers import Answers, together
from tbe.auditing.measures import Estimate, bootstrap, measured, ratios
from tbe.auditing.record import Audited, find_audits
from tbe.errors import UserError

OF_DATA = ("masks", "gallery")  # what audits that are compared must have in common
ALIKE = (*OF_DATA, "clips", "size", "probe")  # and those of one model's seeds, too


class Seeds(NamedTuple):
    """A measure of a model: of each seed, float (S,), and its mean over seeds over resampled videos, (draws,)."""

    values: np.ndarray
    drawn: np.ndarray
    num_videos: int

    @property
    def estimate(self) -> Estimate:
        """Returns the mean with its interval; NaN if the measure of any seed is."""
        return _estimate(self.values.mean(), self.drawn, [self.values], self.num_videos)

    def minus(self, other: Seeds) -> Estimate:
        """Returns the difference of two models, of the same videos."""
        drawn = self.drawn - other.drawn
        return _estimate(self.values.mean() - other.values.mean(), drawn, [self.values, other.values], self.num_videos)


class Order(NamedTuple):
    """The models by a measure, the largest first, and the neighbors among them whose intervals meet."""

    names: list[str]
    met: list[tuple[str, str]]


def read_models(sources: Sequence[str]) -> dict[str, list[Audited]]:
    """Returns the audits of each model; sources: `<name>=<folder or pattern>[,...]`, with all audits below them.

    Raises UserError for a source without audits, and for an audit that is named twice.
    """
    found: dict[str, list[Audited]] = {}
    for source in sources:
        name, _, folders = source.partition("=")
        paths = [Path(path) for part in folders.split(",") for path in sorted(glob.glob(part))]
        audits = {audited.folder.resolve(): audited for path in paths for audited in find_audits(path)}
        if not name or not audits:
            raise UserError(f"expected <name>=<folders with audits (audit.json)>, with commas between, got {source!r}")
        found.setdefault(name, []).extend(audits.values())
    places = [audited.folder.resolve() for audits in found.values() for audited in audits]
    if twice := next((place for place in places if places.count(place) > 1), None):
        raise UserError(f"expected each audit once, got {twice} twice")
    return found


def measure(models: Mapping[str, Sequence[Audited]], reader: str) -> dict[str, dict[str, Seeds]]:
    """Returns the measures of each model, on the videos that count in all audits.

    Raises UserError for audits of other pairs of videos, or without a video in common.
    """
    audits = [audited for of_model in models.values() for audited in of_model]
    for of_model in models.values():
        _check_alike(of_model, ALIKE)
    check_comparable(audits)
    tables = together([audited.answers for audited in audits])
    if not tables[0].paths:
        raise UserError("expected audits of the same videos, got none that counts in all of them")
    draws, seed = audits[0].about["draws"], audits[0].about["seed"]
    shared = iter(tables)
    return {name: _of_model([next(shared) for _ in found], reader, draws, seed) for name, found in models.items()}


def ordered(found: Mapping[str, Mapping[str, Seeds]], name: str) -> Order:
    """Returns the models by a measure; those that have none come last, and are not apart."""
    estimates = {model: measures[name].estimate for model, measures in found.items()}
    by_value = sorted(estimates, key=lambda model: np.nan_to_num(estimates[model].value, nan=-np.inf), reverse=True)
    met = [pair for pair in pairwise(by_value) if not estimates[pair[0]].low > estimates[pair[1]].high]
    return Order(by_value, met)


def check_comparable(audits: Sequence[Audited]) -> None:
    """Raises UserError for audits of other pairs of videos, masks or galleries."""
    if len({audited.about["pairs_seed"] for audited in audits}) > 1:
        raise UserError("expected audits with the same pairs of videos (seed=), got several seeds")
    _check_alike(audits, OF_DATA)


def _check_alike(audits: Sequence[Audited], keys: Sequence[str]) -> None:
    """Raises UserError for audits that were made in different ways; what one of them does not tell does not count."""
    for key in keys:
        told = {repr(audited.about[key]): audited for audited in audits if key in audited.about}
        if len(told) > 1:
            got = " and ".join(f"{value} ({audited.folder})" for value, audited in list(told.items())[:2])
            raise UserError(f"expected audits that were made alike, got {key.replace('_', ' ')} {got}")


def _of_model(tables: Sequence[Answers], reader: str, draws: int, seed: int) -> dict[str, Seeds]:
    of_seeds = [measured(table, reader, draws, seed) for table in tables]
    drawn = [bootstrap(ratios(table, reader), draws, seed) for table in tables]
    names = set.intersection(*(set(measures) for measures in of_seeds))
    return {
        name: Seeds(
            np.array([measures[name].value for measures in of_seeds]),
            np.mean([of_seed[name] for of_seed in drawn], axis=0),
            len(tables[0].paths),
        )
        for name in drawn[0]
        if name in names
    }


def _estimate(value: float, drawn: np.ndarray, seeds: Sequence[np.ndarray], num_videos: int) -> Estimate:
    """Returns a value with its interval; seeds: the values of each model's seeds, of which the value is made."""
    if np.isnan(value):
        return Estimate(np.nan, np.nan, np.nan)
    known = drawn[~np.isnan(drawn)]
    several = [values for values in seeds if len(values) > 1]
    if not several:
        low, high = np.percentile(known, [2.5, 97.5])
        return Estimate(float(value), float(low), float(high))
    parts = [
        (float(known.var()), num_videos - 1),
        *((values.var(ddof=1) / len(values), len(values) - 1) for values in several),
    ]
    total = sum(part for part, _ in parts)
    if not total:
        return Estimate(float(value), float(value), float(value))
    degrees = total**2 / sum(part**2 / freedom for part, freedom in parts)
    half = float(student.ppf(0.975, degrees)) * total**0.5
    return Estimate(float(value), float(value) - half, float(value) + half)
