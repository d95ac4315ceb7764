"""Frechet Inception Distance (Heusel et al. 2017) between the features of two sets of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """torch-fidelity's FID of features (N, 2048) in parts, at least two pictures in each set; 0 for equal sets.

    Below some thousand pictures it depends on how many there are; compare sets of one size only.
    """
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    left, right = (fid_features_to_statistics(torch.cat(list(parts))) for parts in (first, second))
    return fid_statistics_to_metric(left, right, verbose=False)[KEY_METRIC_FID]
