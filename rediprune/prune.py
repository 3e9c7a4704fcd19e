"""Plug and play: `with prune(model, config) as trace: model.generate(**inputs)`.

Inside the block `model.generate` takes the same inputs and returns the same kind of output as before, but the
LLM reads only the kept visual tokens. Nothing is patched but that one attribute of that one object; leaving
the block, by whatever way, takes it off again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .config import PruneConfig
from .query import prompt_tail, text_tower_query
from .selection import select
from .trace import Query, Selection

if TYPE_CHECKING:
    from .models import Adapter
    from .text_tower import TextTower

# (prompt ids [L], its images' features [t, N, C], prompt b, batch size B) -> the query of that prompt
Ask = Callable[[Tensor, Tensor, int, int], Query]


class PruneError(RuntimeError):
    """Nothing was or would be pruned; one sentence says why."""


@dataclass(frozen=True)
class PrunedImage:
    """What was done to one image of one prompt.

    Attributes:
        call, prompt, image: which generate call, prompt of its batch and image of that prompt; from 0.
        kept: [K] kept token indices in raster order, on the CPU.
        selection: the picking order with its evidence; its frames t are all images of the prompt.
        query: what relevance was measured against, None where the method asks none. The prompt-tail
            query has no `tokens` here: prune knows no tokenizer.
    """

    call: int
    prompt: int
    image: int
    kept: Tensor
    selection: Selection
    query: Query | None

    @property
    def n_tokens(self) -> int:
        return self.selection.n_tokens


@dataclass
class PruneReport:
    """What happened inside a prune block; grows with every generate call. Its str() is one sentence."""

    config: PruneConfig
    model_name: str
    images: list[PrunedImage] = field(default_factory=list)
    calls: int = 0

    @property
    def n_visual(self) -> int:
        """Visual tokens before pruning, summed over all images."""
        return sum(image.n_tokens for image in self.images)

    @property
    def n_kept(self) -> int:
        """Visual tokens that went through the projector, summed over all images."""
        return sum(len(image.kept) for image in self.images)

    def __str__(self) -> str:
        if not self.images:
            return f"Nothing pruned yet: no image has gone through {self.model_name}.generate."
        share = f"{self.n_kept} of {self.n_visual} visual tokens ({self.n_kept / self.n_visual:.0%})"
        return (
            f"Kept {share} of {len(self.images)} image(s) in {self.calls} generate call(s) of "
            f"{self.model_name}: {self.config.rule}."
        )


@contextmanager
def prune(
    model: torch.nn.Module,
    config: PruneConfig | None = None,
    *,
    question: str | Sequence[str] | None = None,
    text_tower: TextTower | None = None,
) -> Iterator[PruneReport]:
    """Prune the visual tokens of every `model.generate` call inside the block, before the projector.

    Inputs stay those of the model's own processor: one or several prompts (padded as usual), one or several
    images each; every image is pruned on its own, with the query of its prompt. Kept tokens get consecutive
    positions, as published. Sampling, beams, streamers, logits processors, GenerationConfig and all lengths
    mean what they mean without pruning, and the output holds the ORIGINAL prompt ids, so slicing by
    `input_ids.shape[1]` keeps working. keep_ratio=1 runs the unpruned model token for token.

    Args:
        model: a transformers model of a known family; its weights, mode and config are left alone.
        config: the dials; default PruneConfig().
        question: for the text-tower query only: the question, or one per prompt of the batch.
        text_tower: for the text-tower query only: the encoder that belongs to the vision tower.

    Yields:
        PruneReport, filled by each generate call.

    Raises:
        PruneError: nothing could be pruned: generate never called, no pixel_values, every token kept at a
            keep_ratio below 1; or a prune block inside another on the same model.
        ModelError: the model has no separate projector or is of an unknown family; prompt and images do not
            belong together; generate was called in a way that a pruned prompt does not support.
        ValueError: query and arguments do not fit together; features or query that no cosine can be taken of.
    """
    # Not at the top: models imports transformers, and `import rediprune` is to be quick.
    from .models import adapter_for
    from .models.call import arguments, refuse_unsupported

    config = PruneConfig() if config is None else config
    adapter = adapter_for(model)
    _check_query(config, adapter, question, text_tower)
    if getattr(vars(model).get("generate"), "pruned_by_rediprune", False):
        raise PruneError("this model is already inside a prune block: leave that one first")

    report = PruneReport(config, type(model).__name__)
    original, was_own = model.generate, "generate" in vars(model)

    def ask(ids: Tensor, features: Tensor, prompt: int, n_prompts: int) -> Query:
        if config.query == "prompt-tail":
            return prompt_tail(adapter.prompt_tail_embeddings(ids)[0])
        questions = [question] * n_prompts if isinstance(question, str) else list(question)
        if len(questions) != n_prompts:
            raise ValueError(f"{len(questions)} questions were given for a batch of {n_prompts} prompts")
        value_path = adapter.value_path if config.pointing == "value" else None
        return text_tower_query(text_tower, questions[prompt], features, config.pointing, value_path)

    @functools.wraps(original)
    @torch.no_grad()
    def generate(*args, **kwargs):
        call = arguments(original, args, kwargs)
        report.calls += 1
        if call.get("pixel_values") is None:
            raise PruneError(
                "generate was called without pixel_values, so there is nothing to prune: pass an image"
            )
        refuse_unsupported(call, model)
        return original(**_pruned_call(call, adapter, report, ask))

    generate.pruned_by_rediprune = True
    model.generate = generate
    try:
        yield report
    finally:
        if was_own:
            model.generate = original
        else:
            vars(model).pop("generate", None)
    if not report.images:
        raise PruneError(
            "nothing was pruned: "
            + ("no generate call got as far as its images" if report.calls else "generate was never called")
            + " inside the prune block"
        )


def _pruned_call(call: dict, adapter: Adapter, report: PruneReport, ask: Ask) -> dict:
    """The arguments of the unpruned generate call, with kept visual tokens in place of pixels."""
    from .models.call import mask_of_padding, with_embeddings

    config = report.config
    mask = call.get("attention_mask")
    mask = mask_of_padding(call, adapter.model) if mask is None else mask
    device = adapter.model.get_input_embeddings().weight.device
    ids, mask = call["input_ids"].to(device), mask.to(device)

    vision = adapter.look(call.pop("pixel_values"))
    features, grid = vision.features, (vision.geometry[0].rows, vision.geometry[0].cols)
    slots = adapter.placeholders(ids, len(features))
    kept_features, images = [], []
    for prompt in sorted({row for row, _ in slots}):
        of_prompt = features[[i for i, (row, _) in enumerate(slots) if row == prompt]]
        asks = config.asks_query
        query = ask(ids[prompt][mask[prompt].bool()], of_prompt, prompt, len(ids)) if asks else None
        selection = select(of_prompt, query, config, grid=grid)
        kept = selection.kept()
        if config.keep_ratio < 1 and kept.shape[-1] == of_prompt.shape[1]:
            raise PruneError(
                f"keep_ratio={config.keep_ratio:g} keeps all {of_prompt.shape[1]} visual tokens of an image, "
                "so nothing would be pruned: choose a smaller ratio, or 1 to run unpruned on purpose"
            )
        for i, (tokens, indices) in enumerate(zip(of_prompt, kept, strict=True)):
            kept_features.append(tokens[indices.to(tokens.device)])
            images.append(PrunedImage(report.calls - 1, prompt, i, indices.cpu(), selection, query))

    embeds, mask = adapter.splice(ids, mask, kept_features)
    report.images += images
    return with_embeddings(call, adapter.model, embeds, mask)


def _check_query(config: PruneConfig, adapter: Adapter, question: object, text_tower: object) -> None:
    if not isinstance(config, PruneConfig):
        raise TypeError(f"config must be a PruneConfig, not {type(config).__name__}")
    if config.query == "prompt-tail" and (question is not None or text_tower is not None):
        raise ValueError(
            "question and text_tower serve the text-tower query only: set query='text-tower' too"
        )
    if config.asks_query and config.query == "text-tower" and (question is None or text_tower is None):
        name = adapter.text_tower_name or "local-dir:FOLDER"
        raise ValueError(
            "query='text-tower' needs the question and the text tower: pass question=... and "
            f'text_tower=TextTower.load("{name}")'
        )
