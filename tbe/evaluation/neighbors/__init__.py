"""Exact nearest-neighbor search.

`space` defines the metric, `exact` searches by torch, `faiss_search` by faiss if installed, `device` chooses the
device, and `exclusion` excludes a query's own video.
"""

from tbe.evaluation.neighbors.device import exact_search
from tbe.evaluation.neighbors.exact import nearest
from tbe.evaluation.neighbors.exclusion import Exclusion
from tbe.evaluation.neighbors.faiss_search import nearest_by_faiss
from tbe.evaluation.neighbors.space import METRICS, PRECISIONS, Space

__all__ = ["METRICS", "PRECISIONS", "Exclusion", "Space", "exact_search", "nearest", "nearest_by_faiss"]
