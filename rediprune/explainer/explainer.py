"""Explain one vision-language model: encode an image, ask about it, select tokens, answer with and without.

The slow results are kept: the features of each image or clip, and the query of each question about it, each
in a store of limited size that forgets the least recently used. So a change of keep ratio, weight, method,
tau or seed never encodes anything again.

Threads: one Explainer may serve many visitors. Model work (encoding, answering, judging, timing) takes
turns behind one lock, so that no measured time is that of two runs at once; an answer that waits still obeys
its stop. `ask` and `select` only read weights and need no turn, so sliders work while others are answered.
"""

from __future__ import annotations

import functools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..config import POINTINGS, QUERIES, PruneConfig, checked_config
from ..costs.estimate import Costs, Savings, estimate_from_costs
from ..costs.stopwatch import PAUSES, Timing, find_doubt, measure_until_sound, pool_timings
from ..files.bundled import ASSETS
from ..models import ModelError, Prompt, adapter_for
from ..models.checkpoints.loading import applied_settings, open_weights, prepare
from ..models.checkpoints.placement import placement
from ..query.question import MAX_CHARACTERS, MAX_TOKENS, checked_question
from ..query.text_tower import TextTower
from ..selection.select import select_tokens
from ..tokens import split_indices
from ..trace import Agreement, Answer, Selection, Trace, on_device
from .ask import PreparedQuestion, prepare_question
from .encode import Encoding, MediaInput, as_media_input, encode
from .generate import Expectation, agreement, expect_answer, generate_answer, time_prompt
from .lru_cache import LruCache
from .model_card import Card, quantisation, read_card, weights_fingerprint
from .prepare import prepare_run
from .prompt_spec import PromptSpec, check_pair
from .trial import try_model

if TYPE_CHECKING:
    from ..models.checkpoints.progress import Report
    from .encode import Media

DEFAULT_MODEL = ASSETS / "tiny-llava"
MAX_NEW_TOKENS = 48
# Largest total size of the remembered encodings, and of the remembered questions, in bytes.
ENCODING_BYTES = 2**30
QUESTION_BYTES = 2**28


class Explainer:
    """Ask one vision-language model about images and clips, with all of their visual tokens and with a few.

    Args:
        model, processor: an unmodified transformers model and its processor.
        name: what to call it.
        card: what is known about it beside its config: default query, text tower, what it can be asked.
        remember: how many images and clips, and how many questions, are kept, >= 1; fewer if they take more
            than ENCODING_BYTES, or QUESTION_BYTES, together.
        keep_on: the device that features are kept on between calls, such as "cpu" if the model's own device
            is borrowed for each call; each call then moves what it needs. None leaves them where they are.
        fingerprint: identifies the weights among models of the same name; None computes it from them.
        settings: what the processor was set to beyond its files, in words; "" for nothing.
    """

    one_at_a_time = False
    trace = None  # no finished run stands in for the model

    def __init__(
        self,
        model,
        processor,
        name: str = "",
        card: Card | None = None,
        remember: int = 16,
        keep_on: str | torch.device | None = None,
        fingerprint: str | None = None,
        settings: str = "",
    ):
        self.model = model
        self.processor = processor
        self.name = name
        self.settings = settings
        self.fingerprint = weights_fingerprint(model) if fingerprint is None else fingerprint
        self.card = card or Card()
        self.defaults = self.card.defaults
        self.knows = self.card.knows
        self.why_query = self.card.why_query
        self.adapter = adapter_for(model)
        self.keep_on = keep_on
        self.encodes = 0  # how often the vision encoder ran: tests assert that settings never encode again
        self._encodings: LruCache[Encoding] = LruCache(remember, ENCODING_BYTES)
        self._questions: LruCache[PreparedQuestion] = LruCache(remember, QUESTION_BYTES)
        self._model_lock = threading.Lock()
        self._question_lock = threading.Lock()
        self._tower: TextTower | None = None

    @classmethod
    def from_pretrained(
        cls,
        name_or_dir: str | Path = DEFAULT_MODEL,
        device: str = "cpu",
        dtype="auto",
        quantise: str | None = None,
        device_map: str | None = None,
        progress: Report | None = None,
        quick: bool = False,
        trust_remote_code: bool = False,
    ) -> Explainer:
        """Load a model and its processor, and the card of a local folder; try them on one plain picture.

        Args:
            name_or_dir: a local folder, or a Hub name such as "llava-hf/llava-1.5-7b-hf".
            device, dtype, quantise, device_map, progress, quick, trust_remote_code: as `rediprune.load` takes
                them.

        Raises:
            ModelError, ValueError: no usable model there, parts of it that do not fit together, or an invalid
                card; one sentence.
        """
        name_or_dir = os.path.expanduser(name_or_dir)  # once, for the card, the weights and the name alike
        if Path(name_or_dir) == DEFAULT_MODEL and not DEFAULT_MODEL.is_dir():
            raise ModelError(
                "the built-in model comes with the repository, not with the package: "
                "pass --model / name_or_dir"
            )
        card = read_card(name_or_dir)
        placement(device, dtype, quantise, device_map)  # a wrong word is said before anything is fetched
        prepared = prepare(name_or_dir, progress, trust_remote_code)
        model, processor = open_weights(prepared, device, dtype, quantise, device_map, progress, quick)
        settings = applied_settings(prepared, device, device_map, quick)
        local = Path(name_or_dir).is_dir()
        name = Path(name_or_dir).name if local else str(name_or_dir)
        explainer = cls(model, processor, name, card, settings=settings.description if settings else "")
        try_model(explainer, local)
        return explainer

    @property
    def llm_width(self) -> int:
        """Return D, the embedding width of the language model."""
        return self.model.config.get_text_config().hidden_size

    @property
    def queries(self) -> tuple[str, ...]:
        """Return the queries that this model can be asked with."""
        return QUERIES if self._tower_name else tuple(q for q in QUERIES if q != "text-tower")

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the methods that can select this model's tokens."""
        return self.adapter.methods

    @property
    def pointings(self) -> tuple[str, ...]:
        """Return the pointings of the text-tower query that this model's vision tower allows."""
        return POINTINGS if self.adapter.value_path else tuple(p for p in POINTINGS if p != "value")

    @property
    def load_arguments(self) -> dict[str, str | bool]:
        """Return the arguments of from_pretrained, besides the name, that place the model as it is now."""
        arguments: dict[str, str | bool] = {}
        if self.model.device.type != "cpu":
            arguments["device"] = self.model.device.type
        if form := quantisation(self.model):
            arguments["quantise"] = form
        else:
            arguments["dtype"] = str(self.model.dtype).removeprefix("torch.")
        if self.settings:
            arguments["quick"] = True
        return arguments

    def can_measure(self, method: str) -> bool:
        """Tell whether tokens can be selected anew with this method, against any query vector."""
        return method in self.methods

    def check_question(
        self, question: str, longest: int = MAX_CHARACTERS, most_tokens: int | None = MAX_TOKENS
    ) -> str:
        """Return the question as it goes into the prompt (see query.question.checked_question).

        Raises:
            QuestionError: a question that cannot be asked.
        """
        return checked_question(question, self.processor, longest, most_tokens)

    def look(self, media: Media) -> Encoding:
        """Encode an image or a clip once. The same pixels again, from whatever file, are remembered.

        Args:
            media: a PIL image, or the frames of a clip: a sequence of PIL images of one size, or what
                `load_video` returned. A family that takes no videos reads a clip as several images.

        Raises:
            ValueError: no frames, or frames of different sizes.
        """
        media = as_media_input(media)
        key = media.fingerprint()
        if (known := self._encodings.get(key)) is None:
            with self._turn():
                if (
                    known := self._encodings.get(key)
                ) is None:  # another visitor may have encoded it meanwhile
                    known = encode(self.adapter, self.processor, media, key, self.keep_on)
                    self._encodings.put(key, known)
                    self.encodes += 1
        return known

    def ask(
        self,
        encoding: Encoding,
        question: str,
        config: PruneConfig | None = None,
        longest: int = MAX_CHARACTERS,
        most_tokens: int | None = MAX_TOKENS,
    ) -> PreparedQuestion:
        """Build the prompt and the query of a question about an encoding; remembered.

        Args:
            config: names the query and the pointing; default self.defaults.
            longest: most characters of the question. Prompts of benchmarks are longer than a visitor's.
            most_tokens: most tokens of the question; None allows any number.

        Raises:
            QuestionError: a question that cannot be asked.
            ValueError: a query or pointing that this model cannot do.
        """
        config = self._config(config)
        question = self.check_question(question, longest, most_tokens)
        key = (encoding.key, question, config.query, config.pointing)
        if (known := self._questions.get(key)) is None:
            # One at a time: the text tower is loaded once, and the first encoding may set the tokenizer up,
            # which it refuses while in use. Decoding sets nothing up, so answers need no turn here.
            with self._question_lock:
                if (known := self._questions.get(key)) is None:
                    known = self._questions.put(key, self._prepare_question(encoding, question, config))
        return known

    def _prepare_question(self, encoding: Encoding, question: str, config: PruneConfig) -> PreparedQuestion:
        """Prepare a question on the model's device and move the result to keep_on."""
        if self.keep_on is not None:
            encoding = replace(encoding, vision=on_device(encoding.vision, self.adapter.device))
        prepared = prepare_question(
            self.adapter, self.processor, encoding, question, config, self._text_tower
        )
        return prepared if self.keep_on is None else on_device(prepared, self.keep_on)

    def select(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        config: PruneConfig | None = None,
        alphas: Sequence[float] | None = None,
    ) -> Selection:
        """Return the picking order for these settings, on the CPU.

        Args:
            config: default self.defaults.
            alphas: weights to make one order for each, [W, G, M]; None makes that of config, [G, M].

        Raises:
            ValueError: the question belongs to another encoding, or its query is not the one of `config`.
        """
        config = self._config(config)
        check_pair(encoding, question)
        has = _query_label(question.query.name, question.pointing)
        wants = _query_label(config.query, config.pointing)
        if has != wants:
            raise ValueError(
                f"the question was asked with {has} but the settings say {wants}: "
                "ask again with these settings"
            )
        project = functools.partial(self.projected, encoding)
        return select_tokens(encoding.vision, question.query, config, alphas, project).cpu()

    def projected(self, encoding: Encoding) -> Tensor:
        """Return every token as the LLM would receive it, [T, N, D]; not remembered.

        The methods of config.ASKS_PROJECTED measure it.
        """
        if self.keep_on is None:
            return self.adapter.projected(encoding.items)
        items = on_device(encoding.items, self.adapter.device)
        return on_device(self.adapter.projected(items), self.keep_on)

    def answer(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor | None = None,
        on_text: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        positions: str = "compacted",
    ) -> Answer:
        """Answer by greedy decoding from the kept tokens, or from all of them.

        With kept=None the new tokens are those of the unmodified `model.generate`. The seconds of the answer
        count from the projector on: the encoder ran in `look`, and the wait for a turn is not counted. They
        are those of a single run, and the first run of a process is slow: use `time` to compare two prompts.
        On MPS, transformers hands tokens over one step late.

        Args:
            kept: flat token indices [K], ascending; None means all.
            on_text: called with the whole text so far after each token.
            stop: once set, the answer ends after the token in progress. If it was set before the answer
                began, the answer is empty and its times are NaN.
            max_new_tokens: >= 1.
            positions: one of config.POSITIONS.
        """
        spec = PromptSpec(self.adapter, encoding, question, kept)
        prompt = self._prompt(spec, positions)
        counts = {"n_visual": spec.n_visual, "n_text": spec.n_text, "kept": kept}
        with self._turn(stop) as has_turn:
            if not has_turn:
                return Answer(text="", token_ids=(), seconds=math.nan, first_token_seconds=math.nan, **counts)
            started = time.perf_counter()
            made = generate_answer(
                self.adapter,
                self.processor.tokenizer,
                prompt,
                question.inputs["input_ids"].to(self.adapter.device),
                max_new_tokens,
                on_text=on_text,
                stop=stop,
            )
            seconds = time.perf_counter() - started
        return Answer(
            text=made.text,
            token_ids=made.token_ids,
            seconds=seconds,
            first_token_seconds=made.first_token_seconds,
            **counts,
        )

    def agreement(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor,
        full: Answer,
        pruned: Answer,
        positions: str = "compacted",
    ) -> Agreement:
        """Return how likely both answers are after the whole and after the pruned prompt (see Agreement)."""
        with self._turn(), torch.no_grad():
            whole = self._prompt(PromptSpec(self.adapter, encoding, question))()
            few = self._prompt(PromptSpec(self.adapter, encoding, question, kept), positions)()
            return agreement(self.adapter, whole, few, full, pruned)

    def expects(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor | None,
        answer: Answer,
        positions: str = "compacted",
    ) -> Expectation:
        """Return how likely an answer is after the prompt with the kept tokens (None: all).

        The log-probabilities of the first answer token are part of the result, on the CPU.
        """
        prompt = self._prompt(PromptSpec(self.adapter, encoding, question, kept), positions)
        with self._turn(), torch.no_grad():
            return on_device(expect_answer(self.adapter, prompt(), answer.token_ids), "cpu")

    def savings(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor,
        n_new: int,
        method: str = "rediprune",
        budget: str = "frame",
    ) -> Savings:
        """Return the ESTIMATE for this prompt and an answer of n_new tokens (see costs.estimate.estimate)."""
        return estimate_from_costs(self.costs(encoding, question, kept, method, budget), kept.numel(), n_new)

    def savings_each(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Sequence[Tensor],
        n_new: int,
        method: str = "rediprune",
        budget: str = "frame",
    ) -> list[Savings]:
        """Return `savings` for many choices of one prompt's tokens; what they share is computed once."""
        costs = self.costs(encoding, question, encoding.vision.all, method, budget)
        whole, parts = costs.n_projected[0], [one.vision for one in encoding.items]
        found = []
        for flat in kept:
            projected = sum(map(self.adapter.n_projected, encoding.items, split_indices(flat, parts)))
            mine = replace(costs, n_kept=len(flat), n_projected=(whole, projected))
            found.append(estimate_from_costs(mine, len(flat), n_new))
        return found

    def costs(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor,
        method: str = "rediprune",
        budget: str = "frame",
    ) -> Costs:
        """Return what the estimate of this prompt is made of (see costs.estimate.Costs)."""
        return PromptSpec(self.adapter, encoding, question, kept).costs(method, budget)

    def time(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor | None = None,
        positions: str = "compacted",
        **how,
    ) -> Timing:
        """MEASURE prefill and decode step; `how` (repeats, warmup, steps) goes to stopwatch.time_run."""
        prompt = self._prompt(PromptSpec(self.adapter, encoding, question, kept), positions)
        with self._turn():
            return time_prompt(self.adapter, prompt, device=self.adapter.device, **how)

    def time_both(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor,
        repeats: int = 5,
        steps: int = 1,
        positions: str = "compacted",
        pauses: Sequence[float] = PAUSES,
    ) -> tuple[Timing, Timing]:
        """MEASURE prefill and decode step with all tokens and with the kept ones; return (full, pruned).

        The runs alternate, so that whatever slows the machine slows both.

        Args:
            repeats: timed runs of each prompt.
            steps: decode steps of each run.
            positions: of the pruned prompt, one of config.POSITIONS.
            pauses: seconds to wait before times that cannot both be right are measured again (see
                stopwatch.find_doubt).
        """
        ratio = self.savings(encoding, question, kept, n_new=1).prefill

        def measure() -> tuple[Timing, Timing]:
            """Time both prompts in turns."""
            full: list[Timing] = []
            pruned: list[Timing] = []
            for turn in range(repeats):
                warmup = int(turn == 0)
                full.append(self.time(encoding, question, None, steps=steps, repeats=1, warmup=warmup))
                pruned.append(
                    self.time(encoding, question, kept, positions, steps=steps, repeats=1, warmup=warmup)
                )
            return pool_timings(full), pool_timings(pruned)

        return measure_until_sound(measure, lambda pair: find_doubt(*pair, ratio), pauses)

    def run(
        self,
        media: Media,
        question: str,
        config: PruneConfig | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        stop: threading.Event | None = None,
    ) -> Trace:
        """Answer one question with all tokens and with the kept ones, and return the record of it.

        The savings count as many new tokens as the unpruned answer had.

        Raises:
            InterruptedError: `stop` was set before the end.
        """
        media = as_media_input(media)
        start = prepare_run(self, media, question, config)
        encoding, prepared = start.encoding, start.question
        positions = start.config.positions
        kept = start.selection.kept()
        full = self.answer(encoding, prepared, max_new_tokens=max_new_tokens, stop=stop)
        pruned = self.answer(
            encoding, prepared, kept, positions=positions, max_new_tokens=max_new_tokens, stop=stop
        )
        if stop is not None and stop.is_set():
            raise InterruptedError("stopped before both answers were there")
        agreed = self.agreement(encoding, prepared, kept, full, pruned, positions)
        return self.build_trace(media, encoding, prepared, start.selection, kept, full, pruned, agreed)

    def build_trace(
        self,
        media: MediaInput,
        encoding: Encoding,
        question: PreparedQuestion,
        selection: Selection,
        kept: Tensor,
        full: Answer,
        pruned: Answer,
        agreed: Agreement,
    ) -> Trace:
        """Build the record of a run from the results of its steps.

        Args:
            kept: flat token indices [K] of the pruned answer. If they are not what the selection keeps, they
                count as chosen by hand, at no cost.
        """
        config = selection.config
        costs = self.costs(encoding, question, kept, config.method, config.budget)
        if torch.equal(kept, selection.kept()):
            spent = costs
            notes = question.notes + selection.notes
        else:
            spent = replace(costs, method="random", query_flops=0.0)
            notes = question.notes
        return Trace(
            question=question.question,
            config=config,
            vision=encoding.vision,
            query=question.query,
            selection=selection,
            kept=kept,
            full=full,
            pruned=pruned,
            savings=estimate_from_costs(spent, kept.numel(), len(full.token_ids)),
            agreement=agreed,
            model_name=self.name,
            notes=notes,
            seconds=encoding.media.seconds,
            frames=media.frames,
            clip=media.clip,
            costs=costs,
            fingerprint=self.fingerprint,
        )

    def _config(self, config: PruneConfig | None) -> PruneConfig:
        """Return the config if it is one, or the defaults for None."""
        return self.defaults if config is None else checked_config(config)

    def _prompt(self, spec: PromptSpec, positions: str = "compacted") -> Callable[[], Prompt]:
        """Return a function that makes the prompt on the model's device."""
        return spec.prompt(positions, move=self.keep_on is not None)

    @property
    def _tower_name(self) -> str | None:
        """Return the name of the text tower that belongs to the vision tower; None if none is known."""
        return self.card.text_tower or self.adapter.text_tower_name

    def load_text_tower(self) -> None:
        """Load the text tower now if one is known, instead of at the first question that needs it."""
        if self._tower_name:
            with self._question_lock:
                self._text_tower()

    def _text_tower(self) -> TextTower:
        """Return the text tower, loaded at the first call.

        Raises:
            ValueError: none is known for this model.
        """
        # The caller holds _question_lock.
        if self._tower is None:
            if self._tower_name is None:
                name = self.name or "this model"
                reason = self.adapter.why_no_text_tower
                raise ValueError(f"no text tower belongs to {name}: {reason}; use the prompt-tail query")
            self._tower = TextTower.load(self._tower_name, device=self.adapter.device)
        return self._tower

    @contextmanager
    def _turn(self, stop: threading.Event | None = None) -> Iterator[bool]:
        """Wait for the model; yield False, without having it, if `stop` was set before the turn came."""
        has_turn = False
        while not (has_turn or (stop and stop.is_set())):
            has_turn = self._model_lock.acquire(timeout=0.05 if stop else -1)
        try:
            yield has_turn
        finally:
            if has_turn:
                self._model_lock.release()


def _query_label(query: str, pointing: str) -> str:
    """Return the name of a query, with its pointing if it has one."""
    return f"{query}/{pointing}" if query == "text-tower" else query
