"""A checkpoint of this project, and clips."""

import pytest
import torch
from omegaconf import OmegaConf

from tbe.api.build import build, compose_choices
from tbe.config import register_resolvers


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """The file of an untrained checkpoint of this project, as train.py writes it."""
    register_resolvers()
    config = compose_choices({"backbone": "tiny", "clip": "8x2_32"})
    parts = {part: OmegaConf.to_container(config[part], resolve=True) for part in ("backbone", "clip", "eval_augment")}
    backbone = build("backbone", "tiny")
    file = tmp_path_factory.mktemp("checkpoint") / "last.ckpt"
    torch.save(
        {
            "tbe": {"stage": "pretrain", "backbone": "backbone.", "config": {**parts, "run_name": "tiny"}},
            "state_dict": {f"backbone.{name}": value for name, value in backbone.state_dict().items()},
            "epoch": 0,
            "global_step": 0,
        },
        file,
    )
    return file
