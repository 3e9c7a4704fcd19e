"""Plug and play: `with prune(model, config) as trace: model.generate(**inputs)`.

Inside the block `model.generate` takes the same inputs and returns the same kind of output as before, but the
LLM reads only the kept visual tokens. Nothing is patched but that one attribute of that one object; leaving
the block, by whatever way, takes it off again.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .config import PruneConfig
from .devices import on_device
from .query import prompt_tail, text_tower_query
from .selection import select_tokens
from .tokens import joined, parted
from .trace import Query, Selection

if TYPE_CHECKING:
    from .models import Adapter, Prompt
    from .text_tower import TextTower

# (prompt ids [L], its images' features [t, N, C], prompt b, batch size B) -> the query of that prompt
Ask = Callable[[Tensor, Tensor, int, int], Query]


class PruneError(RuntimeError):
    """Nothing was or would be pruned; one sentence says why."""


@dataclass(frozen=True)
class PrunedImage:
    """What was done to one image or clip of one prompt.

    Attributes:
        call, prompt, image: which generate call, prompt of its batch and image of that prompt; from 0. A clip
            counts as one image.
        kind: "image" or "video".
        n_tokens: the visual tokens it had, over all of its frames or tiles.
        kept: [K] flat indices (t * N + n) of the kept tokens, ascending, on the CPU.
        selection: the picks in order, with their evidence, ended at the K of config.keep_ratio: it serves no
            larger ratio (Selection.cut_from). Its frames are those of all images of the prompt, one behind
            the other. For the random method its config holds the seed that was drawn from (see `prune`).
            None at keep_ratio 1, where nothing is chosen.
        query: what relevance was measured against, None where none was asked; without the tokens' `keys`,
            which are as large as the features. The prompt-tail query has no `tokens` here: prune knows no
            tokenizer.
    """

    call: int
    prompt: int
    image: int
    kind: str
    n_tokens: int
    kept: Tensor
    selection: Selection | None
    query: Query | None


@dataclass
class PruneReport:
    """What happened inside a prune block; grows with every call that returns. Its str() is one sentence."""

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
    images or clips each; every frame is pruned on its own (config.budget), with the query of its prompt, and
    what is kept gets consecutive positions (config.positions), both as published. Sampling, beams, streamers,
    logits processors, GenerationConfig and all lengths mean what they mean without pruning, and the output
    holds the ORIGINAL prompt ids, so slicing by `input_ids.shape[1]` keeps working. keep_ratio=1 runs the
    unpruned model token for token and asks nothing.

    The random method draws anew for every prompt of every call, from (config.seed, call, prompt): each image
    of a data set gets a mask of its own, and the same block over the same data gets the same masks.

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

    report, tried = PruneReport(config, type(model).__name__), False
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
        nonlocal tried
        tried = True
        call = arguments(original, args, kwargs, type(model).generate.__get__(model))
        if all(call.get(name) is None for name in adapter.media_inputs if name.startswith("pixel_values")):
            raise PruneError(
                "generate was called without pixel_values, so there is nothing to prune: pass an image"
            )
        refuse_unsupported(call, adapter)
        call, prompt, images = _pruned_call(call, adapter, config, report.calls, ask)
        with adapter.reading(prompt):
            output = original(**call)
        report.images += images  # a call that failed has pruned nothing
        report.calls += 1
        return output

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
            + ("no generate call came to its end" if tried else "generate was never called")
            + " inside the prune block"
        )


def _pruned_call(
    call: dict, adapter: Adapter, config: PruneConfig, number: int, ask: Ask
) -> tuple[dict, Prompt, list[PrunedImage]]:
    """The arguments of the unpruned generate call with a shorter prompt in place of pixels; the record."""
    from .models.call import mask_of_padding, with_prompt

    mask = call.get("attention_mask")
    mask = mask_of_padding(call, adapter.model) if mask is None else mask
    device = adapter.device
    ids, mask = call["input_ids"].to(device), mask.to(device)

    inputs = {name: call.pop(name) for name in adapter.media_inputs if call.get(name) is not None}
    seen = adapter.look(call | inputs)
    rows = [row for row, _ in adapter.placeholders(ids, seen)]
    kept: list[Tensor] = [torch.empty(0)] * len(seen)
    images = []
    for prompt in sorted(set(rows)):
        mine = [i for i, row in enumerate(rows) if row == prompt]
        parts = [seen[i].vision for i in mine]
        vision, query, selection = joined(parts), None, None
        if config.keep_ratio == 1:
            of_prompt = vision.all
        else:
            if config.asks_query:
                query = ask(ids[prompt][mask[prompt].bool()], vision.features, prompt, len(ids))
            project = functools.partial(adapter.projected, [seen[i] for i in mine])
            own = _own_seed(config, number, prompt)
            selection = select_tokens(vision, query, own, project=project, full=False).cpu()
            of_prompt = selection.kept()
            if query is not None:  # of a whole data set, keys would fill the device
                query = on_device(replace(query, keys=None), "cpu")
            if len(of_prompt) == vision.n_tokens:
                raise PruneError(
                    f"keep_ratio={config.keep_ratio:g} keeps all {vision.n_tokens} visual tokens, so "
                    "nothing would be pruned: choose a smaller ratio, or 1 to run unpruned on purpose"
                )
        for place, (i, indices) in enumerate(zip(mine, parted(of_prompt, parts), strict=True)):
            kept[i] = indices
            images.append(
                PrunedImage(
                    number, prompt, place, seen[i].kind, parts[place].n_tokens, indices, selection, query
                )
            )

    spliced = adapter.splice(ids, mask, seen, kept, config.positions == "original", call | inputs)
    return with_prompt(call, adapter.model, spliced), spliced, images


def _own_seed(config: PruneConfig, call: int, prompt: int) -> PruneConfig:
    """For the random method, a seed for this prompt alone; every other method draws nothing."""
    if config.method != "random":
        return config
    # A hash and not a sum: seed 1 at call 0 is not to draw what seed 0 draws at call 1.
    digest = hashlib.blake2b(f"{config.seed} {call} {prompt}".encode(), digest_size=8).digest()
    return replace(config, seed=int.from_bytes(digest))


def _check_query(config: PruneConfig, adapter: Adapter, question: object, text_tower: object) -> None:
    if not isinstance(config, PruneConfig):
        raise TypeError(f"config must be a PruneConfig, not {type(config).__name__}")
    if config.method not in adapter.methods:
        raise ValueError(
            f"method={config.method!r} needs the attention of a class token, which the vision encoder of "
            f"{type(adapter.model).__name__} does not give: choose one of {', '.join(adapter.methods)}"
        )
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
