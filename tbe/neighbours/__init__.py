"""The nearest of many vectors, exactly.

`space` says what near means, `exact` searches with torch, `faiss_search` with faiss, where it is installed.
"""

from tbe.neighbours.exact import nearest
from tbe.neighbours.faiss_search import nearest_by_faiss
from tbe.neighbours.space import METRICS, PRECISIONS, Space

__all__ = ["METRICS", "PRECISIONS", "Space", "nearest", "nearest_by_faiss"]
