"""Check weight files before they are read, and what was read: nothing is made up for what is missing.

transformers fills weights that a file lacks with random numbers and only warns; such a model would answer,
and nothing of it would be true.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ...files.strict_json import JsonError, parse_json, read_object
from ..errors import ModelError

# What transformers looks for, in its order: a file, or the index of several.
SAFETENSORS = "model.safetensors"
NAMES = (
    SAFETENSORS,
    f"{SAFETENSORS}.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# What Git leaves in place of a large file where its extension LFS is not installed; 130 bytes of text.
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"
READ_FROM_A_FOLDER = ("*.safetensors", "*.bin", "*.json", "*.model", "*.txt", "*.jinja")
MOST_HEADER_BYTES = 100_000_000  # the limit of the safetensors library itself

# The encoder's pooled output goes to no projector, so it does not matter what makes it. Published checkpoints
# of SigLIP and CLIP towers leave these parts out.
_NOT_READ = re.compile(r"vision\w*\.(vision_model\.)?(head|pooler)\.")


def refuse_pointers(folder: Path, name: str) -> None:
    """Raise ModelError where a file of the folder is a Git LFS pointer and not the file itself."""
    for pattern in READ_FROM_A_FOLDER:
        for file in sorted(folder.glob(pattern)):
            if not file.is_file():
                continue
            with file.open("rb") as opened:
                start = opened.read(len(LFS_POINTER))
            if start == LFS_POINTER:
                raise ModelError(
                    f"{file.name} of {name} is a Git LFS pointer, not the file itself: "
                    "run `git lfs pull` in that folder, or fetch the model again"
                )


def check_weight_files(folder: Path, name: str) -> None:
    """Check that all weight files of a model are there and whole, without reading a weight.

    Raises:
        ModelError: no weights; an index that is damaged or names a file that is missing; a safetensors file
            that is damaged, cut off or lacks what the index says of it. One sentence that names the file.
    """
    first = next((file for file in NAMES if (folder / file).is_file()), None)
    if first is None:
        raise ModelError(
            f"{name} holds no weights: it needs {SAFETENSORS} or pytorch_model.bin, or several files and "
            "their index"
        )
    if not first.endswith(".json"):
        files: dict[str, set[str]] = {first: set()}
    else:
        files = _read_index(folder / first, name)
        if missing := sorted(file for file in files if not (folder / file).is_file()):
            raise ModelError(
                f"{name} lacks {len(missing)} of the {len(files)} weight files that {first} names, such as "
                f"{missing[0]}: fetch it again"
            )
    for file, wanted in files.items():
        if file.endswith(".safetensors"):
            _check_safetensors(folder / file, name, wanted)


def _read_index(path: Path, name: str) -> dict[str, set[str]]:
    """Return file -> names of its weights, from the index of several weight files."""
    try:
        weight_map = read_object(path).get("weight_map")
    except JsonError as error:
        raise ModelError(f"{path.name} of {name} is damaged ({error}): fetch it again") from None
    files: dict[str, set[str]] = {}
    is_map = isinstance(weight_map, dict) and weight_map
    if not is_map or not all(isinstance(file, str) for file in weight_map.values()):
        raise ModelError(f"{path.name} of {name} names no weight files (weight_map): fetch it again")
    for weight, file in weight_map.items():
        if PurePosixPath(file).name != file or "\\" in file:
            raise ModelError(f"{path.name} of {name} names a file outside of its folder: {file[:80]!r}")
        files.setdefault(file, set()).add(weight)
    return files


def _check_safetensors(path: Path, name: str, wanted: set[str]) -> None:
    """Check the head of a safetensors file: it must be whole, and hold the wanted weights."""
    damaged = ModelError(f"{path.name} of {name} is damaged: fetch or save it again")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > MOST_HEADER_BYTES:
            raise damaged
        text = file.read(length)
    if len(text) < length:
        raise ModelError(_cut_off(path, name, size, 8 + length))
    try:
        head = parse_json(text)
        weights = {weight: entry for weight, entry in head.items() if weight != "__metadata__"}
        ends = [entry["data_offsets"][1] for entry in weights.values()]
        end = 8 + length + max(ends, default=0)
    except (JsonError, AttributeError, KeyError, IndexError, TypeError):
        raise damaged from None
    if size < end:
        raise ModelError(_cut_off(path, name, size, end))
    if lacking := sorted(wanted - weights.keys()):
        raise ModelError(
            f"{path.name} of {name} lacks {len(lacking)} of its {len(wanted)} weights, such as {lacking[0]}: "
            "fetch or save it again"
        )


def _cut_off(path: Path, name: str, size: int, expected: int) -> str:
    return f"{path.name} of {name} is cut off after {size:,} of at least {expected:,} bytes: fetch it again"


def refuse_incomplete(name: str, info: Mapping[str, Any]) -> None:
    """Raise ModelError where weights were missing from the files, or had another shape.

    Args:
        name: the model as the user knows it.
        info: the loading info of transformers' from_pretrained.
    """
    mismatched = sorted(info.get("mismatched_keys") or ())
    if mismatched:
        weight, in_file, in_model = mismatched[0]
        raise ModelError(
            f"the weights of {name} do not fit its config.json: {weight} has the shape "
            f"{_shape(in_file)} in the file and {_shape(in_model)} by the config{_more(mismatched)}"
        )
    missing = sorted(weight for weight in info.get("missing_keys") or () if not _NOT_READ.search(weight))
    if missing:
        raise ModelError(
            f"the weights of {name} are incomplete: {missing[0]} is in none of its files{_more(missing)}, "
            "and random numbers would stand in for it; fetch or save the model again"
        )
    errors = info.get("conversion_errors") or info.get("error_msgs")
    if errors:
        raise ModelError(f"the weights of {name} cannot be read into its model: {_first_words(errors)}")


def _shape(shape: Iterable[int]) -> str:
    return json.dumps(list(shape))


def _more(weights: list) -> str:
    return f", and {len(weights) - 1} more like it" if weights[1:] else ""


def _first_words(errors: Any) -> str:
    first = next(iter(errors.values() if isinstance(errors, Mapping) else errors))
    return " ".join(str(first).split())[:200]
