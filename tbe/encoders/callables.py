"""Encoders that a function of a trusted package makes."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from tbe.backbones.base import VideoBackbone
from tbe.backbones.preprocessing import Preprocessing
from tbe.checkpoints.config_allowlist import VARIABLE, is_trusted, packages
from tbe.encoders.base import Encoder, Encoding, InputSpec
from tbe.encoders.names import FIELDS, Settings, answered, changed, check_no_allow
from tbe.encoders.own import BackboneEncoder, spec_of
from tbe.encoders.readouts import Times
from tbe.encoders.report import LoadReport
from tbe.errors import UserError

NEEDED = ("num_frames", "size", "mean", "std")  # where nothing else says how clips are made
OUTPUT = "output"
READOUTS = {2: (OUTPUT,), 3: ("mean", "mean_std"), 5: ("mean", "mean_std", "moments")}


class CallableEncoder(Encoder):
    """Anything that turns normalized clips into vectors (B, D), tokens (B, N, D) or maps (B, F, t, h, w)."""

    def __init__(
        self,
        name: str,
        function: Callable[[Tensor], Any],
        spec: InputSpec,
        report: LoadReport,
        rank: int,
        pool: str | None = None,
    ) -> None:
        super().__init__(name, spec, report, READOUTS[rank], pool)
        self.function = function

    def encode(self, inputs: Tensor) -> Encoding:
        found = run(self.name, self.function, inputs)
        if found.ndim == 5:
            grid: Times = tuple(found.shape[2:])  # type: ignore[assignment]
            return Encoding(found.flatten(2).transpose(1, 2), grid)
        return Encoding(found) if found.ndim == 3 else Encoding(found.unsqueeze(1), None, {OUTPUT: found.unsqueeze(1)})


def load_callable(name: str, settings: Settings, **options: Any) -> Encoder:
    """Calls `<module>:<function>` of a trusted package with the options that are not of the spec.

    What it returns is an Encoder, a backbone of this project, or a network or function of normalized clips. How its
    clips are made is told by its `spec` (InputSpec) or `preprocessing` (tbe.Preprocessing), or by num_frames, size,
    mean and std. It is tried with one gray clip. Raises UserError for a module outside of the trusted packages, and for
    what returns neither vectors nor tokens nor maps.
    """
    check_no_allow(name, settings, "what it returns is taken as it is")
    made = _function(name)(**{key: value for key, value in options.items() if key not in FIELDS})
    of_spec = {key: value for key, value in options.items() if key in FIELDS}
    if isinstance(made, Encoder):
        given = [*of_spec, *(["pool"] if settings.pool not in (None, made.pool) else [])]
        if given:
            raise UserError(
                f"{name}: expected no {', '.join(given)} beside it: it returns an Encoder, which says itself how its "
                "clips are made and read. Let the function take them under another name"
            )
        made.name = name
        return made
    if not callable(made):
        raise UserError(f"{name}: expected it to return a network or a function of clips, got a {type(made).__name__}")
    spec = _spec(name, made, of_spec)
    total = len(made.state_dict()) if isinstance(made, nn.Module) else 0
    report = LoadReport(f"as {name} gives them, not checked", total=total, matched=total)
    if isinstance(made, nn.Module):
        made.eval()
    if isinstance(made, VideoBackbone):
        return BackboneEncoder(name, made, spec, report, settings.pool)
    gray = torch.zeros(1, len(spec.mean), spec.num_frames, *spec.size)  # after the normalization
    with torch.inference_mode():
        rank = run(name, made, gray if spec.layout == "BCTHW" else gray.transpose(1, 2)).ndim
    return CallableEncoder(name, made, spec, report, rank, settings.pool)


def run(name: str, function: Callable[[Tensor], Any], inputs: Tensor) -> Tensor:
    """Returns what a function makes of clips; raises UserError for anything but one row a clip, of 2, 3 or 5 axes."""
    with answered(name, inputs):
        found = function(inputs)
    if not isinstance(found, Tensor) or found.ndim not in READOUTS or len(found) != len(inputs):
        got = tuple(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise UserError(
            f"{name}: expected vectors (B, D), tokens (B, N, D) or maps (B, F, t, h, w) of clips "
            f"{tuple(inputs.shape)}, got {got}. Return the pooled features, without a classifier"
        )
    return found


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    if not is_trusted(module):
        raise UserError(
            f"{name}: expected a module of {', '.join(packages())}, got {module!r}: not imported. If you trust it, set "
            f"{VARIABLE}=<package>"
        )
    try:
        found = getattr(import_module(module), function, None)
    except ImportError as error:
        raise UserError(f"{name}: expected a module that can be imported, got {error}") from error
    if not callable(found):
        raise UserError(f"{name}: expected a function {function!r} in {module}, got {found!r}")
    return found


def _spec(name: str, made: Any, of_spec: dict[str, Any]) -> InputSpec:
    known = getattr(made, "spec", None) or getattr(made, "preprocessing", None)
    if isinstance(known, InputSpec | Preprocessing):
        return changed(known if isinstance(known, InputSpec) else spec_of(known), of_spec)[0]
    if missing := [key for key in NEEDED if key not in of_spec]:
        raise UserError(
            f"{name}: expected a network with `spec` (InputSpec) or `preprocessing` (tbe.Preprocessing), or "
            f"{', '.join(f'{key}=' for key in NEEDED)}, got none of {', '.join(missing)}"
        )
    start = InputSpec(num_frames=1, frame_stride=1, size=(1, 1), mean=(0.0,), std=(1.0,))
    return changed(start, {"frame_stride": 2, **of_spec})[0]
