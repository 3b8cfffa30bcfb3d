import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import write_jpeg, write_png

from tbe.data.sources.actor_masks import ActorMasks, read_mask
from tbe.data.video_writer import write_video
from tests.conftest import moving_square
from tests.prepare.videos import lying


def square(number):
    """Returns the mask of the square of `moving_square` in a frame, bool (32, 40)."""
    mask = np.zeros((32, 40), dtype=bool)
    mask[8:20, number : number + 12] = True
    return mask


@pytest.fixture
def masks(tmp_path):
    """masks("run/a", [1, 2, 3]) writes masks with these numbers, 200 on the square; returns the folder."""

    def write(name, numbers, size=(32, 40)):
        (tmp_path / "masks" / name).mkdir(parents=True, exist_ok=True)
        for place, number in enumerate(numbers):
            picture = torch.from_numpy(200 * square(place)[: size[0], : size[1]].astype(np.uint8))[None]
            file = f"{number:06d}.png" if isinstance(number, int) else f"{number}.png"
            write_png(picture, str(tmp_path / "masks" / name / file))
        return tmp_path / "masks"

    return write


@pytest.mark.parametrize("first", [0, 1])
def test_masks_are_found_by_frame_position(masks, first):
    found = ActorMasks(masks("run/a", range(first, first + 12)))("run/a.avi", "", [3, 0, 3, 11])
    assert np.array_equal(found, [square(number) for number in (3, 0, 3, 11)])


def test_the_threshold_decides_where_the_actor_is(masks):
    folder = masks("run/a", [1, 2])
    assert ActorMasks(folder, above=199)("run/a.avi", "", [0]).any()
    assert not ActorMasks(folder, above=200)("run/a.avi", "", [0]).any()
    Image.fromarray(np.array([[0, 100, 127 * 257, 128 * 257, 65535]], np.uint16)).save(folder / "deep.png")
    assert read_mask(folder / "deep.png").tolist() == [[False, True, True, True, True]]
    assert read_mask(folder / "deep.png", above=127).tolist() == [[False, False, False, True, True]]  # of 16 bits
    with pytest.raises(ValueError, match=r"data.mask_above: expected 0 to 254, got 255"):
        ActorMasks(folder, above=255)


def test_a_video_outside_the_root_is_found_by_folder_and_name(masks):
    found = ActorMasks(masks("run/a", [1, 2]))
    assert found.has("/other/place/run/a.avi")
    assert found.has("../place/run/a")
    assert not found.has("/other/place/walk/a.avi")
    assert found("walk/a.avi", "", [0]) is None


@pytest.mark.parametrize(
    ("numbers", "frames", "message"),
    [
        (
            [1, 6, 11],
            [0],
            r"run/a: expected a mask of each frame, numbered from 0 or 1 without gaps, got 3 from 1 to 11",
        ),
        ([2, 3], [0], r"without gaps, got 2 from 2 to 3"),
        (["1_a000001", "1", "3"], [0], r"without gaps, got 3 from 1 to 3"),
        ([1, 2], [0, 2], r"run/a: expected a mask of each frame, got 2 and a frame 2"),
        ([], [0], r"run/a: expected masks, <number>.png, found none"),
    ],
)
def test_other_than_one_mask_per_frame_is_refused(masks, numbers, frames, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        ActorMasks(masks("run/a", numbers))("run/a.avi", "", frames)


def test_masks_of_two_sizes_are_refused(masks):
    masks("run/a", [0, 1])
    with pytest.raises(ValueError, match=r"expected masks of one size, got \(16, 16\) and \(32, 40\)"):
        ActorMasks(masks("run/a", [0], size=(16, 16)))("run/a.avi", "", [0, 1])


def written(folder, kind):
    """The square as a video, upright or with a rotation, or as a folder of frames."""
    video = folder / "run" / "a.mp4"
    write_video(video, moving_square(), fps=25)
    if kind == "turned":
        video.write_bytes(lying(video.read_bytes(), 1))
    if kind == "frames":
        video = folder / "frames"
        video.mkdir()
        write_jpeg(torch.zeros(3, 32, 40, dtype=torch.uint8), str(video / "img_00001.jpg"))
    return str(video)


@pytest.mark.parametrize(("kind", "size"), [("video", (32, 40)), ("turned", (40, 32)), ("frames", (32, 40))])
def test_boxes_become_masks_as_large_as_the_video(tmp_path, kind, size):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.csv").write_text("0,0,8,12,20\n8,8,8,20,20\n")
    found = ActorMasks(tmp_path)("run/a.mp4", written(tmp_path, kind), [0, 4, 4, 9])
    assert found.shape == (4, *size)
    if kind != "turned":
        assert np.array_equal(found, [square(number) for number in (0, 4, 4, 8)])


def test_boxes_outside_the_video_are_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.json").write_text("[[0, 100, 8, 120, 20]]")
    with pytest.raises(
        ValueError, match=r"run/a: expected boxes inside the 40 x 32 pixels of .*, got a corner at 100, 8"
    ):
        ActorMasks(tmp_path)("run/a.mp4", written(tmp_path, "video"), [0])


def test_masks_of_a_video_are_those_of_its_frames(tmp_path):
    levels = np.stack([200 * square(number).astype(np.uint8) for number in range(10)])
    write_video(tmp_path / "run" / "a.mkv", levels[..., None].repeat(3, axis=-1), fps=25, options={"crf": "4"})
    masks = ActorMasks(tmp_path, above=100)
    assert masks.has("run/a.mp4")
    assert not masks.is_boxes("run/a.mp4")
    found = masks("run/a.mp4", "elsewhere/run/a.mp4", [3, 0, 3, 9])
    assert np.mean(found != [square(number) for number in (3, 0, 3, 9)]) < 0.01
    with pytest.raises(ValueError, match=r"run/a.mkv: expected a mask of each frame, got 10 and a frame 10"):
        masks("run/a.mp4", "elsewhere/run/a.mp4", [10])
    with pytest.raises(ValueError, match=r"expected a folder of masks, got .*run/a.mkv, which is the video itself"):
        masks("run/a.mkv", str(tmp_path / "run" / "a.mkv"), [0])
