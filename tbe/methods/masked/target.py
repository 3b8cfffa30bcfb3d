"""Of which clip the hidden places are to be predicted."""

from __future__ import annotations

from torch import Tensor

from tbe.errors import UserError

TARGETS = ("clean", "seen")


def reads_clean(target: str) -> bool:
    """Returns whether the target is the clip without the distractor; raises UserError for an unknown one."""
    if target not in TARGETS:
        raise UserError(f"method.target: expected one of {', '.join(TARGETS)}, got {target!r}")
    return target == "clean"


def clip_to_predict(query: Tensor, clean: Tensor | None, is_clean: bool) -> Tensor:
    """Returns the clips (B, C, T, H, W) to predict; raises UserError if the clean ones are asked for and not given."""
    if is_clean and clean is None:
        raise UserError("method.target=clean: expected the clips without the distractor, got none")
    return clean if is_clean and clean is not None else query
