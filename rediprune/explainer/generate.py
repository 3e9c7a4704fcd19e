"""Generate answers greedily from a prompt of embeddings, and measure how likely given answers are.

One prompt at a time. Everything here is a plain call of the model's own `generate` and `forward`, so what is
measured is what the unmodified model does.
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
class GeneratedAnswer:
    """Hold one generated answer.

    Attributes:
        token_ids: the new tokens, with the end token if it came.
        text: the decoded tokens, without special tokens.
        first_token_seconds: seconds from the start of projecting to the first token; NaN if none came.
    """

    token_ids: tuple[int, ...]
    text: str
    first_token_seconds: float


@dataclass(frozen=True)
class Expectation:
    """Hold how likely a model finds an answer after a prompt, as log-probabilities in nats.

    Attributes:
        first: [vocab] float32, for the first answer token.
        log_prob: of a whole answer, summed over its tokens.
    """

    first: Tensor
    log_prob: float


class _AnswerStreamer:
    """Receive tokens from `generate`: hand on the text as it grows, and note when the first token came."""

    def __init__(self, tokenizer, on_text: Callable[[str], None] | None):
        self.tokenizer = tokenizer
        self.on_text = on_text
        self.ids: list[int] = []
        self.first = math.nan
        self._has_prompt = False

    def put(self, ids: Tensor) -> None:
        """Receive new token ids."""
        if not self._has_prompt:  # generate first hands over the prompt ids
            self._has_prompt = True
            return
        if not self.ids:
            self.first = time.perf_counter()
        self.ids += ids.flatten().tolist()
        if self.on_text:
            # The whole text each time, because a token may change how the one before it is decoded. A
            # character whose bytes are not complete yet decodes to U+FFFD, which is cut off.
            self.on_text(decode_answer(self.tokenizer, self.ids).rstrip("\ufffd"))

    def end(self) -> None:
        """Do nothing: `generate` calls this after the last token."""


def decode_answer(tokenizer, ids: Sequence[int]) -> str:
    """Return the text of answer tokens, without special tokens and surrounding white space."""
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


@torch.no_grad()
def generate_answer(
    adapter: Adapter,
    tokenizer,
    prompt: Callable[[], Prompt],
    prompt_ids: Tensor,
    max_new_tokens: int,
    on_text: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> GeneratedAnswer:
    """Decode greedily from prompt embeddings.

    Args:
        prompt: makes the prompt, [1, L', D]; called here, so that the time to the first token includes
            projecting.
        prompt_ids: [1, L] on the model's device, the whole prompt as the processor made it, which settings of
            the model such as a repetition penalty read.
        max_new_tokens: >= 1.
        on_text: called with the whole text so far, after every token.
        stop: once set, decoding ends after the token in progress; the tokens so far are returned.

    Raises:
        ModelError: the model's generation_config turns on what cannot read a prompt of embeddings, or holds
            values that generate refuses.
    """
    # Imported here because models imports transformers, and `import rediprune` is to be quick.
    from ..models import ModelError
    from ..models.generate_call import generate_greedily

    streamer = _AnswerStreamer(tokenizer, on_text)

    def is_stopped(ids: Tensor, scores, **_) -> Tensor:
        """Return one truth value per sequence [1], as a stopping criterion must."""
        return ids.new_full(ids.shape[:1], stop is not None and stop.is_set(), dtype=torch.bool)

    started = time.perf_counter()
    made = prompt()
    try:
        new_ids = generate_greedily(
            adapter,
            tokenizer,
            made,
            prompt_ids,
            max_new_tokens=max_new_tokens,
            num_beams=1,
            streamer=streamer,
            stopping_criteria=[is_stopped],
        )
    except (ImportError, TypeError, ValueError) as error:
        if streamer.ids:  # the settings were usable, so it is something else
            raise
        reason = " ".join(str(error).split())
        raise ModelError(f"the model's generation_config cannot be used: {reason[:300]}") from error
    ids = new_ids[0].tolist()
    return GeneratedAnswer(tuple(ids), decode_answer(tokenizer, ids), streamer.first - started)


@torch.no_grad()
def next_token_log_probs(adapter: Adapter, prompt: Prompt, answer: Sequence[int]) -> Tensor:
    """Return the log-probabilities at each answer position by teacher forcing, [max(1, A), vocab] float32.

    Row i is what the model expects after the prompt [1, L, D] and the first i of the A answer tokens.
    """
    model = adapter.model
    # Prompt and all answer tokens but the last, as embeddings: [1, L + A - 1, D].
    given = torch.tensor([list(answer[:-1])], dtype=torch.long, device=prompt.embeds.device)
    answer_embeds = model.get_input_embeddings()(given).to(prompt.embeds.dtype)
    embeddings = torch.cat([prompt.embeds, answer_embeds], dim=1)
    # The all-ones mask is needed: without it and without a cache, transformers assumes packed sequences.
    with adapter.with_prompt_hooks(prompt, given):
        out = model(
            inputs_embeds=embeddings,
            **prompt.arguments(given.shape[1]),
            use_cache=False,
            logits_to_keep=max(1, len(answer)),
        )
    return out.logits[0].float().log_softmax(-1)


def agreement(adapter: Adapter, full: Prompt, pruned: Prompt, full_answer, pruned_answer) -> Agreement:
    """Return how likely both answers are under both prompts, and the KL divergence of the first token.

    Args:
        full, pruned: the prompt with all and with the kept visual tokens.
        full_answer, pruned_answer: the answers to them (trace.Answer).
    """

    def judge(prompt: Prompt) -> tuple[Expectation, float]:
        """Return what a prompt expects of the full answer, and the log-probability of the pruned one."""
        on_full = expect_answer(adapter, prompt, full_answer.token_ids)
        if full_answer.token_ids == pruned_answer.token_ids:
            return on_full, on_full.log_prob
        return on_full, expect_answer(adapter, prompt, pruned_answer.token_ids).log_prob

    from_full, full_on_pruned = judge(full)
    from_pruned, pruned_on_pruned = judge(pruned)
    return Agreement(
        full_on_full=from_full.log_prob,
        pruned_on_full=from_pruned.log_prob,
        full_on_pruned=full_on_pruned,
        pruned_on_pruned=pruned_on_pruned,
        kl_first=kl_divergence(from_full.first, from_pruned.first),
        same_text=full_answer.text == pruned_answer.text,
    )


def expect_answer(adapter: Adapter, prompt: Prompt, answer: Sequence[int]) -> Expectation:
    """Return what the model expects after the prompt, and how likely these answer tokens are."""
    log_probs = next_token_log_probs(adapter, prompt, answer)
    ids = torch.tensor(list(answer), dtype=torch.long, device=log_probs.device)
    # The log-probability of each answer token, [A, 1].
    of_answer = log_probs[: len(ids)].gather(-1, ids[:, None])
    return Expectation(log_probs[0], float(of_answer.sum()))


def kl_divergence(p: Tensor, q: Tensor) -> float:
    """Return KL(p || q) in nats of two log-probability vectors [vocab], >= 0."""
    # A token with probability 0 under p adds nothing. Rounding may leave -1e-9, so the sum is clamped.
    return float(torch.where(p.isneginf(), 0.0, p.exp() * (p - q)).sum().clamp(min=0))


@torch.no_grad()
def prefill(adapter: Adapter, prompt: Prompt):
    """Run the model on a whole prompt [1, L, D]; return logits of the last position, and the KV cache."""
    with adapter.with_prompt_hooks(prompt):
        return adapter.model(
            inputs_embeds=prompt.embeds, **prompt.arguments(), logits_to_keep=1, use_cache=True
        )


@torch.no_grad()
def time_prompt(adapter: Adapter, prompt: Callable[[], Prompt], **how) -> Timing:
    """MEASURE the prefill (projection included) and the decode step of a prompt; `how` goes to `time_run`."""
    # Imported here because it imports transformers, and `import rediprune` is to be quick.
    from ..models.transformers_names import cache_argument, cache_of

    def begin() -> dict:
        """Run the prefill; return the state that decode steps start from."""
        made = prompt()
        return {"prompt": made, "steps": 0} | next_inputs(prefill(adapter, made))

    def step(state: dict) -> None:
        """Run one decode step and update the state."""
        state["steps"] += 1
        # The cache knows its length; only positions that differ from that have to be given.
        where = {name: at[..., -1:] for name, at in state["prompt"].positions(state["steps"]).items()}
        cache = cache_argument(state["cache"])
        out = adapter.model(input_ids=state["input_ids"], **cache, **where, use_cache=True)
        state.update(next_inputs(out))

    def next_inputs(out) -> dict:
        """Return the cache and the most likely next token, [1, 1]."""
        return {"cache": cache_of(out), "input_ids": out.logits[:, -1:].argmax(-1)}

    return time_run(begin, step, **how)
