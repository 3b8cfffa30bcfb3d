"""Exact search in blocks, at little more than the cost of the matrix products."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.errors import UserError
from tbe.evaluation.neighbors.exclusion import Exclusion
from tbe.evaluation.neighbors.space import PRECISIONS, Space, check

BLOCKS = (1024, 8192)  # of queries and gallery: large enough for fast products, 64 MiB
GROUP = 32  # gallery vectors that are compared by their maximum
LAST = 0xFFFFFFFF  # the largest index that fits in a key
NOTHING = torch.iinfo(torch.int64).min  # a key below all others


@torch.no_grad()
def nearest(
    queries: Tensor,
    gallery: Tensor,
    k: int,
    metric: str = "cosine",
    excluded: Exclusion | None = None,
    precision: str = "fp32",
    blocks: tuple[int, int] = BLOCKS,
) -> tuple[Tensor, Tensor]:
    """Returns the k nearest gallery vectors of each query, nearest first; ties in gallery order.

    queries (n, F), gallery (m, F) -> similarities (n, k), indices (n, k): the cosine, or minus the Euclidean distance.
    `excluded` gallery vectors are never found; if fewer than k are left, the last ones have similarity -inf and index
    -1. With `precision` bf16, products are rounded to three digits: faster with hardware support, but not exact. Needs
    a copy of the queries and some hundred MiB besides its arguments. Raises UserError if k exceeds m.
    """
    check(gallery, k)
    if precision not in PRECISIONS:
        raise UserError(f"expected precision to be one of {', '.join(PRECISIONS)}, got {precision!r}")
    space = Space.of(gallery, metric)
    queries = space.normalize(queries)
    best = torch.full((len(queries), k), NOTHING, device=queries.device)
    for first, start, scores in _blocks(space, queries, gallery, excluded, precision, blocks):
        _merge(best[first : first + len(scores)], scores, start)
    scores, indices = _values(best), LAST - (best & LAST)
    if excluded:
        indices.masked_fill_(scores == -torch.inf, -1)
    return space.similarities(scores, queries), indices


def _blocks(
    space: Space, queries: Tensor, gallery: Tensor, excluded: Exclusion | None, precision: str, blocks: tuple[int, int]
) -> Iterator[tuple[int, int, Tensor]]:
    """Yields scores in blocks: index of the first query and gallery vector, scores (overwritten by the next block)."""
    size = min(blocks[1], len(gallery))
    # One buffer for all blocks: allocating each anew would cost as much as the search.
    vectors = queries.new_empty(size, queries.shape[1])
    products = queries.new_empty(min(blocks[0], len(queries)) * size)
    for start in range(0, len(gallery), size):
        block = gallery[start : start + size]
        block = space.normalize(block, vectors[: len(block)])
        for first in range(0, len(queries), blocks[0]):
            part = queries[first : first + blocks[0]]
            room = products[: len(part) * len(block)].view(len(part), len(block))
            scores = space.scores(part, block, precision, room)
            if excluded:
                excluded.leave_out(scores, first, start)
            yield first, start, scores


def _merge(best: Tensor, scores: Tensor, start: int) -> None:
    """Updates the keys of the k best so far (n, k) by the scores (n, b) of the gallery from `start` on.

    The k best are in the k groups with the largest maxima, and only in groups whose maximum exceeds the k-th best so
    far. After the first blocks few groups do, so few scores are compared one by one.
    """
    if missing := -scores.shape[1] % GROUP:
        scores = F.pad(scores, (0, missing), value=-torch.inf)
    groups = scores.unflatten(1, (-1, GROUP))
    firsts = start + GROUP * torch.arange(groups.shape[1], device=scores.device)
    maxima = _keys(groups.amax(dim=2), firsts)
    count = min(best.shape[1], int((maxima > best[:, -1:]).sum(dim=1).max()))
    if not count:
        return
    top = maxima.topk(count, dim=1).indices.unsqueeze(2)
    members = groups.gather(1, top.expand(-1, -1, GROUP))
    indices = firsts[top] + torch.arange(GROUP, device=scores.device)
    candidates = torch.cat([best, _keys(members, indices).flatten(1)], dim=1)
    best.copy_(candidates.topk(best.shape[1], dim=1).values)


def _keys(values: Tensor, indices: Tensor) -> Tensor:
    """Returns int64 keys ordered like the float32 values, ties by lower index first; nan counts as infinity.

    Keys are distinct, so topk is deterministic. The bits of floats are ordered like integers once those of negative
    numbers are inverted.
    """
    known = values.nan_to_num(torch.inf, torch.inf, -torch.inf) + 0.0  # -0.0 becomes 0.0
    bits = known.view(torch.int32)
    bits ^= bits >> 31 & 0x7FFFFFFF
    return bits.long().bitwise_left_shift_(32).bitwise_or_(LAST - indices)


def _values(keys: Tensor) -> Tensor:
    bits = (keys >> 32).int()
    return (bits ^ (bits >> 31 & 0x7FFFFFFF)).view(torch.float32)
