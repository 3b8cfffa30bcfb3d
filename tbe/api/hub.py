"""Exported backbones as folders and as repositories of the Hugging Face Hub, by the interface of its mixin."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tbe.api.load import load
from tbe.backbones.base import VideoBackbone
from tbe.backbones.preprocessing import Preprocessing
from tbe.checkpoints import foreign
from tbe.checkpoints.exported import CARD, LIBRARY, WEIGHTS, read_card
from tbe.checkpoints.hub import exported_folder, reached
from tbe.errors import UserError
from tbe.evaluation.tasks.export.card import write_card
from tbe.evaluation.tasks.export.readme import readme
from tbe.evaluation.tasks.export.task import Export, random_clips

try:
    from huggingface_hub import ModelCard, ModelHubMixin
except ImportError as error:
    raise UserError('tbe: expected the package huggingface_hub: pip install -e ".[hub]"') from error

COPY = f"copy {CARD} and {WEIGHTS} of the repository into a folder, and name that"


def push(folder: str | os.PathLike, repo_id: str, *, private: bool = True, **options: Any) -> str:
    """Uploads a folder that `task=export` wrote to a repository of the Hub; returns the address of the commit.

    The repository is made if there is none, private unless `private=False`; its card is the folder's README.md, with
    the numbers of an audit if the export has them. options: of `Pretrained.push_to_hub`, such as token, branch and
    commit_message. Raises UserError for another folder, and for a Hub that can't be reached.
    """
    return Pretrained.from_pretrained(_existing(folder)).push_to_hub(repo_id, private=private, **options)


class Pretrained(nn.Module, ModelHubMixin, library_name=LIBRARY):
    """An exported backbone: clips (B, C, T, H, W), made as `preprocessing` says, to features (B, F).

    `from_pretrained`, `save_pretrained` and `push_to_hub` are those of the Hub's mixin. card: what `card.json` says.
    """

    def __init__(self, network: VideoBackbone, folder: Path):
        super().__init__()
        self.backbone = network
        self.card = read_card(folder)
        self._folder = folder

    @property
    def preprocessing(self) -> Preprocessing | None:
        """Returns how clips are made for this backbone."""
        return self.backbone.preprocessing

    @property
    def num_features(self) -> int:
        """Returns F."""
        return self.backbone.num_features

    def forward(self, clips: Tensor) -> Tensor:
        return self.backbone(clips)

    @classmethod
    def from_pretrained(  # type: ignore[override]  # named as the Hub's, whose decorator hides the types
        cls, pretrained_model_name_or_path: str | os.PathLike, **options: Any
    ) -> Pretrained:
        """Returns the backbone of an exported folder, or of a repository of the Hub, in eval mode on the CPU.

        options: revision, token, cache_dir, force_download and local_files_only. Raises UserError for a folder that is
        no export, for files that differ from their card, and for a Hub that can't be reached.
        """
        name = os.fspath(pretrained_model_name_or_path)
        if os.path.isdir(name):
            read_card(name)
        with reached(name, COPY):
            return super().from_pretrained(name, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:  # type: ignore[override]  # as above
        """Uploads what `save_pretrained` writes; returns the address of the commit.

        options: private, token, branch, commit_message and others of the Hub's mixin. Raises UserError for a Hub that
        can't be reached, or that refuses.
        """
        instead = "save_pretrained(<folder>), and upload that from a machine that has one"
        with reached(repo_id, instead):
            return super().push_to_hub(repo_id, **options)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Pretrained:
        folder = exported_folder(model_id, **options)
        return cls(load(folder), folder).eval()

    def _save_pretrained(self, save_directory: Path) -> None:
        """Writes the folder as it is, or with weights that were trained further: as safetensors, without numbers."""
        if self._is_unchanged():
            names = [name for name in self.card["files"] if (self._folder / name).is_file()]
            files = {name: self.card["files"][name] for name in names}
            for name in names if save_directory.resolve() != self._folder.resolve() else ():
                shutil.copyfile(self._folder / name, save_directory / name)
            card = self.card | {"files": files}
        else:
            card = self._exported_again(save_directory)
        write_card(card, save_directory)

    def _is_unchanged(self) -> bool:
        written, weights = foreign.read(self._folder / WEIGHTS), self.backbone.state_dict()
        return all(torch.equal(value.cpu(), written[name]) for name, value in weights.items())

    def _exported_again(self, folder: Path) -> dict[str, Any]:
        """Writes the weights as they are now; returns the card without the numbers of those before."""
        exporter = Export(formats=["safetensors"])
        probes = random_clips(tuple(self.card["input"]["shape"][1:]), ())
        files = exporter.write("backbone", self.backbone, folder, probes)
        checked = {"tolerance": exporter.tolerance, "checked_on": [list(clips.shape) for clips in probes]}
        before = self.card["origin"]
        origin = f"trained further, from: {before['path'] if isinstance(before, dict) else before}"
        without: dict[str, Any] = {"num_classes": None, "run_metrics": None, "audits": [], "origin": origin}
        return self.card | checked | without | {"files": files}

    def generate_model_card(self, *_: Any, **__: Any) -> ModelCard:
        """Returns the card of the export."""
        return ModelCard(readme(self.card))


def _existing(folder: str | os.PathLike) -> str:
    """Returns the name of an exported folder; raises UserError for another: only what lies on disk is pushed."""
    read_card(folder)
    return os.fspath(folder)
