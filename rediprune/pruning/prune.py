"""Plug and play: `with prune(model, config) as report: model.generate(**inputs)`.

Inside the block `model.generate` takes the same inputs and returns the same kind of output as before, but the
LLM reads only the kept visual tokens. On the model, that one attribute is replaced and one hook is added,
which refuses pixels that would get around it; a call adds hooks where it reads (models/). Leaving the block,
by whatever way, takes all of it off again.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..config import PruneConfig, checked_config
from ..costs.estimate import Costs, text_tower_flops
from ..query.prompt_tail import prompt_tail
from ..query.text_tower import TextTower, text_tower_query
from ..selection.select import select_tokens
from ..tokens import VisionTokens, joined, parted
from ..trace import Query, on_device
from .patch import CallNumbers, Generate, ToEnter
from .report import PrunedImage, PruneError, PruneReport

if TYPE_CHECKING:
    from ..models import Adapter, EncodedItem, Prompt

_ENTERING = threading.Lock()  # two threads at the same moment are two blocks on one model

# (prompt ids [L], its images' features [t, N, C], prompt b, batch size B) -> the query of that prompt, and a
# note about what it was made of, empty where there is nothing to say
Ask = Callable[[Tensor, Tensor, int, int], tuple[Query, str]]


def prune(
    model: torch.nn.Module,
    config: PruneConfig | None = None,
    *,
    question: str | Sequence[str] | None = None,
    text_tower: TextTower | None = None,
) -> AbstractContextManager[PruneReport]:
    """Prune the visual tokens of every `model.generate` call inside the block, before the projector.

    Inputs stay those of the model's own processor: one or several prompts (padded as usual), one or several
    images or clips each; every frame is pruned on its own (config.budget), with the query of its prompt, and
    what is kept gets consecutive positions (config.positions), both as published. Sampling, beams, streamers,
    logits processors, GenerationConfig and all lengths mean what they mean without pruning, and the output
    holds the ORIGINAL prompt ids, so slicing by `input_ids.shape[1]` keeps working. keep_ratio=1 runs the
    unpruned model token for token and asks nothing. A ratio below 1 that keeps every token, by rounding, is
    warned of, and PruneReport.notes says so.

    The random method draws anew for every prompt of every call, from (config.seed, call, prompt): each image
    of a data set gets a mask of its own, and the same block over the same data gets the same masks.

    It is the model that is inside the block, so calls from every thread are pruned, as one that streams
    needs; several may run at once. A cache that a call fills holds the pruned prompt, while generate counts
    what it holds by the ids of the whole: such a cache is of no use to another call, and where the output
    would carry it there is None. Calls of the model itself with an image are refused, for nothing of it would
    be pruned; its inner parts (`model.model`) are not watched.

    Args:
        model: a transformers model of a known family, or what torch.compile or PEFT made of one; its weights,
            mode and config are left alone.
        config: the dials; default PruneConfig().
        question: for the text-tower query only: the question, or one per prompt of the batch.
        text_tower: for the text-tower query only: the encoder that belongs to the vision tower.

    Returns:
        What `with` takes, and gives a PruneReport that each generate call fills. A function can be decorated
        with it as well. It does nothing by itself, and warns where it was never entered or left.

    Raises:
        PruneError: nothing could be pruned: generate never called, no pixel_values, pixel_values given to the
            model itself; or a prune block inside another on the same model; or the model is copied deeply
            or pickled inside the block.
        ModelError: the model has no separate projector or is of an unknown family; prompt and images do not
            belong together; generate was called in a way that a pruned prompt does not support.
        ValueError: query and arguments do not fit together; features or query that no cosine can be taken of.
        TypeError: something that is no config, question or text tower.
    """
    # Not at the top: models imports transformers, and `import rediprune` is to be quick.
    from ..models import adapter_for

    config, adapter = checked_config(config), adapter_for(model)
    _check_query(config, adapter, question, text_tower)

    def ask(ids: Tensor, features: Tensor, prompt: int, n_prompts: int) -> tuple[Query, str]:
        if config.query == "prompt-tail":
            text = adapter.query_text(ids)
            return prompt_tail(adapter.model.get_input_embeddings()(text.ids)), text.note
        questions = [question] * n_prompts if isinstance(question, str) else list(question)
        if len(questions) != n_prompts:
            raise ValueError(f"{len(questions)} questions were given for a batch of {n_prompts} prompts")
        value_path = adapter.value_path if config.pointing == "value" else None
        query = text_tower_query(text_tower, questions[prompt], features, config.pointing, value_path)
        return query, ""

    return ToEnter(functools.partial(_block, adapter, config, ask, text_tower))


@contextmanager
def _block(
    adapter: Adapter, config: PruneConfig, ask: Ask, text_tower: TextTower | None
) -> Iterator[PruneReport]:
    from ..models.generate_call import bind_generate_args, refuse_unsupported
    from ..models.transformers_names import without_cache

    model = adapter.model
    report, tried = PruneReport(config, type(model).__name__), False
    pixels = [name for name in adapter.media_inputs if name.startswith("pixel_values")]
    numbers, noting = CallNumbers(), threading.Lock()

    @torch.no_grad()
    def pruned(*args, **kwargs):
        nonlocal tried
        tried = True
        call = bind_generate_args(original, args, kwargs, type(model).generate.__get__(model))
        refuse_unsupported(call, adapter, original)
        if all(call.get(name) is None for name in pixels):
            raise PruneError(
                "generate was called without pixel_values, so there is nothing to prune: pass an image"
            )
        number = numbers.take()
        try:
            call, prompt, images, costs, notes = _pruned_call(call, adapter, config, number, ask, text_tower)
            with adapter.with_prompt_hooks(prompt):
                output = original(**call)
        except BaseException:  # a call that failed has pruned nothing
            numbers.give_back(number)
            raise
        with noting:
            report.images += images
            report.costs += costs
            report.calls += 1
            fresh = [note for note in notes if note not in report.notes]
            report.notes += fresh
        for note in fresh:
            warnings.warn(note, stacklevel=3)
        # No other call could go on from a cache of the pruned prompt.
        return output if prompt.stays.all() else without_cache(output)

    with _ENTERING:
        there = vars(model).get("generate")
        if isinstance(there, Generate) and there.open:
            raise PruneError(
                "this model is already inside a prune block, perhaps another thread's: it must be left first"
            )
        original, was_own = model.generate, there is not None
        model.generate = generate = Generate(original, pruned, pixels)
    hook = model.register_forward_pre_hook(generate.refuse_pixels, with_kwargs=True)
    try:
        yield report
    finally:
        hook.remove()
        generate.open = False
        if vars(model).get("generate") is generate:  # else somebody's wrapper stands on it, and may stay
            if was_own:
                model.generate = original
            else:
                del model.generate
    if not report.images:
        raise PruneError(
            "nothing was pruned: "
            + ("no generate call came to its end" if tried else "generate was never called")
            + " inside the prune block"
        )


def _pruned_call(
    call: dict,
    adapter: Adapter,
    config: PruneConfig,
    number: int,
    ask: Ask,
    text_tower: TextTower | None,
) -> tuple[dict, Prompt, list[PrunedImage], list[Costs], list[str]]:
    """Return the arguments of the unpruned generate call with a shorter prompt in place of pixels.

    Beside them: that prompt, the records of its images, what estimates are made of, and notes, each once.
    """
    from ..models.generate_call import mask_of_padding, with_prompt

    mask = call.get("attention_mask")
    mask = mask_of_padding(call, adapter.model) if mask is None else mask
    device = adapter.device
    ids, mask = call["input_ids"].to(device), mask.to(device)

    inputs = {name: call.pop(name) for name in adapter.media_inputs if call.get(name) is not None}
    seen = adapter.look(call | inputs)
    rows = [row for row, _ in adapter.placeholders(ids, seen)]
    kept: list[Tensor] = [torch.empty(0)] * len(seen)
    images: list[PrunedImage] = []
    costs: list[Costs] = []
    notes: dict[str, None] = {}
    for prompt in sorted(set(rows)):
        mine = [i for i, row in enumerate(rows) if row == prompt]
        parts = [seen[i].vision for i in mine]
        vision, query, selection = joined(parts), None, None
        if config.keep_ratio == 1:
            of_prompt = vision.all
        else:
            if config.asks_query:
                query, note = ask(ids[prompt][mask[prompt].bool()], vision.features, prompt, len(ids))
                notes |= {note: None} if note else {}
            project = functools.partial(adapter.projected, [seen[i] for i in mine])
            own = _own_seed(config, number, prompt)
            selection = select_tokens(vision, query, own, project=project, full=False).cpu()
            of_prompt = selection.kept()
            if query is not None:  # of a whole data set, keys would fill the device
                query = on_device(replace(query, keys=None), "cpu")
            notes |= dict.fromkeys(selection.notes)
        frame = 0
        for place, (i, indices) in enumerate(zip(mine, parted(of_prompt, parts), strict=True)):
            kept[i] = indices
            images.append(
                PrunedImage(
                    call=number,
                    prompt=prompt,
                    image=place,
                    kind=seen[i].kind,
                    n_tokens=parts[place].n_tokens,
                    kept=indices,
                    selection=selection,
                    query=query,
                    geometry=parts[place].geometry,
                    width=parts[place].features.shape[1],
                    first_frame=frame,
                )
            )
            frame += len(parts[place].geometry)
        n_text = int(mask[prompt].sum()) - vision.n_tokens
        of_prompt_seen = [seen[i] for i in mine]
        asking = _query_flops(config, text_tower, vision)
        costs.append(_costs(adapter, config, vision, of_prompt_seen, [kept[i] for i in mine], n_text, asking))

    spliced = adapter.splice(ids, mask, seen, kept, config.positions == "original", call | inputs)
    return with_prompt(call, adapter.model, spliced, mask), spliced, images, costs, list(notes)


def _query_flops(config: PruneConfig, tower: TextTower | None, vision: VisionTokens) -> float:
    """What the query of one prompt costs by itself: next to nothing unless a text tower makes it."""
    if tower is None or not config.asks_query or config.keep_ratio == 1:
        return 0.0
    by_value = config.pointing == "value"
    return text_tower_flops(tower.shapes, vision.n_tokens, vision.features.shape[-1], by_value)


def _costs(
    adapter: Adapter,
    config: PruneConfig,
    vision: VisionTokens,
    seen: Sequence[EncodedItem],
    kept: Sequence[Tensor],
    n_text: int,
    query_flops: float,
) -> Costs:
    """What the estimate of one prompt is made of."""
    every = [one.vision.all for one in seen]
    whole, some = (sum(map(adapter.n_projected, seen, tokens)) for tokens in (every, kept))
    return Costs(
        shapes=asdict(adapter.shapes_for(vision)),
        n_visual=vision.n_tokens,
        n_text=n_text,
        n_frames=sum(one.n_views for one in seen),
        method=config.method,
        query_flops=query_flops,
        choices=(vision.n_tokens,) if config.budget == "shared" else vision.counts,
        n_projected=(whole, some),
        n_kept=sum(map(len, kept)),
    )


def _own_seed(config: PruneConfig, call: int, prompt: int) -> PruneConfig:
    """For the random method, a seed for this prompt alone; every other method draws nothing."""
    if config.method != "random":
        return config
    # A hash and not a sum: seed 1 at call 0 is not to draw what seed 0 draws at call 1.
    digest = hashlib.blake2b(f"{config.seed} {call} {prompt}".encode(), digest_size=8).digest()
    return replace(config, seed=int.from_bytes(digest))


def _check_query(config: PruneConfig, adapter: Adapter, question: object, text_tower: object) -> None:
    """Raise where the model cannot do what the config says, or the question and its tower do not serve it."""
    if config.method not in adapter.methods:
        raise ValueError(
            f"method={config.method!r} needs the attention of a class token, which the vision encoder of "
            f"{type(adapter.model).__name__} does not give: choose one of {', '.join(adapter.methods)}"
        )
    asked = [question] if isinstance(question, str) else question
    if asked is not None and not (isinstance(asked, Sequence) and all(isinstance(one, str) for one in asked)):
        raise TypeError(f"question must be text, or one text per prompt, not {question!r}")
    if not isinstance(text_tower, TextTower | None):
        raise TypeError(
            f'text_tower must be a TextTower, such as TextTower.load("ViT-B-32/openai"), not {text_tower!r}'
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
