"""Prompt embeddings -> answer tokens, and how likely a model finds given answer tokens. Greedy, one prompt
at a time.

Everything here is a plain call of the model's own `generate` and `forward`, so what is measured is what the
unmodified model does.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..costs.stopwatch import Timing, time_run
from ..trace import Agreement

if TYPE_CHECKING:
    from ..models import Adapter, Prompt


@dataclass(frozen=True)
class Generated:
    """New tokens (with the end token if it came), their text, and seconds to the first; NaN if none came."""

    token_ids: tuple[int, ...]
    text: str
    first_token_seconds: float


@dataclass(frozen=True)
class Expected:
    """What a prompt makes a model expect: log-probabilities in nats.

    Attributes:
        first: [vocab] float32, of the first answer token.
        log_prob: of a whole answer, summed over its tokens.
    """

    first: Tensor
    log_prob: float


class _Listener:
    """A `generate` streamer: text as it grows, and when the first token was there."""

    def __init__(self, tokenizer, on_text: Callable[[str], None] | None):
        self.tokenizer, self.on_text = tokenizer, on_text
        self.ids: list[int] = []
        self.first = math.nan

    def put(self, ids: Tensor) -> None:
        if not ids.numel():  # generate first hands over the prompt ids, and a prompt of embeddings has none
            return
        if not self.ids:
            self.first = time.perf_counter()
        self.ids += ids.flatten().tolist()
        if self.on_text:
            # The whole text each time: one token may change how its neighbours are spelled. A character whose
            # bytes have not all come yet decodes to U+FFFD and is held back.
            self.on_text(decoded(self.tokenizer, self.ids).rstrip("\ufffd"))

    def end(self) -> None:
        pass


def decoded(tokenizer, ids: Sequence[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


@torch.no_grad()
def generate_answer(
    adapter: Adapter,
    tokenizer,
    prompt: Callable[[], Prompt],
    max_new_tokens: int,
    on_text: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> Generated:
    """Greedy decoding from prompt embeddings.

    Args:
        prompt: makes the prompt, [1, L, D]; called here, so that projecting is inside the time to the first
            token.
        max_new_tokens: >= 1.
        on_text: called with the whole text so far, after every token.
        stop: once set, decoding ends after the token in progress and what there is is returned.
    """
    listener = _Listener(tokenizer, on_text)

    def halted(ids: Tensor, scores, **_) -> Tensor:
        return ids.new_full(ids.shape[:1], stop is not None and stop.is_set(), dtype=torch.bool)

    started = time.perf_counter()
    made = prompt()
    with adapter.with_prompt_hooks(made):
        ids = adapter.model.generate(
            inputs_embeds=made.embeds,
            **made.arguments(),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            streamer=listener,
            stopping_criteria=[halted],
        )[0].tolist()
    return Generated(tuple(ids), decoded(tokenizer, ids), listener.first - started)


@torch.no_grad()
def next_token_log_probs(adapter: Adapter, prompt: Prompt, answer: Sequence[int]) -> Tensor:
    """Teacher forcing: log-probabilities [max(1, A), vocab] in float32 of the token at each answer position.

    Row i is what the model expects after the prompt [1, L, D] and the first i of the A answer tokens.
    """
    model, start = adapter.model, prompt.embeds
    given = torch.tensor([list(answer[:-1])], dtype=torch.long, device=start.device)
    embeddings = torch.cat([start, model.get_input_embeddings()(given).to(start.dtype)], dim=1)
    # The all-ones mask is not idle: without it and without a cache, transformers guesses packed sequences.
    with adapter.with_prompt_hooks(prompt, given):
        out = model(
            inputs_embeds=embeddings,
            **prompt.arguments(given.shape[1]),
            use_cache=False,
            logits_to_keep=max(1, len(answer)),
        )
    return out.logits[0].float().log_softmax(-1)


def agreement(adapter: Adapter, full: Prompt, pruned: Prompt, full_answer, pruned_answer) -> Agreement:
    """Each prompt's log-probability (nats, summed) of both answers, and KL(full || pruned) of the first
    token.

    full, pruned: the prompt with all and with the kept visual tokens. The answers are `Answer`s.
    """

    def judge(prompt: Prompt) -> tuple[Expected, float]:
        on_full = expected(adapter, prompt, full_answer.token_ids)
        same = full_answer.token_ids == pruned_answer.token_ids
        on_pruned = on_full if same else expected(adapter, prompt, pruned_answer.token_ids)
        return on_full, on_pruned.log_prob

    whole, full_on_pruned = judge(full)
    few, pruned_on_pruned = judge(pruned)
    return Agreement(
        full_on_full=whole.log_prob,
        pruned_on_full=few.log_prob,
        full_on_pruned=full_on_pruned,
        pruned_on_pruned=pruned_on_pruned,
        kl_first=divergence(whole.first, few.first),
        same_text=full_answer.text == pruned_answer.text,
    )


def expected(adapter: Adapter, prompt: Prompt, answer: Sequence[int]) -> Expected:
    """What the model expects after the prompt, and of these answer tokens."""
    log_probs = next_token_log_probs(adapter, prompt, answer)
    ids = torch.tensor(list(answer), dtype=torch.long, device=log_probs.device)
    return Expected(log_probs[0], float(log_probs[: len(ids)].gather(-1, ids[:, None]).sum()))


def divergence(p: Tensor, q: Tensor) -> float:
    """KL(p || q) in nats of two log-probability vectors, >= 0."""
    # A token with probability 0 under p adds nothing; rounding may leave -1e-9, which KL never is.
    return float(torch.where(p.isneginf(), 0.0, p.exp() * (p - q)).sum().clamp(min=0))


@torch.no_grad()
def prefill(adapter: Adapter, prompt: Prompt):
    """What the model returns for a whole prompt, [1, L, D]: logits of its last position, and the cache."""
    with adapter.with_prompt_hooks(prompt):
        return adapter.model(
            inputs_embeds=prompt.embeds, **prompt.arguments(), logits_to_keep=1, use_cache=True
        )


@torch.no_grad()
def time_prompt(adapter: Adapter, prompt: Callable[[], Prompt], **how) -> Timing:
    """Measured prefill (projection included) and decode step of one prompt; `how` goes to `time_run`."""

    # Not at the top: it imports transformers, and `import rediprune` is to be quick.
    from ..models.transformers_names import cache_argument, cache_of

    def begin() -> dict:
        made = prompt()
        return {"prompt": made, "steps": 0} | carried(prefill(adapter, made))

    def step(state: dict) -> None:
        state["steps"] += 1
        # The cache knows how long it is; only positions that are not simply its length must be said.
        where = {name: at[..., -1:] for name, at in state["prompt"].positions(state["steps"]).items()}
        cache = cache_argument(state["cache"])
        out = adapter.model(input_ids=state["input_ids"], **cache, **where, use_cache=True)
        state.update(carried(out))

    def carried(out) -> dict:
        return {"cache": cache_of(out), "input_ids": out.logits[:, -1:].argmax(-1)}

    return time_run(begin, step, **how)
