"""Shows the clips of a few videos as films in an HTML card, with what each model answered."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from tbe.auditing.clips import MEANING
from tbe.auditing.pictures import MAPPED, MAPS, SHOWN
from tbe.auditing.record import PICTURES, Audited
from tbe.reporting.html.markup import Markup, tag

MAX_BYTES = 7 * 2**20  # of films before their encoding in the page, which adds a third: under 10 MiB


def films(audits: list[Audited]) -> Iterator[Markup]:
    """Yields the clips of each video that was drawn for the first model, with the answers of all, then the maps."""
    room = MAX_BYTES
    folder = audits[0].folder / PICTURES
    rows = sorted({int(file.name.split("_")[0]) for file in folder.glob("*.webp")})
    for row in rows:
        path, truth = audits[0].answers.paths[row], _class(audits[0], int(audits[0].answers.facts["label"][row]))
        yield tag("h4", f"{path}: {truth}")
        figures = []
        for clip in SHOWN:
            film, room = _film(folder / f"{row}_{clip}.webp", MEANING[clip], room)
            figures.append(tag("figure", film, tag("b", clip), *(_answer(one, path, clip) for one in audits)))
        yield tag("div", *figures, class_="films")
        maps = []
        for audited in audits:
            for clip in MAPPED:
                file = audited.folder / PICTURES / f"{row}_{clip}_{MAPS}.webp"
                if file.is_file():
                    film, room = _film(file, f"energy of the features, {clip}", room)
                    maps.append(tag("figure", film, f"{audited.name}: {clip}"))
        if maps:
            yield tag("p", "Where the feature maps are large (energy):", class_="note")
            yield tag("div", *maps, class_="films")
    if not rows:
        yield tag("p", "None were drawn.", class_="note")


def _film(file: Path, text: str, room: int) -> tuple[Markup, int]:
    """Returns a film and what room is left; a note in its place where there is none or no room."""
    content = file.read_bytes() if file.is_file() else b""
    if not content or len(content) > room:
        return tag("small", "no room for this film" if content else "no film"), room
    source = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
    return tag("img", src=source, alt=text, title=text), room - len(content)


def _answer(audited: Audited, path: str, clip: str) -> Markup | None:
    """Returns what a model answered for a clip; None if it was not asked about the video."""
    if path not in audited.answers.paths:
        return None
    row = audited.answers.paths.index(path)
    reader = audited.readers[-1]  # its own head, if it has one
    given = int(audited.answers.of(reader)[clip][row])
    is_right = given == int(audited.answers.facts["label"][row])
    mark = "✓" if is_right else "✗"
    text = f"{mark} {audited.name}: {_class(audited, given)}"
    return tag("div", text, class_="right" if is_right else "wrong")


def _class(audited: Audited, label: int) -> str:
    names = audited.about["classes"]
    return str(names[label]) if 0 <= label < len(names) else f"class {label}"
