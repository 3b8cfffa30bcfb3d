"""The ways to find people, by the name that --by takes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tbe.errors import UserError
from tbe.prepare.tools.masks.finding import Finder


class Options(NamedTuple):
    """Inputs of networks: their weights, a device (None: by default), and threads of a process.

    prompt: how SAM 2 is told where people are, one of PROMPTS; detector: the weights of Mask R-CNN for that.
    """

    weights: Path | None
    device: str | None
    num_threads: int
    prompt: str | None = None
    detector: Path | None = None


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


def sam2(options: Options) -> Finder:
    _limit_threads(options)
    from tbe.prepare.tools.masks.sam2 import follower, model_folder, tracker

    chosen = tracker(model_folder(options.weights), options.device)
    if options.prompt == "motion":
        from tbe.prepare.tools.masks.prompts import by_motion

        return follower(chosen, by_motion)
    from tbe.prepare.tools.masks.people import detector, weights_file
    from tbe.prepare.tools.masks.prompts import by_detector

    return follower(chosen, by_detector(detector(weights_file(options.detector), chosen.device), chosen.device))


def checked(by: str, options: Options) -> Options:
    """Returns the options of a way with the weights that it takes; raises UserError for options that it does not."""
    if by != "sam2" and (options.prompt or options.detector):
        raise UserError(f"--prompt and --detector: expected only with --by sam2, got --by {by}")
    if by == "torchvision":
        from tbe.prepare.tools.masks.people import weights_file

        return options._replace(weights=weights_file(options.weights))
    if by == "sam2":
        return _checked_sam2(options)
    if options.weights:
        raise UserError(f"--weights: expected only with --by torchvision or sam2, got --by {by}")
    return options


def _checked_sam2(options: Options) -> Options:
    from tbe.prepare.tools.masks.people import weights_file
    from tbe.prepare.tools.masks.sam2 import model_folder

    prompt = options.prompt or PROMPTS[0]
    if options.detector and prompt != "torchvision":
        raise UserError(f"--detector: expected only with --prompt torchvision, got --prompt {prompt}")
    detector = weights_file(options.detector) if prompt == "torchvision" else None
    return options._replace(weights=model_folder(options.weights), prompt=prompt, detector=detector)


def _limit_threads(options: Options) -> None:
    import torch  # slow to import

    torch.set_num_threads(options.num_threads)


WAYS = {"matte": matte, "motion": motion, "torchvision": torchvision, "sam2": sam2}
PROMPTS = ("motion", "torchvision")
