"""Render pictures made to be read: receipts, charts, signs, clocks and boards."""

from __future__ import annotations

from collections.abc import Callable

from ..pictures import Picture
from .boards import render_board
from .charts import render_chart
from .clocks import render_clock
from .receipts import render_receipt
from .signs import render_sign

# The renderer of each kind of picture; each takes a seed of 0 or more.
READING_RENDERERS: dict[str, Callable[[int], Picture]] = {
    "receipt": render_receipt,
    "chart": render_chart,
    "sign": render_sign,
    "clock": render_clock,
    "board": render_board,
}

__all__ = [
    "READING_RENDERERS",
    "render_board",
    "render_chart",
    "render_clock",
    "render_receipt",
    "render_sign",
]
