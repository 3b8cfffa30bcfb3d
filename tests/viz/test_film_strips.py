import numpy as np
import pytest
from PIL import Image

from tbe.viz.film_strips import FRAME_HEIGHT, NEUTRAL, RIGHT, WRONG, Strip, draw, load_strips, save_strips


def strip(color, title="", right=None, size=(40, 60)):
    return Strip(np.full((4, *size, len(color)), color, dtype=np.uint8), title, right)


def drawn(rows, tmp_path):
    draw(rows, tmp_path / "strips.png")
    return np.asarray(Image.open(tmp_path / "strips.png").convert("RGB")).astype(int)


def near(picture, color):
    """Counts the pixels of this color, up to smoothing."""
    if isinstance(color, str):
        color = [int(color[start : start + 2], 16) for start in (1, 3, 5)]
    return int((abs(picture - np.array(color)).max(axis=-1) < 12).sum())


def test_correct_and_wrong_results_have_different_frames(tmp_path):
    picture = drawn(
        [[strip((0, 0, 200)), strip((200, 200, 0), right=True), strip((200, 0, 200), right=False)]], tmp_path
    )
    for part, color in zip(np.split(picture, 3, axis=1), (NEUTRAL, RIGHT, WRONG), strict=True):
        others = {NEUTRAL, RIGHT, WRONG} - {color}
        assert near(part, color) > 1000
        assert not any(near(part, other) for other in others)


def test_frames_are_not_cropped(tmp_path):
    picture = drawn([[strip((0, 0, 200)), strip((200, 0, 200), size=(60, 40))], [strip((200, 200, 0))]], tmp_path)
    wide = round(FRAME_HEIGHT * 60 / 40)
    assert near(picture, (0, 0, 200)) == near(picture, (200, 200, 0)) == 4 * FRAME_HEIGHT * wide
    assert near(picture, (200, 0, 200)) == 4 * FRAME_HEIGHT * round(FRAME_HEIGHT * 40 / 60)


@pytest.mark.parametrize("title", ["W" * 400, "$x^2$ gj_q", "", "…"])
def test_a_title_stays_above_its_strip(title, tmp_path):
    picture = drawn([[strip((0, 0, 0), title, right=True), strip((0, 0, 0), right=True)]], tmp_path)
    width = picture.shape[1] // 2
    ink = (picture < 200).any(axis=(0, 2))
    assert not ink[width - 3 : width + 3].any()
    assert not ink[:3].any()
    assert not (picture[:3] < 200).any()


def test_flow_is_shown(tmp_path):
    assert near(drawn([[strip((200, 60))]], tmp_path), (200, 128, 60)) > 1000


def test_strips_are_kept_as_they_are(tmp_path):
    rows = [[Strip(np.full((2, 4, 5, 3), 7, np.uint8), "query"), Strip(np.zeros((1, 4, 5, 3), np.uint8), "é", False)]]
    save_strips(rows, tmp_path / "strips.npz")
    ((query, answer),) = load_strips(tmp_path / "strips.npz")
    assert np.array_equal(query.frames, rows[0][0].frames)
    assert query[1:] == ("query", None)
    assert answer.frames.shape == (1, 4, 5, 3)
    assert answer[1:] == ("é", False)
