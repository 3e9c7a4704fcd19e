"""Define what the evaluation compares, as data.

An arm, as in a clinical trial, is one way to choose visual tokens that is compared with the others. A plan
lists the arms with their keep ratios in the order of measuring.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

KEEP_RATIOS = (0.5, 0.25, 0.15, 0.10, 0.05)
# The two ratios at which ablations are measured: the paper's, and one at which the choice of tokens matters
# more.
HEADLINE_RATIO = 0.15
HARD_RATIO = 0.05
SHARED_SUFFIX = ", shared budget"  # ends the name of an arm that spends one budget on a whole clip

# The queries of the library: the name in the tables -> (query, pointing) of rediprune.config. The first is
# the published one.
QUERIES = {
    "prompt-tail": ("prompt-tail", "cosine"),
    "text-tower/cosine": ("text-tower", "cosine"),
    "text-tower/negated": ("text-tower", "negated"),
    "text-tower/value": ("text-tower", "value"),
}
PUBLISHED_QUERY, TOWER_QUERY, NEGATED_QUERY, VALUE_QUERY = QUERIES
# Queries for ablations. The library does not have them; world.evaluation.queries builds them.
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
    """One way to choose visual tokens, compared with the other arms on equal questions.

    Attributes:
        method: one of rediprune.config.METHODS, or "all" for every token.
        query: one of QUERIES or ABLATION_QUERIES; "" for a method that uses no query.
        budget: "frame" or "shared", as in rediprune.PruneConfig.
        alpha: the weight of relevance, [0, inf].
        positions: "compacted" or "original", as in rediprune.PruneConfig.
        after_projector: measure distances on the projected tokens, and relevance too if the query has the
            width of the LLM; otherwise on the tokens of the vision tower.
        n_masks: how many random choices are averaged.
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
        """Return the name in tables, which is also the key in evaluation.json."""
        details = []
        if self.query:
            details.append(self.query)
        if self.alpha != Arm.alpha:
            details.append(f"alpha {self.alpha:g}")
        if self.after_projector:
            details.append("behind the projector")
        if self.positions == "original":
            details.append("original positions")
        name = self.method
        if details:
            name += f" ({', '.join(details)})"
        if self.budget == "shared":
            name += SHARED_SUFFIX
        return name

    @property
    def in_library(self) -> bool:
        """Return whether rediprune.PruneConfig can express the arm; if not, it is an ablation."""
        return self.method != "all" and not self.after_projector and self.query not in ABLATION_QUERIES

    @property
    def config_fields(self) -> dict[str, object]:
        """Return the arguments of rediprune.PruneConfig except the seed.

        A method that uses no query gets the first one, which it ignores.
        """
        query, pointing = QUERIES.get(self.query, QUERIES[PUBLISHED_QUERY])
        return {
            "method": self.method, "query": query, "pointing": pointing,
            "budget": self.budget, "positions": self.positions, "alpha": self.alpha,
        }  # fmt: skip

    @property
    def with_shared_budget(self) -> Arm:
        """Return the arm with one budget for the whole clip."""
        return replace(self, budget="shared")


@dataclass(frozen=True)
class ArmAtRatios:
    """An arm with the keep ratios that it is measured at.

    Attributes:
        arm: the way to choose tokens.
        ratios: keep ratios, each in (0, 1].
        subset_only: ask only the first EvalSplit.n_subset questions.
    """

    arm: Arm
    ratios: tuple[float, ...]
    subset_only: bool = False


UNPRUNED = Arm("all")
RANDOM = Arm("random", n_masks=3)
REDIPRUNE = {query: Arm("rediprune", query) for query in QUERIES}
QUERY_FREE = (Arm("diversity"), Arm("divprune"), Arm("cls-attention"), Arm("grid"))
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
    """Return ReDiPrune at every weight of relevance.

    At alpha 0 only the first token is chosen by relevance and the rest by diversity. The last arm stands for
    an infinite alpha: relevance alone.
    """
    return (*(Arm("rediprune", query, alpha=alpha) for alpha in ALPHAS), Arm("relevance", query))


def _at_every_ratio(*arms: Arm) -> tuple[ArmAtRatios, ...]:
    """Plan every keep ratio; the largest, which costs most and shows least, on a subset of the questions."""
    return tuple(
        planned
        for arm in arms
        for planned in (
            ArmAtRatios(arm, KEEP_RATIOS[1:]),
            ArmAtRatios(arm, KEEP_RATIOS[:1], subset_only=True),
        )
    )


def _at_ratios(ratios: tuple[float, ...], *arms: Arm, subset_only: bool = False) -> tuple[ArmAtRatios, ...]:
    """Plan the given keep ratios for each of the arms."""
    return tuple(ArmAtRatios(arm, ratios, subset_only) for arm in arms)


# Three rounds in the order of measuring: the main comparison, the ablations, the rest.
STILLS_PLAN = (
    (
        *_at_ratios((1.0,), UNPRUNED),
        *_at_every_ratio(RANDOM, *QUERY_FREE, REDIPRUNE[PUBLISHED_QUERY], REDIPRUNE[TOWER_QUERY]),
        *_at_every_ratio(Arm("relevance", PUBLISHED_QUERY), Arm("relevance", TOWER_QUERY)),
        *_at_every_ratio(Arm("cdpruner", TOWER_QUERY), Arm("cdpruner", PUBLISHED_QUERY)),
    ),
    (
        *_at_ratios((HEADLINE_RATIO, HARD_RATIO), *(Arm("rediprune", query) for query in ABLATION_QUERIES)),
        *_at_ratios((HEADLINE_RATIO, HARD_RATIO), *AFTER_PROJECTOR, *ORIGINAL_POSITIONS),
        *_at_ratios((HEADLINE_RATIO, HARD_RATIO), *alpha_arms(PUBLISHED_QUERY), *alpha_arms(TOWER_QUERY)),
        *_at_ratios(
            (HEADLINE_RATIO, HARD_RATIO),
            REDIPRUNE[NEGATED_QUERY],
            REDIPRUNE[VALUE_QUERY],
            Arm("cdpruner", NEGATED_QUERY),
        ),
        *_at_ratios(
            (HEADLINE_RATIO, HARD_RATIO), Arm("relevance", NEGATED_QUERY), Arm("relevance", VALUE_QUERY)
        ),
    ),
    (*_at_every_ratio(REDIPRUNE[NEGATED_QUERY], REDIPRUNE[VALUE_QUERY], Arm("cdpruner", NEGATED_QUERY)),),
)
CLIPS_PLAN = (
    (
        *_at_ratios((1.0,), UNPRUNED),
        *_at_every_ratio(RANDOM, *QUERY_FREE, REDIPRUNE[PUBLISHED_QUERY], REDIPRUNE[TOWER_QUERY]),
        *_at_ratios(
            KEEP_RATIOS[1:], REDIPRUNE[TOWER_QUERY].with_shared_budget, Arm("diversity").with_shared_budget
        ),
    ),
    (
        *_at_ratios(
            (HEADLINE_RATIO, HARD_RATIO),
            *(Arm("rediprune", query) for query in ABLATION_QUERIES),
            subset_only=True,
        ),
        *_at_ratios((HEADLINE_RATIO, HARD_RATIO), *AFTER_PROJECTOR, *ORIGINAL_POSITIONS, subset_only=True),
        *_at_ratios(
            (HEADLINE_RATIO, HARD_RATIO),
            Arm("relevance", TOWER_QUERY),
            Arm("relevance", PUBLISHED_QUERY),
            subset_only=True,
        ),
        *_at_ratios(
            (HEADLINE_RATIO, HARD_RATIO),
            Arm("cdpruner", TOWER_QUERY),
            REDIPRUNE[PUBLISHED_QUERY].with_shared_budget,
            subset_only=True,
        ),
        *_at_ratios(
            (HEADLINE_RATIO, HARD_RATIO), Arm("relevance", TOWER_QUERY).with_shared_budget, subset_only=True
        ),
    ),
    (
        *_at_ratios(
            (0.25, 0.10), Arm("relevance", TOWER_QUERY), Arm("cdpruner", TOWER_QUERY), subset_only=True
        ),
        *_at_ratios((0.25, 0.10), REDIPRUNE[PUBLISHED_QUERY].with_shared_budget, subset_only=True),
    ),
)
