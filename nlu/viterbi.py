"""The most probable tag sequences under a trained CRF, for a whole batch at once."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchcrf import CRF


@torch.no_grad()
def best_paths(crf: CRF, emissions: Tensor, mask: Tensor) -> list[list[int]]:
    """What `crf.decode` finds, ties included, without its Python loops over messages and tags.

    emissions (batch, seq, tags), mask (batch, seq) true for the pieces of a message, at least one.
    """
    scores: NDArray[np.float32] = emissions.float().numpy()
    lengths: NDArray[np.int64] = mask.sum(1).numpy()
    into: NDArray[np.float32] = np.ascontiguousarray(crf.transitions.numpy().T)  # (next tag, tag)
    end: NDArray[np.float32] = crf.end_transitions.numpy()
    rows, longest, tags = scores.shape
    best = crf.start_transitions.numpy() + scores[:, 0]  # (batch, tags) of the best path to each tag
    origins = np.zeros((longest, rows, tags), dtype=np.int64)
    for step in range(1, longest):
        routes = (best[:, None, :] + into) + scores[:, step, :, None]  # (batch, next tag, tag)
        origins[step] = routes.argmax(-1)
        taken = np.take_along_axis(routes, origins[step][..., None], -1)[..., 0]
        best = np.where((step < lengths)[:, None], taken, best)
    paths = np.empty((rows, longest), dtype=np.int64)
    tag = (best + end).argmax(-1)  # (batch,)
    every = np.arange(rows)
    for step in range(longest - 1, -1, -1):
        paths[:, step] = tag
        if step:
            tag = np.where(step < lengths, origins[step, every, tag], tag)
    return [path[:length].tolist() for path, length in zip(paths, lengths, strict=True)]
