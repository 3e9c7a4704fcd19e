"""Read lmms-eval's requests: what is asked, and the key that its answer is known by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .decoding import Decoding, read_decoding


@dataclass(frozen=True)
class Question:
    """Hold what one request asks.

    Attributes:
        task, split, doc_id: the sample.
        text: the prompt.
        visuals: returns what doc_to_visual makes of the sample's document.
        target: how the answer is decoded, or the continuation whose loss is measured.
        padding: handed over only to give every process equally many requests.
    """

    task: str
    split: str
    doc_id: int
    text: str
    visuals: Callable[[], Sequence[object]]
    target: Decoding | str
    padding: bool = False

    @property
    def name(self) -> str:
        """Return the sample's name, such as "pope test 7"."""
        return f"{self.task} {self.split} {self.doc_id}"

    @property
    def key(self) -> str:
        """Return the answer's key: it depends on what is asked, not on the process or batch that asks."""
        target = self.target if isinstance(self.target, str) else asdict(self.target)
        content = json.dumps([self.task, self.split, self.doc_id, self.text, target])
        return hashlib.sha256(content.encode()).hexdigest()[:24]


def read_generation(request: Any, docs: Mapping) -> Question:
    """Read a request of `generate_until`; `docs` are the documents by task, split and id.

    Raises:
        ValueError: generation_kwargs that cannot be honoured.
    """
    text, kwargs, to_visual, doc_id, task, split = request.args
    return _question(request, docs, text, to_visual, doc_id, task, split, read_decoding(kwargs, task))


def read_continuation(request: Any, docs: Mapping) -> Question:
    """Read a request of `loglikelihood`; `docs` are the documents by task, split and id.

    Raises:
        NotImplementedError: a continuation without its prompt and picture.
    """
    if len(request.args) != 6:
        raise NotImplementedError(
            "rediprune measures a continuation behind its prompt and picture only: tasks that ask for it "
            "without them (acc_mutual_info) are not supported"
        )
    text, target, to_visual, doc_id, task, split = request.args
    if callable(target):
        target = target(docs[task][split][doc_id])
    return _question(request, docs, text, to_visual, doc_id, task, split, str(target))


def _question(request, docs, text, to_visual, doc_id, task, split, target) -> Question:
    padding = bool((request.metadata or {}).get("__padding_only__"))
    return Question(task, split, doc_id, text, lambda: to_visual(docs[task][split][doc_id]), target, padding)
