"""Run the model on a GPU that ZeroGPU lends for one call at a time.

On ZeroGPU, a function decorated with `spaces.GPU` runs in a forked process that has the GPU with the model's
weights; the page's own process has neither. So every use of the model goes through one decorated generator,
as bytes in both directions: pickles of features on the CPU. There is only one such generator, because ZeroGPU
keeps a process with weights of its own for each decorated function. Selecting tokens needs no model and stays
in the page's process.

A lease is requested in seconds; shorter ones wait less and fit into what a visitor has left. The estimate
counts tokens at rates that a 13B model in 16 bits on half a current GPU should reach easily. They are
chosen, not measured.
"""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from rediprune import Answer, Explainer, PruneConfig
from rediprune.explainer.encode import as_media_input
from rediprune.explainer.explainer import MAX_NEW_TOKENS
from rediprune.explainer.prompt_spec import PromptSpec
from rediprune.models import ModelError
from rediprune.models.errors import USER_ERRORS
from rediprune.query.question import checked_question

from ..streaming import stream_reports

START = 5.0  # seconds until the process stands
WEIGHTS = 2e9  # bytes a second, from the disk to the GPU
PICTURES = 2.0  # a second through the vision encoder, with all their tiles
READ = 1000.0  # prompt tokens a second
WRITTEN = 10.0  # answer tokens a second
SHORTEST, LONGEST = 10, 120  # seconds


def seconds_needed(weights: int, pictures: int = 0, read: int = 0, written: int = 0) -> int:
    """Return for how many seconds to borrow a GPU.

    Args:
        weights: bytes of the model; they may have to be brought to the GPU first.
        pictures: number of pictures for the vision encoder.
        read, written: prompt and answer tokens, over all runs.
    """
    needed = START + weights / WEIGHTS + pictures / PICTURES + read / READ + written / WRITTEN
    return min(max(math.ceil(needed), SHORTEST), LONGEST)


@dataclass(frozen=True)
class PartialAnswer:
    """Hold the text of an unfinished answer, and the seconds to its first and to its newest token."""

    text: str
    first: float
    seconds: float


class ZeroGpuExplainer(Explainer):
    """Explain with a model on a lent GPU, and keep the results on the CPU.

    Errors of the forked process are raised here: the library's own as they are, and as ModelError what
    ZeroGPU says if it lends no GPU or takes it back.

    Args:
        plain: holds the model, placed where the forked process will find it.
        gpu: `spaces.GPU`, or a function that behaves like it.
        refused: the exception that it raises if it lends no GPU; `gradio.Error`.
    """

    one_at_a_time = True  # each visitor would borrow a GPU

    def __init__(self, plain: Explainer, gpu: Callable, refused: type[Exception]) -> None:
        same = (plain.model, plain.processor, plain.name, plain.card)
        # The name of the weights was read before they went to where only a lent GPU finds them.
        super().__init__(*same, fingerprint=plain.fingerprint)
        # Only the forked process works with this one, so nobody here holds its locks when the fork is made.
        self._there = Explainer(*same, remember=1, keep_on="cpu", fingerprint=plain.fingerprint)
        self._there.load_text_tower()  # in there it would be read, even fetched, on lent time
        self._weights = sum(p.numel() * p.element_size() for p in plain.model.parameters())
        self._gpu = gpu(duration=lambda seconds, *_: seconds)(self._work)
        self._refused = refused

    def look(self, media):
        shown = as_media_input(media)
        key = shown.fingerprint()
        if (known := self._encodings.get(key)) is None:
            (found,) = self._borrowed("look", shown, pictures=len(shown.frames))
            known, self.encodes = self._encodings.put(key, found), self.encodes + 1
        return known

    def ask(self, encoding, question: str, config: PruneConfig | None = None):
        config = self._config(config)
        question = checked_question(question, self.processor)  # a bad one is refused without a GPU
        key = (encoding.key, question, config.query, config.pointing)
        if (known := self._questions.get(key)) is None:
            (found,) = self._borrowed("ask", encoding, question, config)
            known = self._questions.put(key, found)
        return known

    def answer(
        self,
        encoding,
        question,
        kept=None,
        on_text: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        positions: str = "compacted",
    ) -> Answer:
        """Answer as Explainer.answer does; a stopped answer has only text and times, without token ids."""
        found = PartialAnswer("", math.nan, math.nan)
        lease = {"read": self._prompt_tokens(encoding, question, kept), "written": max_new_tokens}
        how = {"max_new_tokens": max_new_tokens, "positions": positions}
        with closing(self._borrowed("answer", encoding, question, kept, **lease, **how)) as reports:
            while not (isinstance(found, Answer) or (stop and stop.is_set())):
                found = next(reports)
                if isinstance(found, PartialAnswer) and on_text:
                    on_text(found.text)
            if isinstance(found, Answer):
                return found
        choice = PromptSpec(self.adapter, encoding, question, kept)
        return Answer(
            text=found.text,
            token_ids=(),
            seconds=found.seconds,
            first_token_seconds=found.first,
            n_visual=choice.n_visual,
            n_text=choice.n_text,
            kept=kept,
        )

    def agreement(self, encoding, question, kept, full: Answer, pruned: Answer, positions: str = "compacted"):
        read = 2 * self._prompt_tokens(encoding, question, None, kept)  # each prompt with each answer
        (found,) = self._borrowed("agreement", encoding, question, kept, full, pruned, positions, read=read)
        return found

    def expects(self, encoding, question, kept, answer: Answer, positions: str = "compacted"):
        read = self._prompt_tokens(encoding, question, kept)
        (found,) = self._borrowed("expects", encoding, question, kept, answer, positions, read=read)
        return found

    def projected(self, encoding):
        (found,) = self._borrowed("projected", encoding, read=encoding.n_visual)
        return found

    def time(self, encoding, question, kept=None, positions: str = "compacted", **how):
        runs = how.get("warmup", 2) + how.get("repeats", 5)
        read = runs * self._prompt_tokens(encoding, question, kept)
        written = runs * how.get("steps", 8)
        (found,) = self._borrowed(
            "time", encoding, question, kept, positions, read=read, written=written, **how
        )
        return found

    def time_both(
        self,
        encoding,
        question,
        kept,
        repeats: int = 5,
        steps: int = 1,
        positions: str = "compacted",
        pauses=(),
    ):
        """Time both prompts as Explainer.time_both does, but once: nobody else uses a lent GPU."""
        runs = 1 + repeats
        lease = {
            "read": runs * self._prompt_tokens(encoding, question, None, kept),
            "written": 2 * runs * steps,
        }
        (found,) = self._borrowed(
            "time_both", encoding, question, kept, repeats, steps, positions, (), **lease
        )
        return found

    def _prompt_tokens(self, encoding, question, *choices) -> int:
        prompts = (PromptSpec(self.adapter, encoding, question, kept) for kept in choices)
        return sum(prompt.n_text + prompt.n_visual for prompt in prompts)

    def _borrowed(
        self, task: str, *args, pictures: int = 0, read: int = 0, written: int = 0, **how
    ) -> Iterator:
        """Yield the results of a task on the lent GPU; closing the iterator ends the work there."""
        seconds = seconds_needed(self._weights, pictures, read, written)
        try:
            with closing(self._gpu(seconds, task, pickle.dumps((args, how)))) as results:
                for packed in results:
                    found = pickle.loads(packed)
                    if isinstance(found, Exception):
                        raise found
                    yield found
        except self._refused as error:
            message = getattr(error, "message", error)  # str() of gradio.Error stands in quotes
            raise ModelError(f"No answer from the lent GPU: {message}") from error

    # In the process that has the GPU ----------------------------------------------------------------------

    def _work(self, seconds: int, task: str, given: bytes) -> Iterator[bytes]:
        """Do one task on the lent GPU; only the lender reads `seconds`."""
        args, how = pickle.loads(given)
        try:
            if task == "answer":
                with closing(self._streamed_answer(*args, **how)) as reports:
                    for found in reports:
                        yield pickle.dumps(found)
            else:
                yield pickle.dumps(getattr(self._there, task)(*args, **how))
        except USER_ERRORS as error:
            yield pickle.dumps(error)

    def _streamed_answer(self, *args, **how) -> Iterator[PartialAnswer | Answer]:
        stop, started, times = threading.Event(), time.perf_counter(), []

        def work(tell: Callable[[PartialAnswer], None]) -> Answer:
            def on_text(text: str) -> None:
                times.append(time.perf_counter() - started)
                tell(PartialAnswer(text, times[0], times[-1]))

            return self._there.answer(*args, on_text=on_text, stop=stop, **how)

        try:
            yield from stream_reports(work)
        finally:
            stop.set()  # closed from outside: the thread ends after its token in progress
