"""Answer one question about one input with and without pruning, and keep the evidence of every step."""

from .explainer import Explainer

__all__ = ["Explainer"]
