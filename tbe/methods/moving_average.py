"""The network that follows a trained one as a moving average of its weights, and makes its targets."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torchvision.ops import StochasticDepth

Network = TypeVar("Network", bound=nn.Module)


def moving_average_of(network: Network) -> Network:
    """Returns a copy without gradient, in which no block is skipped at random: all of a target is then seen."""
    average = copy.deepcopy(network).requires_grad_(False)
    for layer in average.modules():
        if isinstance(layer, StochasticDepth):
            layer.p = 0.0
    return average
