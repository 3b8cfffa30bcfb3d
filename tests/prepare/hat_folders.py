"""Small versions of HAT's folders: ori, inp and seg, each with <class>/<video>/000001.jpg (or .png), ..."""

import torch
from torchvision.io import write_jpeg, write_png

SIZES = {"archery/a_000001_000011": (32, 48), "bowling/b_000001_000011": (64, 64)}
NUM_FRAMES = {"archery/a_000001_000011": 8, "bowling/b_000001_000011": 4}


def person(video, number):
    """Returns top, left, height, width of the actor: it walks right, in a corner (archery) or mid-picture (bowling)."""
    return (4, 4 + number, 16, 8) if video.startswith("archery") else (32, 24 + 2 * number, 16, 8)


def write_hat(root, parts=("ori", "inp", "seg")):
    """White people on gray for archery, black ones for bowling, whose background is 100 + 20 * frame."""
    for video, size in SIZES.items():
        for part in parts:
            (root / part / video).mkdir(parents=True)
        for number in range(NUM_FRAMES[video]):
            top, left, height, width = person(video, number)
            place = (slice(None), slice(top, top + height), slice(left, left + width))
            level = 60 if video.startswith("archery") else 100 + 20 * number
            background = torch.full((3, *size), level, dtype=torch.uint8)
            picture, mask = background.clone(), torch.zeros(1, *size, dtype=torch.uint8)
            picture[place] = 250 if video.startswith("archery") else 5
            mask[place] = 255
            for part, image in (("ori", picture), ("inp", background)):
                if part in parts:
                    write_jpeg(image, str(root / part / video / f"{number + 1:06d}.jpg"), quality=95)
            if "seg" in parts:
                write_png(mask, str(root / "seg" / video / f"{number + 1:06d}.png"))
