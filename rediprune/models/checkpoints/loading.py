"""Open a checkpoint from a folder or the Hugging Face hub; everything that can go wrong is one sentence.

Two steps, so that whoever has another model open can keep it until the second: `prepare` checks and fetches,
`open_weights` takes memory. `load` is both.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from ...files.strict_json import JsonError, read_object
from ..errors import ModelError
from ..unsupported import refuse_class, refuse_name
from .checkpoint import Checkpoint, QuickSettings
from .download import fetch_description, fetch_weights
from .error_messages import one_sentence
from .placement import placement
from .progress import Report, loading_reported
from .quick import apply_to_config, apply_to_processor, known_checkpoint, quick_settings_for
from .speed import quick_dtype
from .weight_files import check_weight_files, refuse_incomplete, refuse_pointers


@dataclass(frozen=True)
class Prepared:
    """Hold a checkpoint that is on this machine, checked as far as that goes without its weights.

    Attributes:
        name: as it was asked for.
        folder: where configuration, processor and weights lie.
        local: asked for as a folder.
        processor: the family's own.
        entry: the catalogue's entry of this checkpoint; None where it is not listed.
        trust_remote_code: whether code that comes with the checkpoint may run.
    """

    name: str
    folder: Path
    local: bool
    processor: object
    entry: Checkpoint | None = None
    trust_remote_code: bool = False

    @property
    def weight_bytes(self) -> int:
        """Return the bytes of the weight files."""
        files = [*self.folder.glob("*.safetensors")] or [*self.folder.glob("*.bin")]
        return sum(file.stat().st_size for file in files)


def load(
    name_or_dir: str | Path,
    device: str = "cpu",
    dtype: str | torch.dtype = "auto",
    quantise: str | None = None,
    device_map: str | None = None,
    progress: Report | None = None,
    quick: bool = False,
    trust_remote_code: bool = False,
) -> tuple:
    """Return (model, processor) of a vision-language checkpoint, in eval mode.

    Args:
        name_or_dir: a local folder, or a name on the hub such as "llava-hf/llava-1.5-7b-hf" (fetched once).
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the best that this machine has.
        dtype: "auto" (as the checkpoint says), "float32", "bfloat16", "float16", or a torch dtype of those.
        quantise: "int8" or "int4": the LLM's Linear layers through bitsandbytes, the rest in `dtype`.
        device_map: "auto" to spread one model over all devices (accelerate decides; `device` plays no part).
        progress: called with each Progress, of a download from worker threads.
        quick: on a CPU, apply the catalogue's quick settings of a checkpoint that it lists: fewer or smaller
            views of a picture, and, with dtype "auto", the number format that this machine is quicker in.
        trust_remote_code: run Python code that comes with the checkpoint, where its class is not one of
            transformers. Such code can do whatever this program can: read it before.

    Raises:
        ModelError: unknown device, dtype or quantisation; files or weights missing or broken; code of its own
            that may not run; gated, unknown or unreachable; a model that cannot be pruned before its
            projector; no room on the disk or in memory; bitsandbytes or accelerate missing, or of no use
            here. One sentence each.
    """
    placement(device, dtype, quantise, device_map)  # a wrong word is said before anything is fetched
    prepared = prepare(name_or_dir, progress, trust_remote_code)
    return open_weights(prepared, device, dtype, quantise, device_map, progress, quick)


def prepare(
    name_or_dir: str | Path, progress: Report | None = None, trust_remote_code: bool = False
) -> Prepared:
    """Check a checkpoint and bring it onto this machine. Raises ModelError as `load` does."""
    from ..registry import FAMILIES

    name = str(name_or_dir)
    folder = Path(os.path.expanduser(name))  # unlike Path's own, it leaves an unknown ~user as it is
    local = folder.is_dir()
    if local:
        name = str(folder)
        if not (folder / "config.json").is_file():
            raise ModelError(
                f"the folder {name} holds no config.json, so it is not a saved transformers model"
            )
    elif folder.exists():
        raise ModelError(
            f"{name} is a file, not a folder: give the folder that holds config.json and the weights"
        )
    else:
        refuse_name(name)
        if name.startswith((".", "/", "~")) or name.count("/") != 1:
            raise ModelError(f"there is no folder {name}, and a model on the hub is named like owner/model")
        with one_sentence(name, local, "description"):
            folder = fetch_description(name, trust_remote_code)

    # Cheap things first: a model that cannot be used is refused before gigabytes are fetched.
    refuse_pointers(folder, name)
    described = _read_description(folder / "config.json", name)
    # Without an answer transformers asks on the terminal whether to run the code, and runs it on a "y".
    trusted = {"trust_remote_code": trust_remote_code}
    with one_sentence(name, local, "configuration"):
        config = AutoConfig.from_pretrained(folder, **trusted)
    refuse_class((config.architectures or [type(config).__name__])[0], config, FAMILIES)
    if "vision_config" in type(config).sub_configs and not described.get("vision_config"):
        raise ModelError(
            f"config.json of {name} describes no vision encoder (vision_config), so there is no projector to "
            "prune in front of: fetch or save the model again"
        )
    with one_sentence(name, local, "processor"):
        processor = AutoProcessor.from_pretrained(folder, **trusted)
    if not (hasattr(processor, "tokenizer") and hasattr(processor, "image_processor")):
        raise ModelError(f"{name} holds no complete processor: it needs a tokenizer and an image processor")
    if (folder / "generation_config.json").is_file():  # transformers leaves a damaged one out without a word
        _read_description(folder / "generation_config.json", name)
    if not local:
        with one_sentence(name, local, "weights"):
            fetch_weights(name, folder, progress)
    check_weight_files(folder, name)
    entry = known_checkpoint(name, folder, config.model_type)
    return Prepared(name, folder, local, processor, entry, trust_remote_code)


def _read_description(path: Path, name: str) -> dict[str, Any]:
    """Return what config.json says, as it is written.

    Raises:
        ModelError: it is no JSON object.
    """
    try:
        return read_object(path)
    except JsonError as error:
        raise ModelError(f"{path.name} of {name} is damaged ({error}): fetch or save it again") from None


def open_weights(
    prepared: Prepared,
    device: str = "cpu",
    dtype: str | torch.dtype = "auto",
    quantise: str | None = None,
    device_map: str | None = None,
    progress: Report | None = None,
    quick: bool = False,
) -> tuple:
    """Return (model, processor) of a prepared checkpoint; arguments and errors are those of `load`."""
    target, options = placement(device, dtype, quantise, device_map)
    settings = applied_settings(prepared, device, device_map, quick)
    processor = prepared.processor
    if settings:
        processor = apply_to_processor(processor, settings)
        if dtype == "auto" and quantise is None:
            options["dtype"] = getattr(torch, quick_dtype(target.type))
    with one_sentence(prepared.name, prepared.local, "weights"), loading_reported(progress):
        model, info = AutoModelForImageTextToText.from_pretrained(
            prepared.folder,
            trust_remote_code=prepared.trust_remote_code,
            weights_only=True,  # a pickle (.bin) may hold code, which is never run
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, with the names of the weights
            **options,
        )
        refuse_incomplete(prepared.name, info)
        if "device_map" not in options:
            model = model.to(target)
    if settings:
        apply_to_config(model.config, settings)
    return model.eval(), processor


def applied_settings(
    prepared: Prepared, device: str, device_map: str | None = None, quick: bool = False
) -> QuickSettings | None:
    """Return what `open_weights` applies to a checkpoint with these arguments; None for nothing."""
    if not quick or device_map is not None:
        return None
    return quick_settings_for(prepared.entry, placement(device, "auto", None, None)[0])
