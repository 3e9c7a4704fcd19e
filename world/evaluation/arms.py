"""What is compared, as data: every arm is one way to choose tokens, and a plan says who is asked how much."""

from __future__ import annotations

from dataclasses import dataclass, replace

KEEP_RATIOS = (0.5, 0.25, 0.15, 0.10, 0.05)
HEADLINE_RATIO, HARD_RATIO = (
    0.15,
    0.05,
)  # where ablations are measured: the paper's ratio, and one where choices matter
SHARED_SUFFIX = ", shared budget"  # in the names of arms

# The queries that the library offers, by the names that tables print: (query, pointing) of rediprune.config.
# The first is the published one.
QUERIES = {
    "prompt-tail": ("prompt-tail", "cosine"),
    "text-tower/cosine": ("text-tower", "cosine"),
    "text-tower/negated": ("text-tower", "negated"),
    "text-tower/value": ("text-tower", "value"),
}
PUBLISHED_QUERY, TOWER_QUERY, NEGATED_QUERY, VALUE_QUERY = QUERIES
# Queries for an ablation alone: the library does not have them, world.evaluation.queries makes them.
FLIPPED_QUERY = "prompt-tail, sign flipped"
QUESTION_ONLY_QUERY = "question's tokens alone"
TEMPLATE_ONLY_QUERY = "template's tokens alone"
OTHER_TAIL_QUERY = "another question's prompt-tail"
OTHER_TOWER_QUERY = "another question's text-tower/cosine"
RANDOM_QUERY = "random vector"
ABLATION_QUERIES = (
    FLIPPED_QUERY,
    QUESTION_ONLY_QUERY,
    TEMPLATE_ONLY_QUERY,
    OTHER_TAIL_QUERY,
    OTHER_TOWER_QUERY,
    RANDOM_QUERY,
)


@dataclass(frozen=True)
class Arm:
    """One way to choose tokens.

    Attributes:
        method: one of rediprune.config.METHODS, or "all" for every token.
        query: one of QUERIES or ABLATION_QUERIES, "" where the method asks none.
        budget, positions: as in rediprune.config.
        alpha: the weight of relevance, [0, inf].
        after_projector: whether distances, and relevance where the query has the width of the LLM, are
            measured behind the projector and not before it.
        n_masks: how many random choices are made and averaged.
    """

    method: str
    query: str = ""
    budget: str = "frame"
    alpha: float = 0.5
    positions: str = "compacted"
    after_projector: bool = False
    n_masks: int = 1

    @property
    def name(self) -> str:
        said = [self.query] if self.query else []
        said += [f"alpha {self.alpha:g}"] if self.alpha != Arm.alpha else []
        said += ["behind the projector"] if self.after_projector else []
        said += ["original positions"] if self.positions == "original" else []
        return (
            self.method
            + (f" ({', '.join(said)})" if said else "")
            + SHARED_SUFFIX * (self.budget == "shared")
        )

    @property
    def in_library(self) -> bool:
        """Whether rediprune.PruneConfig can say it; if not, it is an ablation of this world alone."""
        return self.method != "all" and not self.after_projector and self.query not in ABLATION_QUERIES

    @property
    def config_fields(self) -> dict[str, object]:
        """For rediprune.PruneConfig, all but the seed; a method that asks no query is handed the first."""
        query, pointing = QUERIES.get(self.query, QUERIES[PUBLISHED_QUERY])
        return {
            "method": self.method, "query": query, "pointing": pointing,
            "budget": self.budget, "positions": self.positions, "alpha": self.alpha,
        }  # fmt: skip

    @property
    def with_shared_budget(self) -> Arm:
        """The same with one budget for the whole clip."""
        return replace(self, budget="shared")


@dataclass(frozen=True)
class ArmAtRatios:
    """An arm at some keep ratios, on every question or on the first few alone."""

    arm: Arm
    ratios: tuple[float, ...]
    subset_only: bool = False


UNPRUNED = Arm("all")
RANDOM = Arm("random", n_masks=3)
REDIPRUNE = {query: Arm("rediprune", query) for query in QUERIES}
QUERY_FREE = (Arm("diversity"), Arm("divprune"), Arm("cls-attention"), Arm("grid"))  # no question asked
ALPHAS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
AFTER_PROJECTOR = (
    Arm("rediprune", PUBLISHED_QUERY, after_projector=True),
    Arm("rediprune", TOWER_QUERY, after_projector=True),
)
ORIGINAL_POSITIONS = (
    Arm("rediprune", PUBLISHED_QUERY, positions="original"),
    Arm("rediprune", TOWER_QUERY, positions="original"),
)


def alpha_arms(query: str) -> tuple[Arm, ...]:
    """From diversity that begins at the most relevant token (alpha 0) to relevance alone (infinity)."""
    return (*(Arm("rediprune", query, alpha=alpha) for alpha in ALPHAS), Arm("relevance", query))


def _grid(*arms: Arm) -> tuple[ArmAtRatios, ...]:
    """Every ratio; half of the tokens, which costs most and tells least, on some questions alone."""
    return tuple(
        test
        for arm in arms
        for test in (ArmAtRatios(arm, KEEP_RATIOS[1:]), ArmAtRatios(arm, KEEP_RATIOS[:1], subset_only=True))
    )


def _at(ratios: tuple[float, ...], *arms: Arm, subset_only: bool = False) -> tuple[ArmAtRatios, ...]:
    return tuple(ArmAtRatios(arm, ratios, subset_only) for arm in arms)


# In the order of measuring, what matters most first, in three rounds: the grid, the ablations, the rest.
STILLS_PLAN = (
    (
        *_at((1.0,), UNPRUNED),
        *_grid(RANDOM, *QUERY_FREE, REDIPRUNE[PUBLISHED_QUERY], REDIPRUNE[TOWER_QUERY]),
        *_grid(Arm("relevance", PUBLISHED_QUERY), Arm("relevance", TOWER_QUERY)),
        *_grid(Arm("cdpruner", TOWER_QUERY), Arm("cdpruner", PUBLISHED_QUERY)),
    ),
    (
        *_at((HEADLINE_RATIO, HARD_RATIO), *(Arm("rediprune", query) for query in ABLATION_QUERIES)),
        *_at((HEADLINE_RATIO, HARD_RATIO), *AFTER_PROJECTOR, *ORIGINAL_POSITIONS),
        *_at((HEADLINE_RATIO, HARD_RATIO), *alpha_arms(PUBLISHED_QUERY), *alpha_arms(TOWER_QUERY)),
        *_at(
            (HEADLINE_RATIO, HARD_RATIO),
            REDIPRUNE[NEGATED_QUERY],
            REDIPRUNE[VALUE_QUERY],
            Arm("cdpruner", NEGATED_QUERY),
        ),
        *_at((HEADLINE_RATIO, HARD_RATIO), Arm("relevance", NEGATED_QUERY), Arm("relevance", VALUE_QUERY)),
    ),
    (*_grid(REDIPRUNE[NEGATED_QUERY], REDIPRUNE[VALUE_QUERY], Arm("cdpruner", NEGATED_QUERY)),),
)
CLIPS_PLAN = (
    (
        *_at((1.0,), UNPRUNED),
        *_grid(RANDOM, *QUERY_FREE, REDIPRUNE[PUBLISHED_QUERY], REDIPRUNE[TOWER_QUERY]),
        *_at(KEEP_RATIOS[1:], REDIPRUNE[TOWER_QUERY].with_shared_budget, Arm("diversity").with_shared_budget),
    ),
    (
        *_at(
            (HEADLINE_RATIO, HARD_RATIO),
            *(Arm("rediprune", query) for query in ABLATION_QUERIES),
            subset_only=True,
        ),
        *_at((HEADLINE_RATIO, HARD_RATIO), *AFTER_PROJECTOR, *ORIGINAL_POSITIONS, subset_only=True),
        *_at(
            (HEADLINE_RATIO, HARD_RATIO),
            Arm("relevance", TOWER_QUERY),
            Arm("relevance", PUBLISHED_QUERY),
            subset_only=True,
        ),
        *_at(
            (HEADLINE_RATIO, HARD_RATIO),
            Arm("cdpruner", TOWER_QUERY),
            REDIPRUNE[PUBLISHED_QUERY].with_shared_budget,
            subset_only=True,
        ),
        *_at(
            (HEADLINE_RATIO, HARD_RATIO), Arm("relevance", TOWER_QUERY).with_shared_budget, subset_only=True
        ),
    ),
    (
        *_at((0.25, 0.10), Arm("relevance", TOWER_QUERY), Arm("cdpruner", TOWER_QUERY), subset_only=True),
        *_at((0.25, 0.10), REDIPRUNE[PUBLISHED_QUERY].with_shared_budget, subset_only=True),
    ),
)
