"""Two real processes over gloo."""

import json
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from torch.testing import assert_close

from tbe import distributed
from tbe.distributed import gather, gather_uneven, rank, seed_common, shuffle, unshuffle, world_size
from tbe.methods.encoder import Encoder
from tbe.methods.key_queue import KeyQueue
from tbe.methods.losses import NCE, InfoNCE
from tbe.methods.moco import MoCo
from tbe.methods.simclr import SimCLR
from tbe.training.callbacks.buffer_sync import SharedStatistics, average_statistics
from tests.conftest import SMALL, command_line
from tests.forked import together
from tests.methods.networks import Mean


def _join(number, folder):
    distributed._common = None  # whatever a test before has trained in this process
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=number, world_size=2)
    try:
        torch.save([work(number) for work in WORKS], f"{folder}/{number}.pt")
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def on_two_processes(tmp_path_factory):
    """What `work(rank)` returned on each of two processes, for each of WORKS."""
    folder = tmp_path_factory.mktemp("pair")
    together(lambda number: _join(number, folder), processes=2)
    found = [torch.load(folder / f"{number}.pt", weights_only=False) for number in range(2)]
    return lambda work: [each[WORKS.index(work)] for each in found]


def _gathers(number):
    ours = torch.full((2, 3), float(number))
    uneven = torch.arange(3 - number) + 10 * number
    found = {"size": world_size(), "rank": rank(), "even": gather(ours), "uneven": gather_uneven(uneven)}
    return {**found, "none": gather_uneven(torch.zeros(0, 3)), "of one": gather_uneven(ours[: 2 * number])}


def test_gathering_joins_in_the_order_of_ranks(on_two_processes):
    for number, found in enumerate(on_two_processes(_gathers)):
        assert (found["size"], found["rank"]) == (2, number)
        assert found["even"][:, 0].tolist() == [0, 0, 1, 1]
        assert found["uneven"].tolist() == [0, 1, 2, 10, 11]
        assert found["none"].shape == (0, 3)
        assert found["of one"].tolist() == [[1, 1, 1]] * 2


def _mixes(number):
    torch.manual_seed(number)  # each process draws an order of its own: the first one's must hold for all
    ours = torch.arange(4.0) + 10 * number
    mixed, restore = shuffle(ours)
    return ours, mixed, unshuffle(mixed, restore)


def test_shuffling_mixes_batches_over_processes_and_is_undone(on_two_processes):
    found = on_two_processes(_mixes)
    mixed = torch.cat([mixed for _, mixed, _ in found])
    assert sorted(mixed.tolist()) == [0, 1, 2, 3, 10, 11, 12, 13]
    for ours, mixed, restored in found:
        assert torch.equal(restored, ours)
        assert not torch.equal(mixed, ours)


def _shares(number):
    """The shares of three batches in orders from common seeds, and what was sent besides the clips."""
    torch.manual_seed(number)
    broadcast, found = [], []
    with patch.object(dist, "broadcast", lambda tensor, src: broadcast.append(tensor)):
        for seed in (1, 1, 2):
            seed_common(seed)
            ours = torch.arange(4.0) + 10 * number
            mixed, restore = shuffle(ours)
            assert torch.equal(unshuffle(mixed, restore), ours)
            found.append(mixed)
    distributed._common = None
    return found, len(broadcast)


def test_with_a_common_seed_processes_agree_on_an_order_without_a_word(on_two_processes):
    (first, first_sent), (second, second_sent) = on_two_processes(_shares)
    assert (first_sent, second_sent) == (0, 0)
    batches = [torch.cat(pair) for pair in zip(first, second, strict=True)]
    for batch in batches:
        assert sorted(batch.tolist()) == [0, 1, 2, 3, 10, 11, 12, 13]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[1], batches[2])


def _exchanges(number):
    torch.manual_seed(number)
    ours = torch.rand(5, 3, 2, 4, 4) + number
    found = []
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        mixed, restore = shuffle(ours.to(memory_format=layout))
        order = restore.argsort()
        found.append((mixed, gather(ours)[order][5 * number : 5 * number + 5], order))
    return found


def test_a_mixed_batch_is_what_gathering_everything_would_give_whatever_its_layout(on_two_processes):
    for (first, expected, order), (second, also_expected, same_order) in zip(
        *on_two_processes(_exchanges), strict=True
    ):
        assert torch.equal(first, expected)
        assert torch.equal(second, also_expected)
        assert torch.equal(order, same_order)
        assert sorted(order.tolist()) == list(range(10))


def _sends(number):
    sent = []
    real = {name: getattr(dist, name) for name in ("all_gather", "all_to_all_single")}

    def recorded(name):
        def send(output, tensor, *sizes):
            sent.extend([tensor, *(output if isinstance(output, list) else [output])])
            return real[name](output, tensor, *sizes)

        return send

    clips = torch.rand(4, 3, 2, 4, 4).to(memory_format=torch.channels_last_3d)
    with patch.multiple(dist, **{name: recorded(name) for name in real}):
        shuffle(clips)
        gather(clips)
    return [tensor.is_contiguous() for tensor in sent]


def test_what_is_sent_and_received_is_contiguous_as_nccl_asks(on_two_processes):
    for found in on_two_processes(_sends):
        assert found == [True] * 5  # all_to_all_single's two, all_gather's three


def _views():
    generator = torch.Generator().manual_seed(7)
    return [torch.rand(6, 3, 2, 4, 4, generator=generator) for _ in range(3)]


def _moco():
    torch.manual_seed(0)
    return MoCo(Encoder(Mean(), dim=4), queue_size=10)


def _compares(number):
    method = _moco()
    comparisons = method(*(view[3 * number : 3 * number + 3] for view in _views()))
    return comparisons, method.queue.keys, method.queue.position


def test_two_processes_compare_and_queue_like_one(on_two_processes):
    first, second = on_two_processes(_compares)
    method = _moco()
    comparisons = method(*_views())
    assert_close(torch.cat([first[0].positives, second[0].positives]), comparisons.positives)
    assert_close(torch.cat([first[0].negatives, second[0].negatives]), comparisons.negatives)
    for queue, position in (first[1:], second[1:]):
        assert_close(queue, method.queue.keys)
        assert position == 6


def _trains(number):
    torch.manual_seed(0)
    method = MoCo(Encoder(Mean(batch_norm=True), dim=4), queue_size=10)
    # As in configs/trainer/ddp.yaml.
    parallel = DistributedDataParallel(method, broadcast_buffers=False, gradient_as_bucket_view=True)
    optimizer = torch.optim.SGD(method.encoder.parameters(), lr=0.1)
    torch.manual_seed(1 + number)
    for _ in range(3):
        comparisons = parallel(*torch.rand(3, 4, 3, 2, 4, 4))
        optimizer.zero_grad()
        InfoNCE()(*comparisons).backward()
        optimizer.step()
        method.after_step()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    average_statistics(method)
    return before, method.state_dict()


def test_without_broadcasts_only_running_statistics_differ_until_they_are_averaged(on_two_processes):
    (one, after), (other, also_after) = on_two_processes(_trains)
    for name, value in one.items():
        if name.endswith(("running_mean", "running_var")):
            assert not torch.equal(value, other[name]), name
            assert_close(after[name], (value + other[name]) / 2)
        else:
            assert torch.equal(value, other[name]), name
            assert torch.equal(value, after[name]), name
        assert torch.equal(after[name], also_after[name]), name


def _starts(number):
    torch.manual_seed(number)
    module = nn.Sequential(nn.BatchNorm1d(3), KeyQueue(4, 2))
    SharedStatistics().on_train_start(None, module)
    return dict(module.named_buffers())


def test_all_processes_start_with_the_buffers_of_the_first(on_two_processes):
    first, second = on_two_processes(_starts)
    torch.manual_seed(0)
    assert torch.equal(first["1.keys"], KeyQueue(4, 2).keys)
    for name, value in first.items():
        assert torch.equal(value, second[name])


def _averages(number):
    module, ema = nn.BatchNorm1d(3), EMAWeightAveraging()
    ema._average_model = AveragedModel(module, use_buffers=True)
    ema._average_model.module.running_mean.fill_(float(number))
    SharedStatistics().on_validation_start(SimpleNamespace(callbacks=[ema]), module)
    return ema._average_model.module.running_mean


def test_the_statistics_of_a_moving_average_of_the_weights_are_averaged_too(on_two_processes):
    for found in on_two_processes(_averages):
        assert torch.equal(found, torch.full((3,), 0.5))


def test_statistics_are_gathered_on_the_device_of_the_strategy(monkeypatch):
    """As for a checkpoint after training, when the module is on the CPU again."""
    gathered, checkpoint = [], {}
    monkeypatch.setattr("tbe.training.callbacks.buffer_sync.world_size", lambda: 2)
    monkeypatch.setattr("tbe.training.callbacks.buffer_sync.gather", lambda given: gathered.append(given) or given)
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("meta")))
    SharedStatistics().on_save_checkpoint(trainer, nn.BatchNorm1d(3), checkpoint)
    assert [(given.device.type, tuple(given.shape)) for given in gathered] == [("meta", (1, 6))]
    assert checkpoint["statistics"] is gathered[0]


def _simclr(number):
    torch.manual_seed(0)
    method = SimCLR(Encoder(Mean(), dim=4))
    comparisons = method(*(view[3 * number : 3 * number + 3] for view in _views()))
    InfoNCE()(*comparisons).backward()
    return comparisons, [parameter.grad for parameter in method.parameters()]


def test_simclr_on_two_processes_has_the_loss_and_gradient_of_one(on_two_processes):
    first, second = on_two_processes(_simclr)
    torch.manual_seed(0)
    method = SimCLR(Encoder(Mean(), dim=4))
    comparisons = method(*_views())
    loss = InfoNCE()(*comparisons)
    loss.backward()
    halves = [InfoNCE()(*found[0]) for found in (first, second)]
    assert_close(sum(halves) / 2, loss)
    for ours, theirs, parameter in zip(first[1], second[1], method.parameters(), strict=True):
        assert_close((ours + theirs) / 2, parameter.grad)  # DDP takes the mean over processes


def _nce(number):
    loss = NCE()
    rows = torch.rand(6, 8, generator=torch.Generator().manual_seed(3))[3 * number : 3 * number + 3]
    return loss(rows[:, 0], rows[:, 1:]), loss.log_mean


def test_nce_estimates_its_normalizer_over_all_processes(on_two_processes):
    found = on_two_processes(_nce)
    rows = torch.rand(6, 8, generator=torch.Generator().manual_seed(3))
    loss = NCE()
    expected = loss(rows[:, 0], rows[:, 1:])
    assert_close(sum(value for value, _ in found) / 2, expected)
    for _, log_mean in found:
        assert_close(log_mean, loss.log_mean)


WORKS = (_gathers, _mixes, _exchanges, _sends, _shares, _compares, _trains, _starts, _simclr, _nce, _averages)


def test_one_process_gathers_nothing():
    tensor = torch.rand(3)
    assert gather(tensor) is tensor
    assert gather_uneven(tensor) is tensor


@pytest.mark.slow
def test_two_processes_train_into_one_folder_and_evaluate_like_one(tmp_path):
    small = [option for option in SMALL if not option.startswith(("batch_size", "data.num_test"))]
    # 15 videos on two processes: one has a video more than the other.
    data = [*small, "backbone.widths=[4,8,8,8]", "data.num_test=15", "batch_size=4", "epochs=1"]
    run = tmp_path / "run:1"  # what would be two folders where a colon separates paths
    data += [f"then_with={[*data, 'task=none']}", "then=biased_scenes_finetune"]
    trained = command_line("train.py", "trainer=ddp_cpu", f"hydra.run.dir={run}", *data)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.strip().splitlines()[-1] == f"run: {run}"
    queue = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]["method.queue.position"]
    assert queue == 32  # 4 steps of 4 videos on 2 processes
    tuned = torch.load(run / "finetune/checkpoints/last.ckpt", weights_only=True)
    assert tuned["global_step"] == 4  # in two processes as well
    metrics = []
    for trainer in ("cpu", "ddp_cpu"):
        folder = tmp_path / trainer
        options = [
            "task=all",
            "clips=2",
            "datamodule.num_workers=0",
            f"checkpoint={run}",
            f"hydra.run.dir={folder}",
        ]
        done = command_line("eval.py", f"trainer={trainer}", *options)
        assert done.returncode == 0, done.stderr
        metrics.append({**json.loads((folder / "metrics.json").read_text()), "protocol": None})
    assert metrics[0] == metrics[1]
    assert metrics[0]["features/test_videos"] == 15
