"""Video encoders as MTEB takes them, for its video tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.api.embed import check_says_itself, embed
from tbe.backbones.preprocessing import Preprocessing
from tbe.data.clip_samplers import UniformClips
from tbe.data.dataset import shrink
from tbe.encoders import Encoder, load_encoder
from tbe.errors import UserError
from tbe.evaluation.feature_cache import weights_digest

MAX_LOST = 16  # frames that a video promises and does not have
AUTHOR = "tbe"  # MTEB wants names of two parts


def for_mteb(
    model: str | nn.Module,
    *,
    name: str | None = None,
    num_clips: int = 4,
    max_clips_per_forward: int = 16,
    device: str | torch.device | None = None,
    preprocessing: Preprocessing | None = None,
    **options: Any,
) -> MtebEncoder:
    """Returns a model for `mteb.evaluate(model, tasks)`, with tasks of videos.

    model: a name that `tbe.encoders.load_encoder` knows, with its `options`; an encoder; or a network with its
    `preprocessing`, as from `tbe.load`, or with the one given. A video is the mean over `num_clips` clips, spread from
    its beginning to its end, as in `tbe.embed`. name: in MTEB's results. device: None for a GPU if there is one.
    Raises UserError for a model that does not say how its clips are made.
    """
    if options and not isinstance(model, str):
        raise UserError(
            f"tbe.for_mteb: expected no options beside a network, which is loaded already, got {', '.join(options)}"
        )
    network = load_encoder(model, **options) if isinstance(model, str) else model
    check_says_itself("tbe.for_mteb", network, preprocessing)
    made = preprocessing or getattr(network, "preprocessing", None)
    if made is None:
        raise UserError(
            f"tbe.for_mteb: expected a network with a `preprocessing`, as tbe.load attaches it, got "
            f"{type(network).__name__} without. Pass preprocessing=tbe.Preprocessing(...)"
        )
    known = name or (network.name if isinstance(network, Encoder) else type(network).__name__)
    network.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return MtebEncoder(network, made, known, num_clips, max_clips_per_forward, options)


class MtebEncoder:
    """The interface of MTEB's encoders: of a batch's videos, which it opens, to vectors (V, F), compared by cosine."""

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        name: str,
        num_clips: int,
        max_clips_per_forward: int,
        options: Mapping[str, Any] | None = None,
    ):
        self.network, self.preprocessing, self.name, self.options = network, preprocessing, name, options or {}
        self.max_clips_per_forward = max_clips_per_forward
        self.take = UniformClips(preprocessing.num_frames, preprocessing.stride, preprocessing.short, num_clips)

    @property
    def mteb_model_meta(self) -> Any:
        """Returns what MTEB names its results by: the revision is a digest of the weights and of their clips."""
        from mteb.models import ModelMeta

        known = {
            "name": self.name if self.name.count("/") == 1 else f"{AUTHOR}/{self.name.replace('/', '_')}",
            "revision": self._revision(),
            "n_parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "framework": ["PyTorch"],
            "modalities": ["video"],
            "similarity_fn_name": "cosine",
            "use_instructions": False,
            "training_datasets": set(),
        }
        return ModelMeta.create_empty(known)

    def _revision(self) -> str:
        """Returns a digest of all that vectors depend on: MTEB does not ask twice for results of one revision."""
        of_encoder = [getattr(self.network, name, None) for name in ("name", "pool", "spec", "architecture")]
        of_encoder.append(sorted(self.options.items()))
        asked = weights_digest(self.network), self.preprocessing, self.take, of_encoder
        return hashlib.blake2b(repr(asked).encode(), digest_size=16).hexdigest()

    def encode(self, inputs: Any, **_: Any) -> np.ndarray:
        """Returns float32 (V, F) of the videos of a DataLoader of MTEB, in its order."""
        inputs.collate_fn = self._clips
        return np.stack([self._features(clips) for batch in inputs for clips in batch])

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Returns the cosine similarities (V, W) of vectors (V, F) and (W, F)."""
        one, other = (F.normalize(torch.as_tensor(rows), dim=-1) for rows in (embeddings1, embeddings2))
        return one @ other.T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Returns the cosine similarities (V,) of vectors (V, F) and (V, F)."""
        one, other = (torch.as_tensor(rows) for rows in (embeddings1, embeddings2))
        return F.cosine_similarity(one, other, dim=-1)

    def _features(self, clips: Tensor) -> np.ndarray:
        given = None if isinstance(self.network, Encoder) else self.preprocessing
        settings: dict[str, Any] = {"batch_size": self.max_clips_per_forward, "preprocessing": given}
        rows = embed(self.network, clips, layout="BTCHW", **settings)
        mean: np.ndarray = rows.mean(dim=0).numpy()
        return mean

    def _clips(self, rows: Sequence[dict[str, Any]]) -> list[Tensor]:
        """Returns the clips of each video, uint8 (N, T, C, H, W)."""
        if not all("video" in row for row in rows):
            raise UserError(f"tbe.for_mteb: expected a task of videos, got one of {', '.join(rows[0])}")
        return [self._clips_of(row["video"]) for row in rows]

    def _clips_of(self, video: Any) -> Tensor:
        """Returns the clips of an open video; frames at its end that it does not have are left out."""
        length = int(video.metadata.num_frames)
        for lost in range(MAX_LOST):
            indices = self.take(max(1, length - lost))
            needed, places = indices.unique(return_inverse=True)
            try:
                frames = video.get_frames_at(needed.tolist()).data
            except RuntimeError as error:  # of torchcodec
                if lost == MAX_LOST - 1 or length - lost <= 1:
                    raise UserError(f"tbe.for_mteb: expected a video that can be decoded, got {error}") from error
            else:
                return shrink(frames, self.preprocessing.short_side)[places]
        raise AssertionError("unreachable")
