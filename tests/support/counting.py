"""Count FLOPs with torch's counter, at public shapes on the meta device, where no number is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from rediprune.costs.estimate import prefill_flops, projector_flops, vision_flops
from rediprune.models import adapter_for
from rediprune.models.transformers_names import cache_argument, cache_of

KEPT, LENGTH = 432, 600  # any counts will do


@torch.no_grad()
def count_flops(call: Callable[[], object]) -> int:
    """Count the FLOPs of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def zeros(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, device="meta", dtype=torch.float16)


def llm(model, n: int, cache=None):
    """Run the LLM and its output layer for the last position, as generate() runs a prefill or a step."""
    # On meta only the mask-less, cached call avoids Tensor.item(); SDPA is counted there, on CPU it is not.
    width = model.config.text_config.hidden_size
    out = model.model.language_model(
        inputs_embeds=zeros(1, n, width), use_cache=True, **cache_argument(cache)
    )
    model.lm_head(out.last_hidden_state[:, -1:])
    return cache_of(out)


def check_estimates(model, towers: Sequence[torch.nn.Module], views: int, side: int) -> None:
    """Compare the estimates of encoder, projector and prefill with the counted FLOPs of their forwards."""
    shapes = adapter_for(model).shapes()
    for tower in towers:
        counted = count_flops(lambda t=tower: t(zeros(views, 3, side, side)))
        assert views * vision_flops(shapes) == counted
    features = zeros(1, KEPT, shapes.projector_in)
    assert projector_flops(shapes, KEPT) == count_flops(lambda: model.model.multi_modal_projector(features))
    assert prefill_flops(shapes, LENGTH) == count_flops(lambda: llm(model, LENGTH))
