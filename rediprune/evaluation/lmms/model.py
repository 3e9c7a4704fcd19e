"""Answer lmms-eval's requests as its model class; every answer is recorded with its kept counts."""

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
from .generation import generate_answers, measure_loss
from .provenance import machine, versions, weights_sha256
from .record import Record, count_visual_tokens
from .requests import Question, read_continuation, read_generation
from .samples import load_sample_media, prepare_sample


def _exit_on_error(method: Callable) -> Callable:
    """End the process at an error, which lmms-eval would only log; a user's error is one sentence."""

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
    """Run any family of rediprune.models in lmms-eval, pruned before its projector.

    settings.Settings lists the model_args.
    """

    is_simple = True

    @_exit_on_error
    def __init__(self, **args) -> None:
        super().__init__()
        self.settings = settings.read_settings(args)
        self.accelerator = Accelerator()
        self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes
        prepared = prepare(self.settings.pretrained)
        device = self.settings.device
        if self._world_size > 1 and device in ("cuda", "auto") and torch.cuda.is_available():
            device = f"cuda:{self.accelerator.local_process_index}"
        model, processor = open_weights(prepared, device, self.settings.dtype, self.settings.quantise)
        card = read_card(prepared.folder)
        self.explainer = Explainer(model, processor, prepared.name, card, max(2, self.batch_size))
        self.config = replace(self.explainer.defaults, **self.settings.prune_settings)
        if self.config.method not in self.explainer.methods:
            raise ValueError(
                f"method={self.config.method} is not available for {prepared.name}: choose one "
                f"of {', '.join(self.explainer.methods)}"
            )
        self.record = Record(self.settings.record, self._describe(prepared), self._rank)
        if self._rank == 0:
            self.record.describe(complete=False)
            if self.record.found:
                logger.warning(f"{self.record.found} answers of this run are taken from {self.record.folder}")

    def _describe(self, prepared) -> dict:
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
        """Return how many samples the LLM answers at once."""
        return self.settings.batch_size

    @property
    def device(self) -> torch.device:
        """Return the device that the model's inputs go to."""
        return self.explainer.adapter.device

    @_exit_on_error
    def generate_until(self, requests: list[Instance]) -> list[GenerationResult]:
        """Generate greedy or beam-searched answers, cut at the task's stop strings."""
        questions = [read_generation(request, self.task_dict) for request in requests]
        self._answer_new(questions)
        return [
            GenerationResult("")
            if q.padding
            else GenerationResult(line["answer"], TokenCounts(line["n_read"], line["n_new"]))
            for q in questions
            for line in [self.record.answers.get(q.key)]
        ]

    @_exit_on_error
    def loglikelihood(self, requests: list[Instance]) -> list[GenerationResult]:
        """Measure (loss, whether greedy decoding gives it) of continuations; tasks choose the least.

        Each pair goes into a GenerationResult, although it is no text: lmms-eval 0.7.3 turns a plain pair,
        which its own documentation asks for, into a string (`unwrap_generation_output`) that no task can
        read.
        """
        questions = [read_continuation(request, self.task_dict) for request in requests]
        self._answer_new(questions)
        made = [None if q.padding else self.record.answers[q.key] for q in questions]
        return [
            GenerationResult((0.0, False) if line is None else (line["loss"], line["greedy"]))
            for line in made
        ]

    @_exit_on_error
    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Refuse tasks of several rounds."""
        raise NotImplementedError(
            "rediprune answers one question about one picture or video: tasks of several rounds are not "
            "supported"
        )

    @_exit_on_error
    def clean(self) -> None:
        """Complete the description; lmms-eval calls this when every process has answered."""
        if self._rank == 0:
            counts = count_visual_tokens(self.record.read_answers().values())
            total, kept = (sum(task[part] for task in counts.values()) for part in ("visual_tokens", "kept"))
            for note in kept_all_notes(self.config.keep_ratio, kept, total) if counts else ():
                warnings.warn(note, stacklevel=2)
            self.record.describe(complete=True, observed=counts, processes=self._world_size)
        self.record.close()
        self.explainer = None
        super().clean()

    def _answer_new(self, questions: list[Question]) -> None:
        """Answer what is not on record yet, each question once, in the order of the requests."""
        new = {q.key: q for q in questions if not q.padding and q.key not in self.record.answers}
        for q in new.values():  # all of them before hours of work begin
            try:
                checked_question(q.text, self.explainer.processor, longest=len(q.text), most_tokens=None)
            except ValueError as error:
                raise ValueError(f"{q.name}: {error}") from None
        bar = tqdm(total=len(new), desc="rediprune", disable=self._rank != 0)
        for batch in self._batches(list(new.values())):
            self.record.add(self._answer_batch(batch))
            bar.update(len(batch))
        bar.close()

    def _batches(self, questions: list[Question]) -> Iterator[list[Question]]:
        """Split questions into batches with one way of decoding each; a loss is measured alone."""
        for target, mine in groupby(questions, key=lambda q: q.target):
            mine = list(mine)
            size = self.batch_size if isinstance(target, Decoding) else 1
            yield from (mine[i : i + size] for i in range(0, len(mine), size))

    def _answer_batch(self, batch: list[Question]) -> Iterator[dict]:
        chosen = []
        for q in batch:
            try:
                media = load_sample_media(q.visuals(), self.settings.n_frames)
                chosen.append(prepare_sample(self.explainer, media, q.text, self.config, q.name))
            except ValueError as error:
                raise ValueError(f"{q.name}: {error}") from error
        if isinstance(batch[0].target, Decoding):
            answers = generate_answers(self.explainer, chosen, batch[0].target, self.config.positions)
            made = [
                {"n_kept": a.n_kept, "answer": a.text, "n_read": a.n_read, "n_new": a.n_new} for a in answers
            ]
        else:
            mean, greedy, n_kept = measure_loss(
                self.explainer, chosen[0], batch[0].target, self.config.positions
            )
            made = [{"n_kept": n_kept, "continuation": batch[0].target, "loss": mean, "greedy": greedy}]
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
