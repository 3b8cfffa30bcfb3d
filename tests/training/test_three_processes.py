"""Three real processes over gloo: an odd number, and more of them than there are videos, measure what one measures."""

import os
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from tbe.augment import CenterCrop, ClipAugment
from tbe.data.clip_samplers import UniformClips
from tbe.data.datamodule import VideoDataModule
from tbe.data.sources.base import VideoSource
from tbe.data.sources.records import make_records
from tbe.data.views import LabeledClips
from tbe.distributed import gather, gather_uneven, shuffle, unshuffle
from tbe.evaluation.features import CLEAN, _Extractor
from tbe.training.callbacks.knn_probe import KnnProbe
from tbe.training.finetune_module import FinetuneModule
from tests.methods.networks import Mean

PROCESSES = 3
GALLERY, VIDEOS = 5, [1, 2, 3, 7]  # numbers that three do not divide, fewer than three, and three

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts the processes with fork, which takes no time")


class Noise(VideoSource):
    """Videos of four frames, each of noise of its own."""

    name, num_classes = "noise", 3

    def __init__(self, num_videos):
        self.counts = {"train": GALLERY, "val": num_videos}

    def has(self, split):
        return split in self.counts

    def records(self, split):
        paths = [f"{split}{number}" for number in range(self.counts[split])]
        return make_records("", paths, [number % 3 for number in range(len(paths))], [0] * len(paths))

    def __call__(self, path):
        noise = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(sum(path.encode())))
        shade = torch.rand(3, 1, 1, generator=torch.Generator().manual_seed(1 + sum(path.encode())))
        frames = (255 * noise * shade).byte()
        return type("Video", (), {"__len__": lambda self: 4, "frames": lambda self, indices: frames[indices]})()

    def worker_context(self, path):
        return None


def measured(num_videos, number, num_processes):
    """What a process learns of the videos: the probe of pretraining, the numbers of finetuning, and all features."""
    source, logged = Noise(num_videos), {}
    views = LabeledClips(ClipAugment(8, CenterCrop(1.0), flip=0.0))
    settings = {"batch_size": 2, "num_workers": 0, "val_splits": ("train", "val")}
    data = VideoDataModule(source, source, UniformClips(2, num_clips=2), views, **settings)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(global_rank=number, world_size=num_processes, training=False, strategy=strategy)
    torch.manual_seed(0)
    module, probe = FinetuneModule(Mean(), 3, nn.CrossEntropyLoss(), None, None).eval(), KnnProbe(k=3)
    module.log = lambda name, value, **settings: logged.update({name: float(value)})
    extractor = _Extractor(Mean(), False, CLEAN, None)

    def batches(loader):
        return (data.on_after_batch_transfer(batch, 0) for batch in loader)

    for place, split in enumerate(("train", "val")):
        for batch in batches(data._val_dataloader(split)):
            features = extractor._features(batch["clips"].flatten(0, 1), len(batch["index"]))
            probe.on_validation_batch_end(
                None, module, {"features": features, "labels": batch["label"]}, batch, 0, place
            )
            if split == "val":
                module.validation_step(batch, 0)
    probe.on_validation_epoch_end(SimpleNamespace(datamodule=data), module)
    module.on_validation_epoch_end()
    videos = data._videos(source.records("val"), data.eval_clips)
    for batch in batches(data.shared_loader(videos, number, num_processes)):
        extractor.predict_step(batch, 0)
    extractor.on_predict_epoch_end()
    return logged, *extractor.found["clean"]


def crossed(number):
    """What a process gets from the others; the second of them has nothing to give."""
    torch.manual_seed(number)
    ours = torch.arange(4.0) + 10 * number
    mixed, restore = shuffle(ours)
    uneven = torch.arange((2, 0, 3)[number]) + 10 * number
    return gather_uneven(uneven).tolist(), gather(mixed).tolist(), unshuffle(mixed, restore).tolist()


def _join(number, folder):
    address = f"file://{folder}/rendezvous"
    dist.init_process_group("gloo", init_method=address, rank=number, world_size=PROCESSES)
    try:
        found = {count: measured(count, number, PROCESSES) for count in VIDEOS}
        torch.save((found, crossed(number)), f"{folder}/{number}.pt")
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def on_three_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    mp.start_processes(_join, (folder,), nprocs=PROCESSES, start_method="fork")
    return [torch.load(folder / f"{number}.pt") for number in range(PROCESSES)]


@pytest.mark.parametrize("num_videos", VIDEOS)
def test_three_processes_measure_what_one_does_however_few_videos_there_are(on_three_processes, num_videos):
    logged, vectors, labels = measured(num_videos, 0, 1)
    assert labels.tolist() == [number % 3 for number in range(num_videos)]
    for found, _ in on_three_processes:
        other_logged, other_vectors, other_labels = found[num_videos]
        assert other_logged == pytest.approx(logged)
        assert torch.equal(other_labels, labels)
        torch.testing.assert_close(other_vectors, vectors)


def test_collectives_of_three_processes_keep_the_rank_order(on_three_processes):
    everything = [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]
    for number, (_, (uneven, mixed, restored)) in enumerate(on_three_processes):
        assert uneven == [0, 1, 20, 21, 22]
        assert sorted(mixed) == everything != mixed
        assert restored == everything[4 * number : 4 * number + 4]
