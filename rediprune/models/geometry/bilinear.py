"""Tokens that are weighted sums of others, as bilinear shrinking makes them; read off the model itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mix:
    """K tokens, each a weighted sum of at most J source tokens.

    Attributes:
        index: [K, J] int64 on the CPU, flat source tokens. Where fewer than J are needed, one is named again.
        weight: [K, J] float32 on the CPU, adding up to 1, and to 0 where there is no token.
    """

    index: Tensor
    weight: Tensor

    @classmethod
    def plain(cls, index: Tensor, taps: int = 4) -> Mix:
        """Make a mix in which every token is one source token, [K]."""
        weight = torch.zeros(len(index), taps)
        weight[:, 0] = 1
        return cls(index[:, None].expand(-1, taps), weight)

    def rows(self, which: Tensor) -> Mix:
        """Only these tokens."""
        return Mix(self.index[which], self.weight[which])

    def padded(self, length: int) -> Mix:
        """Up to this length with tokens that are not there: zeros."""
        more = (length - len(self.index), self.index.shape[1])
        return Mix(
            torch.cat([self.index, self.index.new_zeros(more)]),
            torch.cat([self.weight, self.weight.new_zeros(more)]),
        )

    def of(self, sources: Tensor) -> Tensor:
        """Mix source features [sources, C] into tokens [K, C], added up in float32 at least."""
        kind = torch.promote_types(sources.dtype, torch.float32)
        total = torch.zeros((), dtype=kind, device=sources.device)
        for index, weight in zip(self.index.T, self.weight.T, strict=True):  # J small gathers, not one of J x
            taken = sources[index.to(sources.device)].to(kind)
            total = total + taken * weight.to(sources.device, kind)[:, None]
        return total.to(sources.dtype)


def joined_mix(parts: list[Mix]) -> Mix:
    """Join the tokens of all parts, one behind the other."""
    return Mix(torch.cat([p.index for p in parts]), torch.cat([p.weight for p in parts]))


def probe_input(rows: int, cols: int) -> Tensor:
    """Make the input that shows the weights of a resize: row and column of each cell as one-hot channels.

    Returns:
        [rows, cols, rows + cols] float32. A shrinking that works axis by axis makes of it, in channel r of a
        new cell, how much row r counts in it, and in channel rows + c how much column c does. That is
        rows + cols channels where one for every cell would be rows * cols.
    """
    down, across = torch.eye(rows), torch.eye(cols)
    return torch.cat([down[:, None].expand(-1, cols, -1), across.expand(rows, -1, -1)], dim=-1)


def weights_from_probe(shrunk: Tensor, grid: Tensor) -> Mix:
    """Read the mix of every cell, in raster order, off the resized `probe_input`.

    Args:
        shrunk: [rows', cols', rows + cols].
        grid: [rows, cols] int64, the flat source token at every cell before the shrinking.
    """
    rows, cols = grid.shape
    down = shrunk[:, 0, :rows].topk(min(2, rows), dim=-1)
    across = shrunk[0, :, rows:].topk(min(2, cols), dim=-1)
    index = grid[down.indices[:, None, :, None], across.indices[None, :, None, :]]
    weight = down.values[:, None, :, None] * across.values[None, :, None, :]
    index, weight = index.flatten(2).flatten(0, 1), weight.flatten(2).flatten(0, 1)
    index = torch.where(weight > 0, index, index[:, :1])  # the first, of the largest weight, stands in
    short = 4 - index.shape[1]
    return Mix(
        torch.cat([index, index[:, :1].expand(-1, short)], dim=-1),
        torch.cat([weight, weight.new_zeros(len(weight), short)], dim=-1),
    )
