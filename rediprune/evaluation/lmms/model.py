"""lmms-eval's model class: requests in, answers out; every one of them recorded with its kept counts."""

from __future__ import annotations

import functools
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import groupby

import torch
from accelerate import Accelerator
from lmms_eval.api.instance import GenerationResult, Instance, TokenCounts
from lmms_eval.api.model import lmms
from loguru import logger
from tqdm import tqdm

from ...config import kept_all_notes
from ...explainer.explainer import Explainer
from ...explainer.model_card import read_card
from ...models import ModelError
from ...models.checkpoints.loading import open_weights, prepare
from ...pruning.report import PruneError
from ...query.question import checked_question
from . import settings
from .decoding import Decoding
from .generation import answer, loss
from .provenance import machine, versions, weights_sha256
from .record import Record, observed
from .requests import Question, continuation, generation
from .samples import choose, shown


def _failing(method: Callable) -> Callable:
    """Errors end the process, those for a user in one sentence: lmms-eval would log them and exit with 0."""

    @functools.wraps(method)
    def guarded(*args, **kwargs):
        try:
            return method(*args, **kwargs)
        except (ValueError, PruneError, ModelError, NotImplementedError) as error:
            raise SystemExit(f"rediprune: {' '.join(str(error).split())}") from error
        except Exception:
            traceback.print_exc()
            raise SystemExit(1) from None

    return guarded


class ReDiPrune(lmms):
    """Any family of rediprune.models, pruned before its projector; see settings.Settings for model_args."""

    is_simple = True

    @_failing
    def __init__(self, **args) -> None:
        super().__init__()
        self.settings = settings.read(args)
        self.accelerator = Accelerator()
        self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes
        prepared = prepare(self.settings.pretrained)
        device = self.settings.device
        if self._world_size > 1 and device in ("cuda", "auto") and torch.cuda.is_available():
            device = f"cuda:{self.accelerator.local_process_index}"
        model, processor = open_weights(prepared, device, self.settings.dtype, self.settings.quantise)
        card = read_card(prepared.folder)
        self.explainer = Explainer(model, processor, prepared.name, card, max(2, self.batch_size))
        self.config = replace(self.explainer.defaults, **self.settings.dials)
        if self.config.method not in self.explainer.methods:
            raise ValueError(
                f"method={self.config.method} is nothing that {prepared.name} can be pruned by: choose one "
                f"of {', '.join(self.explainer.methods)}"
            )
        self.record = Record(self.settings.record, self._description(prepared), self._rank)
        if self._rank == 0:
            self.record.describe(complete=False)
            if self.record.found:
                logger.warning(f"{self.record.found} answers of this run are taken from {self.record.folder}")

    def _description(self, prepared) -> dict:
        model = self.explainer.model
        return {
            "model": prepared.name if not prepared.local else prepared.folder.name,
            "class": type(model).__name__,
            "weights_sha256": weights_sha256(prepared.folder),
            "dtype": str(model.dtype).removeprefix("torch."),
            "quantise": self.settings.quantise,
            "device": self.device.type,
            "config": asdict(self.config),
            "rule": self.config.rule,
            "n_frames": self.settings.n_frames,
            "versions": versions(),
            "machine": machine(),
        }

    @property
    def batch_size(self) -> int:
        return self.settings.batch_size

    @property
    def device(self) -> torch.device:
        return self.explainer.adapter.device

    @_failing
    def generate_until(self, requests: list[Instance]) -> list[GenerationResult]:
        """Greedy or beam-searched answers, cut at the task's stop strings."""
        questions = [generation(request, self.task_dict) for request in requests]
        self._ask(questions)
        return [
            GenerationResult("")
            if q.padding
            else GenerationResult(line["answer"], TokenCounts(line["n_read"], line["n_new"]))
            for q in questions
            for line in [self.record.answers.get(q.key)]
        ]

    @_failing
    def loglikelihood(self, requests: list[Instance]) -> list[GenerationResult]:
        """(loss, whether greedy decoding gives it) of every continuation; tasks choose the least loss.

        In a GenerationResult, although it is no text: of a plain pair, as its own documentation asks for,
        lmms-eval 0.7.3 makes a string (`unwrap_generation_output`), which no task can read.
        """
        questions = [continuation(request, self.task_dict) for request in requests]
        self._ask(questions)
        made = [None if q.padding else self.record.answers[q.key] for q in questions]
        return [
            GenerationResult((0.0, False) if line is None else (line["loss"], line["greedy"]))
            for line in made
        ]

    @_failing
    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        raise NotImplementedError(
            "rediprune answers one question about one picture or video: tasks of several rounds are not "
            "supported"
        )

    @_failing
    def clean(self) -> None:
        """Called when every process has answered: what was observed goes into the description."""
        if self._rank == 0:
            seen = observed(self.record.on_disk().values())
            total, kept = (sum(task[part] for task in seen.values()) for part in ("visual_tokens", "kept"))
            for note in kept_all_notes(self.config.keep_ratio, kept, total) if seen else ():
                warnings.warn(note, stacklevel=2)
            self.record.describe(complete=True, observed=seen, processes=self._world_size)
        self.record.close()
        self.explainer = None
        super().clean()

    def _ask(self, questions: list[Question]) -> None:
        """Ask what is not on record yet, each question once, in the order of the requests."""
        new = {q.key: q for q in questions if not q.padding and q.key not in self.record.answers}
        for q in new.values():  # before hours of work, not behind them
            try:
                checked_question(q.text, self.explainer.processor, longest=len(q.text), most_tokens=None)
            except ValueError as error:
                raise ValueError(f"{q.name}: {error}") from None
        bar = tqdm(total=len(new), desc="rediprune", disable=self._rank != 0)
        for batch in self._batches(list(new.values())):
            self.record.add(self._answered(batch))
            bar.update(len(batch))
        bar.close()

    def _batches(self, questions: list[Question]) -> Iterator[list[Question]]:
        """Of one way to decode each; a loss is measured alone."""
        for asks, mine in groupby(questions, key=lambda q: q.asks):
            mine = list(mine)
            size = self.batch_size if isinstance(asks, Decoding) else 1
            yield from (mine[i : i + size] for i in range(0, len(mine), size))

    def _answered(self, batch: list[Question]) -> Iterator[dict]:
        chosen = []
        for q in batch:
            try:
                media = shown(q.visuals(), self.settings.n_frames)
                chosen.append(choose(self.explainer, media, q.text, self.config, q.name))
            except ValueError as error:
                raise ValueError(f"{q.name}: {error}") from error
        if isinstance(batch[0].asks, Decoding):
            answers = answer(self.explainer, chosen, batch[0].asks, self.config.positions)
            made = [
                {"n_kept": a.n_kept, "answer": a.text, "n_read": a.n_read, "n_new": a.n_new} for a in answers
            ]
        else:
            mean, greedy, n_kept = loss(self.explainer, chosen[0], batch[0].asks, self.config.positions)
            made = [{"n_kept": n_kept, "continuation": batch[0].asks, "loss": mean, "greedy": greedy}]
        for q, one, line in zip(batch, chosen, made, strict=True):
            yield {
                "key": q.key,
                "task": q.task,
                "split": q.split,
                "doc_id": q.doc_id,
                "media": one.look.key,
                "n_visual": one.n_visual,
                "rank": self._rank,
                "batch": len(batch),
            } | line
