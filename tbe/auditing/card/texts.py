"""What both forms of a card say: definitions, rows of its table, protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tbe.auditing.answers import together
from tbe.auditing.clips import MEANING
from tbe.auditing.measures import (
    BACKGROUND,
    BASES,
    HEADLINES,
    MOTION,
    UNKNOWN,
    Estimate,
    chance,
    differences,
    measured,
    ratios,
)
from tbe.auditing.record import Audited

TITLES = {BACKGROUND: "Background reliance", MOTION: "Motion reliance"}
FORMULAS = {
    BACKGROUND: "(top-1 of own − top-1 of swap_class) / top-1 of own",
    MOTION: "(top-1 of clean − top-1 of static) / top-1 of clean",
}
DEFINITIONS = {
    BACKGROUND: (
        "Of 100 right answers with the actor cut out and pasted on the video's own background, how many are lost, on "
        "balance, in front of another class's background. 0: the background does not matter; 100: the answer is the "
        "background. The cut itself costs nothing here: both clips have it."
    ),
    MOTION: (
        "Of 100 right answers on the clip, how many are lost, on balance, when its middle frame stands still. 0: one "
        "frame is enough; near 100: nothing is told without motion."
    ),
}
WEAK = "too weak to judge"  # in place of a headline
READING = (
    "The classifier is trained on these data, so that a headline is of the model and the data together: what an "
    "untrained network gets is what the data give away by themselves. Read the others beside it."
)
BEYOND = "To own: points of top-1 against the control own, whose actor was cut out and pasted as well."
BARS = "Top-1 of each clip; the dashed line is the model's control, own"
READERS = {
    "linear": "a linear classifier (logistic regression) on the frozen features, trained on the gallery's clean clips",
    "head": "the model's own classifier",
}
SOURCES = (
    "SBErr follows the action swaps of HAT (Chung, Wu, Russakovsky, NeurIPS 2022 Datasets and Benchmarks); contrasted "
    "accuracy and conflicting pairs follow SCUBA, SCUFO and ConflFG (Li et al., ICCV 2023, arXiv:2211.12883) and ALBAR "
    "(Fioresi et al., ICLR 2025, arXiv:2502.00156). Here backgrounds come from other videos of the same split."
)


class Line(NamedTuple):
    """A row of the table: the measure, what it is, and the measure of what it lost beyond the cut, if any."""

    measure: str
    title: str
    meaning: str
    beyond: str | None = None


CLIPS = (
    "clean",
    "own",
    "swap_same",
    "swap",
    "swap_close",
    "swap_far",
    "swap_class",
    "conflict",
    "foreground_only",
    "background_only",
    "static",
    "median",
    "shuffled",
    "reversed",
)
OTHERS = (
    Line("sberr", "SBErr", "swap_class is given the class of its background"),
    Line("sberr_control", "SBErr of own", "own is given that same class: what is confused anyway"),
    Line("contrasted_top1", "contrasted accuracy", "right on swap_class, and not the same answer on its frozen frame"),
    Line("conflict_error", "conflict error", "conflict is given the class of its still frame"),
    Line("frames_top1", "frames", "control: a classifier trained on one repeated frame, asked about one"),
    Line("scene_top1", "scene leakage", "the scene is told from the features"),
)
COMPARED = (*HEADLINES, "sberr")  # of each pair of models
LINES = (
    *(
        Line(f"{clip}_top1", clip, MEANING[clip], None if clip in ("clean", "own") else f"{clip}_beyond_cut")
        for clip in CLIPS
    ),
    *OTHERS,
)


def headline(estimate: Estimate | None) -> str:
    """Formats a headline; says so where a model is too weak for one, and a dash where it was not asked."""
    return WEAK if estimate is not None and not estimate.is_known else shown(estimate)


def shown(estimate: Estimate | None) -> str:
    """Formats a value with its interval; a dash where nothing was measured."""
    if estimate is None or not estimate.is_known:
        return "–"
    return f"{estimate.value:.1f} ({estimate.low:.1f} to {estimate.high:.1f})"


def to_own(found: Mapping[str, Estimate], line: Line) -> Estimate | None:
    """Returns the points of top-1 against `own`; None where there is no such comparison."""
    lost = found.get(line.beyond or "")
    return Estimate(0 - lost.value, 0 - lost.high, 0 - lost.low) if lost and lost.is_known else None


def lines(audits: list[Audited], reader: str) -> list[Line]:
    """Returns the rows of which any of the audits has a number."""
    return [line for line in LINES if any(line.measure in one.measures.get(reader, {}) for one in audits)]


def readers(audits: list[Audited]) -> list[str]:
    """Returns who answered for any of the models, the linear classifier first."""
    return [reader for reader in READERS if any(reader in one.readers for one in audits)]


def compared(audits: list[Audited], reader: str) -> Iterator[tuple[str, str, int, dict[str, Estimate]]]:
    """Yields each later model against the first: names, number of videos that both share, paired differences.

    A headline that either model has none of is unknown.
    """
    first, *others = [one for one in audits if reader in one.readers]
    draws, seed = first.about["draws"], first.about["seed"]
    for other in others:
        tables = together([first.answers, other.answers])
        if tables[0].paths:
            ours, theirs = (ratios(table, reader) for table in tables)
            found = differences(theirs, ours, draws, seed)
            known = [measured(table, reader, draws, seed) for table in tables]
            weak = {name: UNKNOWN for name in HEADLINES if not all(one[name].is_known for one in known)}
            yield other.name, first.name, len(tables[0].paths), {name: (found | weak)[name] for name in COMPARED}


def units(audits: list[Audited]) -> str:
    """Says what the numbers are, and what chance is."""
    chances = sorted({f"{chance(audited.answers.valid()):.1f}" for audited in audits})
    return f"Percent, with 95 % intervals over videos. Chance, the most frequent class alone: {' to '.join(chances)}."


def too_weak(audited: Audited, reader: str) -> Iterator[str]:
    """Says why a headline is missing, for each that is."""
    found = audited.measures.get(reader)
    for name, base in BASES.items():
        if found and not found[name].is_known:
            yield (
                f"{audited.name}, {TITLES[name].lower()}: {WEAK}. Its top-1 on {base.removesuffix('_top1')}, "
                f"{shown(found[base])}, can't be told from chance, {chance(audited.answers.valid()):.1f}: it has no "
                "right answers that could rely on anything."
            )
