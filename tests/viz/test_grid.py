import numpy as np
import pytest

from tbe.viz.grid import GAP, Sheet

BLUE = np.tile(np.array([0, 0, 255], dtype=np.uint8), (20, 20, 1))


def drawn(row_titles, column_titles, **settings):
    sheet = Sheet(row_titles, column_titles, **settings)
    return np.asarray(sheet.draw([[BLUE] * len(column_titles)] * len(row_titles)))


def is_blue(picture):
    return (picture == [0, 0, 255]).all(axis=-1)


@pytest.mark.parametrize(
    "title", ["", "a", "several words that need more than a line of it", "W" * 300, "a\nb\nc", "gj" * 9]
)
def test_titles_stay_on_the_sheet_and_off_the_pictures(title):
    picture = drawn([title, title], [title, title, title], side=60)
    assert is_blue(picture).sum() == 6 * 60 * 60
    border = np.concatenate([picture[:2].reshape(-1, 3), picture[:, :2].reshape(-1, 3), picture[-1:].reshape(-1, 3)])
    assert (border == 255).all()
    assert (picture.reshape(-1, 3).min(axis=1) < 100).sum() > 6 * 60 * 60 or not title


def test_groups_of_rows_are_separated():
    rows = is_blue(drawn([""] * 4, ["x"], group=2, side=30)).any(axis=1)
    starts = np.flatnonzero(np.diff(rows.astype(int)) == 1)
    assert np.diff(starts).tolist() == [30 + GAP, 30 + 3 * GAP, 30 + GAP]


@pytest.mark.parametrize("side", [31, 112])
def test_a_sheet_can_be_a_video(side):
    assert [length % 2 for length in drawn(["row"], ["column"], side=side).shape[:2]] == [0, 0]
