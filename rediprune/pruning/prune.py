"""Prune inside a `with` block: `with prune(model, config) as report: model.generate(**inputs)`.

Inside the block `model.generate` takes the same inputs and returns the same kind of output as before, but the
LLM reads only the kept visual tokens. On the model, that one attribute is replaced and one hook is added,
which refuses pixels that would get around it; each call adds the hooks of its family while it reads the
prompt (models/). When the block is left, in whatever way, all of it is removed again.
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
from ..tokens import VisionTokens, concat_tokens, split_indices
from ..trace import Query, on_device
from .patch import CallCounter, GeneratePatch, PruneContext
from .report import PrunedImage, PruneError, PruneReport

if TYPE_CHECKING:
    from ..models import Adapter, EncodedItem, Prompt

_ENTERING = threading.Lock()  # or two threads could put two blocks on one model at the same moment

# (prompt ids [L], features of its images [t, N, C], index of the prompt, batch size B) -> the query of that
# prompt, and a note about what it was made of, empty if there is nothing to say
MakeQuery = Callable[[Tensor, Tensor, int, int], tuple[Query, str]]


def prune(
    model: torch.nn.Module,
    config: PruneConfig | None = None,
    *,
    question: str | Sequence[str] | None = None,
    text_tower: TextTower | None = None,
) -> AbstractContextManager[PruneReport]:
    """Prune the visual tokens of every `model.generate` call inside the block, before the projector.

    The inputs are what the model's own processor returns: one or several prompts (padded as usual), one or
    several images or clips each. Every frame is pruned on its own (config.budget) with the query of its
    prompt, and the kept tokens get consecutive positions (config.positions), both as published. Sampling,
    beams, streamers, logits processors, GenerationConfig and all lengths mean what they mean without pruning,
    and the output holds the ORIGINAL prompt ids, so slicing by `input_ids.shape[1]` keeps working.
    keep_ratio=1 runs the unpruned model token for token and makes no query. A ratio below 1 that keeps every
    token, by rounding, causes a warning and a note in PruneReport.notes.

    The random method draws anew for every prompt of every call, from (config.seed, call, prompt): each image
    of a data set gets a mask of its own, and the same block over the same data gets the same masks.

    The block belongs to the model: calls from every thread are pruned, as streaming needs, and several may
    run at once. The KV cache of a pruned call is shorter than input_ids, so no later call can use it:
    output.past_key_values is None. Calls of the model itself with an image are refused, because nothing of it
    would be pruned; its inner parts (`model.model`) are not watched.

    Args:
        model: a transformers model of a known family, or one wrapped by torch.compile or PEFT; its weights,
            mode and config are not changed.
        config: the settings; default PruneConfig().
        question: for the text-tower query only: the question, or one per prompt of the batch.
        text_tower: for the text-tower query only: the encoder that belongs to the vision tower.

    Returns:
        A context manager that gives a PruneReport, which each generate call extends; it can decorate a
        function too. It does nothing by itself, and warns if it is never entered or never left.

    Raises:
        PruneError: nothing could be pruned: generate never called, no pixel_values, pixel_values given to the
            model itself; or a prune block inside another on the same model; or the model is copied deeply
            or pickled inside the block.
        ModelError: the model has no separate projector or is of an unknown family; prompt and images do not
            belong together; generate was called in a way that a pruned prompt does not support.
        ValueError: query and arguments do not fit together; a feature or query without a cosine (zeros, NaN).
        TypeError: config, question or text_tower of another type.
    """
    # Imported here because models imports transformers, and `import rediprune` is to be quick.
    from ..models import adapter_for

    config = checked_config(config)
    adapter = adapter_for(model)
    _check_query(config, adapter, question, text_tower)

    def make_query(ids: Tensor, features: Tensor, prompt: int, n_prompts: int) -> tuple[Query, str]:
        """Make the query of one prompt; see MakeQuery."""
        if config.query == "prompt-tail":
            text = adapter.query_text(ids)
            return prompt_tail(adapter.model.get_input_embeddings()(text.ids)), text.note
        questions = [question] * n_prompts if isinstance(question, str) else list(question)
        if len(questions) != n_prompts:
            raise ValueError(f"{len(questions)} questions were given for a batch of {n_prompts} prompts")
        value_path = adapter.value_path if config.pointing == "value" else None
        query = text_tower_query(text_tower, questions[prompt], features, config.pointing, value_path)
        return query, ""

    return PruneContext(functools.partial(_block, adapter, config, make_query, text_tower))


@contextmanager
def _block(
    adapter: Adapter, config: PruneConfig, make_query: MakeQuery, text_tower: TextTower | None
) -> Iterator[PruneReport]:
    """Patch the model, yield the report, and take the patch off again.

    Raises:
        PruneError: the model is inside another block, or no call pruned anything.
    """
    from ..models.generate_call import bind_generate_args, refuse_unsupported
    from ..models.transformers_names import without_cache

    model = adapter.model
    report = PruneReport(config, type(model).__name__)
    was_called = False
    pixels = [name for name in adapter.media_inputs if name.startswith("pixel_values")]
    counter = CallCounter()
    report_lock = threading.Lock()

    @torch.no_grad()
    def pruned(*args, **kwargs):
        """Generate from the kept tokens, and add the call to the report once it has returned."""
        nonlocal was_called
        was_called = True
        call = bind_generate_args(original, args, kwargs, type(model).generate.__get__(model))
        refuse_unsupported(call, adapter, original)
        if all(call.get(name) is None for name in pixels):
            raise PruneError(
                "generate was called without pixel_values, so there is nothing to prune: pass an image"
            )
        number = counter.take()
        try:
            call, prompt, images, costs, notes = _pruned_call(
                call, adapter, config, number, make_query, text_tower
            )
            with adapter.with_prompt_hooks(prompt):
                output = original(**call)
        except BaseException:  # a call that failed has pruned nothing
            counter.give_back(number)
            raise
        with report_lock:
            report.images += images
            report.costs += costs
            report.calls += 1
            new_notes = [note for note in notes if note not in report.notes]
            report.notes += new_notes
        for note in new_notes:
            warnings.warn(note, stacklevel=3)
        # No later call can use the cache of a pruned prompt: it is shorter than input_ids.
        return output if prompt.stays.all() else without_cache(output)

    with _ENTERING:
        own = vars(model).get("generate")  # set on this model by somebody else, or by another block
        if isinstance(own, GeneratePatch) and own.open:
            raise PruneError(
                "this model is already inside a prune block, perhaps another thread's: it must be left first"
            )
        original = model.generate
        generate = GeneratePatch(original, pruned, pixels)
        model.generate = generate
    hook = model.register_forward_pre_hook(generate.refuse_pixels, with_kwargs=True)
    try:
        yield report
    finally:
        hook.remove()
        generate.open = False
        if vars(model).get("generate") is generate:  # else somebody wrapped it, and the wrapper may stay
            if own is not None:
                model.generate = original
            else:
                del model.generate
    if not report.images:
        reason = "no generate call came to its end" if was_called else "generate was never called"
        raise PruneError(f"nothing was pruned: {reason} inside the prune block")


def _pruned_call(
    call: dict,
    adapter: Adapter,
    config: PruneConfig,
    number: int,
    make_query: MakeQuery,
    text_tower: TextTower | None,
) -> tuple[dict, Prompt, list[PrunedImage], list[Costs], list[str]]:
    """Select tokens for every prompt of a generate call, and build the call with the shorter prompts.

    Args:
        call: the arguments of the unpruned call, by name; those that hold media are removed from it.
        number: of this call, from 0.

    Returns:
        The arguments with shorter prompts in place of pixels; these prompts; a record of each image; what the
        estimate of each prompt is made of; and notes, each once.
    """
    from ..models.generate_call import mask_of_padding, with_prompt

    mask = call.get("attention_mask")
    mask = mask_of_padding(call, adapter.model) if mask is None else mask
    device = adapter.device
    ids, mask = call["input_ids"].to(device), mask.to(device)

    inputs = {name: call.pop(name) for name in adapter.media_inputs if call.get(name) is not None}
    # Encode all media of the batch. prompt_of[i] is the prompt that item i belongs to.
    items = adapter.look(call | inputs)
    prompt_of = [row for row, _ in adapter.placeholders(ids, items)]
    kept: list[Tensor] = [torch.empty(0)] * len(items)
    images: list[PrunedImage] = []
    costs: list[Costs] = []
    notes: dict[str, None] = {}
    for prompt in sorted(set(prompt_of)):
        places = [i for i, row in enumerate(prompt_of) if row == prompt]
        own_items = [items[i] for i in places]
        parts = [item.vision for item in own_items]
        vision = concat_tokens(parts)
        query = None
        selection = None
        # Select among the tokens of all images of the prompt: flat indices [K] into `vision`.
        if config.keep_ratio == 1:
            kept_of_prompt = vision.all
        else:
            if config.asks_query:
                text_ids = ids[prompt][mask[prompt].bool()]
                query, note = make_query(text_ids, vision.features, prompt, len(ids))
                notes |= {note: None} if note else {}
            project = functools.partial(adapter.projected, own_items)
            settings = _with_own_seed(config, number, prompt)
            selection = select_tokens(vision, query, settings, project=project, full=False).cpu()
            kept_of_prompt = selection.kept()
            if query is not None:  # the keys of a whole data set would fill the device
                query = on_device(replace(query, keys=None), "cpu")
            notes |= dict.fromkeys(selection.notes)
        # Hand the kept tokens to the images they belong to, as flat indices into each image.
        kept_of_items = split_indices(kept_of_prompt, parts)
        first_frame = 0
        for image, (i, part, indices) in enumerate(zip(places, parts, kept_of_items, strict=True)):
            kept[i] = indices
            images.append(
                PrunedImage(
                    call=number,
                    prompt=prompt,
                    image=image,
                    kind=items[i].kind,
                    n_tokens=part.n_tokens,
                    kept=indices,
                    selection=selection,
                    query=query,
                    geometry=part.geometry,
                    width=part.features.shape[1],
                    first_frame=first_frame,
                )
            )
            first_frame += len(part.geometry)
        n_text = int(mask[prompt].sum()) - vision.n_tokens
        query_flops = _query_flops(config, text_tower, vision)
        costs.append(_costs(adapter, config, vision, own_items, kept_of_items, n_text, query_flops))

    spliced = adapter.splice(ids, mask, items, kept, config.positions == "original", call | inputs)
    return with_prompt(call, adapter.model, spliced, mask), spliced, images, costs, list(notes)


def _query_flops(config: PruneConfig, tower: TextTower | None, vision: VisionTokens) -> float:
    """Return the ESTIMATE of what the query of one prompt costs in FLOPs: 0 unless a text tower makes it."""
    if tower is None or not config.asks_query or config.keep_ratio == 1:
        return 0.0
    by_value = config.pointing == "value"
    return text_tower_flops(tower.shapes, vision.n_tokens, vision.features.shape[-1], by_value)


def _costs(
    adapter: Adapter,
    config: PruneConfig,
    vision: VisionTokens,
    items: Sequence[EncodedItem],
    kept: Sequence[Tensor],
    n_text: int,
    query_flops: float,
) -> Costs:
    """Return what the estimate of one prompt is made of.

    Args:
        vision: the tokens of all items.
        items, kept: images and clips of the prompt, and the flat indices that are kept of each.
    """
    projected_full = sum(adapter.n_projected(item, item.vision.all) for item in items)
    projected_kept = sum(map(adapter.n_projected, items, kept))
    return Costs(
        shapes=asdict(adapter.shapes_for(vision)),
        n_visual=vision.n_tokens,
        n_text=n_text,
        n_frames=sum(item.n_views for item in items),
        method=config.method,
        query_flops=query_flops,
        choices=(vision.n_tokens,) if config.budget == "shared" else vision.counts,
        n_projected=(projected_full, projected_kept),
        n_kept=sum(map(len, kept)),
    )


def _with_own_seed(config: PruneConfig, call: int, prompt: int) -> PruneConfig:
    """Return the config with a seed for this prompt alone; unchanged unless the method is random."""
    if config.method != "random":
        return config
    # A hash and not a sum, so that seed 1 at call 0 does not draw what seed 0 draws at call 1.
    digest = hashlib.blake2b(f"{config.seed} {call} {prompt}".encode(), digest_size=8).digest()
    return replace(config, seed=int.from_bytes(digest))


def _check_query(config: PruneConfig, adapter: Adapter, question: object, text_tower: object) -> None:
    """Check that the model can do what the config says, and that question and text tower fit to it.

    Raises:
        ValueError: a method that this model cannot do, or a query and arguments that do not fit together.
        TypeError: question or text_tower of another type.
    """
    if config.method not in adapter.methods:
        raise ValueError(
            f"method={config.method!r} needs the attention of a class token, which the vision encoder of "
            f"{type(adapter.model).__name__} does not give: choose one of {', '.join(adapter.methods)}"
        )
    questions = [question] if isinstance(question, str) else question
    is_texts = isinstance(questions, Sequence) and all(isinstance(text, str) for text in questions)
    if questions is not None and not is_texts:
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
