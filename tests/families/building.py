"""What the tiny families are built with: words, weights that make answers vary, patches of pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast


def built(make: Callable[[], torch.nn.Module], tok: PreTrainedTokenizerFast, dtype: torch.dtype):
    """A model with weights at which answers vary and depend on the visual tokens; always the same ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() > 1:
                    weight.normal_(0, weight[0].numel() ** -0.5)
            model.get_input_embeddings().weight.normal_(0, 1)
    model.generation_config = GenerationConfig(
        bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id
    )
    return model.to(dtype).eval()


def patched(pixels: torch.Tensor, side: int) -> torch.Tensor:
    """Pixels [T, 3, H, W] as patches in raster order, [T, N, 3 * side * side]; a remainder is left out."""
    t, c, h, w = pixels.shape
    rows, cols = h // side, w // side
    cut = pixels[..., : rows * side, : cols * side].reshape(t, c, rows, side, cols, side)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(t, rows * cols, -1)
