"""Plans which actor is put in front of which place."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from tbe.errors import UserError
from tbe.prepare.common.making import mp4_name

SPLITS = ("train", "iid", "swap", "novel", "plain")
AS_FILMED = "as_filmed"  # name of the place of plain videos, which is numbered last


class Actor(NamedTuple):
    """A filmed video: its path, its action, whom it shows, and whether that group is tested on."""

    source: str
    action: int
    group: str
    is_test: bool


class Places(NamedTuple):
    """The numbers of places: those that actions own come first, then the held-out ones."""

    num_owned: int
    num_novel: int


class Clip(NamedTuple):
    """A video to make. place: its number, the last one for plain videos; is_own: whether its action owns it."""

    path: str
    split: str
    source: str
    action: int
    group: str
    place: int
    is_own: bool


def planned(actors: Sequence[Actor], places: Places, bias: float, seed: int) -> list[Clip]:
    """Returns the clips of all splits, each in the order of the actors.

    In train and iid, round(bias * n) of the n clips of each action have its own place; the others take turns in the
    other places, as those of swap do in the places of other actions and those of novel in the held-out places.
    """
    clips = []
    owned = {actor.action % places.num_owned for actor in actors}
    for split in SPLITS:
        if split == "novel" and not places.num_novel:
            continue
        chosen = [actor for actor in actors if actor.is_test != (split == "train")]
        for actor, place in zip(chosen, _places(split, chosen, owned, places, bias, seed), strict=True):
            path = (PurePosixPath(split) / mp4_name(actor.source)).as_posix()
            is_own = place == actor.action % places.num_owned
            clips.append(Clip(path, split, actor.source, actor.action, actor.group, place, is_own))
    return clips


def realized_bias(clips: Sequence[Clip], split: str) -> float:
    """Returns the share of a split's clips in their action's own place."""
    return float(np.mean([clip.is_own for clip in clips if clip.split == split]))


def plan_text(clips: Sequence[Clip], actions: Sequence[str], places: Sequence[str]) -> str:
    """Returns the plan as csv text."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["clip", "split", "source", "group", "action", "place", "is_own_place"])
    for clip in clips:
        what = (actions[clip.action], places[clip.place], int(clip.is_own))
        writer.writerow([clip.path, clip.split, clip.source, clip.group, *what])
    return file.getvalue()


def check_places(actors: Sequence[Actor], places: Places) -> None:
    """Raises UserError for too few actions or places to swap."""
    actions = {actor.action for actor in actors}
    owned = {action % places.num_owned for action in actions} if places.num_owned else set()
    if len(owned) < 2:
        raise UserError(
            "--backgrounds: expected at least two places that actions own, so that each action gets another one's in "
            f"swap, got {len(owned)} from {len(actions)} actions and {places.num_owned} places beside those held out"
        )


def _places(split: str, actors: Sequence[Actor], owned: set[int], places: Places, bias: float, seed: int) -> list[int]:
    """Returns the place of each of these actors; owned: places that any action owns."""
    chosen = np.zeros(len(actors), int)
    for action in sorted({actor.action for actor in actors}):
        rng = np.random.default_rng((seed, SPLITS.index(split), action))
        members = rng.permutation([number for number, actor in enumerate(actors) if actor.action == action])
        own = action % places.num_owned
        others = [place for place in range(places.num_owned) if place != own]
        held_out = list(range(places.num_owned, places.num_owned + places.num_novel))
        if split in ("train", "iid"):
            num_own = round(bias * len(members))
            chosen[members] = [own] * num_own + _turns(others, len(members) - num_own, rng)
        elif split == "swap":
            chosen[members] = _turns([place for place in others if place in owned], len(members), rng)
        elif split == "novel":
            chosen[members] = _turns(held_out, len(members), rng)
        else:
            chosen[members] = places.num_owned + places.num_novel
    return chosen.tolist()


def _turns(choices: list[int], count: int, rng: np.random.Generator) -> list[int]:
    """Draws `count` of the choices, each equally often up to one, in a new random order each time around."""
    rounds = [rng.permutation(choices) for _ in range(-(-count // max(1, len(choices))))]
    return np.concatenate([np.zeros(0, int), *rounds])[:count].tolist()
