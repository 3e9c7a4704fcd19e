"""Estimate how long an answer about a photograph takes on this machine: an ESTIMATE from two timed products.

Encoder and prefill are bound by arithmetic: their FLOPs are divided by the rate of a matrix product. A decode
step is bound by reading the weights of the LLM: their bytes are divided by the rate of a product of one row
with a matrix that no cache holds. Both rates are measured once for each device and number format, in well
under a second, and kept. A machine that is busy meanwhile looks slower than it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from .checkpoint import Checkpoint

NEW_TOKENS = 20  # of a short answer
TEXT_TOKENS = 40  # of a chat template with a short question
ENOUGH = 0.04  # seconds that each product is timed for, after one run to warm up


@dataclass(frozen=True)
class Rates:
    """Hold what a device was measured to do in one number format.

    Attributes:
        flops: floating-point operations per second of a matrix product of an encoder's shape.
        bytes_read: bytes of weights per second that a product of one row reads.
    """

    flops: float
    bytes_read: float


@dataclass(frozen=True)
class AnswerTime:
    """Hold the ESTIMATED seconds of one answer of NEW_TOKENS tokens about a photograph, part by part.

    Attributes:
        encoder: the vision encoder and the projector.
        prefill: the LLM over the whole prompt, nothing pruned.
        decoding: all further tokens.
    """

    encoder: float
    prefill: float
    decoding: float

    @property
    def seconds(self) -> float:
        """Return the seconds of the whole answer."""
        return self.encoder + self.prefill + self.decoding


def answer_seconds(entry: Checkpoint, device: str | torch.device = "cpu") -> float | None:
    """Return the ESTIMATED seconds of an answer about a photograph, nothing pruned; None where not known.

    Args:
        entry: a checkpoint with a `photograph`.
        device: "cpu", "cuda", "cuda:1" or "mps", which must exist here.
    """
    found = answer_time(entry, device)
    return None if found is None else found.seconds


def answer_time(
    entry: Checkpoint, device: str | torch.device = "cpu", rates: Rates | None = None
) -> AnswerTime | None:
    """Return `answer_seconds` part by part; `rates` stand for those of the device, in the quicker format."""
    photograph = entry.photograph
    if photograph is None:
        return None
    if rates is None:
        rates = measured_rates(str(device), quick_dtype(str(device)))
    text = entry.config["text_config"]
    head = text["vocab_size"] * text["hidden_size"]
    tied = text.get("tie_word_embeddings", entry.config.get("tie_word_embeddings", False))
    # Everything that is neither the LLM's layers nor its words: encoder and projector.
    encoder_weights = entry.parameters - entry.quantised - head * (1 if tied else 2)
    positions, views = photograph.positions, photograph.views
    layers, width = _encoder(entry)
    encoder = views * (2 * positions * encoder_weights + 4 * layers * width * positions**2)
    prompt = photograph.tokens + TEXT_TOKENS
    prefill = 2 * prompt * entry.quantised + 2 * head
    prefill += 4 * text["num_hidden_layers"] * text["hidden_size"] * prompt**2
    step_bytes = 2 * (entry.quantised + head)
    return AnswerTime(
        encoder=encoder / rates.flops,
        prefill=prefill / rates.flops,
        decoding=(NEW_TOKENS - 1) * step_bytes / rates.bytes_read,
    )


@cache
def quick_dtype(device: str = "cpu") -> str:
    """Return the number format of weights that this device multiplies quicker in: bfloat16 or float32.

    A processor without instructions for 16 bits is many times slower in bfloat16. Other devices than the CPU
    are taken to have them.
    """
    if torch.device(device).type != "cpu":
        return "bfloat16"
    quick, slow = (measured_rates(device, dtype).flops for dtype in ("bfloat16", "float32"))
    return "bfloat16" if quick >= slow else "float32"


@cache
def measured_rates(device: str, dtype: str) -> Rates:
    """MEASURE the two products of the head of this file on a device."""
    place = {"device": device, "dtype": getattr(torch, dtype)}
    rows, wide, far = (256, 1024, 2048) if torch.device(device).type == "cpu" else (4096, 4096, 4096)
    left, right = torch.ones(rows, wide, **place), torch.ones(wide, far, **place)
    one_row, matrix = torch.ones(1, 4096, **place), torch.ones(4096, 8192, **place)
    flops = 2 * rows * wide * far / _seconds(lambda: left @ right, device)
    read = matrix.numel() * matrix.element_size() / _seconds(lambda: one_row @ matrix, device)
    return Rates(flops, read)


@torch.no_grad()
def _seconds(run: Callable[[], torch.Tensor], device: str) -> float:
    """Return the seconds of the quickest of a few runs, after one to warm up."""
    run().sum().item()  # reading a number waits for the device
    fastest, spent = float("inf"), 0.0
    while spent < ENOUGH:
        started = time.perf_counter()
        product = run()
        if torch.device(device).type != "cpu":
            product[0, 0].item()
        passed = time.perf_counter() - started
        fastest = min(fastest, passed)
        spent += passed
    return fastest


def _encoder(entry: Checkpoint) -> tuple[int, int]:
    """Return layers and width of the vision encoder, as the config's class completes them."""
    from transformers import CONFIG_MAPPING

    vision = CONFIG_MAPPING[entry.family](**entry.config).vision_config
    layers = getattr(vision, "depth", None) or vision.num_hidden_layers
    return layers, vision.hidden_size
