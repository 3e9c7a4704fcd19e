"""Tell the story's second step: what the query is made of, with this run's numbers."""

from __future__ import annotations

from rediprune.explainer.ask import PreparedQuestion
from rediprune.explainer.encode import Encoding
from rediprune.trace import Selection

from ..state.options import QUERY_WORDS, query_name
from . import charts
from .numbers import find_question_span, recency_weights
from .words import split_into_words


def describe_prompt_tail(
    look: Encoding, asked: PreparedQuestion, selection: Selection
) -> tuple[tuple[str, ...], dict]:
    """Return paragraphs on the published query, and bars of how much every prompt token counts in it."""
    query, where = asked.query, find_question_span(asked.query.tokens, asked.question)
    weights, places = query.weights.tolist(), recency_weights(len(query.weights)).tolist()
    read = split_into_words(query.tokens)
    shares = [sum(weights[word.start : word.stop]) for word in read]
    top = max(range(len(read)), key=shares.__getitem__)
    made = (
        "The published query is one vector, mixed from the language model's own word vectors of the last "
        f"{len(weights)} prompt tokens. Place counts: the last token starts with {places[-1]:.1%}, the first "
        f"with {places[0]:.1%}. Then each is mixed with the tokens like it, and the bars show what that "
        "leaves: how much each word, all its tokens together, counts in the end. Together they make 100%."
    )
    heaviest = f"“{read[top].text}” counts most, {shares[top]:.1%}."
    if where is not None and where[1] < len(weights):
        heaviest += _suffix(query.tokens, weights, *where)
    wide, width = query.vector.numel(), look.vision.features.shape[-1]
    apart = (
        f"This vector of {wide} numbers is folded to the tokens' {width}. Words and patches were never "
        "trained to share a space here, so the angle between them is not known to mean anything. That is "
        "how it was published."
    )
    return (made, heaviest, apart), charts.build_weight_bars(read, shares, where)


def _suffix(tokens: tuple[str, ...], weights: list[float], start: int, stop: int) -> str:
    """Return a sentence on the template text after the question, and its weight."""
    own, behind = sum(weights[start:stop]), sum(weights[stop:])
    each, other = own / (stop - start), behind / (len(weights) - stop)
    return (
        f" “{''.join(tokens[stop:]).strip()}” is no part of the question: the chat template puts it behind "
        f"every question. It has {behind:.1%} of the weight, {other:.1%} a token, "
        f"{'more' if other > each else 'less'} than the question's own tokens with {each:.1%} each "
        f"({own:.1%} together)."
    )


def describe_text_tower(
    look: Encoding, asked: PreparedQuestion, selection: Selection
) -> tuple[tuple[str, ...], dict]:
    """Return paragraphs on the text encoder's query, and the tokens that it read."""
    query = asked.query
    text = (
        f"CLIP's text encoder read these {len(query.tokens)} tokens, the question alone and nothing of the "
        f"chat around it, and made one vector of {query.vector.numel()} numbers.",
        QUERY_WORDS[query_name(selection.config)],
        "The published code uses the end of the chat prompt instead: choose it in the menu above to compare.",
    )
    return text, charts.build_word_chips(split_into_words(query.tokens))
