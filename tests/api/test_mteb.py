"""What MTEB gets of a video is what `tbe.embed` gives of its file."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import tbe
from tbe.api.mteb import MtebEncoder


class Decoder:
    """An open video as MTEB hands it on, whose header promises two frames more than it has."""

    def __init__(self, path):
        self.video = tbe.build("reader", "auto")(path)
        self.metadata = SimpleNamespace(num_frames=len(self.video) + 2)

    def get_frames_at(self, indices):
        if max(indices) >= len(self.video):
            raise RuntimeError("no more frames left to decode")
        return SimpleNamespace(data=self.video.frames(indices))


def test_videos_of_a_batch_become_the_vectors_of_their_files(run, video_folder):
    paths = sorted(video_folder.rglob("*.mp4"))[:5]
    network = tbe.load(run)
    model = tbe.for_mteb(network, num_clips=3, device="cpu")
    rows = DataLoader([{"video": Decoder(str(path)), "label": 0} for path in paths], batch_size=2)
    vectors = model.encode(rows, task_metadata=None, hf_split="test", hf_subset="default", show_progress_bar=False)
    expected = tbe.embed(network, paths, num_clips=3).numpy()
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(model.similarity(vectors, vectors[:2]), unit @ unit[:2].T, atol=1e-5)
    np.testing.assert_allclose(model.similarity_pairwise(vectors, vectors), 1, atol=1e-5)
    named = tbe.for_mteb(str(run), num_clips=1, device="cpu")  # an encoder, which normalizes itself
    one = DataLoader([{"video": Decoder(str(paths[0]))}])
    np.testing.assert_allclose(named.encode(one), tbe.embed(network, paths[0], num_clips=1).numpy(), atol=1e-4)


def test_what_mteb_can_not_be_given_is_one_line():
    with pytest.raises(ValueError, match="expected a network with a `preprocessing`.*got Linear without"):
        tbe.for_mteb(torch.nn.Linear(2, 2))
    made = tbe.Preprocessing(num_frames=4, stride=1, size=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    model = tbe.for_mteb(torch.nn.Flatten(), preprocessing=made, device="cpu")
    with pytest.raises(ValueError, match="expected no options beside a network, which is loaded already, got num_clip"):
        tbe.for_mteb(torch.nn.Flatten(), preprocessing=made, num_clip=9)
    with pytest.raises(ValueError, match="expected a task of videos, got one of text"):
        model.encode(DataLoader([{"text": "a"}]))
    empty = Decoder.get_frames_at.__get__(SimpleNamespace(video=[]))
    broken = SimpleNamespace(metadata=SimpleNamespace(num_frames=40), get_frames_at=empty)
    with pytest.raises(ValueError, match="expected a video that can be decoded, got no more frames"):
        model.encode(DataLoader([{"video": broken}]))


def test_what_is_asked_otherwise_is_another_revision_whose_results_are_not_those_of_the_first():
    made = tbe.Preprocessing(num_frames=4, stride=1, size=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    settings = {"num_clips": 2}, {"preprocessing": replace(made, stride=2)}
    first, again, *others = (
        tbe.for_mteb(torch.nn.Flatten(), **{"preprocessing": made, "device": "cpu", **other})._revision()
        for other in ({}, {}, *settings)
    )
    assert first == again
    assert len({first, *others}) == 3
    for name, value in (("spec", "mean=0.1"), ("architecture", '{"heads": 2}')):  # what an encoder does by itself
        of_encoder = torch.nn.Flatten()
        setattr(of_encoder, name, value)
        assert tbe.for_mteb(of_encoder, preprocessing=made, device="cpu")._revision() != first
    revisions = {
        MtebEncoder(torch.nn.Flatten(), made, "net", 2, 2, {"power": power})._revision() for power in (1, 3, 1)
    }
    assert len(revisions) == 2


def test_it_is_an_encoder_of_mtebs_with_a_name_of_its_own(run):
    pytest.importorskip("mteb", reason="needs MTEB: pip install -e '.[mteb]'")
    from mteb.models import EncoderProtocol

    one, other = (tbe.for_mteb(tbe.load(run), name=name, device="cpu") for name in ("mine", "you/mine"))
    assert isinstance(one, EncoderProtocol)
    assert (one.mteb_model_meta.name, other.mteb_model_meta.name) == ("tbe/mine", "you/mine")
    assert one.mteb_model_meta.modalities == ["video"]
    assert len(one.mteb_model_meta.revision) == 32
