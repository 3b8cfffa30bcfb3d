import os
import random

import numpy as np
import pytest

from tbe.data.sources import text_columns
from tbe.data.sources.text_columns import TextColumn
from tbe.prepare.common import path_column
from tbe.prepare.common.path_column import PathColumn, distinct

NAMES = [f"class {number % 3}/{'video ' * (number % 4)}{number}.mp4" for number in range(40)] + ["caf\udce9.avi"]


def column(paths):
    return TextColumn.of(map(os.fsencode, paths))


@pytest.fixture(params=["digests", "equal digests"])
def _digests(request, monkeypatch):
    """Some paths at a time; digests as they are, and such as many different paths share."""
    for module in (path_column, text_columns):
        monkeypatch.setattr(module, "CHUNK", 7)
    if request.param == "equal digests":
        monkeypatch.setattr(TextColumn, "digests", lambda self: self.lengths.astype(np.uint64) % 3)


@pytest.mark.usefixtures("_digests")
def test_each_path_of_several_lists_is_kept_once_where_it_comes_first():
    rng = random.Random(0)
    lists = [NAMES[:9], rng.choices(NAMES, k=60), [], NAMES[30:], NAMES[::-1]]
    paths = distinct([column(names) for names in lists])
    expected = list(dict.fromkeys(name for names in lists for name in names))
    assert list(paths) == expected == [paths[place] for place in range(len(paths))]
    assert [name for names in paths.chunks() for name in names] == expected
    assert paths[-1] == expected[-1]


@pytest.mark.usefixtures("_digests")
def test_paths_are_found_and_others_are_not():
    paths = PathColumn([column(NAMES[:20]), column(NAMES[20:35])])
    asked = random.Random(0).sample(NAMES, k=len(NAMES))
    places = {name: place for place, name in enumerate(NAMES[:35])}
    assert paths.positions(column(asked)).tolist() == [places.get(name, -1) for name in asked]
    assert PathColumn([]).positions(column(asked)).tolist() == [-1] * len(asked)


def test_a_list_without_repeated_paths_is_the_column_that_was_read():
    first, second = column(NAMES[:5]), column(NAMES[3:9])
    paths = distinct([first, second])
    assert paths.columns[0] is first
    assert [paths.start_of(one) for one in (first, paths.columns[1], second)] == [0, 5, None]


def test_some_of_the_paths_are_those_of_a_list():
    paths = PathColumn([column(NAMES[:20]), column(NAMES[20:])])
    for part in (slice(None), slice(2, None, 7), slice(25, 30), slice(3, 3)):
        assert list(paths[part]) == NAMES[part]
    assert list(paths[np.array([1, 19, 20, 40])]) == [NAMES[place] for place in (1, 19, 20, 40)]
    assert paths[:] is paths
