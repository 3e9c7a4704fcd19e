"""Define every colour by its meaning: safe for colour-blind readers, a shade each for light and dark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Colour:
    """Hold two shades of one meaning as "#rrggbb": `light` for a white page, `dark` for a dark one."""

    light: str
    dark: str


KEPT = Colour("#0072b2", "#56b4e9")
DROPPED = Colour("#6b7280", "#9ca3af")
NEXT_PICK = Colour("#d55e00", "#f0853a")
UNPRUNED = Colour("#4b5563", "#c3c9d2")
PRUNED = KEPT  # the pruned answer comes from the kept tokens
RANDOM = Colour("#a3527f", "#d992b8")

# Stations of the compute bars, in the order of costs.estimate.Flops; the encoder, which pruning does not
# shrink, is grey.
STATIONS = (
    Colour("#8fa3b8", "#7d8fa3"),  # vision
    Colour("#d55e00", "#f0853a"),  # selection
    Colour("#cc9f3d", "#d9b25a"),  # projector
    Colour("#0072b2", "#3b93cc"),  # prefill
    Colour("#56b4e9", "#8ccdf2"),  # decode
)

MEANINGS = {
    "kept": KEPT,
    "dropped": DROPPED,
    "next-pick": NEXT_PICK,
    "unpruned": UNPRUNED,
    "pruned": PRUNED,
    "random": RANDOM,
    "quiet": Colour("#4b5563", "#b4bdca"),  # secondary text
    "on-accent": Colour("#ffffff", "#0b1220"),  # text on the colour of what is kept
}

# The curve of each selection method (config.METHODS); charts tell them apart by dashes as well.
METHODS = {
    "rediprune": KEPT,
    "random": RANDOM,
    "grid": DROPPED,
    "relevance": NEXT_PICK,
    "diversity": Colour("#00795a", "#35c79b"),
    "divprune": Colour("#8a6a00", "#dcb85f"),
    "cdpruner": Colour("#6550a8", "#ad9ce8"),
    "cls-attention": Colour("#111827", "#f3f4f6"),
}

# A figure in a file: text on its background.
INK = "#11161d"
PAPER = "#ffffff"

# Outline of a kept patch on any picture: a bright line with a dark one around it reads on every colour.
OUTLINE = PAPER
OUTLINE_EDGE = INK

# A dropped patch is grey and darkened by this share: still recognisable, but clearly not kept.
DIM = 0.4

# cividis (Nunez, Anderton, Renslow 2018): perceptually ordered, also for colour-blind readers. Low to high.
RAMP = (
    "#00224e",
    "#002e6a",
    "#1a386f",
    "#32436d",
    "#434e6c",
    "#535a6d",
    "#61656f",
    "#6f7073",
    "#7d7c78",
    "#8c8878",
    "#9b9476",
    "#aba072",
    "#bcae6c",
    "#cdbb63",
    "#dec958",
    "#f0d846",
    "#fee838",
)


def rgb(colour: str) -> tuple[int, int, int]:
    """Convert "#rrggbb" to (red, green, blue), 0..255 each."""
    value = int(colour.removeprefix("#"), 16)
    return value >> 16, value >> 8 & 255, value & 255


def ramp(values: np.ndarray) -> np.ndarray:
    """Convert values in [0, 1] of shape [...] to uint8 colours [..., 3] on RAMP, linear between its stops."""
    stops = np.array([rgb(c) for c in RAMP], dtype=np.float64)
    positions = np.linspace(0, 1, len(stops))
    values = np.asarray(values, dtype=np.float64)
    return (
        np.stack([np.interp(values, positions, stops[:, c]) for c in range(3)], axis=-1)
        .round()
        .astype(np.uint8)
    )


def css() -> str:
    """Write the palette as CSS variables (--rp-kept, ...), which follow Gradio's `dark` class."""
    named = MEANINGS | {f"station-{i}": colour for i, colour in enumerate(STATIONS)}
    named |= {f"method-{name}": colour for name, colour in METHODS.items()}
    light = "".join(f"--rp-{name}:{c.light};" for name, c in named.items())
    dark = "".join(f"--rp-{name}:{c.dark};" for name, c in named.items())
    fixed = f"--rp-ramp:linear-gradient(to right,{','.join(RAMP)});"
    fixed += f"--rp-line:{OUTLINE};--rp-line-edge:{OUTLINE_EDGE};"
    return f":root{{{light}{fixed}}} .dark{{{dark}}}"
