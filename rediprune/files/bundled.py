"""Locate the files that are shipped with the code: the built-in model and the pictures of `check`."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
# A wheel has the folder inside the package (see setup.py); a checkout has it beside the package.
_INSTALLED = _PACKAGE / "assets"
ASSETS = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "assets"
