"""Trains an attentive probe by gradient, so that an interrupted training goes on exactly where it was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.distributed import rank
from tbe.errors import UserError
from tbe.evaluation.tasks.attentive.pooling import AttentiveClassifier
from tbe.runs import replacing


@dataclass(frozen=True)
class Schedule:
    """AdamW with a linear warmup of `warmup` of all steps, then half a cosine to zero."""

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    warmup: float

    def factor(self, step: int, total: int) -> float:
        """Returns the fraction of the learning rate at a step."""
        rising = max(1, round(self.warmup * total))
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))


def fit(
    probe: AttentiveClassifier,
    tokens: Tensor,
    labels: Tensor,
    schedule: Schedule,
    dropped: float,
    seed: int,
    device: torch.device,
    file: Path | None = None,
) -> None:
    """Trains a probe on tokens (n, N, t, D), each epoch on one of the N clips of each video, drawn at random.

    dropped: the share of a clip's tokens that is left out at random in each step. file: the state after the last
    epoch that was finished, read if it is there. Raises UserError if the loss is not finite.
    """
    probe.standardize_by(tokens)
    probe.to(device).train()
    draws = torch.Generator().manual_seed(seed)  # on the CPU, so that it is the same on every device
    optimizer = torch.optim.AdamW(probe.parameters(), lr=schedule.lr, weight_decay=schedule.weight_decay)
    total = schedule.epochs * math.ceil(len(tokens) / schedule.batch_size)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule.factor(step, total))
    parts: dict[str, Any] = {"probe": probe, "optimizer": optimizer, "rate": rate}
    start = 0
    if file is not None and file.is_file():
        state = torch.load(file, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        draws.set_state(state["draws"])
        start = state["epoch"]
    kept = max(1, round((1 - dropped) * tokens.shape[2]))
    for epoch in range(start, schedule.epochs):
        for videos in torch.randperm(len(tokens), generator=draws).split(schedule.batch_size):
            clips = torch.randint(tokens.shape[1], (len(videos),), generator=draws)
            places = torch.randperm(tokens.shape[2], generator=draws)[:kept]
            batch = tokens[videos, clips][:, places].to(device)
            loss = F.cross_entropy(probe(batch), labels[videos].to(device))
            if not loss.isfinite():
                raise UserError(
                    f"attentive: expected a finite loss, got {loss.item()} in epoch {epoch}: set "
                    "tasks.attentive.lr lower"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
        if file is not None:
            state = {name: part.state_dict() for name, part in parts.items()}
            save(file, state | {"draws": draws.get_state(), "epoch": epoch + 1})
    probe.eval()


def save(file: Path, state: dict[str, Any]) -> None:
    """Writes the state of a training atomically, on the first process."""
    if rank() == 0:
        with replacing(file) as part:
            torch.save(state, part)
