"""Compute the published rules slowly, in NumPy float64, straight from the paper, to test the fast code.

Nothing here shares code with the library. Loops stay loops, and every distance to the earlier picks is
computed again at every step.
"""

from __future__ import annotations

import math

import numpy as np


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the cosine of two vectors; 0 where one of them is all zeros."""
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length else 0.0


def relevance(features: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Compute every token's cosine to the query: [T, N, C] and [C] -> [T, N]."""
    return np.array([[cosine(token, query) for token in frame] for frame in features])


def greedy(features: np.ndarray, scores: np.ndarray, alpha: float, k: int, tau: float = 0.0):
    """Pick k tokens of one frame: features [N, C], relevance [N] -> k picks (index, distance, score).

    The first pick's distance is NaN. Equal scores go to the lowest index.
    """
    n = len(features)
    pool = candidates(scores, k, tau) if tau > 0 else set(range(n))
    first = max(sorted(pool), key=lambda i: scores[i])
    picks = [(first, math.nan, float(scores[first]))]
    while len(picks) < k:
        best = None
        for i in sorted(pool - {pick[0] for pick in picks}):
            distance = min(1 - cosine(features[i], features[u]) for u, _, _ in picks)
            score = scores[i] if math.isinf(alpha) else distance + alpha * scores[i]
            if best is None or score > best[2]:
                best = (i, distance, float(score))
        picks.append(best)
    return picks


def candidates(scores: np.ndarray, k: int, tau: float) -> set[int]:
    """Apply the published filter for tau > 0: return the set of indices that may be picked."""
    n = len(scores)
    ranked = sorted(range(n), key=lambda i: (-scores[i], i))
    if k < n // 2:
        return set(ranked[: min(n, max(3 * k, k + 1))])
    passing = {i for i in range(n) if scores[i] >= tau}
    return passing if len(passing) >= k else set(ranked[:k])


def diversity(features: np.ndarray) -> list[int]:
    """Order one frame [N, C] by max-min distance, from the token farthest from its nearest neighbour on."""
    n = len(features)

    def lonely(i: int) -> float:
        return min(1 - cosine(features[i], features[j]) for j in range(n) if j != i)

    order = [max(range(n), key=lonely)]
    while len(order) < n:
        rest = [i for i in range(n) if i not in order]
        order.append(max(rest, key=lambda i: min(1 - cosine(features[i], features[u]) for u in order)))
    return order


def determinantal(tokens: np.ndarray, scores: np.ndarray) -> list[tuple[int, float]]:
    """Order one frame as CDPruner does: always the token that makes det(L) largest, L = diag(r) S diag(r).

    tokens [N, D] projected, scores [N] relevance -> every pick as (index, factor by which det(L) grew).
    """
    n, low, high = len(tokens), min(scores), max(scores)
    r = [(s - low) / (high - low) if high > low else 1.0 for s in scores]
    kernel = np.array([[r[i] * cosine(tokens[i], tokens[j]) * r[j] for j in range(n)] for i in range(n)])

    def volume(chosen: list[int]) -> float:
        return float(np.linalg.det(kernel[np.ix_(chosen, chosen)])) if chosen else 1.0

    def growth(chosen: list[int], i: int) -> float:
        return round(volume([*chosen, i]) / volume(chosen), 12)  # so that ties are ties

    picks: list[tuple[int, float]] = []
    while len(picks) < n:
        chosen = [i for i, _ in picks]
        best = max((i for i in range(n) if i not in chosen), key=lambda i: growth(chosen, i))
        picks.append((best, growth(chosen, best)))
    return picks


def class_attention(states: np.ndarray, norm, query, key, heads: int) -> np.ndarray:
    """Average over heads the attention of token 0 of one view [S, C] to all S tokens.

    norm, query, key: (weight, bias) of the block's LayerNorm and of its two projections.
    """
    x = (states - states.mean(-1, keepdims=True)) / np.sqrt(states.var(-1, keepdims=True) + 1e-5)
    x = x * norm[0] + norm[1]
    # The class token's query [C] and every token's key [S, C].
    q = query[0] @ x[0] + query[1]
    k = x @ key[0].T + key[1]
    width = states.shape[-1] // heads
    found = []
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        score = np.array([q[part] @ row[part] for row in k]) / math.sqrt(width)
        attention = np.exp(score - score.max())
        found.append(attention / attention.sum())
    return np.mean(found, axis=0)


def fold(vector: np.ndarray, width: int) -> np.ndarray:
    """Fold [D] to [C]: groups of adjacent entries, adaptive pooling, or repeat and cut."""
    d = len(vector)
    if d % width == 0:
        group = d // width
        return np.array([vector[c * group : (c + 1) * group].mean() for c in range(width)])
    if d > width:
        return np.array(
            [vector[c * d // width : math.ceil((c + 1) * d / width)].mean() for c in range(width)]
        )
    return np.array([vector[c % d] for c in range(width)])


def prompt_tail(embeddings: np.ndarray) -> np.ndarray:
    """Pool [L, D] to [D] by softmax attention over cosine similarities; later tokens weigh more."""
    tail = embeddings[-128:]
    n = len(tail)
    similarity = np.array([[cosine(a, b) for b in tail] for a in tail])
    context = []
    for row in similarity:
        attention = np.exp(row - row.max())
        context.append(attention / attention.sum() @ tail)
    weights = [math.exp(3 * (t / (n - 1) if n > 1 else 0.0)) for t in range(n)]
    return sum(w / sum(weights) * c for w, c in zip(weights, context, strict=True))
