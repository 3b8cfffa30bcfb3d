"""The ways to find people, by the name that --by takes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tbe.errors import UserError
from tbe.prepare.tools.masks.finding import Finder


class Options(NamedTuple):
    """Inputs of networks: a file of weights, a device (None: by default), and threads of a process."""

    weights: Path | None
    device: str | None
    num_threads: int


def matte(options: Options) -> Finder:
    from tbe.prepare.tools.masks.matte import find_before_wall  # scipy, which only the processes need

    return find_before_wall


def motion(options: Options) -> Finder:
    _limit_threads(options)
    from tbe.prepare.tools.masks.motion import find_motion

    return find_motion


def torchvision(options: Options) -> Finder:
    _limit_threads(options)
    from tbe.prepare.tools.masks.people import people_finder, weights_file

    return people_finder(weights_file(options.weights), options.device)


def checked(by: str, weights: Path | None) -> Path | None:
    """Returns the weights that a way takes, None for none; raises UserError for weights that it cannot take."""
    if by == "torchvision":
        from tbe.prepare.tools.masks.people import weights_file

        return weights_file(weights)
    if weights:
        raise UserError(f"--weights: expected only with --by torchvision, got --by {by}")
    return None


def _limit_threads(options: Options) -> None:
    import torch  # slow to import

    torch.set_num_threads(options.num_threads)


WAYS = {"matte": matte, "motion": motion, "torchvision": torchvision}
