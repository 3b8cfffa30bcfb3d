import pytest
import torch
from torch.testing import assert_close

from tbe.methods.key_queue import KeyQueue


def keys(*values):
    return torch.tensor(values, dtype=torch.float32).unsqueeze(1).expand(-1, 2)


def test_starts_with_directions_of_length_one():
    assert_close(KeyQueue(10, 4).keys.norm(dim=1), torch.ones(10))


def test_the_oldest_keys_are_overwritten_first():
    queue = KeyQueue(4, 2)
    for pushed in ((1, 2, 3), (4, 5), (6,)):
        queue.push(keys(*pushed))
    assert queue.keys[:, 0].tolist() == [5, 6, 3, 4]
    assert queue.position == 2


def test_the_last_keys_stay_when_more_are_pushed_than_fit():
    queue = KeyQueue(3, 2)
    queue.push(keys(1, 2, 3, 4, 5))
    assert sorted(queue.keys[:, 0].tolist()) == [3, 4, 5]


def test_keys_and_position_are_saved():
    queue, other = KeyQueue(4, 2), KeyQueue(4, 2)
    queue.push(keys(1, 2, 3))
    other.load_state_dict(queue.state_dict())
    assert torch.equal(other.keys, queue.keys)
    assert other.position == 3


def test_a_queue_without_room_is_refused():
    with pytest.raises(ValueError, match="size of at least 1, got 0"):
        KeyQueue(0, 2)
