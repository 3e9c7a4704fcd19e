"""Select the tokens that every arm keeps for every question, with the library's methods on many at once."""

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

MAX_BATCH_TOKENS = 16_000  # tokens ranked at once; the distances of each group form a matrix of their own

KeptByRatio = dict[float, list[Tensor]]  # keep ratio -> for each question its flat token indices, ascending


class TokenRanker:
    """Select tokens for the questions of one set, and cache what several arms share.

    Args:
        query_builder: builds the queries of the model.
        eval_set: the questions.
    """

    def __init__(self, query_builder: QueryBuilder, eval_set: EvalSet) -> None:
        self.query_builder = query_builder
        self.eval_set = eval_set
        self._relevance: dict[tuple[str, bool], dict[int, Tensor]] = {}
        self._projected_tokens: list[Tensor] | None = None

    def select_kept(self, arm: Arm, ratios: tuple[float, ...], questions: range) -> Iterator[KeptByRatio]:
        """Yield the kept tokens of the questions at each ratio, once per mask of the arm."""
        if arm == UNPRUNED:
            yield {1.0: [torch.arange(self.eval_set.n_visual)] * len(questions)}
        elif arm.query:
            yield self._select_by_question(arm, ratios, questions)
        else:
            for mask in range(arm.n_masks):
                yield self._select_by_scene(arm, ratios, questions, mask)

    def compute_relevance(self, query: str, questions: range, after_projector: bool = False) -> list[Tensor]:
        """Return the relevance [T, N] of every token to each of the questions.

        Args:
            query: a name of arms.QUERIES or arms.ABLATION_QUERIES.
            questions: indices of the questions.
            after_projector: compare a query of the LLM's width with the projected tokens.
        """
        known = self._relevance.setdefault((query, after_projector), {})
        for i in questions:
            if i not in known:
                scene = self.eval_set.questions[i].scene
                projected = self.projected_tokens[scene] if after_projector else None
                known[i] = self.query_builder.compute_relevance(self.eval_set, i, query, projected)
        return [known[i] for i in questions]

    @property
    def projected_tokens(self) -> list[Tensor]:
        """Return the projected tokens [T, N, D] of every scene or clip."""
        if self._projected_tokens is None:
            explainer = self.query_builder.explainer
            with torch.no_grad():
                self._projected_tokens = [
                    explainer.projected(encoding) for encoding in self.eval_set.encodings
                ]
        return self._projected_tokens

    def _select_by_question(self, arm: Arm, ratios: tuple[float, ...], questions: range) -> KeptByRatio:
        """Select with a query, batch by batch; a group is a frame, or the whole clip with a shared budget."""
        config = PruneConfig(**arm.config_fields)
        eval_set = self.eval_set
        if arm.after_projector or arm.method in ASKS_PROJECTED:
            tokens_of_scene = self.projected_tokens
        else:
            tokens_of_scene = [encoding.vision.features for encoding in eval_set.encodings]
        n_visual = eval_set.n_visual
        group_size = n_visual if arm.budget == "shared" else n_visual // eval_set.n_frames
        kept: KeptByRatio = {ratio: [] for ratio in ratios}
        batch_size = max(1, MAX_BATCH_TOKENS // n_visual)
        for start in range(0, len(questions), batch_size):
            batch = questions[start : start + batch_size]
            # Unit vectors [G, group_size, C] and relevance [G, group_size]: G groups of B questions.
            tokens = torch.stack([tokens_of_scene[eval_set.questions[i].scene] for i in batch])
            tokens = unit(tokens.view(-1, group_size, tokens.shape[-1]))
            scores = torch.stack(self.compute_relevance(arm.query, batch, arm.after_projector))
            scores = scores.view(-1, group_size)
            order = METHODS[config.method](tokens, scores, (config.alpha,), config, ()).order[0]
            # From indices within a group to flat indices within the scene or clip, then [B, K] ascending.
            group_offset = (torch.arange(len(order)) * group_size % n_visual)[:, None]
            for ratio in ratios:
                picks = order[:, : kept_count(group_size, ratio)] + group_offset
                kept[ratio] += picks.reshape(len(batch), -1).sort().values.unbind()
        return kept

    def _select_by_scene(
        self, arm: Arm, ratios: tuple[float, ...], questions: range, mask: int
    ) -> KeptByRatio:
        """Select without a query: once per scene, for all of its questions."""
        scenes = [self.eval_set.questions[i].scene for i in questions]
        kept_of_scene: dict[int, dict[float, Tensor]] = {}
        for scene in sorted(set(scenes)):
            seed = random_mask_seed(self.eval_set.seeds[scene], mask)
            config = PruneConfig(seed=seed, **arm.config_fields)
            vision = self.eval_set.encodings[scene].vision
            picks = select_tokens(
                vision, None, config, None, lambda scene=scene: self.projected_tokens[scene]
            )
            kept_of_scene[scene] = {ratio: picks.kept(ratio) for ratio in ratios}
        return {ratio: [kept_of_scene[scene][ratio] for scene in scenes] for ratio in ratios}


def random_mask_seed(seed: int, mask: int) -> int:
    """Return the PruneConfig.seed of a random arm, different for every scene seed and every mask."""
    return seed + mask * 10**9
