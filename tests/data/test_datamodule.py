import multiprocessing
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from tbe.augment import CenterCrop, ClipAugment, RandomResizedCrop
from tbe.data.clip_samplers import AnchorAndNegativeClips, UniformClips
from tbe.data.datamodule import VideoDataModule
from tbe.data.fault_tolerance.quarantine import Fault
from tbe.data.perturbation_dataset import PerturbationDataset
from tbe.data.prediction import PredictionData
from tbe.data.readers import DecodeError, DecordReader
from tbe.data.sources.video_lists import VideoLists
from tbe.data.video_writer import write_video
from tbe.data.views import ContrastiveViews, LabeledClips
from tests.conftest import moving_square


class Recording(pl.LightningModule):
    """Records its batches without training."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.trained, self.validated = [], []

    def training_step(self, batch, batch_idx):
        self.trained.append((batch["index"].tolist(), batch["query"].clone(), torch.rand(())))
        return self.weight * 0

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.validated.append((dataloader_idx, batch["index"].tolist(), tuple(batch["clips"].shape)))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def datamodule(folder, lists=None, **settings):
    """Of the lists beside the videos, or of the train list in another folder."""
    splits = {"train": "train.txt"} if lists else {"train": "train.txt", "test": "test.txt"}
    source = VideoLists("mine", str(folder), splits, 2, lists and str(lists), val_share=0.25)
    return VideoDataModule(
        source=source,
        open_video=DecordReader("cpu"),
        eval_clips=UniformClips(4, num_clips=2),
        eval_views=LabeledClips(ClipAugment(16, CenterCrop(1.0), flip=0.0)),
        train_clips=AnchorAndNegativeClips(4),
        train_views=ContrastiveViews(ClipAugment(16, RandomResizedCrop((0.5, 1.0)))),
        batch_size=2,
        val_splits=("train", "val"),
        **{"num_workers": 0, **settings},
    )


def fitted(data, **settings):
    module = Recording()
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **{"max_epochs": 2, **settings},
    )
    trainer.fit(module, datamodule=data)
    return module


def test_unused_clips_are_not_decoded_and_the_anchor_stays_the_same(video_folder):
    frames = {}
    for views in (("query", "key", "negative"), ("query", "key"), ("query",)):
        data = datamodule(video_folder).for_views(views)
        assert data.train_views.views == views
        videos = data._videos(data.source.records("train"), data.train_clips)
        frames[views] = torch.stack([videos[index, 7]["frames"] for index in range(len(videos))])
    both, *alone = frames.values()
    assert both.shape[1] == 2
    for anchor in alone:
        assert torch.equal(anchor, both[:, :1])


def test_a_data_module_for_one_purpose_leaves_the_one_it_comes_from_unchanged(video_folder, tmp_path):
    data = datamodule(video_folder, on_error="skip", quarantine=str(tmp_path / "quarantine.csv"))
    before = dict(vars(data))
    data.for_views(("query",))
    measured = data.for_measuring(num_clips=3)
    data.quarantine.add([Fault(data.source.records("train").path(0), "could not open it", "decord")])
    assert len(measured.source.records("train")) == len(data.source.records("train")) - 1
    assert len(next(iter(measured.split_loader("test", rank=0, world_size=1)))["clips"][0]) == 3
    assert "order" in next(iter(measured.split_loader("test", rank=0, world_size=1, add_context=PerturbationDataset)))
    assert dict(vars(data)) == before


def test_training_gets_views_and_validation_gets_all_videos_in_order(video_folder):
    module = fitted(datamodule(video_folder), max_epochs=1)
    assert sorted(index for indices, _, _ in module.trained for index in indices) == list(range(6))
    assert module.trained[0][1].shape == (2, 3, 4, 16, 16)
    gallery, queries = ([row for row in module.validated if row[0] == loader] for loader in (0, 1))
    assert [index for _, indices, _ in gallery for index in indices] == list(range(6))
    assert [index for _, indices, _ in queries for index in indices] == [0, 1]
    assert gallery[0][2] == (2, 2, 3, 4, 16, 16)


def test_a_run_depends_on_the_seed_and_not_on_the_workers(video_folder):
    runs = [fitted(datamodule(video_folder, num_workers=workers)) for workers in (0, 2)]
    for (indices, query, chance), (other_indices, other_query, other_chance) in zip(
        *(run.trained for run in runs), strict=True
    ):
        assert indices == other_indices
        assert torch.equal(query, other_query)
        assert torch.equal(chance, other_chance)
    other = fitted(datamodule(video_folder, seed=1))
    assert [row[0] for row in other.trained] != [row[0] for row in runs[0].trained]


def test_each_epoch_draws_new_frames_and_augmentations(video_folder):
    module = fitted(datamodule(video_folder))
    first = {
        index: view for indices, views, _ in module.trained[:3] for index, view in zip(indices, views, strict=True)
    }
    second = {
        index: view for indices, views, _ in module.trained[3:] for index, view in zip(indices, views, strict=True)
    }
    assert all(not torch.equal(first[index], second[index]) for index in range(6))


def test_val_limit_spreads_videos_over_the_split(video_folder):
    module = fitted(datamodule(video_folder, val_limit=3), max_epochs=1)
    assert sum(len(indices) for loader, indices, _ in module.validated if loader == 0) == 3


def test_workers_use_the_platforms_start_method_despite_a_launchers(video_folder, monkeypatch):
    data = datamodule(video_folder, num_workers=1)
    assert data._worker_context("a.mp4") is None
    monkeypatch.setattr("multiprocessing.get_start_method", lambda: "loky")
    assert data._worker_context("a.mp4") == multiprocessing.get_all_start_methods()[0]
    assert len(fitted(data, max_epochs=1).trained) > 0


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_memory_is_pinned_where_batches_go_to_a_gpu(video_folder, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    data = datamodule(video_folder)
    strategy = SimpleNamespace(root_device=torch.device(device))
    prediction = PredictionData(data, partial(data.split_loader, "train"))
    prediction.trainer = SimpleNamespace(strategy=strategy, global_rank=0, world_size=1)
    assert data.split_loader("train", 0, 1).pin_memory is False  # for display
    assert prediction.predict_dataloader().pin_memory is (device == "cuda")
    data.pin_memory = device != "cuda"
    assert prediction.predict_dataloader().pin_memory is (device != "cuda")


@pytest.mark.parametrize("workers", [0, 1])
def test_frames_for_display_match_the_reader_at_each_videos_size(tmp_path, workers):
    for name, width in {"wide.mp4": 64, "narrow.mp4": 40}.items():
        write_video(tmp_path / name, moving_square(9, width=width), fps=25)
    (tmp_path / "train.txt").write_text("wide.mp4 0\nnarrow.mp4 1\n")
    data = datamodule(tmp_path, num_workers=workers)
    data.source.val_share = 0
    records = data.source.records("train")
    found = list(data.frames(records.select(np.array([1, 0, 1])), count=3, short_side=32))
    assert [frames.shape[-1] for frames in found] == [40, 64, 40]
    for frames, name in zip(found, ("narrow.mp4", "wide.mp4", "narrow.mp4"), strict=True):
        assert torch.equal(frames, DecordReader("cpu")(str(tmp_path / name)).frames([0, 4, 8]))


@pytest.mark.parametrize("why", ["no share", "one video a class"])
def test_without_a_val_split_there_is_no_validation(video_folder, tmp_path, caplog, why):
    (tmp_path / "train.txt").write_text("class 0/video 0.mp4 0\nclass 1/video 1.mp4 1\n")
    data = datamodule(video_folder, lists=tmp_path if why == "one video a class" else None)
    data.source.val_share = 0 if why == "no share" else 0.25
    with caplog.at_level("INFO"):
        assert fitted(data, max_epochs=1).validated == []
    assert caplog.text.count("data=mine: no videos in val") == 1


def test_without_labels_no_network_is_the_best_as_their_neighbors_would_always_be_right(video_folder, tmp_path, caplog):
    lines = [f"class {number % 2}/video {number}.mp4 0\n" for number in range(4)]
    (tmp_path / "train.txt").write_text("".join(lines))
    assert fitted(datamodule(video_folder, lists=tmp_path), max_epochs=1).validated == []
    assert caplog.text.count("all videos of train and val have one label, so validation is skipped") == 1


def test_a_broken_file_stops_training_and_is_named(video_folder, tmp_path):
    for number in range(4):
        (tmp_path / f"broken {number}.mp4").write_bytes(b"x" * 1000)
    (tmp_path / "train.txt").write_text("".join(f"{tmp_path}/broken {n}.mp4 {n % 2}\n" for n in range(4)))
    data = datamodule(video_folder, lists=tmp_path, num_workers=1)
    data.source.allow_outside_root = True
    with pytest.raises(DecodeError, match="could not open .*broken .*mp4"):
        fitted(data)


def test_an_impossible_batch_size_is_refused(video_folder):
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        VideoDataModule(None, None, None, None, batch_size=0)


def test_objects_that_are_not_video_sources_are_refused():
    with pytest.raises(ValueError, match=r"data: expected a .*VideoSource, got dict: subclass it"):
        VideoDataModule({}, None, None, None, batch_size=1)
