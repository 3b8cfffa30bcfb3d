"""Exact search in blocks, at little more than the cost of the products."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.errors import UserError
from tbe.evaluation.neighbors.exclusion import Exclusion
from tbe.evaluation.neighbors.space import PRECISIONS, Space, check

BLOCKS = (1024, 8192)  # of queries and of gallery: enough for fast products, 64 MiB of them
GROUP = 32  # neighbors in the gallery that are looked at together
LAST = 0xFFFFFFFF  # the largest index that a key has room for
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
    """The k nearest gallery vectors of each query, nearest first, of equally near ones the first in the gallery.

    queries (n, F), gallery (m, F) -> similarities (n, k), indices (n, k): the cosine, or minus the Euclidean distance.
    No query finds what is `excluded` for it; where that leaves it less than k, the last have the similarity -inf and
    the index -1. With `precision` bf16 products are rounded to three digits: faster where the hardware has them, no
    longer exact. Besides its arguments it needs a copy of the queries and some hundred MiB. A ValueError when k exceeds
    m.
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
    """All scores, block by block: the first query, the first gallery vector, the scores. Each is lost with the next."""
    size = min(blocks[1], len(gallery))
    # One room for all: fresh memory for each block would cost as much as the search.
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
    """Brings the keys of the k best so far (n, k) up to date with the scores (n, b) of the gallery from `start` on.

    The k best lie in the k groups with the best maxima, and only in those that have something better than the k-th so
    far: few but the first blocks have any, so little is looked at one by one.
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
    """int64 that order as float32 values do, of equal values the lower index as the larger; nan as infinity.

    Unlike values they are never equal, so topk has no choice. The bits of floats order as integers do, once those
    of negative ones are turned over.
    """
    known = values.nan_to_num(torch.inf, torch.inf, -torch.inf) + 0.0  # -0.0 becomes 0.0
    bits = known.view(torch.int32)
    bits ^= bits >> 31 & 0x7FFFFFFF
    return bits.long().bitwise_left_shift_(32).bitwise_or_(LAST - indices)


def _values(keys: Tensor) -> Tensor:
    bits = (keys >> 32).int()
    return (bits ^ (bits >> 31 & 0x7FFFFFFF)).view(torch.float32)
