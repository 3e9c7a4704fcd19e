"""Which weights a model has: a name that tells two models apart that are called the same."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

SAMPLED = 32  # numbers that are read of every parameter: all of a large model would take minutes


@torch.no_grad()
def weights_name(model: nn.Module) -> str:
    """A short name for the parameters of a model: their names, shapes, number formats and samples of them.

    The device plays no part. Weights that differ nowhere but between the samples are taken for the same:
    training changes all of them, so this tells models apart, and is no proof against forgery. Of weights
    that are offloaded to disk the numbers are not read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, weight in model.named_parameters():
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        if weight.is_meta or not weight.numel():
            continue
        flat = weight.detach().flatten()
        at = torch.linspace(0, flat.numel() - 1, min(SAMPLED, flat.numel()), dtype=torch.float64).long()
        digest.update(flat[at.to(flat.device)].float().cpu().numpy().tobytes())
    return digest.hexdigest()
