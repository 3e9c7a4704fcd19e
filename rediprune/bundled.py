"""Find what comes along with the code: the built-in model and the pictures of `check`."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent
# A wheel brings the folder inside the package (setup.py); a checkout has it beside the package.
ASSETS = _HERE / "assets" if (_HERE / "assets").is_dir() else _HERE.parent / "assets"
