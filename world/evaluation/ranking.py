"""What every arm keeps for every question: the library's own methods, many questions at once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rediprune import PruneConfig
from rediprune.config import ASKS_PROJECTED, kept_count
from rediprune.selection.greedy import unit
from rediprune.selection.methods import METHODS
from rediprune.selection.select import select_tokens

from .arms import UNPRUNED, Arm
from .cases import EvalSet
from .queries import QueryBuilder

MAX_BATCH_TOKENS = 16_000  # whose order is made together; a matrix of distances goes with every group of them

Kept = dict[float, list[Tensor]]  # by keep ratio, for every question its flat token indices, ascending


class TokenRanker:
    """Picks for the questions of one EvalSet; remembers what is the same for several arms."""

    def __init__(self, query_builder: QueryBuilder, found: EvalSet) -> None:
        self.query_builder, self.found = query_builder, found
        self._scores: dict[tuple[str, bool], dict[int, Tensor]] = {}
        self._projected: list[Tensor] | None = None

    def select_kept(self, arm: Arm, ratios: tuple[float, ...], which: range) -> Iterator[Kept]:
        """For these questions, one after the other for every mask of the arm."""
        if arm == UNPRUNED:
            yield {1.0: [torch.arange(self.found.n_visual)] * len(which)}
        elif arm.query:
            yield self._by_question(arm, ratios, which)
        else:
            for mask in range(arm.n_masks):
                yield self._by_scene(arm, ratios, which, mask)

    def compute_relevance(self, query: str, which: range, behind: bool = False) -> list[Tensor]:
        """Relevance to these questions, [T, N] each."""
        known = self._scores.setdefault((query, behind), {})
        for i in (i for i in which if i not in known):
            projected = self.projected_tokens[self.found.questions[i].scene] if behind else None
            known[i] = self.query_builder.compute_relevance(self.found, i, query, projected)
        return [known[i] for i in which]

    @property
    def projected_tokens(self) -> list[Tensor]:
        """[T, N, D] for every scene."""
        if self._projected is None:
            explainer = self.query_builder.explainer
            with torch.no_grad():
                self._projected = [explainer.projected(look) for look in self.found.looks]
        return self._projected

    def _by_question(self, arm: Arm, ratios: tuple[float, ...], which: range) -> Kept:
        config, cases = PruneConfig(**arm.config_fields), self.found.questions
        behind = arm.after_projector or arm.method in ASKS_PROJECTED
        tokens = self.projected_tokens if behind else [look.vision.features for look in self.found.looks]
        size = self.found.n_visual if arm.budget == "shared" else self.found.n_visual // self.found.n_frames
        chosen: Kept = {ratio: [] for ratio in ratios}
        step = max(1, MAX_BATCH_TOKENS // self.found.n_visual)
        for part in (which[start : start + step] for start in range(0, len(which), step)):
            mine = torch.stack([tokens[cases[i].scene] for i in part])
            mine = unit(mine.view(-1, size, mine.shape[-1]))
            said = torch.stack(self.compute_relevance(arm.query, part, arm.after_projector)).view(-1, size)
            order = METHODS[config.method](mine, said, (config.alpha,), config, ()).order[0]
            first = (torch.arange(len(order)) * size % self.found.n_visual)[:, None]
            for ratio in ratios:
                picks = order[:, : kept_count(size, ratio)] + first
                chosen[ratio] += picks.reshape(len(part), -1).sort().values.unbind()
        return chosen

    def _by_scene(self, arm: Arm, ratios: tuple[float, ...], which: range, mask: int) -> Kept:
        scenes, of_scene = [self.found.questions[i].scene for i in which], {}
        for scene in sorted(set(scenes)):
            config = PruneConfig(seed=random_mask_seed(self.found.seeds[scene], mask), **arm.config_fields)
            look = self.found.looks[scene]
            picks = select_tokens(
                look.vision, None, config, None, lambda scene=scene: self.projected_tokens[scene]
            )
            of_scene[scene] = {ratio: picks.kept(ratio) for ratio in ratios}
        return {ratio: [of_scene[scene][ratio] for scene in scenes] for ratio in ratios}


def random_mask_seed(seed: int, mask: int) -> int:
    """PruneConfig.seed of a random arm: another one for every scene and mask."""
    return seed + mask * 10**9
