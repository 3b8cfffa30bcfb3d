from types import SimpleNamespace

import pytest
import torch

from tbe.data.sources.records import make_records
from tbe.evaluation.metrics import knn_accuracy
from tbe.training.callbacks.knn_probe import KnnProbe

NUM = 12


@pytest.fixture
def probed(tmp_path, caplog):
    """probed(gallery, queries) is what the probe logs of lists of these paths; feature and label follow the name."""
    centers = torch.randn(NUM, 8, generator=torch.Generator().manual_seed(0))

    def features(paths):
        numbers = [int(path.rpartition("/")[2]) for path in paths]
        return centers[numbers], torch.tensor(numbers) % 3

    def run(gallery, queries, scenes=None):
        logged = {}
        lists = {"train": gallery, "val": queries}
        records = {
            split: make_records(tmp_path, paths, [0] * len(paths), [0] * len(paths)) for split, paths in lists.items()
        }
        known = {split: scenes and torch.tensor([scenes[path] for path in paths]) for split, paths in lists.items()}
        data = SimpleNamespace(val_splits=tuple(lists), val_records=records, val_scenes=known)
        trainer = SimpleNamespace(datamodule=data)
        module = SimpleNamespace(log=lambda name, value, **_: logged.update({name: value}))
        probe = KnnProbe(k=3)
        for _ in range(2):
            probe.on_validation_epoch_start(trainer, module)
            for place, paths in enumerate(lists.values()):
                for rows in torch.arange(len(paths)).flip(0).split(5):  # whatever the order of the batches
                    vectors, labels = features([paths[row] for row in rows])
                    outputs = {"features": vectors, "labels": labels}
                    probe.on_validation_batch_end(trainer, module, outputs, {"index": rows}, 0, place)
            probe.on_validation_epoch_end(trainer, module)
        run.logged = logged
        return logged["val/knn_top1"]

    run.features = features
    return run


def test_a_validation_video_of_the_training_list_does_not_find_itself(probed, caplog):
    gallery, queries = [f"{number}" for number in range(NUM)], [f"./{number}" for number in range(5, -1, -1)]
    others = {query: [path for path in gallery if f"./{path}" != query] for query in queries}
    loop = [knn_accuracy(*probed.features([one]), *probed.features(rest), k=3) for one, rest in others.items()]
    assert probed(gallery, queries) == pytest.approx(sum(loop) / len(loop))
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "val/knn_top1: 6 of the 6 validation videos are also in the gallery"
    ]


def test_lists_that_share_nothing_are_compared_as_they_are(probed, caplog):
    gallery, queries = [f"{number}" for number in range(4, NUM)], ["0", "1", "2", "3"]
    expected = knn_accuracy(*probed.features(queries), *probed.features(gallery), k=3)
    assert probed(gallery, queries) == pytest.approx(expected)
    assert not caplog.records


def test_a_video_with_nothing_else_to_find_ends_no_training(probed):
    assert probed(["1"], ["1"]) == 0


def test_where_there_are_scenes_they_are_told_by_the_same_neighbors(probed):
    gallery, queries = [f"{number}" for number in range(4, NUM)], ["0", "1", "2", "3"]
    probed(gallery, queries)
    assert set(probed.logged) == {"val/knn_top1"}
    scenes = {f"{number}": number % 2 for number in range(NUM)}
    (vectors, _), (known, _) = probed.features(queries), probed.features(gallery)
    labels = (torch.tensor([scenes[path] for path in paths]) for paths in (queries, gallery))
    expected = knn_accuracy(vectors, next(labels), known, next(labels), k=3)
    assert probed(gallery, queries, scenes) != probed.logged["val/knn_scene_top1"] == pytest.approx(expected)
