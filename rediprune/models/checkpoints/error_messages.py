"""What transformers, the hub, safetensors, bitsandbytes and torch raise, as one sentence each."""

from __future__ import annotations

import errno
import json
import pickle
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from huggingface_hub import errors as hub
from safetensors import SafetensorError

from ..errors import ModelError

# torch has a class of its own only for CUDA; the main memory's and Apple's say it in words.
_NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory", "paging file is too small")
_NO_CONNECTION = (hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled, ConnectionError)


@contextmanager
def one_sentence(name: str, local: bool, what: str) -> Iterator[None]:
    """Turn whatever fails inside into one ModelError sentence.

    Args:
        name: the model as the user knows it.
        local: a folder rather than a name on the hub.
        what: the part in hand: "configuration", "processor", "weights".
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # four libraries and a connection: no list of what they raise stays complete
        sentence = _sentence(error, name, local, what)
        # The frames behind the error hold the weights read so far: who keeps the error must not keep those.
        traceback.clear_frames(error.__traceback__)
        raise ModelError(sentence) from error


def _sentence(error: BaseException, name: str, local: bool, what: str) -> str:
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if any("trust_remote_code" in str(cause) for cause in causes):
        return (
            f"{name} comes with Python code of its own (auto_map), which is never run unless you say so: "
            "read it, then start with --trust-remote-code, or pass trust_remote_code=True in Python"
        )
    if any(isinstance(cause, pickle.UnpicklingError) for cause in causes):
        return (
            f"a weight file of {name} (.bin) is damaged or holds more than weights, and code in it is never "
            "run: take weights that are saved as safetensors"
        )
    if isinstance(error, torch.OutOfMemoryError):
        return f"{name} does not fit into the device's memory: try int8, int4, a smaller dtype or the cpu"
    if isinstance(error, (MemoryError, RuntimeError)) and (
        isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY)
    ):
        return f"{name} does not fit into this machine's memory: try dtype bfloat16 or a smaller model"
    if any(isinstance(cause, OSError) and cause.errno == errno.ENOSPC for cause in causes):
        return f"the disk is full: {name} could not be fetched, make room and try again"
    if caused_by(json.JSONDecodeError, SafetensorError):
        return f"a file of the {what} of {name} is damaged: fetch or save it again"
    # GatedRepoError is a RepositoryNotFoundError, so it is asked first.
    if caused_by(hub.GatedRepoError):
        return f"{name} is gated: accept its terms on huggingface.co/{name} and log in with `hf auth login`"
    if caused_by(hub.RepositoryNotFoundError, hub.HFValidationError):
        return f"there is no folder and no public model on the hub named {name}"
    broken = caused_by(hub.HTTPError) and not caused_by(hub.HfHubHTTPError)  # no answer at all from the hub
    if not local and (broken or caused_by(*_NO_CONNECTION)):
        return f"{name} is not on this machine and the hub cannot be reached: fetch it once with a connection"
    where = f"the folder {name}" if local else name
    reason = " ".join(str(error).split()).split(". ")[0].rstrip(".")
    return f"the {what} in {where} cannot be used: {reason[:300]}"
