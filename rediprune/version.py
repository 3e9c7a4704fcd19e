"""Name this version, in the one place that pyproject.toml reads too."""

__version__ = "0.2.0.dev0"
