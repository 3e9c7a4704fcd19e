"""Compare a picture with the one that is kept.

Another Chromium draws the edges of lines a little differently: that moves single pixels, and neither the mean
of a block of BLOCK x BLOCK pixels nor that of the whole picture by much. A wrong colour, a shifted cell or a
missing token does.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

BLOCK = 8
WORST = 8.0  # of 255: mean difference of one channel over one block
MEAN = 0.8  # of 255: over the whole picture


def difference(a: Image.Image, b: Image.Image) -> tuple[float, float]:
    """Measure the difference (worst block, whole picture), both of 255; infinite for different sizes."""
    if a.size != b.size:
        return float("inf"), float("inf")
    apart = np.asarray(a.convert("RGB"), float) - np.asarray(b.convert("RGB"), float)
    height, width = (side // BLOCK * BLOCK for side in apart.shape[:2])
    blocks = apart[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).mean((1, 3))
    return float(np.abs(blocks).max()), float(np.abs(apart).mean())


def same(a: Image.Image, b: Image.Image) -> bool:
    """Return whether both show the same within WORST and MEAN."""
    worst, mean = difference(a, b)
    return worst <= WORST and mean <= MEAN
