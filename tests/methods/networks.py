"""A network small enough to compute by hand."""

import torch
from torch import nn


class Mean(nn.Module):
    """Features: a linear map of the mean color, with batch norm where asked for."""

    num_features = 8

    def __init__(self, batch_norm=False):
        super().__init__()
        self.layer = nn.Linear(3, 8)
        self.norm = nn.BatchNorm1d(8) if batch_norm else nn.Identity()

    def forward(self, clips):
        return self.norm(torch.tanh(self.layer(clips.mean(dim=(2, 3, 4)))))
