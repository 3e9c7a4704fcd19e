"""Estimate how long an answer about a photograph takes on this machine: an ESTIMATE from timed products.

Encoder and prefill are bound by arithmetic: their FLOPs are divided by the rate of the products of an MLP. A
decode step is bound by reading the weights of the LLM: their bytes are divided by the rate of a product of
one row with matrices that no cache holds. Both rates are measured once for each device and number format, in
well under a second, and kept.

On a CPU they are measured on one thread in its own CPU time, which other programs hardly change, and
multiplied by what further threads add. So the estimate is that of a machine which does nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle

import torch
from torch.nn import functional

from .checkpoint import Checkpoint

NEW_TOKENS = 20  # of a short answer
TEXT_TOKENS = 40  # of a chat template with a short question
MOST_SECONDS = 0.06  # each product is run for about as long, and the quickest of the runs counts
# What each further thread adds to the first one's rate: assumed. Reading from memory stops to gain earlier.
FURTHER_THREAD = 0.8
MOST_READING = 3.0


@dataclass(frozen=True)
class Rates:
    """Hold what a device was measured to do in one number format.

    Attributes:
        flops: floating-point operations per second of the two products of an encoder's MLP.
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
    """MEASURE the products of the head of this file on a device."""
    if torch.device(device).type != "cpu":
        return _rates_of_one(device, dtype, rows=4096, wide=4096)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = _rates_of_one(device, dtype, rows=256, wide=1024)
    finally:
        torch.set_num_threads(threads)
    more = 1 + FURTHER_THREAD * (threads - 1)
    return Rates(one.flops * more, one.bytes_read * min(more, MOST_READING))


@torch.no_grad()
def _rates_of_one(device: str, dtype: str, rows: int, wide: int) -> Rates:
    """MEASURE the products on a device as it is set up now, `rows` rows of `wide` numbers through an MLP."""
    place = {"device": device, "dtype": getattr(torch, dtype)}
    shown = torch.full((rows, wide), 0.01, **place)
    # In turns, and more than the caches of most processors hold: an encoder reads each weight once, too.
    layers = [[torch.full((wide, wide), 0.01, **place) for _ in range(2)] for _ in range(8)]
    one_row = torch.full((1, 2048), 0.01, **place)
    matrices = [torch.full((2048, 4096), 0.01, **place) for _ in range(4)]
    blocks = [lambda pair=pair: functional.gelu(shown @ pair[0]) @ pair[1] for pair in layers]
    steps = [lambda matrix=matrix: one_row @ matrix for matrix in matrices]
    flops = 4 * rows * wide * wide / _seconds(blocks, device)
    return Rates(flops, matrices[0].numel() * matrices[0].element_size() / _seconds(steps, device))


def _seconds(pieces: Sequence[Callable[[], torch.Tensor]], device: str) -> float:
    """Return the seconds of the quickest piece, run in turns for MOST_SECONDS after one to warm up.

    On a CPU these are seconds of this thread's own time.
    """
    on_cpu = torch.device(device).type == "cpu"
    clock = time.thread_time if on_cpu else time.perf_counter

    def run(piece: Callable[[], torch.Tensor]) -> float:
        """Return the seconds of one piece, the device's own work included."""
        started = clock()
        product = piece()
        if not on_cpu:
            product[0, 0].item()  # reading a number waits for the device
        return clock() - started

    run(pieces[0])
    fastest = float("inf")
    spent = 0.0
    for piece in cycle(pieces):
        passed = run(piece)
        fastest = min(fastest, passed)
        spent += passed
        if spent > MOST_SECONDS:
            break
    return fastest


def _encoder(entry: Checkpoint) -> tuple[int, int]:
    """Return layers and width of the vision encoder, as the config's class completes them."""
    from transformers import CONFIG_MAPPING

    vision = CONFIG_MAPPING[entry.family](**entry.config).vision_config
    layers = getattr(vision, "depth", None) or vision.num_hidden_layers
    return layers, vision.hidden_size
