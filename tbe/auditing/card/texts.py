"""What both forms of a card say: definitions, rows of its table, protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tbe.auditing.answers import together
from tbe.auditing.clips import MEANING
from tbe.auditing.measures import BACKGROUND, HEADLINES, MOTION, Estimate, chance, differences, ratios
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
LINES = (
    *(
        Line(f"{clip}_top1", clip, MEANING[clip], None if clip in ("clean", "own") else f"{clip}_beyond_cut")
        for clip in CLIPS
    ),
    *OTHERS,
)


def shown(estimate: Estimate | None) -> str:
    """Formats a value with its interval; a dash where nothing was measured."""
    if estimate is None or estimate.value != estimate.value:
        return "–"
    return f"{estimate.value:.1f} ({estimate.low:.1f} to {estimate.high:.1f})"


def lines(audits: list[Audited], reader: str) -> list[Line]:
    """Returns the rows of which any of the audits has a number."""
    return [line for line in LINES if any(line.measure in one.measures.get(reader, {}) for one in audits)]


def readers(audits: list[Audited]) -> list[str]:
    """Returns who answered for any of the models, the linear classifier first."""
    return [reader for reader in READERS if any(reader in one.readers for one in audits)]


def compared(audits: list[Audited], reader: str) -> Iterator[tuple[str, str, int, dict[str, Estimate]]]:
    """Yields each later model against the first: names, number of videos that both share, paired differences."""
    first, *others = [one for one in audits if reader in one.readers]
    for other in others:
        tables = together([first.answers, other.answers])
        if tables[0].paths:
            ours, theirs = (ratios(table, reader) for table in tables)
            found = differences(theirs, ours, first.about["draws"], first.about["seed"])
            yield other.name, first.name, len(tables[0].paths), {name: found[name] for name in (*HEADLINES, "sberr")}


def unmeasured(audited: Audited) -> str | None:
    """Says why a headline is missing, None if none is."""
    found = audited.measures["linear"]
    if all(found[name].value == found[name].value for name in HEADLINES):
        return None
    base = chance(audited.answers.valid())
    return f"{audited.name}: not above chance ({base:.1f}), so there are no right answers that could rely on anything"


def masks_sentence(audited: Audited) -> str:
    """Says which videos count, and what shows their actors."""
    about = audited.about
    counted = f"{about['num_valid']} of {about['num_videos']} videos ({about['valid_share']:.0f} %) count"
    if about["masks"] == "true masks":
        return f"{counted}: those with a true mask that covers a part of the frame"
    return (
        f"{counted}: there are no masks, actors are what moves, and those of which at most half does count. With a "
        "moving camera these numbers are wrong"
    )


def protocol(audited: Audited) -> dict[str, str]:
    """Returns what one needs to know to repeat the numbers."""
    about = audited.about
    origin = about["origin"]
    clips = about["clips"]
    return {
        "data": f"{about['data']}: {about['split']}, classifier trained on {about['gallery']}",
        "videos": masks_sentence(audited),
        "clips": f"{clips['per video']} a video, {clips['frames']} frames, {clips['stride']} apart, {about['size']} px",
        "answers by": "; ".join(READERS[reader] for reader in about["readers"]),
        "intervals": f"95 %, percentiles of {about['draws']} bootstrap draws of the videos (seed {about['seed']})",
        "pairs": f"drawn with seed {about['pairs_seed']}, the same for all models",
        "weights": ", ".join(f"{key} {value}" for key, value in origin.items()) if isinstance(origin, dict) else origin,
        "versions": ", ".join(f"{name} {number}" for name, number in about["versions"].items()),
        "command": about["command"],
    }
