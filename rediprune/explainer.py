"""One model at two speeds: look(image) and ask(question) once, select(knobs) at every move, answer() at will.

What is slow is kept: features per image, query per image and question, each in a bounded store that forgets
the least recently used. So a knob (keep ratio, weight, method, tau, seed) never encodes anything again.

Threads: one Explainer may serve many visitors. Model work (encoding, answering, judging, timing) takes
turns behind one lock, so that no measured time is that of two runs at once; an answer that waits still obeys
its stop. `ask` and `select` only read weights and need no turn: a slider follows the finger while others get
their answers.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import torch
from PIL import Image
from torch import Tensor

from . import savings
from .card import Card, read_card
from .config import POINTINGS, QUERIES, PruneConfig
from .generate import agreement, generate_answer, time_prompt
from .prompt import checked_question, prompt_ids, token_texts
from .trace import Agreement, Answer, Query, Savings, Selection, Timing, Trace, VisionTokens

DEFAULT_MODEL = Path(__file__).resolve().parents[1] / "assets" / "tiny-llava"
MAX_NEW_TOKENS = 48
V = TypeVar("V")


@dataclass(frozen=True)
class Look:
    """One image as the model sees it: `key` names its pixels, `vision` is what the projector would get."""

    key: str
    vision: VisionTokens


@dataclass(frozen=True)
class Asked:
    """A question put to a look.

    Attributes:
        key: of the look it belongs to.
        question: as it went into the prompt.
        input_ids: [L] the whole prompt, one placeholder per visual token.
        query: what relevance is measured against; `pointing` says how visual tokens met it (text-tower only).
        query_flops: ESTIMATE of what the query itself costs.
        notes: sentences for the reader about what was cut or unknown.
    """

    key: str
    question: str
    input_ids: Tensor
    query: Query
    pointing: str
    query_flops: float = 0.0
    notes: tuple[str, ...] = ()


class Explainer:
    """Asks one LLaVA-style model about images, with all of its visual tokens and with a chosen few.

    Args:
        model, processor: an unmodified transformers model and its processor.
        name: what to call it.
        card: what is known about it beside its config: default query, text tower, what it can be asked.
        remember: how many images and how many questions are kept, >= 1.
    """

    def __init__(self, model, processor, name: str = "", card: Card | None = None, remember: int = 16):
        from .models import adapter_for

        self.model, self.processor, self.name = model, processor, name
        self.card = card or Card()
        self.defaults, self.knows, self.why_query = self.card.defaults, self.card.knows, self.card.why_query
        self.adapter = adapter_for(model)
        self.shapes = self.adapter.shapes()
        self.encodes = 0  # how often the vision encoder ran; tests hold the promise of the first line to it
        self._looks: _Recent[Look] = _Recent(remember)
        self._asked: _Recent[Asked] = _Recent(remember)
        self._turns = threading.Lock()
        self._tower_lock = threading.Lock()
        self._tower = None

    @classmethod
    def from_pretrained(
        cls, name_or_dir: str | Path = DEFAULT_MODEL, device: str = "cpu", dtype="auto"
    ) -> Explainer:
        """A local folder (its rediprune.json is read) or a Hub name such as "llava-hf/llava-1.5-7b-hf".

        Raises:
            ValueError, OSError: nothing usable there; the message says what to do.
        """
        from .models import load

        card = read_card(name_or_dir)
        model, processor = load(name_or_dir, device=device, dtype=dtype)
        name = Path(name_or_dir).name if Path(name_or_dir).is_dir() else str(name_or_dir)
        return cls(model, processor, name, card)

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries that this model can be asked with."""
        return QUERIES if self._tower_name else tuple(q for q in QUERIES if q != "text-tower")

    @property
    def pointings(self) -> tuple[str, ...]:
        """The pointings of the text-tower query that this model's vision tower allows."""
        return POINTINGS if self.adapter.value_path else tuple(p for p in POINTINGS if p != "value")

    def look(self, image: Image.Image) -> Look:
        """Encode an image once. The same pixels again, from whatever file, are remembered."""
        image = image.convert("RGB")
        key = hashlib.blake2b(f"{image.size}".encode() + image.tobytes(), digest_size=16).hexdigest()
        if (known := self._looks.get(key)) is None:
            with self._turn():
                if (known := self._looks.get(key)) is None:  # another visitor may have brought it meanwhile
                    pixels = self.processor.image_processor(images=image, return_tensors="pt")["pixel_values"]
                    pixels = pixels.to(self.model.device, self.model.dtype)
                    vision = self.adapter.look(pixels, image_sizes=[image.size], processor=self.processor)
                    self.encodes += 1
                    known = self._looks.put(key, Look(key, vision))
        return known

    def ask(self, look: Look, question: str, config: PruneConfig | None = None) -> Asked:
        """Put a question to a look; `config` says which query and pointing, default self.defaults.

        Raises:
            QuestionError: a question that cannot be asked.
            ValueError: a query or pointing that this model cannot do.
        """
        config = config or self.defaults
        question = checked_question(question, self.processor)
        key = (look.key, question, config.query, config.pointing)
        return self._asked.get(key) or self._asked.put(key, self._ask(look, question, config))

    @torch.no_grad()
    def _ask(self, look: Look, question: str, config: PruneConfig) -> Asked:
        from .query import prompt_tail, text_tower_query

        features = look.vision.features
        n_visual = features.shape[0] * features.shape[1]
        ids = prompt_ids(self.processor, question, n_visual)
        embeddings, tail = self.adapter.prompt_tail_embeddings(ids.to(self.model.device))
        notes, flops = self._prompt_notes(ids, tail), 0.0
        if config.query == "prompt-tail":
            query = prompt_tail(embeddings, token_texts(self.processor.tokenizer, tail))
            if len(query.tokens) < len(tail):
                notes += (f"The query is made of the last {len(query.tokens)} of {len(tail)} prompt tokens.",)
        else:
            tower, by_value = self._text_tower(), config.pointing == "value"
            value_path = self.adapter.value_path if by_value else None
            query = text_tower_query(tower, question, features, config.pointing, value_path)
            flops = savings.text_tower_flops(tower.shapes, n_visual, features.shape[-1], by_value)
            if len(query.tokens) >= tower.shapes.context - 2:  # start and end take two places
                last = " ".join(query.tokens[-3:])
                notes += (
                    f"The text tower reads {tower.shapes.context} tokens at most: here up to “{last}”.",
                )
        return Asked(look.key, question, ids, query, config.pointing, flops, notes)

    def select(
        self,
        look: Look,
        asked: Asked,
        config: PruneConfig | None = None,
        alphas: Sequence[float] | None = None,
    ) -> Selection:
        """The picking order for these knobs, on the CPU. `alphas` gives one order per weight, [W, T, N].

        Raises:
            ValueError: `asked` belongs to another look, or was asked with another query than `config` names.
        """
        from .selection import select

        config = config or self.defaults
        self._together(look, asked)
        if (config.query, config.pointing) != (asked.query.name, asked.pointing):
            raise ValueError(
                f"the question was asked with {asked.query.name}/{asked.pointing} but the settings say "
                f"{config.query}/{config.pointing}: ask again with these settings"
            )
        place = look.vision.geometry[0]
        chosen = select(look.vision.features, asked.query, config, alphas, grid=(place.rows, place.cols))
        parts = ("order", "relevance", "distance", "score")
        return replace(chosen, **{p: x.cpu() for p in parts if (x := getattr(chosen, p)) is not None})

    def answer(
        self,
        look: Look,
        asked: Asked,
        kept: Tensor | None = None,
        on_text: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> Answer:
        """Answer by greedy decoding from the kept tokens [T, K], or from all of them (None).

        With kept = None the tokens are those of the unmodified `model.generate`. `on_text` is called with
        the whole text so far after each token. When `stop` is set, the answer ends where it stands; if that
        is before it began, it is empty and its times are NaN. Seconds count from the projector on: the
        encoder ran in `look`, and the wait for a turn is not counted. On MPS, transformers hands tokens over
        one step late.
        """
        prompt = self._prompt(look, asked, kept)
        n_visual = self._n_visual(look, kept)
        counts = {
            "n_visual": n_visual,
            "n_text": len(asked.input_ids) - self._n_visual(look, None),
            "kept": kept,
        }
        with self._turn(stop) as mine:
            if not mine:
                return Answer(text="", token_ids=(), seconds=math.nan, first_token_seconds=math.nan, **counts)
            started = time.perf_counter()
            made = generate_answer(
                self.model, self.processor.tokenizer, prompt, max_new_tokens, on_text=on_text, stop=stop
            )
            seconds = time.perf_counter() - started
        return Answer(
            text=made.text,
            token_ids=made.token_ids,
            seconds=seconds,
            first_token_seconds=made.first_token_seconds,
            **counts,
        )

    def agreement(self, look: Look, asked: Asked, kept: Tensor, full: Answer, pruned: Answer) -> Agreement:
        """How likely both answers are after the whole and after the pruned prompt (see trace.Agreement)."""
        with self._turn(), torch.no_grad():
            whole, few = self._prompt(look, asked, None)(), self._prompt(look, asked, kept)()
            return agreement(self.model, whole, few, full, pruned)

    def savings(
        self, look: Look, asked: Asked, kept: Tensor, n_new: int, method: str = "rediprune"
    ) -> Savings:
        """ESTIMATE for this prompt and an answer of n_new tokens (see savings.estimate)."""
        from .methods import ASKS_QUERY

        self._together(look, asked)
        n_visual = self._n_visual(look, None)
        return savings.estimate(
            self.shapes,
            n_visual=n_visual,
            n_kept=self._n_visual(look, kept),
            n_text=len(asked.input_ids) - n_visual,
            n_new=max(1, n_new),
            n_frames=look.vision.features.shape[0],
            method=method,
            query_flops=asked.query_flops if method in ASKS_QUERY else 0.0,
        )

    def time(self, look: Look, asked: Asked, kept: Tensor | None = None, **how) -> Timing:
        """MEASURED prefill and decode step; `how` (repeats, warmup, steps) goes to stopwatch.time_run."""
        prompt = self._prompt(look, asked, kept)
        with self._turn():
            return time_prompt(self.model, prompt, device=self.model.device, **how)

    def run(
        self,
        image: Image.Image,
        question: str,
        config: PruneConfig | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> Trace:
        """Everything once: the record of one question answered with all tokens and with the kept ones.

        The savings count as many new tokens as the unpruned answer had.
        """
        config = config or self.defaults
        look = self.look(image)
        asked = self.ask(look, question, config)
        selection = self.select(look, asked, config)
        kept = selection.kept()
        full = self.answer(look, asked, max_new_tokens=max_new_tokens)
        pruned = self.answer(look, asked, kept, max_new_tokens=max_new_tokens)
        return Trace(
            question=asked.question,
            config=config,
            vision=look.vision,
            query=asked.query,
            selection=selection,
            kept=kept,
            full=full,
            pruned=pruned,
            savings=self.savings(look, asked, kept, len(full.token_ids), config.method),
            agreement=self.agreement(look, asked, kept, full, pruned),
            model_name=self.name,
            notes=asked.notes,
        )

    def _prompt(self, look: Look, asked: Asked, kept: Tensor | None) -> Callable[[], Tensor]:
        """A call that makes the prompt embeddings [1, L, D] with the kept tokens; it runs the projector."""
        self._together(look, asked)
        features = look.vision.features
        if kept is not None:
            kept = _checked_kept(kept, *features.shape[:2]).to(features.device)
            features = features.gather(1, kept[..., None].expand(-1, -1, features.shape[-1]))
        ids = asked.input_ids[None].to(self.model.device)

        def make() -> Tensor:
            embeddings, _ = self.adapter.splice(ids, torch.ones_like(ids), [features.flatten(0, 1)])
            return embeddings

        return make

    def _prompt_notes(self, ids: Tensor, tail: Tensor) -> tuple[str, ...]:
        notes = []
        unknown = int((tail == self.processor.tokenizer.unk_token_id).sum())
        if unknown:
            notes.append(
                f"{unknown} of the {len(tail)} prompt tokens are words or signs this model has never seen."
            )
        room = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if room and len(ids) + MAX_NEW_TOKENS > room:
            notes.append(
                f"The prompt has {len(ids)} tokens, close to or beyond the {room} this model was made for."
            )
        return tuple(notes)

    @property
    def _tower_name(self) -> str | None:
        return self.card.text_tower or self.adapter.text_tower_name

    def _text_tower(self):
        from .query import TextTower

        with self._tower_lock:
            if self._tower is None:
                if self._tower_name is None:
                    raise ValueError(
                        f"no text tower is known for the vision tower of {self.name or 'this model'}: "
                        "use the prompt-tail query"
                    )
                self._tower = TextTower.load(self._tower_name, device=str(self.model.device))
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

    @staticmethod
    def _n_visual(look: Look, kept: Tensor | None) -> int:
        return look.vision.features.shape[:2].numel() if kept is None else torch.as_tensor(kept).numel()

    @staticmethod
    def _together(look: Look, asked: Asked) -> None:
        if look.key != asked.key:
            raise ValueError("the question was asked about another image: ask it again with this one")


class _Recent(Generic[V]):
    """The `size` most recently used values by key; safe between threads."""

    def __init__(self, size: int):
        if size < 1:
            raise ValueError(f"remember={size} is out of range: it must be >= 1")
        self._size, self._lock, self._kept = size, threading.Lock(), OrderedDict()

    def get(self, key) -> V | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key, value: V) -> V:
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
            return value


def _checked_kept(kept: Tensor, n_frames: int, n_tokens: int) -> Tensor:
    kept = torch.as_tensor(kept)
    if kept.dim() != 2 or kept.shape[0] != n_frames or not kept.shape[1]:
        raise ValueError(
            f"kept has shape {tuple(kept.shape)}: it must be [T, K] with T={n_frames} and K >= 1"
        )
    if kept.is_floating_point() or kept.min() < 0 or kept.max() >= n_tokens:
        raise ValueError(f"kept must hold token indices in 0..{n_tokens - 1}")
    return kept.long()
