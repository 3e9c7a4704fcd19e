"""Where a model goes and in which numbers: the words of the command line as from_pretrained's options."""

from __future__ import annotations

import importlib.util

import torch
from transformers import BitsAndBytesConfig

from ..errors import ModelError
from .checkpoint import IN_16_BITS

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
QUANTISED = ("int8", "int4")


def why_not_quantised(device: str | torch.device = "cpu") -> str:
    """One sentence on why int8 and int4 cannot be had on this device now; empty where they can."""
    if missing := [name for name in ("bitsandbytes", "accelerate") if not importlib.util.find_spec(name)]:
        return f"int8 and int4 need {' and '.join(missing)}: pip install {' '.join(missing)}"
    import bitsandbytes

    kind = torch.device(device).type
    if kind not in getattr(bitsandbytes, "supported_torch_devices", {"cuda"}):
        return f"the installed bitsandbytes has no int8 or int4 for the device {kind}: use bf16 there"
    return ""


def placement(
    device: str, dtype: str | torch.dtype, quantise: str | None, device_map: str | None
) -> tuple[torch.device, dict]:
    """Return the device and from_pretrained's options; without "device_map" the model is moved after.

    Arguments as `loading.load` takes them.

    Raises:
        ModelError: an unknown word, or something that this machine does not have; one sentence.
    """
    target, options = _device(device), {"dtype": _dtype(dtype)}
    if device_map not in (None, "auto"):
        raise ModelError(f"device_map={device_map!r} is unknown: choose auto, or name a device")
    if device_map and not importlib.util.find_spec("accelerate"):
        raise ModelError("device_map='auto' needs accelerate: pip install accelerate, or name one device")
    if quantise is not None:
        if quantise not in QUANTISED:
            raise ModelError(f"quantise={quantise!r} is unknown: choose {' or '.join(QUANTISED)}")
        if reason := why_not_quantised(_device("auto") if device_map else target):
            raise ModelError(reason)
        options["quantization_config"] = _quantisation(quantise, options["dtype"])
    # With accelerate the weights go straight to their device, without a copy in main memory.
    if device_map:
        options["device_map"] = device_map
    elif quantise or (target.type != "cpu" and importlib.util.find_spec("accelerate")):
        options["device_map"] = {"": target}
    return target, options


def _quantisation(quantise: str, dtype: str | torch.dtype) -> BitsAndBytesConfig:
    skipped = list(IN_16_BITS)  # transformers reads this list for 4 bits too, despite its parameter's name
    if quantise == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        llm_int8_skip_modules=skipped,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if dtype == "auto" else dtype,
    )


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
