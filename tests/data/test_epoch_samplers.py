import pytest

from tbe.data.epoch_samplers import EpochSampler, ShardSampler


def at(epoch, seen=0):
    return lambda: (epoch, seen)


def test_an_epoch_visits_each_video_once_over_all_processes():
    shares = [[index for index, _ in EpochSampler(12, 0, 3, rank, 2)] for rank in range(2)]
    assert sorted(shares[0] + shares[1]) == list(range(12))
    assert len(shares[0]) == len(shares[1]) == 6


def test_the_incomplete_batch_is_dropped_and_differs_by_epoch():
    first, second = (EpochSampler(11, 0, 3, position=at(epoch)) for epoch in (0, 1))
    assert len(first) == len(list(first)) == 9
    assert {index for index, _ in first} != {index for index, _ in second}


def test_order_and_draws_follow_from_seed_and_epoch():
    assert list(EpochSampler(50, 1, position=at(3))) == list(EpochSampler(50, 1, position=at(3)))
    assert list(EpochSampler(50, 1, position=at(3))) != list(EpochSampler(50, 1, position=at(4)))
    assert list(EpochSampler(50, 1)) != list(EpochSampler(50, 2))


def test_a_resumed_epoch_continues_where_it_stopped():
    whole = list(EpochSampler(20, 0, 4, position=at(2)))
    assert list(EpochSampler(20, 0, 4, position=at(2, seen=8))) == whole[8:]


def test_fewer_videos_than_a_batch_are_refused():
    with pytest.raises(ValueError, match=r"at least one batch .*got 7. Set a smaller batch_size"):
        EpochSampler(7, 0, 4, 0, 2)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_shards_cover_each_video_exactly_once(world_size):
    shards = [list(ShardSampler(11, rank, world_size)) for rank in range(world_size)]
    assert sorted(index for shard in shards for index in shard) == list(range(11))


def test_more_processes_than_videos_are_refused():
    with pytest.raises(ValueError, match="one video for each of 3 processes, got 2"):
        ShardSampler(2, 0, 3)
