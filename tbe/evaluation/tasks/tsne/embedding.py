"""Computes t-SNE and UMAP embeddings of features."""

from __future__ import annotations

import importlib.util

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from tbe.errors import UserError

METHODS = ("tsne", "umap")
PCA_DIMENSIONS = 50
MIN_VIDEOS = 4
NEIGHBORS = 15  # of UMAP, its own default


def check_method(method: str) -> None:
    """Raises UserError for an unknown method, or one whose package is missing."""
    if method not in METHODS:
        raise UserError(f"tsne: expected method to be one of {', '.join(METHODS)}, got {method!r}")
    if method == "umap" and importlib.util.find_spec("umap") is None:
        raise UserError("tsne: method=umap needs the package umap-learn: pip install umap-learn")


def embed(vectors: np.ndarray, method: str, perplexity: float, seed: int) -> np.ndarray:
    """Embeds features (n, F), scaled to unit length, as points (n, 2).

    Embeds the first 50 principal components; t-SNE's perplexity is at most a third of the number of videos. Raises
    UserError for fewer than 4 videos.
    """
    count = len(vectors)
    if count < MIN_VIDEOS:
        raise UserError(f"tsne: expected at least {MIN_VIDEOS} videos, got {count}")
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    size = min(PCA_DIMENSIONS, *directions.shape)
    reduced = PCA(size, random_state=seed).fit_transform(directions.astype(np.float64))
    if method == "umap":
        import umap  # an optional package

        return umap.UMAP(n_neighbors=min(NEIGHBORS, count - 1), random_state=seed, n_jobs=1).fit_transform(reduced)
    perplexity = min(perplexity, (count - 1) / 3)
    # PCA initialization as by default, but done here, because data with one feature has only one component.
    start = np.zeros((count, 2))
    start[:, : min(2, size)] = reduced[:, :2] / max(reduced[:, 0].std(), 1e-12) * 1e-4
    return TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(reduced)
