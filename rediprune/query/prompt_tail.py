"""Make the published query: a weighted mean of the embeddings of the prompt tokens after the image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..trace import Query

TAIL = 128  # published: at most the last 128 tokens of the prompt
SHARPNESS = 3.0  # published: the recency weight grows from exp(0) to exp(3)


def fold(vector: Tensor, width: int) -> Tensor:
    """Bring a query vector [D] to the width C of the visual tokens, by the published rule, in float32.

    If D is a multiple of C, take the mean over groups of D / C ADJACENT entries. If D > C otherwise, apply
    adaptive average pooling. If D < C, repeat the vector and cut it. The rule aligns widths, not meanings:
    the two spaces stay unrelated.
    """
    vector = vector.float()
    d = vector.shape[-1]
    if d % width == 0:
        return vector.view(width, d // width).mean(-1)
    if d > width:
        return F.adaptive_avg_pool1d(vector.view(1, 1, d), width).view(width)
    return vector.repeat(-(-width // d))[:width]


@torch.no_grad()
def prompt_tail(embeddings: Tensor, tokens: Sequence[str] = ()) -> Query:
    """Make the published query from the prompt after the image, with more weight on later tokens.

    With A the softmax over the tokens' cosine similarities and w_t = exp(3 t), t = linspace(0, 1, L),
    normalised: q = sum_t w_t (A e)_t. This is linear in the embeddings, q = sum_u (A^T w)_u e_u, so A^T w is
    the exact weight of each token. The weights sum to 1.

    Args:
        embeddings: [L, D], the LLM's input embeddings of all tokens after the last image placeholder
            ("ASSISTANT:" and other template text included); the last 128 are used.
        tokens: the text of each token, for display; empty, or of length L.

    Returns:
        Query with vector [D] and weights [L'] in float32, L' = min(L, 128).

    Raises:
        ValueError: no tokens, NaN or infinite embeddings, or another number of texts than of embeddings.
    """
    if embeddings.dim() != 2 or embeddings.numel() == 0:
        raise ValueError(
            f"prompt embeddings have shape {tuple(embeddings.shape)}: expected [L, D] with at least one "
            "token; ask a question after the image"
        )
    if tokens and len(tokens) != len(embeddings):
        raise ValueError(
            f"{len(tokens)} token texts for {len(embeddings)} prompt embeddings: give one each, or none"
        )
    tail = embeddings[-TAIL:].float()
    if not torch.isfinite(tail).all():
        raise ValueError("prompt embeddings hold NaN or infinite values, so no query can be made of them")
    # attention [L', L'], recency and weights [L'], vector [D].
    direction = F.normalize(tail, dim=-1)
    with torch.autocast(tail.device.type, enabled=False):
        attention = torch.softmax(direction @ direction.T, dim=-1)  # softmax subtracts the row maximum
        recency = torch.softmax(SHARPNESS * torch.linspace(0, 1, len(tail), device=tail.device), dim=0)
        weights = recency @ attention
        vector = weights @ tail
    return Query("prompt-tail", vector, tokens=tuple(tokens[-TAIL:]), weights=weights)
