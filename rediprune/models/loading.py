"""Open a checkpoint from a folder or the Hugging Face hub; everything that can go wrong is one sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import errors as hub
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from .base import ModelError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# Why these cannot be pruned before a projector, by config.model_type.
_NO_SEPARATE_PROJECTOR = {
    "mllama": "its visual tokens enter the LLM through cross-attention layers, not through the prompt",
    "idefics": "its visual tokens pass a Perceiver resampler and enter the LLM through cross-attention",
    "idefics2": "a Perceiver resampler mixes all visual tokens where the projector would be",
    "blip-2": "a Q-Former mixes all visual tokens where the projector would be",
    "instructblip": "a Q-Former mixes all visual tokens where the projector would be",
    "fuyu": "it has no vision encoder: image patches enter the LLM directly",
    "chameleon": "its images become discrete words of the LLM's own vocabulary",
}


def load(name_or_dir: str | Path, device: str = "cpu", dtype: str | torch.dtype = "auto") -> tuple:
    """(model, processor) of a vision-language checkpoint, in eval mode on `device`.

    Args:
        name_or_dir: a local folder, or a name on the hub such as "llava-hf/llava-1.5-7b-hf" (fetched once).
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the best that this machine has.
        dtype: "auto" (as the checkpoint says), "float32", "bfloat16", "float16", or a torch dtype of those.

    Raises:
        ModelError: unknown device or dtype; files missing or broken; gated, unknown or unreachable; a model
            that cannot be pruned before its projector; not enough memory. One sentence each.
    """
    from . import FAMILIES

    target, dtype = _device(device), _dtype(dtype)
    name = str(name_or_dir)
    folder = Path(os.path.expanduser(name))  # unlike Path's own, it leaves an unknown ~user as it is
    if folder.is_dir():
        name = str(folder)
        if not (folder / "config.json").is_file():
            raise ModelError(
                f"the folder {name} holds no config.json, so it is not a saved transformers model"
            )
    elif folder.exists():
        raise ModelError(
            f"{name} is a file, not a folder: give the folder that holds config.json and the weights"
        )
    elif name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(f"there is no folder {name}, and a model on the hub is named like owner/model")

    # Cheap things first: a model that cannot be pruned is refused before gigabytes are fetched.
    with _one_sentence(name, folder.is_dir(), "configuration"):
        config = AutoConfig.from_pretrained(name)
    refuse_class((config.architectures or [type(config).__name__])[0], config, FAMILIES)
    with _one_sentence(name, folder.is_dir(), "processor"):
        processor = AutoProcessor.from_pretrained(name)
    if not (hasattr(processor, "tokenizer") and hasattr(processor, "image_processor")):
        raise ModelError(f"{name} holds no complete processor: it needs a tokenizer and an image processor")
    with _one_sentence(name, folder.is_dir(), "weights"):
        model = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype).to(target).eval()
    return model, processor


def refuse_class(class_name: str, config: object, families: Collection[str]) -> None:
    """Raise ModelError, naming the class, unless `config` is of a known family with a separate projector."""
    kind = getattr(config, "model_type", None)
    if kind in _NO_SEPARATE_PROJECTOR:
        raise ModelError(
            f"{class_name} has no separate projector to prune in front of: {_NO_SEPARATE_PROJECTOR[kind]}"
        )
    if not hasattr(config, "vision_config"):
        raise ModelError(
            f"{class_name} has no vision encoder and no projector: pruning needs a transformers "
            f"vision-language model of a family known here ({', '.join(families)})"
        )
    if kind not in families:
        raise ModelError(f"{class_name} is of a family not known here yet: known are {', '.join(families)}")
    tower = config.vision_config.model_type
    if tower not in ("clip_vision_model", "siglip_vision_model"):
        raise ModelError(
            f"{class_name} with a vision encoder of type {tower} is not known here: its tokens may not lie "
            "on one fixed grid"
        )


@contextmanager
def _one_sentence(name: str, local: bool, what: str) -> Iterator[None]:
    """Turn what transformers, the hub, safetensors and torch raise into one ModelError sentence."""
    try:
        yield
    except ModelError:
        raise
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{name} does not fit into the device's memory: try a smaller dtype or the cpu"
        ) from error
    except MemoryError as error:
        raise ModelError(f"{name} does not fit into this machine's memory: try dtype bfloat16") from error
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ModelError(f"a file of the {what} of {name} is damaged: fetch or save it again") from error
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(_sentence(error, name, local, what)) from error


def _sentence(error: Exception, name: str, local: bool, what: str) -> str:
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if caused_by(json.JSONDecodeError):
        return f"a file of the {what} of {name} is damaged: fetch or save it again"
    # GatedRepoError is a RepositoryNotFoundError, so it is asked first.
    if caused_by(hub.GatedRepoError):
        return f"{name} is gated: accept its terms on huggingface.co/{name} and log in with `hf auth login`"
    if caused_by(hub.RepositoryNotFoundError, hub.HFValidationError):
        return f"there is no folder and no public model on the hub named {name}"
    if not local and caused_by(hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled, ConnectionError):
        return f"{name} is not on this machine and the hub cannot be reached: fetch it once with a connection"
    where = f"the folder {name}" if local else name
    reason = " ".join(str(error).split()).split(". ")[0].rstrip(".")
    return f"the {what} in {where} cannot be used: {reason[:300]}"


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ModelError(f"device={name!r} is unknown: choose cpu, cuda, cuda:N, mps or auto") from error
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        raise ModelError(f"device={name!r} is not available on this machine: choose cpu or auto")
    return device


def _dtype(dtype: str | torch.dtype) -> str | torch.dtype:
    if dtype == "auto" or dtype in DTYPES.values():
        return dtype
    if dtype not in DTYPES:
        raise ModelError(f"dtype={dtype!r} is unknown: choose auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]
