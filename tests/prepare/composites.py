"""A small data set of actors with mattes, and places, and work in this process, for tests."""

import numpy as np
import torch
from torchvision.io import write_png

from tbe.data.video_writer import write_video
from tbe.prepare.common.processes import Outcome

ACTIONS = ("wave", "walk", "jump")
PERSONS = ("ann", "bob", "cem", "dan")
NUM_FRAMES = 6
HEIGHT, WIDTH = 48, 64
PLACES = {"home_a": (200, 40, 40), "home_b": (40, 160, 60), "home_c": (50, 60, 210), "novel_x": (220, 210, 60)}
ACTOR, WALL = (150, 90, 220), (120, 120, 120)


def in_this_process(function, items, num_workers, timeout):
    """Stands in for `call_in_processes`, without processes."""
    for item in items:
        try:
            outcome = Outcome(item, "ok", function(item))
        except Exception as error:
            outcome = Outcome(item, "failed", reason=str(error))
        yield outcome


def square(number):
    """Returns the actor's mask in a frame, bool (H, W): it moves to the right."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[12:36, 4 + 4 * number : 28 + 4 * number] = True
    return mask


def levels(number):
    """Returns the matte of a frame, uint8 (H, W): full inside the square, half on its outline."""
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[13:35, 5 + 4 * number : 27 + 4 * number] = True
    return np.where(inside, 255, np.where(square(number), 128, 0)).astype(np.uint8)


def filmed():
    """Renders the actor in front of a wall, uint8 (T, H, W, 3), mixed in linear light where the matte is half."""
    frames = np.full((NUM_FRAMES, HEIGHT, WIDTH, 3), WALL, np.uint8)
    for number, frame in enumerate(frames):
        share = levels(number)[..., None] / 255
        light = share * (np.array(ACTOR) / 255) ** 2.2 + (1 - share) * (np.array(WALL) / 255) ** 2.2
        frame[:] = (255 * light ** (1 / 2.2)).round()
    return frames


def write_actors(folder, repetitions=2):
    """Writes <folder>/videos/<action>/<person>_<repetition>.mp4, the same below masks, and the places."""
    (folder / "places").mkdir(parents=True)
    for name, color in PLACES.items():
        picture = torch.tensor(color, dtype=torch.uint8)[:, None, None].expand(3, 60, 60)
        write_png(picture.contiguous(), str(folder / "places" / f"{name}.png"))
    frames = filmed()
    mattes = np.stack([levels(number) for number in range(NUM_FRAMES)])[..., None].repeat(3, axis=-1)
    for action in ACTIONS:
        for person in PERSONS:
            for number in range(repetitions):
                name = f"{action}/{person}_{number}.mp4"
                write_video(folder / "videos" / name, frames, fps=12, options={"crf": "4"})
                write_video(folder / "masks" / name, mattes, fps=12, options={"crf": "4"})
    return folder


def write_pictures(mattes, folder):
    """Writes the mattes of a video as numbered pictures."""
    folder.mkdir(parents=True)
    for number, matte in enumerate(mattes):
        write_png(torch.from_numpy(matte)[None], str(folder / f"{number:06d}.png"))


def options(folder, out, **changed):
    """Returns the command line, with ann, bob and cem for training and dan for testing."""
    chosen = {
        "root": folder / "videos",
        "masks": folder / "masks",
        "backgrounds": folder / "places/home_*.png",
        "novel": folder / "places/novel_*.png",
        "group": r"([a-z]+)_\d",
        "test": "dan",
        "bias": 0.5,
        "short-side": HEIGHT,
        "out": out,
        "workers": 1,
    } | changed
    given = [str(word) for name, value in chosen.items() if value is not None for word in (f"--{name}", value)]
    return ["composite", *given]
