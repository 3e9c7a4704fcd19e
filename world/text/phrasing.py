"""Phrase questions about crowded scenes: wordings, spellings, plurals, articles, typos and unknown words.

All text is written in British spelling and turned into American spelling for half of the questions.
"""

from __future__ import annotations

import re
import string

import numpy as np

from ..render.things import THING_COLORS, THING_KINDS

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CELLS = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)
ANSWERS = (
    *THING_KINDS, *THING_COLORS, *NUMBER_WORDS, *(name for row in CELLS for name in row), "yes", "no",
)  # fmt: skip
AMERICAN = {"colour": "color", "colours": "colors", "grey": "gray", "centre": "center"}

# Words in braces are filled in; {ref} and {other} name one thing with its article, {group} several things.
TEMPLATES = {
    "what left of": (
        "What is left of {ref}?",
        "What is directly to the left of {ref}?",
        "Which thing is just left of {ref}?",
        "What do you see right to the left of {ref}?",
    ),
    "what right of": (
        "What is right of {ref}?",
        "What is directly to the right of {ref}?",
        "Which thing is just right of {ref}?",
        "What do you see to the right of {ref}?",
    ),
    "what above": (
        "What is above {ref}?",
        "What is directly above {ref}?",
        "Which thing is just over {ref}?",
        "What do you see above {ref}?",
    ),
    "what below": (
        "What is below {ref}?",
        "What is under {ref}?",
        "What is directly below {ref}?",
        "Which thing is just under {ref}?",
    ),
    "what next to": (
        "What is next to {ref}?",
        "What is beside {ref}?",
        "Which thing is next to {ref}?",
        "What is closest to {ref}?",
        "Which thing is nearest to {ref}?",
    ),
    "color": (
        "What colour is {ref}?",
        "What is the colour of {ref}?",
        "Which colour does {ref} have?",
        "What colour does {ref} have?",
        "Tell me the colour of {ref}.",
    ),
    "count": (
        "How many {group} are there?",
        "How many {group} can you see?",
        "How many {group} are in the picture?",
        "Count the {group}.",
        "What is the number of {group}?",
        "How many {group} do you see?",
    ),
    "sum": (
        "How many {group} and {other} are there?",
        "How many {group} and {other} are there together?",
        "How many {group} and {other} are there in total?",
        "Count the {group} and the {other}.",
        "How many {group} plus {other} can you see?",
    ),
    "position": (
        "Where is {ref}?",
        "In which part of the picture is {ref}?",
        "Where in the picture is {ref}?",
        "Where can you see {ref}?",
        "Which part of the image shows {ref}?",
    ),
    "corner": ("In which corner is {ref}?", "Which corner is {ref} in?"),
    "relation": (
        "Is {ref} {relation} {other}?",
        "Can you see {ref} {relation} {other}?",
        "Is it true that {ref} is {relation} {other}?",
    ),
    "existence": (
        "Is there {one}?",
        "Is there {one} in the picture?",
        "Can you see {one}?",
        "Does the picture show {one}?",
        "Do you see {one}?",
        "Are there any {group}?",
    ),
    "only color": (
        "What is the only {color} thing?",
        "Which is the only {color} thing?",
        "Which thing is the only one that is {color}?",
        "What is the only thing that is {color}?",
    ),
    "only other": (
        "What colour is the only {kind} that is not {color}?",
        "What is the colour of the only {kind} that is not {color}?",
        "All {group} but one are {color}. What colour is the other one?",
        "Which colour does the only {kind} have that is not {color}?",
    ),
    "only where": (
        "What colour is the only {kind} {relation} {other}?",
        "What is the colour of the only {kind} {relation} {other}?",
        "What colour is the only {kind} that is {relation} {other}?",
    ),
    "compare more": (
        "Are there more {group} than {other}?",
        "Do you see more {group} than {other}?",
        "Does the picture show more {group} than {other}?",
    ),
    "compare fewer": (
        "Are there fewer {group} than {other}?",
        "Do you see fewer {group} than {other}?",
        "Does the picture show fewer {group} than {other}?",
    ),
    "compare equal": (
        "Are there as many {group} as {other}?",
        "Is the number of {group} the same as the number of {other}?",
        "Do you see as many {group} as {other}?",
    ),
    "extreme kind": (
        "What colour is the {most} {kind}?",
        "What is the colour of the {most} {kind}?",
        "Which colour does the {most} {kind} have?",
    ),
    "extreme color": (
        "What is the {most} {color} thing?",
        "Which thing is the {most} {color} one?",
        "Which {color} thing is the {most} one?",
    ),
}
RELATION_WORDS = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "next to": ("next to", "beside"),
}
MOST_WORDS = {
    "leftmost": ("leftmost",),
    "rightmost": ("rightmost",),
    "highest": ("highest", "topmost", "uppermost"),
    "lowest": ("lowest",),
    "biggest": ("biggest", "largest"),
    "smallest": ("smallest", "littlest"),
}
SIZE_WORDS = {"big": ("big", "large"), "small": ("small", "little")}
THING_WORDS = ("things", "objects")

_PLURALS = {
    "bus": "buses",
    "butterfly": "butterflies",
    "cactus": "cacti",
    "fish": "fish",
    "leaf": "leaves",
    "mouse": "mice",
    "snowman": "snowmen",
}
_MORE_PLURALS = ("cactuses", "fishes")
# Other names of the kinds, singular and plural, used in questions now and then; answers keep the first name.
OTHER_NAMES = {
    "bicycle": (("bike", "bikes"),),
    "cup": (("mug", "mugs"),),
    "gift": (("present", "presents"),),
    "plane": (("airplane", "airplanes"), ("aeroplane", "aeroplanes")),
    "truck": (("lorry", "lorries"),),
}
_OTHER_NAME_SHARE = 0.25  # of the questions about such a kind
# Common words that are one letter away from a word of the world, and are no typo of it.
_LOOKALIKE_TEXT = """
    abode barge bath bats belly belt belts bill bills block blocks boar boars bolt bolts boot boots
    brook brows bull bulls bust camp camps cane canes cans caps card cards carp cart carts cell cells
    chain chains chat choir clamp clamps cloak cloaks closet closets clown clowns coat coats cook cooks
    core cores crow crowd crows cubs cues darts deer dish dishes dove doves ears falls fisher flock
    flocks flour game games goat goats gull hair hairs hall halls hare hares harp hearth hook hooks hoop
    hoops horse horses hose hour hours lamb lambs lane lanes light lights loaf loaves lock locket
    lockets locks louse lumber mall malls maple mast mink moat mole moles moose mother mothers mousse
    nail nails nest nests oars oats oven ovens pane panes park parks pine pines pins place places planet
    planets plank planks plant plants plate plates plug plugs plum plums pocket pockets port ports pups
    racket rackets ramp ramps rats rook rooks sail sails scar scars shade shades shop shops shore shores
    shorts sink sinks skirt skirts snow socket sockets stair stairs stall stalls store stores tart tarts
    teal text toes tool tools tour tours track tracks tray trays trunk trunks vans vine vines wall walls
    weight wheat wine write
"""
# Words that a question about a picture may well contain, and that name nothing in it.
_FUNCTION_TEXT = """
    a about all also am an and any are as at be been both but by can count could describe do does doing
    each either else every few fewer find for from give had has have having he her here him his how i if in
    inside into is it its just list look looking make many may me might more most much must my name near no
    not now of off on one ones only or other our out over part photo picture image scene please same say see
    seen shall she should show shown shows so some such tell than that the their them then there these they
    thing things this those to together too total under up us very was we were what when where which while
    who whose why will with within without would yes you your it's what's where's isn't aren't don't doesn't
    exactly kind kinds object objects item items color colour colors colours number corner side between
    hello hi ok okay thanks thank teh adn
"""
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_MIN_TYPO = 4  # letters, of a word with or without its typo: shorter words are too much like one another


def pluralise(kind: str) -> str:
    """Return the plural of a kind: "cars", "mice", "fish"."""
    return _PLURALS.get(kind, kind + ("es" if kind.endswith(("s", "sh", "ch", "x")) else "s"))


def add_article(name: str) -> str:
    """Return the name with its indefinite article: "a red car", "an orange car"."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def phrase(key: str, rng: np.random.Generator, **words: str) -> str:
    """Return one of the wordings of a key of TEMPLATES, in British or American spelling.

    Args:
        key: chooses the templates.
        rng: chooses among them, and the spelling.
        words: fill the braces; relations, extremes and sizes are replaced by one of their synonyms before.
    """
    templates = TEMPLATES[key]
    text = templates[int(rng.integers(len(templates)))].format(**words)
    text = _rename_kinds(text, rng)
    return spell_american(text) if rng.random() < 0.5 else text


def _rename_kinds(text: str, rng: np.random.Generator) -> str:
    """Return the text with another name for some of its kinds: "bike", "lorry", "an aeroplane"."""
    for kind, names in OTHER_NAMES.items():
        if kind in text and rng.random() < _OTHER_NAME_SHARE:
            singular, plural = names[int(rng.integers(len(names)))]
            text = re.sub(rf"\b{pluralise(kind)}\b", plural, re.sub(rf"\b{kind}\b", singular, text))
            text = re.sub(r"\ba (?=a(ir|ero)plane)", "an ", text)
    return text


def choose_synonym(synonyms: tuple[str, ...], rng: np.random.Generator) -> str:
    """Return a random word of several that mean the same."""
    return synonyms[int(rng.integers(len(synonyms)))]


def spell_american(text: str) -> str:
    """Return the text with "color", "gray" and "center" in place of "colour", "grey" and "centre"."""
    for british, american in AMERICAN.items():
        text = re.sub(rf"\b{british}\b", american, text)
    return text


def list_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without numbers and punctuation."""
    return _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def _collect_world_words() -> frozenset[str]:
    """Collect every word that a question or an answer about a crowded scene can contain."""
    texts = [re.sub(r"\{\w+\}", " ", text) for group in TEMPLATES.values() for text in group]
    for table in (RELATION_WORDS, MOST_WORDS, SIZE_WORDS):
        texts += [word for synonyms in table.values() for word in synonyms]
    for names in OTHER_NAMES.values():
        texts += [name for pair in names for name in pair]
    texts += [*THING_KINDS, *map(pluralise, THING_KINDS), *_MORE_PLURALS]
    texts += [*THING_WORDS, *ANSWERS, *AMERICAN, *AMERICAN.values(), "a", "an", "the", "shape", "shapes"]
    return frozenset(word for text in texts for word in list_words(text))


WORLD_WORDS = _collect_world_words()
_FUNCTION_WORDS = frozenset(list_words(_FUNCTION_TEXT))
_LOOKALIKES = frozenset(list_words(_LOOKALIKE_TEXT))


def unknown_words(text: str, world: frozenset[str] = WORLD_WORDS) -> list[str]:
    """Return the words of a question that the world has no meaning for, each once, in their order.

    Function words are skipped. A word of at least four letters that is a typo of a known word (edit distance
    1) counts as known.

    Args:
        text: a question.
        world: all words that have a meaning, in lower case.
    """
    known = world | _FUNCTION_WORDS
    found = [word for word in list_words(text) if word not in known and not _fix_typo(word, world)]
    return list(dict.fromkeys(found))


def _fix_typo(word: str, world: frozenset[str]) -> str:
    """Return a known word that the word is a typo of, "" if there is none."""
    if len(word) < _MIN_TYPO or word in _LOOKALIKES:
        return ""
    near = (other for other in _list_edits(word) & world if len(other) >= _MIN_TYPO)
    return min(near, default="")


def _list_edits(word: str) -> set[str]:
    """Return all strings one edit away: a letter left out, added, replaced, or two neighbours swapped."""
    splits = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    edits = {head + tail[1:] for head, tail in splits if tail}
    edits |= {head + tail[1] + tail[0] + tail[2:] for head, tail in splits if len(tail) > 1}
    edits |= {head + letter + tail for head, tail in splits for letter in string.ascii_lowercase}
    edits |= {head + letter + tail[1:] for head, tail in splits if tail for letter in string.ascii_lowercase}
    return edits - {word}


def with_typo(text: str, rng: np.random.Generator, world: frozenset[str] = WORLD_WORDS) -> str:
    """Return the text with a typo in one or two of its words; unchanged if no word can take one.

    Only words of at least four letters change, and never into something that could be a typo of another
    known word.

    Args:
        text: a question.
        rng: chooses the words and the typos.
        world: all words that have a meaning, in lower case; other words stay as they are.
    """
    spans = [match.span() for match in re.finditer(r"[A-Za-z]+", text)]
    spans = [span for span in spans if span[1] - span[0] >= _MIN_TYPO]
    wanted = 1 + int(rng.random() < 0.3)
    chosen = [spans[int(at)] for at in rng.permutation(len(spans))[:wanted]]
    # From the end, so that the earlier places stay where they are.
    for start, end in sorted(chosen, reverse=True):
        text = text[:start] + _misspell(text[start:end], rng, world) + text[end:]
    return text


def _misspell(word: str, rng: np.random.Generator, world: frozenset[str]) -> str:
    """Return the word with one edit that is no typo of another word; the word itself if none is found."""
    for _ in range(20):
        at = int(rng.integers(1, len(word)))
        letter = string.ascii_lowercase[int(rng.integers(26))]
        edits = (
            word[:at] + word[at + 1 :],
            word[:at] + word[at - 1] + word[at:],
            word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
            word[:at] + letter + word[at + 1 :],
        )
        typo = edits[int(rng.integers(len(edits)))]
        lower = typo.lower()
        taken = lower in world | _FUNCTION_WORDS | _LOOKALIKES
        if len(typo) >= _MIN_TYPO and not taken and _list_edits(lower) & world == {word.lower()}:
            return typo
    return word
