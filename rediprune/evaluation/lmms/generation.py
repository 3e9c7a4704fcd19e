"""A batch of samples -> answers, or how likely given answers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...explainer.generate import decode_answer, next_token_log_probs
from ...tokens import split_indices
from .decoding import Decoding
from .samples import Chosen

if TYPE_CHECKING:
    from ...explainer.explainer import Explainer
    from ...models import Prompt


@dataclass(frozen=True)
class Answered:
    """One answer.

    Attributes:
        text: cut at its stop string.
        n_kept: visual tokens that stood in the prompt, counted there.
        n_read: all tokens of the prompt.
        n_new: tokens that were made, the end token included if it came.
    """

    text: str
    n_kept: int
    n_read: int
    n_new: int


@torch.no_grad()
def answer(
    explainer: Explainer, batch: Sequence[Chosen], decoding: Decoding, positions: str = "compacted"
) -> list[Answered]:
    """Decode all samples of a batch together; a batch of one is what Explainer.answer does."""
    tokenizer = explainer.processor.tokenizer
    prompt, n_kept = spliced(explainer, batch, positions)
    with explainer.adapter.reading(prompt):
        made = explainer.model.generate(
            inputs_embeds=prompt.embeds,
            **prompt.arguments(),
            max_new_tokens=decoding.max_new_tokens,
            num_beams=decoding.num_beams,
            do_sample=False,
        )
    ends = _end_ids(explainer)
    read = prompt.mask.sum(-1).tolist()
    texts = [decoding.cut(decode_answer(tokenizer, ids)) for ids in made.tolist()]
    n_new = [_up_to_end(ids, ends) for ids in made.tolist()]
    return [Answered(*one) for one in zip(texts, n_kept, read, n_new, strict=True)]


@torch.no_grad()
def loss(
    explainer: Explainer, one: Chosen, continuation: str, positions: str = "compacted"
) -> tuple[float, bool, int]:
    """(mean negative log-probability in nats of the continuation's tokens, whether greedy decoding gives it,
    visual tokens that stood in the prompt).

    A loss, and not the log-likelihood that the name of lmms-eval's method promises: its own models return the
    loss, and its tasks choose the least.

    Raises:
        ValueError: a continuation without any token.
    """
    prompt, (n_kept,) = spliced(explainer, [one], positions)
    ids = _continuation_ids(explainer.processor.tokenizer, one.asked.inputs["input_ids"][0], continuation)
    log_probs = next_token_log_probs(explainer.adapter, prompt, ids)
    wanted = torch.tensor(ids, device=log_probs.device)
    mean = -log_probs.gather(-1, wanted[:, None]).mean()
    return float(mean), bool((log_probs.argmax(-1) == wanted).all()), n_kept


def spliced(
    explainer: Explainer, batch: Sequence[Chosen], positions: str = "compacted"
) -> tuple[Prompt, list[int]]:
    """One prompt of embeddings [B, L', D] for all samples, by the splicing of the family's adapter.

    Beside it, counted in the prompt and not in what was asked for: how many visual tokens stand in each.
    """
    adapter, tokenizer = explainer.adapter, explainer.processor.tokenizer
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0)
    seen, kept = [], []
    for one in batch:
        of_all = one.look.vision.all if one.kept is None else one.kept
        seen += one.look.items
        kept += split_indices(of_all, [part.vision for part in one.look.items])
    inputs = together([one.asked.inputs for one in batch], pad)
    ids, mask = (inputs[name].to(adapter.device) for name in ("input_ids", "attention_mask"))
    prompt = adapter.splice(ids, mask, seen, kept, positions == "original", inputs)
    counts = [0] * len(batch)
    for (row, places), one in zip(adapter.placeholders(ids, seen), seen, strict=True):
        counts[row] += int((prompt.stays[row, places].cpu() & (one.slots >= 0)).sum())
    return prompt, counts


def together(each: Sequence[Mapping[str, Any]], pad: int) -> dict[str, Any]:
    """The processor's outputs for single prompts [1, L] as its output for all of them, padded on the left.

    What has an entry for each token is padded; all else has one for each image or clip and is put in a row.
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
        made["attention_mask"] = torch.stack(
            [(torch.arange(longest) >= longest - length).long() for length in lengths]
        )
    return made


def _continuation_ids(tokenizer, prompt_ids: Tensor, continuation: str) -> list[int]:
    """The tokens that the continuation adds to the prompt's last words, spelled as they are there."""
    tail = tokenizer.decode(prompt_ids[-8:].tolist())
    if tail[-1:].isspace():
        continuation = continuation.lstrip()
    head, joint = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in (tail, tail + continuation)
    )
    ids = joint[len(head) :] if joint[: len(head)] == head else None
    if ids is None:  # the two grow together where they meet
        ids = tokenizer(continuation, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ValueError(f"the continuation {continuation!r} has no token whose likelihood could be measured")
    return ids


def _end_ids(explainer: Explainer) -> set[int]:
    ends = explainer.model.generation_config.eos_token_id
    return set() if ends is None else set(ends if isinstance(ends, list | tuple) else [ends])


def _up_to_end(ids: list[int], ends: set[int]) -> int:
    """How many tokens were made: behind the end token of an answer comes padding."""
    return next((i + 1 for i, token in enumerate(ids) if token in ends), len(ids))
