"""One model at two speeds: look(media) and ask(question) once, select(knobs) at every move, answer() at will.

What is slow is kept: features per image or clip, query per question about it, each in a bounded store that
forgets the least recently used. So a knob (keep ratio, weight, method, tau, seed) never encodes anything
again.

Threads: one Explainer may serve many visitors. Model work (encoding, answering, judging, timing) takes
turns behind one lock, so that no measured time is that of two runs at once; an answer that waits still obeys
its stop. `ask` and `select` only read weights and need no turn: a slider follows the finger while others get
their answers.
"""

from __future__ import annotations

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
from ..models import ModelError, Prompt, adapter_for, load
from ..query.question import MAX_CHARACTERS, MAX_TOKENS, checked_question
from ..query.text_tower import TextTower
from ..selection.select import select_tokens
from ..tokens import split_indices
from ..trace import Agreement, Answer, Selection, Trace, on_device
from .ask import Asked, put_question
from .encode import Look, Shown, encode, shown_media
from .fingerprint import weights_name
from .generate import Expected, agreement, expected, generate_answer, time_prompt
from .lru_cache import Recent
from .model_card import Card, read_card
from .prompt_spec import Choice, check_pair

if TYPE_CHECKING:
    from ..models.checkpoints.progress import Report
    from .encode import Media

DEFAULT_MODEL = ASSETS / "tiny-llava"
MAX_NEW_TOKENS = 48
# Bytes that remembered pictures and clips, and questions about them, take together at most.
LOOK_BYTES, ASKED_BYTES = 2**30, 2**28


class Explainer:
    """Asks one vision-language model about images and clips, with all of their visual tokens and with a few.

    Args:
        model, processor: an unmodified transformers model and its processor.
        name: what to call it.
        card: what is known about it beside its config: default query, text tower, what it can be asked.
        remember: how many images and clips, and how many questions, are kept, >= 1; fewer where they take
            more than LOOK_BYTES, or ASKED_BYTES, together.
        keep_on: the device that features are kept on between calls, such as "cpu" where the model's own is
            only lent; each call then brings along what it needs. None leaves them where the encoder did.
        fingerprint: names the weights, so that what they made can be told from what others of the same name
            would; None reads it off them.
    """

    def __init__(
        self,
        model,
        processor,
        name: str = "",
        card: Card | None = None,
        remember: int = 16,
        keep_on: str | torch.device | None = None,
        fingerprint: str | None = None,
    ):
        self.model, self.processor, self.name = model, processor, name
        self.fingerprint = weights_name(model) if fingerprint is None else fingerprint
        self.card = card or Card()
        self.defaults, self.knows, self.why_query = self.card.defaults, self.card.knows, self.card.why_query
        self.adapter = adapter_for(model)
        self.keep_on = keep_on
        self.encodes = 0  # how often the vision encoder ran; tests hold the promise of the first line to it
        self._looks: Recent[Look] = Recent(remember, LOOK_BYTES)
        self._asked: Recent[Asked] = Recent(remember, ASKED_BYTES)
        self._turns = threading.Lock()
        self._asking = threading.Lock()
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
    ) -> Explainer:
        """A local folder (its rediprune.json is read) or a Hub name such as "llava-hf/llava-1.5-7b-hf".

        The other arguments are those of `rediprune.load`.

        Raises:
            ModelError, ValueError: nothing usable there, or a senseless card; one sentence.
        """
        name_or_dir = os.path.expanduser(name_or_dir)  # once, for the card, the weights and the name alike
        if Path(name_or_dir) == DEFAULT_MODEL and not DEFAULT_MODEL.is_dir():
            raise ModelError(
                "the built-in model comes with the repository, not with the package: "
                "pass --model / name_or_dir"
            )
        card = read_card(name_or_dir)
        model, processor = load(name_or_dir, device, dtype, quantise, device_map, progress)
        name = Path(name_or_dir).name if Path(name_or_dir).is_dir() else str(name_or_dir)
        return cls(model, processor, name, card)

    @property
    def llm_width(self) -> int:
        """D, of the language model."""
        return self.model.config.get_text_config().hidden_size

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries that this model can be asked with."""
        return QUERIES if self._tower_name else tuple(q for q in QUERIES if q != "text-tower")

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that this model's tokens can be chosen by."""
        return self.adapter.methods

    @property
    def pointings(self) -> tuple[str, ...]:
        """The pointings of the text-tower query that this model's vision tower allows."""
        return POINTINGS if self.adapter.value_path else tuple(p for p in POINTINGS if p != "value")

    def look(self, media: Media) -> Look:
        """Encode an image or a clip once. The same pixels again, from whatever file, are remembered.

        Args:
            media: a PIL image, or the frames of a clip: a sequence of PIL images of one size, or what
                `load_video` returned. A family that takes no videos is shown a clip as several images.

        Raises:
            ValueError: no frames, or frames of different sizes.
        """
        shown = shown_media(media)
        key = shown.fingerprint()
        if (known := self._looks.get(key)) is None:
            with self._turn():
                if (known := self._looks.get(key)) is None:  # another visitor may have brought it meanwhile
                    known = encode(self.adapter, self.processor, shown, key, self.keep_on)
                    self._looks.put(key, known)
                    self.encodes += 1
        return known

    def ask(
        self,
        look: Look,
        question: str,
        config: PruneConfig | None = None,
        longest: int = MAX_CHARACTERS,
        most_tokens: int | None = MAX_TOKENS,
    ) -> Asked:
        """Put a question to a look; `config` says which query and pointing, default self.defaults.

        `longest` is what a visitor may write, in characters, and `most_tokens` in tokens (None: any number);
        the prompts of benchmarks are longer.

        Raises:
            QuestionError: a question that cannot be asked.
            ValueError: a query or pointing that this model cannot do.
        """
        config = self._config(config)
        question = checked_question(question, self.processor, longest, most_tokens)
        key = (look.key, question, config.query, config.pointing)
        if (known := self._asked.get(key)) is None:
            # One at a time: the text tower is loaded once, and the first encoding may set the tokenizer up,
            # which it refuses while in use. Decoding sets nothing up, so answers need no turn here.
            with self._asking:
                known = self._asked.get(key) or self._asked.put(key, self._put(look, question, config))
        return known

    def _put(self, look: Look, question: str, config: PruneConfig) -> Asked:
        station = (self.adapter, self.processor)
        if self.keep_on is None:
            return put_question(*station, look, question, config, self._text_tower)
        here = replace(look, vision=on_device(look.vision, self.adapter.device))
        return on_device(put_question(*station, here, question, config, self._text_tower), self.keep_on)

    def select(
        self,
        look: Look,
        asked: Asked,
        config: PruneConfig | None = None,
        alphas: Sequence[float] | None = None,
    ) -> Selection:
        """The picking order for these knobs, on the CPU. `alphas` gives one order per weight, [W, G, M].

        Raises:
            ValueError: `asked` belongs to another look, or was asked with another query than `config` names.
        """
        config = self._config(config)
        check_pair(look, asked)
        said, wanted = _asked_by(asked.query.name, asked.pointing), _asked_by(config.query, config.pointing)
        if said != wanted:
            raise ValueError(
                f"the question was asked with {said} but the settings say {wanted}: "
                "ask again with these settings"
            )
        return select_tokens(look.vision, asked.query, config, alphas, lambda: self.projected(look)).cpu()

    def projected(self, look: Look) -> Tensor:
        """Every token as the LLM would receive it, [T, N, D], kept nowhere: some methods measure it."""
        seen = look.seen if self.keep_on is None else on_device(look.seen, self.adapter.device)
        made = self.adapter.projected(seen)
        return made if self.keep_on is None else on_device(made, self.keep_on)

    def answer(
        self,
        look: Look,
        asked: Asked,
        kept: Tensor | None = None,
        on_text: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        positions: str = "compacted",
    ) -> Answer:
        """Answer by greedy decoding from the kept tokens (flat indices [K]), or from all of them (None).

        With kept = None the tokens are those of the unmodified `model.generate`. `on_text` is called with
        the whole text so far after each token. When `stop` is set, the answer ends where it stands; if that
        is before it began, it is empty and its times are NaN. Seconds count from the projector on: the
        encoder ran in `look`, and the wait for a turn is not counted. They are those of a single run, and
        the first run of a process is slow: to compare two prompts, use `time`. On MPS, transformers hands
        tokens over one step late.
        """
        choice = Choice(self.adapter, look, asked, kept)
        prompt = self._prompt(choice, positions)
        counts = {"n_visual": choice.n_visual, "n_text": choice.n_text, "kept": kept}
        with self._turn(stop) as mine:
            if not mine:
                return Answer(text="", token_ids=(), seconds=math.nan, first_token_seconds=math.nan, **counts)
            started = time.perf_counter()
            made = generate_answer(
                self.adapter, self.processor.tokenizer, prompt, max_new_tokens, on_text=on_text, stop=stop
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
        look: Look,
        asked: Asked,
        kept: Tensor,
        full: Answer,
        pruned: Answer,
        positions: str = "compacted",
    ) -> Agreement:
        """How likely both answers are after the whole and after the pruned prompt (see trace.Agreement)."""
        with self._turn(), torch.no_grad():
            whole = self._prompt(Choice(self.adapter, look, asked))()
            few = self._prompt(Choice(self.adapter, look, asked, kept), positions)()
            return agreement(self.adapter, whole, few, full, pruned)

    def expects(
        self, look: Look, asked: Asked, kept: Tensor | None, answer: Answer, positions: str = "compacted"
    ) -> Expected:
        """How likely an answer is after the prompt with the kept tokens (None: all), and its first token."""
        prompt = self._prompt(Choice(self.adapter, look, asked, kept), positions)
        with self._turn(), torch.no_grad():
            return on_device(expected(self.adapter, prompt(), answer.token_ids), "cpu")

    def savings(
        self,
        look: Look,
        asked: Asked,
        kept: Tensor,
        n_new: int,
        method: str = "rediprune",
        budget: str = "frame",
    ) -> Savings:
        """ESTIMATE for this prompt and an answer of n_new tokens (see costs.estimate.estimate)."""
        return estimate_from_costs(self.costs(look, asked, kept, method, budget), kept.numel(), n_new)

    def savings_each(
        self,
        look: Look,
        asked: Asked,
        kept: Sequence[Tensor],
        n_new: int,
        method: str = "rediprune",
        budget: str = "frame",
    ) -> list[Savings]:
        """Return `savings` for many choices of one prompt's tokens; what they share is worked out once."""
        costs = self.costs(look, asked, look.vision.all, method, budget)
        whole, parts = costs.n_projected[0], [one.vision for one in look.seen]
        found = []
        for flat in kept:
            projected = sum(map(self.adapter.n_projected, look.seen, split_indices(flat, parts)))
            mine = replace(costs, n_kept=len(flat), n_projected=(whole, projected))
            found.append(estimate_from_costs(mine, len(flat), n_new))
        return found

    def costs(
        self, look: Look, asked: Asked, kept: Tensor, method: str = "rediprune", budget: str = "frame"
    ) -> Costs:
        """What the estimate of this prompt is made of (see trace.Costs)."""
        return Choice(self.adapter, look, asked, kept).costs(method, budget)

    def time(
        self, look: Look, asked: Asked, kept: Tensor | None = None, positions: str = "compacted", **how
    ) -> Timing:
        """MEASURED prefill and decode step; `how` (repeats, warmup, steps) goes to stopwatch.time_run."""
        prompt = self._prompt(Choice(self.adapter, look, asked, kept), positions)
        with self._turn():
            return time_prompt(self.adapter, prompt, device=self.adapter.device, **how)

    def time_both(
        self,
        look: Look,
        asked: Asked,
        kept: Tensor,
        repeats: int = 5,
        steps: int = 1,
        positions: str = "compacted",
        pauses: Sequence[float] = PAUSES,
    ) -> tuple[Timing, Timing]:
        """MEASURED prefill and decode step with all tokens and with the kept ones, run by run in turns.

        What slows the machine then slows both. Times that cannot both be right are measured again after each
        of `pauses` (see stopwatch.find_doubt); `positions` are those of the pruned prompt.
        """
        ratio = self.savings(look, asked, kept, n_new=1).prefill

        def measure() -> tuple[Timing, Timing]:
            full: list[Timing] = []
            pruned: list[Timing] = []
            for turn in range(repeats):
                warmup = int(turn == 0)
                full.append(self.time(look, asked, None, steps=steps, repeats=1, warmup=warmup))
                pruned.append(self.time(look, asked, kept, positions, steps=steps, repeats=1, warmup=warmup))
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
        """Everything once: the record of one question answered with all tokens and with the kept ones.

        The savings count as many new tokens as the unpruned answer had.

        Raises:
            InterruptedError: `stop` was set before the end.
        """
        config = self._config(config)
        shown = shown_media(media)
        question = checked_question(question, self.processor)  # before the encoder runs for nothing
        look = self.look(shown)
        asked = self.ask(look, question, config)
        selection = self.select(look, asked, config)
        kept = selection.kept()
        full = self.answer(look, asked, max_new_tokens=max_new_tokens, stop=stop)
        pruned = self.answer(
            look, asked, kept, positions=config.positions, max_new_tokens=max_new_tokens, stop=stop
        )
        if stop is not None and stop.is_set():
            raise InterruptedError("stopped before both answers were there")
        agreed = self.agreement(look, asked, kept, full, pruned, config.positions)
        return self.traced(shown, look, asked, selection, kept, full, pruned, agreed)

    def traced(
        self,
        shown: Shown,
        look: Look,
        asked: Asked,
        selection: Selection,
        kept: Tensor,
        full: Answer,
        pruned: Answer,
        agreed: Agreement,
    ) -> Trace:
        """The record of a run from what its stations gave; `kept` need not be the rule's choice."""
        config = selection.config
        costs = spent = self.costs(look, asked, kept, config.method, config.budget)
        notes = asked.notes
        if torch.equal(kept, selection.kept()):
            notes += selection.notes
        else:
            spent = replace(costs, method="random", query_flops=0.0)  # choosing by hand costs no compute
        return Trace(
            question=asked.question,
            config=config,
            vision=look.vision,
            query=asked.query,
            selection=selection,
            kept=kept,
            full=full,
            pruned=pruned,
            savings=estimate_from_costs(spent, kept.numel(), len(full.token_ids)),
            agreement=agreed,
            model_name=self.name,
            notes=notes,
            seconds=look.shown.seconds,
            frames=shown.frames,
            clip=shown.clip,
            costs=costs,
            fingerprint=self.fingerprint,
        )

    def _config(self, config: PruneConfig | None) -> PruneConfig:
        return self.defaults if config is None else checked_config(config)

    def _prompt(self, choice: Choice, positions: str = "compacted") -> Callable[[], Prompt]:
        return choice.prompt(positions, bring=self.keep_on is not None)

    @property
    def _tower_name(self) -> str | None:
        return self.card.text_tower or self.adapter.text_tower_name

    def load_text_tower(self) -> None:
        """Load the text tower now, where one is known, and not at the first question that needs it."""
        if self._tower_name:
            with self._asking:
                self._text_tower()

    def _text_tower(self) -> TextTower:
        if self._tower is None:  # whoever comes here holds the lock of `ask`
            if self._tower_name is None:
                raise ValueError(
                    f"no text tower is known for the vision tower of {self.name or 'this model'}: "
                    "use the prompt-tail query"
                )
            self._tower = TextTower.load(self._tower_name, device=self.adapter.device)
        return self._tower

    @contextmanager
    def _turn(self, stop: threading.Event | None = None) -> Iterator[bool]:
        """Wait for the model; yields False, without having it, where `stop` was set before the turn came."""
        mine = False
        while not (mine or (stop and stop.is_set())):
            mine = self._turns.acquire(timeout=0.05 if stop else -1)
        try:
            yield mine
        finally:
            if mine:
                self._turns.release()


def _asked_by(query: str, pointing: str) -> str:
    """A query in words, with its pointing where that plays a part."""
    return f"{query}/{pointing}" if query == "text-tower" else query
