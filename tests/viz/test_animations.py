import av
import numpy as np
import pytest
from PIL import Image

from tbe.viz.animations import draw_videos
from tests.conftest import moving_square


@pytest.fixture
def files(tmp_path):
    """The drawing of two clips of 10 frames under two names."""
    clips = np.stack([moving_square(10, 32, 32, seed=seed) for seed in range(2)])
    clips[0, :, :4, :4] = [255, 0, 0]
    draw_videos(tmp_path / "below" / "films", {"clip": clips, "inverse": 255 - clips}, ["first", "second"], fps=5)
    return {file.suffix: file for file in (tmp_path / "below").iterdir()}


def test_animations_have_all_frames_at_the_right_speed(files):
    with Image.open(files[".gif"]) as film:
        assert (film.n_frames, film.info["duration"], film.info["loop"]) == (10, 200, 0)
        size = film.size
    with av.open(str(files[".mp4"])) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 5
    assert len(frames) == 10
    assert frames[0].shape[1::-1] == size


def test_an_animation_moves_and_keeps_the_colors_of_small_objects(files):
    with Image.open(files[".gif"]) as film:
        first = np.asarray(film.convert("RGB")).astype(int)
        film.seek(9)
        last = np.asarray(film.convert("RGB")).astype(int)
    assert abs(first - last).max() > 150
    assert (abs(first - [255, 0, 0]).max(axis=-1) < 25).sum() > 100


def test_a_strip_has_frames_from_the_first_to_the_last(files):
    strip = np.asarray(Image.open(files[".png"]).convert("RGB")).astype(int)
    red = (abs(strip - [255, 0, 0]).max(axis=-1) < 25).any(axis=0)
    starts = np.flatnonzero(np.diff(red.astype(int)) == 1)
    assert len(starts) == 8
    assert len(set(np.diff(starts))) == 1
