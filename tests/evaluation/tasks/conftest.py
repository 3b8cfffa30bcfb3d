from types import SimpleNamespace

import pytest
import torch

from tbe.data.sources.base import VideoSource
from tbe.data.sources.records import make_records
from tbe.evaluation.features import CLEAN, Features
from tbe.evaluation.tasks.base import Evaluation


class KnownVideos(VideoSource):
    """A data set of videos that are names alone."""

    name = "known"

    def __init__(self, videos, num_classes):
        self.videos = videos
        self.num_classes = num_classes

    def has(self, split):
        return split in self.videos

    def records(self, split):
        return self.videos[split]


@pytest.fixture
def known(tmp_path):
    """known(train=(vectors, labels), test=...) evaluates videos with these features.

    Splits of the same tensor are the same videos, unless the paths are given: (vectors, labels, paths).
    """

    def make(gallery="train", queries=("test",), num_classes=8, **features):
        videos = {}
        for split, (vectors, labels, *rest) in features.items():
            paths = rest[0] if rest else [f"{id(vectors)}/{number}.mp4" for number in range(len(labels))]
            videos[split] = make_records(tmp_path, paths, labels.tolist(), [0] * len(labels))
        datamodule = SimpleNamespace(source=KnownVideos(videos, num_classes), eval_clips=None)
        trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu")))
        evaluation = Evaluation("net", None, None, datamodule, trainer, gallery, list(queries), tmp_path)
        for split, found in features.items():
            evaluation._found[split, repr(CLEAN["clean"])] = Features(found[0].unsqueeze(1), found[1])  # of one clip
        return evaluation

    return make
