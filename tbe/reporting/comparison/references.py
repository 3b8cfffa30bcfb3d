"""Finds the variant that each variant is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tbe.errors import UserError
from tbe.reporting.comparison.runs import Run
from tbe.reporting.comparison.values import as_text


def references(variants: Mapping[str, Sequence[Run]], against: str | None) -> dict[str, str]:
    """Returns the name of the variant that each is compared with; those without one, and itself, are left out.

    against: the name of one variant; or some of its settings, such as 'be=none' or 'moco': then the one that has them
    and is like the variant in all others. UserError if there is no such variant.
    """
    if against is None:
        return {}
    if against in variants:
        return {name: against for name in variants if name != against}
    told = _settings(against)
    names = {frozenset(of_variant[0].settings.items()): name for name, of_variant in variants.items()}
    found = {}
    for name, of_variant in variants.items():
        reference = names.get(frozenset({**of_variant[0].settings, **told}.items()))
        if reference is not None:
            found[name] = reference
    if not found:
        raise UserError(
            f"expected the variant to compare against to be one of {', '.join(variants)}, or some of its settings, "
            f"got {against!r}"
        )
    return {name: reference for name, reference in found.items() if name != reference}


def _settings(text: str) -> dict[str, str]:
    """Returns the settings that a name tells: 'moco be.ratio=0.3' is {'variant': 'moco', 'be.ratio': '0.3'}."""
    parted = (part.partition("=") for part in text.split())
    return {key if equals else "variant": as_text(value if equals else key) for key, equals, value in parted}
