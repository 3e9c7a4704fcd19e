"""Choose which visual tokens to keep: ReDiPrune's greedy rule and every method it is compared with."""

from .select import select

__all__ = ["select"]
