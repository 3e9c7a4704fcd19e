"""What is compared: every way to choose tokens that the library offers, each with every query it may ask."""

from __future__ import annotations

from dataclasses import dataclass, replace

SHARED = ", shared budget"  # in the names of arms

# (query, pointing) as in rediprune.config. The first is the published one.
QUERIES = (
    ("prompt-tail", "cosine"),
    ("text-tower", "cosine"),
    ("text-tower", "negated"),
    ("text-tower", "value"),
)


@dataclass(frozen=True)
class Arm:
    """One way to choose tokens: a method, its budget and, where it asks one, a query with its pointing."""

    method: str
    query: str = ""
    pointing: str = ""
    budget: str = "frame"

    @property
    def name(self) -> str:
        asked = self.query if self.query != "text-tower" else f"text-tower/{self.pointing}"
        budget = SHARED if self.budget == "shared" else ""
        return (f"{self.method} ({asked})" if asked else self.method) + budget

    @property
    def settings(self) -> dict[str, str]:
        """For rediprune.PruneConfig; a method that asks no query is handed the first one and ignores it."""
        query, pointing = (self.query, self.pointing) if self.query else QUERIES[0]
        return {"method": self.method, "query": query, "pointing": pointing, "budget": self.budget}

    @property
    def shared(self) -> Arm:
        """The same with one budget for the whole clip."""
        return replace(self, budget="shared")


RANDOM = Arm("random")
ARMS = (
    *(Arm("rediprune", *q) for q in QUERIES),
    *(Arm("relevance", *q) for q in QUERIES),
    Arm("diversity"),
    Arm("grid"),
    RANDOM,
)
# Of clips, which cost eight times as much: two queries; what matters most on all questions, the rest on some.
CLIP_QUERIES = QUERIES[:2]
_ALL = (Arm("rediprune", *CLIP_QUERIES[1]), Arm("rediprune", *CLIP_QUERIES[1]).shared, Arm("grid"), RANDOM)
_SOME = (Arm("rediprune", *CLIP_QUERIES[0]), Arm("relevance", *CLIP_QUERIES[1]), Arm("diversity"))
CLIP_ARMS, CLIP_ARMS_OF_SOME = _ALL, tuple(a for arm in _SOME for a in (arm, arm.shared))
