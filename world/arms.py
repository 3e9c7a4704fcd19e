"""What is compared: every way to choose tokens that the library offers, each with every query it may ask."""

from __future__ import annotations

from dataclasses import dataclass

# (query, pointing) as in rediprune.config. The first is the published one.
QUERIES = (
    ("prompt-tail", "cosine"),
    ("text-tower", "cosine"),
    ("text-tower", "negated"),
    ("text-tower", "value"),
)


@dataclass(frozen=True)
class Arm:
    """One way to choose tokens: a method and, where it asks one, a query with its pointing."""

    method: str
    query: str = ""
    pointing: str = ""

    @property
    def name(self) -> str:
        asked = self.query if self.query != "text-tower" else f"text-tower/{self.pointing}"
        return f"{self.method} ({asked})" if asked else self.method

    @property
    def settings(self) -> dict[str, str]:
        """For rediprune.PruneConfig; a method that asks no query is handed the first one and ignores it."""
        query, pointing = (self.query, self.pointing) if self.query else QUERIES[0]
        return {"method": self.method, "query": query, "pointing": pointing}


RANDOM = Arm("random")
ARMS = (
    *(Arm("rediprune", *q) for q in QUERIES),
    *(Arm("relevance", *q) for q in QUERIES),
    Arm("diversity"),
    Arm("grid"),
    RANDOM,
)
