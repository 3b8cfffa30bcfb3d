"""Says how an audit was made: what one needs to know to repeat its numbers."""

from __future__ import annotations

from tbe.auditing.card.texts import READERS
from tbe.auditing.record import Audited


def protocol(audited: Audited) -> dict[str, str]:
    """Returns what one needs to know to repeat the numbers."""
    about = audited.about
    known = about["origin"] if isinstance(about["origin"], dict) else {}
    clips = about["clips"]
    return {
        "data": f"{about['data']}: {about['split']}, classifier trained on {about['gallery']}",
        "videos": masks_sentence(audited),
        "clips": f"{clips['per video']} a video, {clips['frames']} frames, {clips['stride']} apart, {about['size']} px",
        "answers by": "; ".join(READERS[reader] for reader in about["readers"]),
        "intervals": f"95 %, percentiles of {about['draws']} bootstrap draws of the videos (seed {about['seed']})",
        "pairs": f"drawn with seed {about['pairs_seed']}, the same for all models",
        "weights": ", ".join(f"{key} {value}" for key, value in known.items()) if known else audited.weights,
        "versions": ", ".join(f"{name} {number}" for name, number in about["versions"].items()),
        "command": about["command"],
    }


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
