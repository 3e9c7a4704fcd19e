"""What is compared, as data: every arm is one way to choose tokens, and a plan says who is asked how much."""

from __future__ import annotations

from dataclasses import dataclass, replace

KEEP_RATIOS = (0.5, 0.25, 0.15, 0.10, 0.05)
HEADLINE, HARD = 0.15, 0.05  # where ablations are measured: the paper's ratio, and one where choices matter
SHARED = ", shared budget"  # in the names of arms

# The queries that the library offers, by the names that tables print: (query, pointing) of rediprune.config.
# The first is the published one.
QUERIES = {
    "prompt-tail": ("prompt-tail", "cosine"),
    "text-tower/cosine": ("text-tower", "cosine"),
    "text-tower/negated": ("text-tower", "negated"),
    "text-tower/value": ("text-tower", "value"),
}
PUBLISHED, TOWER, NEGATED, VALUE = QUERIES
# Queries for an ablation alone: the library does not have them, world.evaluation.queries makes them.
FLIPPED = "prompt-tail, sign flipped"
QUESTION = "question's tokens alone"
TEMPLATE = "template's tokens alone"
OTHER_TAIL = "another question's prompt-tail"
OTHER_TOWER = "another question's text-tower/cosine"
ARBITRARY = "random vector"
MADE_UP = (FLIPPED, QUESTION, TEMPLATE, OTHER_TAIL, OTHER_TOWER, ARBITRARY)


@dataclass(frozen=True)
class Arm:
    """One way to choose tokens.

    Attributes:
        method: one of rediprune.config.METHODS, or "all" for every token.
        query: one of QUERIES or MADE_UP, "" where the method asks none.
        budget, positions: as in rediprune.config.
        alpha: the weight of relevance, [0, inf].
        behind: whether distances, and relevance where the query has the width of the LLM, are measured
            behind the projector and not before it.
        masks: how many random choices are made and averaged.
    """

    method: str
    query: str = ""
    budget: str = "frame"
    alpha: float = 0.5
    positions: str = "compacted"
    behind: bool = False
    masks: int = 1

    @property
    def name(self) -> str:
        said = [self.query] if self.query else []
        said += [f"alpha {self.alpha:g}"] if self.alpha != Arm.alpha else []
        said += ["behind the projector"] if self.behind else []
        said += ["original positions"] if self.positions == "original" else []
        return self.method + (f" ({', '.join(said)})" if said else "") + SHARED * (self.budget == "shared")

    @property
    def offered(self) -> bool:
        """Whether rediprune.PruneConfig can say it; if not, it is an ablation of this world alone."""
        return self.method != "all" and not self.behind and self.query not in MADE_UP

    @property
    def settings(self) -> dict[str, object]:
        """For rediprune.PruneConfig, all but the seed; a method that asks no query is handed the first."""
        query, pointing = QUERIES.get(self.query, QUERIES[PUBLISHED])
        return {
            "method": self.method, "query": query, "pointing": pointing,
            "budget": self.budget, "positions": self.positions, "alpha": self.alpha,
        }  # fmt: skip

    @property
    def shared(self) -> Arm:
        """The same with one budget for the whole clip."""
        return replace(self, budget="shared")


@dataclass(frozen=True)
class Trial:
    """An arm at some keep ratios, on every question or on the first few alone."""

    arm: Arm
    ratios: tuple[float, ...]
    of_some: bool = False


UNPRUNED = Arm("all")
RANDOM = Arm("random", masks=3)
OURS = {query: Arm("rediprune", query) for query in QUERIES}
BLIND = (Arm("diversity"), Arm("divprune"), Arm("cls-attention"), Arm("grid"))  # no question asked
ALPHAS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
BEHIND = (Arm("rediprune", PUBLISHED, behind=True), Arm("rediprune", TOWER, behind=True))
IN_PLACE = (Arm("rediprune", PUBLISHED, positions="original"), Arm("rediprune", TOWER, positions="original"))


def alpha_arms(query: str) -> tuple[Arm, ...]:
    """From diversity that begins at the most relevant token (alpha 0) to relevance alone (infinity)."""
    return (*(Arm("rediprune", query, alpha=alpha) for alpha in ALPHAS), Arm("relevance", query))


def _grid(*arms: Arm) -> tuple[Trial, ...]:
    """Every ratio; half of the tokens, which costs most and tells least, on some questions alone."""
    return tuple(
        test
        for arm in arms
        for test in (Trial(arm, KEEP_RATIOS[1:]), Trial(arm, KEEP_RATIOS[:1], of_some=True))
    )


def _at(ratios: tuple[float, ...], *arms: Arm, of_some: bool = False) -> tuple[Trial, ...]:
    return tuple(Trial(arm, ratios, of_some) for arm in arms)


# In the order of measuring, what matters most first, in three rounds: the grid, the ablations, the rest.
STILLS = (
    (
        *_at((1.0,), UNPRUNED),
        *_grid(RANDOM, *BLIND, OURS[PUBLISHED], OURS[TOWER]),
        *_grid(Arm("relevance", PUBLISHED), Arm("relevance", TOWER)),
        *_grid(Arm("cdpruner", TOWER), Arm("cdpruner", PUBLISHED)),
    ),
    (
        *_at((HEADLINE, HARD), *(Arm("rediprune", query) for query in MADE_UP)),
        *_at((HEADLINE, HARD), *BEHIND, *IN_PLACE),
        *_at((HEADLINE, HARD), *alpha_arms(PUBLISHED), *alpha_arms(TOWER)),
        *_at((HEADLINE, HARD), OURS[NEGATED], OURS[VALUE], Arm("cdpruner", NEGATED)),
        *_at((HEADLINE, HARD), Arm("relevance", NEGATED), Arm("relevance", VALUE)),
    ),
    (*_grid(OURS[NEGATED], OURS[VALUE], Arm("cdpruner", NEGATED)),),
)
CLIPS = (
    (
        *_at((1.0,), UNPRUNED),
        *_grid(RANDOM, *BLIND, OURS[PUBLISHED], OURS[TOWER]),
        *_at(KEEP_RATIOS[1:], OURS[TOWER].shared, Arm("diversity").shared),
    ),
    (
        *_at((HEADLINE, HARD), *(Arm("rediprune", query) for query in MADE_UP), of_some=True),
        *_at((HEADLINE, HARD), *BEHIND, *IN_PLACE, of_some=True),
        *_at((HEADLINE, HARD), Arm("relevance", TOWER), Arm("relevance", PUBLISHED), of_some=True),
        *_at((HEADLINE, HARD), Arm("cdpruner", TOWER), OURS[PUBLISHED].shared, of_some=True),
        *_at((HEADLINE, HARD), Arm("relevance", TOWER).shared, of_some=True),
    ),
    (
        *_at((0.25, 0.10), Arm("relevance", TOWER), Arm("cdpruner", TOWER), of_some=True),
        *_at((0.25, 0.10), OURS[PUBLISHED].shared, of_some=True),
    ),
)
