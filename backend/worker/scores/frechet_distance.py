"""Frechet Inception Distance (Heusel et al. 2017) between the features of two sets of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """FID of features (N, 2048) in parts, at least two pictures in each set; 0 for equal sets.

    Below some thousand pictures it depends on how many there are; compare sets of one size only.
    """
    left, right = torch.cat(list(first)), torch.cat(list(second))
    return _of_few(left, right) if min(len(left), len(right)) <= left.shape[1] else _of_many(left, right)


def _of_few(left: Tensor, right: Tensor) -> float:
    """The same without the eigenvalues of a matrix of 2048 x 2048, which take seconds.

    For centred features A and B with covariances A'A / n and B'B / m, the root of their product has the trace of the
    singular values of AB' / sqrt(nm).
    """
    (one, mean), (other, mean_other) = map(_centred, (left, right))
    apart, shared = mean - mean_other, torch.linalg.svdvals(one @ other.T).sum()
    return max(float(apart @ apart + one.square().sum() + other.square().sum() - 2 * shared), 0.0)


def _centred(features: Tensor) -> tuple[Tensor, Tensor]:
    """(N, F) less their mean and over the root of N - 1, and the mean, in float64."""
    exact = features.double()
    mean = exact.mean(0)
    return (exact - mean) / (len(exact) - 1) ** 0.5, mean


def _of_many(left: Tensor, right: Tensor) -> float:
    """torch-fidelity's."""
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    return fid_statistics_to_metric(*map(fid_features_to_statistics, (left, right)), verbose=False)[KEY_METRIC_FID]
