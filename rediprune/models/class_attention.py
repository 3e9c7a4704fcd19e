"""Compute what the class token of an encoder attends to, from the input of its block.

The model is never asked for attention weights: for that it would have to leave its fused attention (SDPA,
FlashAttention) for a slow one, in every layer. One query against the keys of one block costs less than a
hundredth of the encoder.
"""

from __future__ import annotations

import torch
from torch import Tensor


def class_attention(block: torch.nn.Module, states: Tensor) -> Tensor:
    """Attention of the first token to every token, mean over the heads: [T, S, C] -> [T, S] float32, sum 1.

    Args:
        block: a block of CLIP's encoder.
        states: what goes into it, the class token first.
    """
    attention, x = block.self_attn, block.layer_norm1(states)
    heads = (attention.num_heads, -1)
    query = attention.q_proj(x[:, :1]).unflatten(-1, heads).transpose(1, 2).float()
    keys = attention.k_proj(x).unflatten(-1, heads).transpose(1, 2).float()
    # A sum of products, not a matrix product, which autocast would round.
    return (query * attention.scale * keys).sum(-1).softmax(-1).mean(1)


def frame_attention(attention: Tensor | None, view: int) -> Tensor | None:
    """Return the attention of one view, [T, N] -> [1, N]; None where there is no attention."""
    return None if attention is None else attention[view, None]
