"""Record every answer of a run as a line of a file, with the visual tokens really read; killed runs continue.

A folder holds, for every run by the hash of its description:

    rediprune-HASH.json             the description: settings, weights, versions; at the end what was observed
    rediprune-HASH.rank0.jsonl      the answers of process 0, one line each, written as soon as they are there

A line is on the disk before the next batch begins. A run that was killed may leave half a line behind, which
is dropped; its sample is asked again. A line is known by its sample and not by its process, so a run may
continue with another number of processes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from ...files.atomic_write import write_text

FORMAT = 1


class RecordError(ValueError):
    """Report a record that cannot be used; the message is one sentence."""


def hash_description(description: dict) -> str:
    """Return the hash by which a run is known."""
    content = json.dumps(description, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


class Record:
    """Keep the answers of one run in one folder.

    Args:
        folder: created where it is missing.
        description: what the run is made with; a run with another description has other files.
        rank: the number of this process, which alone writes to its file.

    Raises:
        RecordError: another process writes to this file.
    """

    def __init__(self, folder: Path, description: dict, rank: int = 0) -> None:
        self.folder = folder
        self.description = description
        self.name = hash_description(description)
        folder.mkdir(parents=True, exist_ok=True)
        self._file = _open_locked(folder / f"rediprune-{self.name}.rank{rank}.jsonl")
        self.answers = self.read_answers()
        self.found = len(self.answers)

    def read_answers(self) -> dict[str, dict]:
        """Read all answers of all processes, by their key."""
        files = sorted(self.folder.glob(f"rediprune-{self.name}.rank*.jsonl"))
        return {line["key"]: line for file in files for line in read_lines(file)}

    def add(self, made: Iterable[dict]) -> None:
        """Write the answers of one batch, each with its "key"; they are on the disk when this returns."""
        for line in made:
            self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            self.answers[line["key"]] = line
        self._file.flush()
        os.fsync(self._file.fileno())

    def describe(self, **more: object) -> Path:
        """Write the description, with `more` beside it, in one step; return the file's path."""
        path = self.folder / f"rediprune-{self.name}.json"
        content = {"format": FORMAT, "run": self.name, **self.description, **more}
        return write_text(path, json.dumps(content, indent=1, default=str, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close the file and give up its lock."""
        self._file.close()


def read_lines(file: Path) -> Iterable[dict]:
    """Yield the complete lines of a file; half a line at its end is left out.

    Raises:
        RecordError: a line before the end that is no answer.
    """
    *whole, _torn = file.read_bytes().split(b"\n")
    for number, line in enumerate(whole, 1):
        try:
            made = json.loads(line)
            made["key"]
        except (ValueError, KeyError, TypeError):
            raise RecordError(
                f"line {number} of {file} is no answer: remove that line, or the file"
            ) from None
        yield made


def count_visual_tokens(answers: Iterable[dict]) -> dict[str, dict]:
    """Count, for each task, its samples and how many visual tokens they had and kept."""
    found: dict[str, dict] = {}
    for line in answers:
        task = found.setdefault(line["task"], {"samples": 0, "visual_tokens": 0, "kept": 0, "shares": []})
        task["samples"] += 1
        task["visual_tokens"] += line["n_visual"]
        task["kept"] += line["n_kept"]
        task["shares"].append(line["n_kept"] / line["n_visual"])
    for task in found.values():
        shares = task.pop("shares")
        task |= {"share": task["kept"] / task["visual_tokens"], "share_range": [min(shares), max(shares)]}
    return found


def _open_locked(path: Path) -> IO[bytes]:
    """Open a file for appending complete lines, locked against a second process of that rank."""
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise RecordError(
            f"{path} is being written by another process: wait for that run, or name another record=FOLDER"
        ) from None
    file.seek(0)
    written = file.read()
    file.truncate(written.rfind(b"\n") + 1)
    return file
