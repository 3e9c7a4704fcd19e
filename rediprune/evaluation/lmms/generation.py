"""Answer a batch of samples, or measure how likely given answers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...explainer.generate import decode_answer, next_token_log_probs
from ...models.generate_call import generate_greedily
from ...tokens import split_indices
from .decoding import Decoding
from .samples import PreparedSample

if TYPE_CHECKING:
    from ...explainer.explainer import Explainer
    from ...models import Prompt


@dataclass(frozen=True)
class GeneratedAnswer:
    """Hold one answer with the counts of its prompt.

    Attributes:
        text: the answer, cut at its stop string.
        n_kept: visual tokens in the prompt, counted there.
        n_read: all tokens of the prompt.
        n_new: generated tokens, with the end token if it came.
    """

    text: str
    n_kept: int
    n_read: int
    n_new: int


@torch.no_grad()
def generate_answers(
    explainer: Explainer, batch: Sequence[PreparedSample], decoding: Decoding, positions: str = "compacted"
) -> list[GeneratedAnswer]:
    """Decode all samples of a batch together; a batch of one is what Explainer.answer does."""
    tokenizer = explainer.processor.tokenizer
    prompt, n_kept = splice_batch(explainer, batch, positions)
    inputs = collate_inputs([one.asked.inputs for one in batch], _pad_id(tokenizer))
    ids, mask = (inputs[name].to(explainer.adapter.device) for name in ("input_ids", "attention_mask"))
    made = generate_greedily(
        explainer.adapter,
        tokenizer,
        prompt,
        ids,
        mask,
        max_new_tokens=decoding.max_new_tokens,
        num_beams=decoding.num_beams,
    )
    ends = _end_ids(explainer)
    read = prompt.mask.sum(-1).tolist()
    texts = [decoding.cut(decode_answer(tokenizer, ids)) for ids in made.tolist()]
    n_new = [_count_up_to_end(ids, ends) for ids in made.tolist()]
    return [GeneratedAnswer(*one) for one in zip(texts, n_kept, read, n_new, strict=True)]


@torch.no_grad()
def measure_loss(
    explainer: Explainer, one: PreparedSample, continuation: str, positions: str = "compacted"
) -> tuple[float, bool, int]:
    """Measure the loss of a continuation after a sample's prompt.

    It is a loss and not the log-likelihood that the name of lmms-eval's method promises: lmms-eval's own
    models return the loss, and its tasks choose the least.

    Returns:
        (mean negative log-probability of the continuation's tokens in nats, whether greedy decoding gives
            them, visual tokens in the prompt).

    Raises:
        ValueError: a continuation without any token.
    """
    prompt, (n_kept,) = splice_batch(explainer, [one], positions)
    ids = _continuation_ids(explainer.processor.tokenizer, one.asked.inputs["input_ids"][0], continuation)
    # log_probs [n_ids, vocabulary]: at each place of the continuation, given all before it.
    log_probs = next_token_log_probs(explainer.adapter, prompt, ids)
    wanted = torch.tensor(ids, device=log_probs.device)
    mean = -log_probs.gather(-1, wanted[:, None]).mean()
    return float(mean), bool((log_probs.argmax(-1) == wanted).all()), n_kept


def _pad_id(tokenizer) -> int:
    """Return the id that shorter prompts of a batch are padded with."""
    pad = tokenizer.pad_token_id
    if pad is None:
        pad = tokenizer.eos_token_id or 0
    return pad


def splice_batch(
    explainer: Explainer, batch: Sequence[PreparedSample], positions: str = "compacted"
) -> tuple[Prompt, list[int]]:
    """Splice all samples into one prompt of embeddings [B, L', D], by the family's adapter.

    Returns:
        The prompt, and how many visual tokens each row really holds, counted in the prompt.
    """
    adapter, tokenizer = explainer.adapter, explainer.processor.tokenizer
    seen, kept = [], []
    for one in batch:
        of_all = one.look.vision.all if one.kept is None else one.kept
        seen += one.look.items
        kept += split_indices(of_all, [part.vision for part in one.look.items])
    inputs = collate_inputs([one.asked.inputs for one in batch], _pad_id(tokenizer))
    ids, mask = (inputs[name].to(adapter.device) for name in ("input_ids", "attention_mask"))
    prompt = adapter.splice(ids, mask, seen, kept, positions == "original", inputs)
    # Counted in the prompt itself: placeholders that survived and stand for a visual token, not a separator.
    counts = [0] * len(batch)
    for (row, places), one in zip(adapter.placeholders(ids, seen), seen, strict=True):
        counts[row] += int((prompt.stays[row, places].cpu() & (one.placeholder_tokens >= 0)).sum())
    return prompt, counts


def collate_inputs(each: Sequence[Mapping[str, Any]], pad: int) -> dict[str, Any]:
    """Collate the processor's outputs for single prompts [1, L] into one batch, padded on the left.

    Tensors with an entry for each token are padded; others have an entry for each image or clip and are
    concatenated.
    """
    longest = max(one["input_ids"].shape[1] for one in each)
    made: dict[str, Any] = {}
    for name in each[0]:
        parts = [one[name] for one in each]
        if not isinstance(parts[0], Tensor):
            made[name] = [entry for part in parts for entry in part]
            continue
        if parts[0].shape == each[0]["input_ids"].shape:
            filler = pad if name == "input_ids" else 0
            parts = [F.pad(part, (longest - part.shape[1], 0), value=filler) for part in parts]
        made[name] = torch.cat(parts)
    if "attention_mask" not in made:
        lengths = [one["input_ids"].shape[1] for one in each]
        # 0 over the padding on the left, 1 over each prompt: [B, longest].
        made["attention_mask"] = torch.stack(
            [(torch.arange(longest) >= longest - length).long() for length in lengths]
        )
    return made


def _continuation_ids(tokenizer, prompt_ids: Tensor, continuation: str) -> list[int]:
    """Tokenize a continuation as it is spelled right after the prompt's last words."""
    tail = tokenizer.decode(prompt_ids[-8:].tolist())
    if tail[-1:].isspace():
        continuation = continuation.lstrip()
    head, joint = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in (tail, tail + continuation)
    )
    if joint[: len(head)] == head:
        ids = joint[len(head) :]
    else:  # the tokenizer joined the last word of the prompt with the first of the continuation
        ids = tokenizer(continuation, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ValueError(f"the continuation {continuation!r} has no token whose likelihood could be measured")
    return ids


def _end_ids(explainer: Explainer) -> set[int]:
    ends = explainer.model.generation_config.eos_token_id
    if ends is None:
        return set()
    return set(ends) if isinstance(ends, list | tuple) else {ends}


def _count_up_to_end(ids: list[int], ends: set[int]) -> int:
    """Count the generated tokens up to the end token; padding follows it."""
    return next((i + 1 for i, token in enumerate(ids) if token in ends), len(ids))
