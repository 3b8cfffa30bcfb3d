"""The nearest of many vectors, exactly.

`space` says what near means, `exact` searches with torch, `faiss_search` with faiss, where it is installed; `device`
says on what, `exclusion` what must not be found.
"""

from tbe.evaluation.neighbors.device import exact_search
from tbe.evaluation.neighbors.exact import nearest
from tbe.evaluation.neighbors.exclusion import Exclusion
from tbe.evaluation.neighbors.faiss_search import nearest_by_faiss
from tbe.evaluation.neighbors.space import METRICS, PRECISIONS, Space

__all__ = ["METRICS", "PRECISIONS", "Exclusion", "Space", "exact_search", "nearest", "nearest_by_faiss"]
