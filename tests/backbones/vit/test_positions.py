"""Positions against their definitions, written as loops."""

import math

import pytest
import torch
from torch.testing import assert_close

from tbe.backbones.vit.positions import rotate, rotation, vectors

CPU = torch.device("cpu")
GRID = (2, 3, 4)
PLACES = [(t, h, w) for t in range(2) for h in range(3) for w in range(4)]


def test_each_axis_has_a_third_of_the_channels_sines_before_cosines():
    found = vectors("sincos", 20, GRID, GRID, CPU)[0]
    for token, place in enumerate(PLACES):
        expected = []
        for count in place:
            phases = [count / 10000 ** (wave / 4) for wave in range(4)]
            expected += [*map(math.sin, phases), *map(math.cos, phases)]
        assert_close(found[token], torch.tensor(expected[:20]))  # eight channels an axis, four too many


def test_flat_positions_count_all_tokens_sines_and_cosines_in_turn():
    found = vectors("flat", 6, GRID, GRID, CPU)[0]
    for token in range(24):
        phases = [token / 10000 ** (wave / 3) for wave in range(3)]
        assert_close(found[token], torch.tensor([f(phase) for phase in phases for f in (math.sin, math.cos)]))


def test_another_grid_covers_what_the_reference_does():
    half = vectors("sincos", 12, (2, 3, 2), GRID, CPU)[0].view(2, 3, 2, 12)
    for column, place in enumerate((0.5, 2.5)):  # each in the middle of two columns of the reference
        phases = [place, place / 100]
        assert_close(half[1, 2, column, 8:], torch.tensor([*map(math.sin, phases), *map(math.cos, phases)]))
    table = vectors("flat", 6, GRID, GRID, CPU)[0].view(2, 3, 4, 6)
    assert_close(vectors("flat", 6, (2, 3, 2), GRID, CPU)[0].view(2, 3, 2, 6), table.view(2, 3, 2, 2, 6).mean(dim=3))


def test_rotated_queries_and_keys_know_distances_only():
    query, key = torch.randn(2, 1, 1, 1, 20)
    by = rotation("rotary", 20, (4, 5, 6), CPU)
    queries = rotate(query.expand(1, 1, 120, 20), by).view(4, 5, 6, 20)
    keys = rotate(key.expand(1, 1, 120, 20), by).view(4, 5, 6, 20)
    one = queries[0, 1, 2] @ keys[1, 3, 5]
    assert_close(queries[2, 2, 0] @ keys[3, 4, 3], one)
    assert not torch.isclose(queries[2, 2, 0] @ keys[3, 4, 4], one)
    assert_close(queries.norm(dim=3), query.norm().expand(4, 5, 6))


@pytest.mark.parametrize("kind", ["rotary", "rotary_tiled"])
def test_pairs_of_channels_turn_with_their_axis(kind):
    channels = torch.randn(1, 2, 24, 20)
    found = rotate(channels, rotation(kind, 20, GRID, CPU))
    assert_close(found[..., 18:], channels[..., 18:])
    for token, place in enumerate(PLACES):
        for axis, count in enumerate(place):
            for channel in range(6):
                wave = channel // 2 if kind == "rotary" else channel % 3
                angle = count / 10000 ** (wave / 3)
                at = 6 * axis + channel
                other = -channels[0, 1, token, at + 1] if channel % 2 == 0 else channels[0, 1, token, at - 1]
                expected = channels[0, 1, token, at] * math.cos(angle) + other * math.sin(angle)
                assert_close(found[0, 1, token, at], expected, atol=1e-5, rtol=1e-5)
