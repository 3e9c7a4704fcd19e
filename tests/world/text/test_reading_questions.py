"""Every question has one right answer, which a second reader finds from what the picture shows.

The second reader knows neither the order of the things nor the makers of the questions: it reads rows of
characters off the patches, and takes the words that a question names from the question's text.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from world.render.pictures import GRID, N_PATCHES, PATCH, Picture
from world.render.reading import READING_RENDERERS, vocabulary
from world.render.scenes import COLORS, SHAPES
from world.text.reading_questions import (
    HIGHEST_SUM,
    ORDINALS,
    READING_KINDS,
    READING_KINDS_BY_PICTURE,
    READING_WORDS,
    TEMPLATES,
    make_reading_question,
    split_words,
)

SEEDS = range(120)
ALWAYS = {  # kinds that every picture of their sort allows
    "price", "item_count", "listed", "item_at", "item_below", "highest", "lowest", "bar_value", "bar_count",
    "sign_text", "sign_color", "sign_count", "sign_present", "time", "time_check", "clock_count",
}  # fmt: skip
# Kinds whose answer may be an absence, which no patch holds.
ABSENT = {"listed": "no", "sign_present": "no", "mark_count": "0"}


@pytest.fixture(scope="module")
def pictures():
    return {kind: [render(seed) for seed in SEEDS] for kind, render in READING_RENDERERS.items()}


def ask_all(pictures, kind: str, rounds: int = 3) -> list[tuple[Picture, object]]:
    """Return pictures with their questions of a kind."""
    sort = next(sort for sort, kinds in READING_KINDS_BY_PICTURE.items() if kind in kinds)
    asked = []
    for picture in pictures[sort]:
        rng = np.random.default_rng(picture.seed)
        questions = [make_reading_question(picture, kind, rng) for _ in range(rounds)]
        asked += [(picture, question) for question in questions if question]
    return asked


def read_lines(picture: Picture) -> list[list[tuple[int, str]]]:
    """Return for each row of patches that holds text its runs of characters with their first columns."""
    lines = []
    for row in range(GRID):
        characters = [one or " " for one in picture.glyphs[row * GRID : (row + 1) * GRID]]
        runs = [(found.start(), found.group()) for found in re.finditer(r"\S+", "".join(characters))]
        lines.append(runs)
    return lines


def find_named(text: str, words) -> list[str]:
    """Return the words of a list that a question names, in its order."""
    named = re.findall(r"[a-z0-9']+", text.lower())
    return [word for word in named if word in set(words)]


def read_receipt(picture: Picture, kind: str, text: str) -> str | None:
    rows = [[run for _, run in line] for line in read_lines(picture) if line]
    total = [row[1] for row in rows if row[0] == "total"]
    prices = {row[0]: int(row[1]) for row in rows if row[0] != "total"}
    names = list(prices)
    listed = find_named(text, vocabulary.GOODS)
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if kind == "price":
        return str(prices[listed[0]])
    if kind == "total":
        return total[0]
    if kind in ("cheapest", "dearest"):
        wanted = (min if kind == "cheapest" else max)(prices.values())
        (only,) = [name for name in names if prices[name] == wanted]
        return only
    if kind == "item_count":
        return str(len(names))
    if kind == "listed":
        return "yes" if listed[0] in names else "no"
    if kind == "costlier":
        first, second = (prices[name] for name in listed)
        return "yes" if (first < second if "cheaper" in text else first > second) else "no"
    if kind == "price_sum":
        return str(prices[listed[0]] + prices[listed[1]])
    if kind == "priced_at":
        (only,) = [name for name in names if prices[name] == numbers[0]]
        return only
    if kind == "item_at":
        return names[ORDINALS.index(find_named(text, ORDINALS)[0])]
    if kind == "item_below":
        return names[names.index(listed[0]) + 1]
    return None


def measure_bars(picture: Picture) -> list[tuple[str, str, int]]:
    """Return colour, label and value of each bar, by where its text stands."""
    bars = [thing for thing in picture.things if thing.kind == "bar"]
    is_upright = len({bar.box[3] for bar in bars}) == 1
    runs = [
        (row, column + len(run) / 2, run)
        for row, line in enumerate(read_lines(picture))
        for column, run in line
    ]
    found = []
    for bar in bars:
        left, top, right, bottom = (edge / PATCH for edge in bar.box)
        x = (left + right) / 2
        y = (top + bottom) / 2
        if is_upright:
            near = [(row, run) for row, column, run in runs if abs(column - x) <= 0.8]
            label = next(run for row, run in near if row >= bottom - 0.2)
            values = [run for row, run in near if run.isdigit() and row < top]
            if not values:  # the number of the axis on the row of the bar's upper edge
                values = [run for row, column, run in runs if abs(row + 0.5 - top) < 0.3 and column < x - 1]
        else:
            near = [(column, run) for row, column, run in runs if abs(row + 0.5 - y) < 0.5]
            label = next(run for column, run in near if column < left)
            values = [run for column, run in near if column > right]
        (value,) = values
        found.append((bar.color, label, int(value)))
    return found


def read_chart(picture: Picture, kind: str, text: str) -> str | None:
    bars = measure_bars(picture)
    by_name = {name: value for color, label, value in bars for name in (color, label)}
    named = find_named(text.replace("What has", "").replace("colour", ""), by_name)
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    values = [value for _, _, value in bars]
    if kind in ("highest", "lowest"):
        wanted = (max if kind == "highest" else min)(values)
        ((color, label),) = [bar[:2] for bar in bars if bar[2] == wanted]
        return color if re.search("colou?r", text) else label
    if kind == "bar_value":
        return str(by_name[named[0]])
    if kind == "bar_count":
        return str(len(bars))
    if kind == "bar_compare":
        first, second = (by_name[name] for name in named)
        return "yes" if (first < second if "less" in text else first > second) else "no"
    if kind == "bar_color":
        return next(color for color, label, _ in bars if label == named[0])
    if kind == "bar_with_value":
        (only,) = [label for _, label, value in bars if value == numbers[0]]
        return only
    if kind == "bar_sum":
        return str(by_name[named[0]] + by_name[named[1]])
    return None


def read_street(picture: Picture, kind: str, text: str) -> str | None:
    written = {}
    for thing in picture.things:
        lines = ["".join(picture.glyphs[p] for p in thing.patches if p // GRID == row) for row in range(GRID)]
        written[thing] = "".join(lines)
    signs = {thing.color: words for thing, words in written.items() if thing.kind == "sign"}
    plate = next((words for thing, words in written.items() if thing.kind == "plate"), "")
    colors = find_named(text, COLORS)
    named = find_named(text, [*vocabulary.SIGN_WORDS, *vocabulary.SPEEDS])
    if kind == "sign_text":
        return signs[colors[0]] if colors else "".join(signs.values())
    if kind == "sign_color":
        return next(color for color, words in signs.items() if words in named)
    if kind == "sign_count":
        return str(len(signs))
    if kind == "sign_present":
        return "yes" if set(named) & set(signs.values()) else "no"
    if kind == "plate_number":
        return plate.lstrip("abcdefghijklmnopqrstuvwxyz")
    if kind == "plate_letters":
        return plate.rstrip("0123456789")
    if kind == "car_color":
        (only,) = [thing.color for thing in picture.things if thing.kind == "car"]
        return only
    return None


def read_wall(picture: Picture, kind: str, text: str) -> str | None:
    clocks = sorted((thing for thing in picture.things if thing.kind == "clock"), key=lambda one: one.box[0])
    runs = [
        (column + len(run) / 2, row, run)
        for row, line in enumerate(read_lines(picture))
        for column, run in line
    ]
    cities = {}
    for x, _, city in runs:
        nearest = min(clocks, key=lambda clock: abs((clock.box[0] + clock.box[2]) / 2 / PATCH - x))
        cities[city] = nearest
    named = next((time for time in vocabulary.TIMES if f"{time} " in re.sub(r"[?.]", " ", text.lower())), "")
    if kind in ("time", "time_check"):
        lower = text.lower()
        wanted = [clock for city, clock in cities.items() if city in lower]
        wanted = wanted or [clock for clock in clocks if f"{clock.color} clock" in lower]
        sides = {"left": 0, "middle": len(clocks) // 2, "right": -1}
        wanted = wanted or [clocks[place] for side, place in sides.items() if f"{side} clock" in lower]
        (clock,) = wanted or clocks
        if kind == "time":
            return clock.text
        return "yes" if clock.text == named else "no"
    if kind == "clock_color":
        (only,) = [clock.color for clock in clocks if clock.text == named]
        return only
    if kind == "clock_city":
        (only,) = [city for city, clock in cities.items() if clock.text == named]
        return only
    if kind == "clock_count":
        return str(len(clocks))
    return None


def read_board(picture: Picture, kind: str, text: str) -> str | None:
    held = {}
    rooms = [thing for thing in picture.things if thing.kind == "room"]
    names = {room.text for room in rooms}
    for thing in picture.things:
        if thing.kind not in ("mark", "word", "number"):
            continue
        content = thing.text if thing.kind != "mark" else f"{thing.color} {thing.text}"
        patch = thing.patches[len(thing.patches) // 2]
        row, column = divmod(patch, GRID)
        if rooms:
            x = (column + 0.5) * PATCH
            y = (row + 0.5) * PATCH
            (name,) = [
                room.text for room in rooms if room.box[0] < x < room.box[2] and room.box[1] < y < room.box[3]
            ]
        else:
            # The heading above is the nearest letter of the top line, the one beside the nearest digit.
            lines = read_lines(picture)
            top = next(line for line in lines if line)
            across = min(top, key=lambda run: abs(run[0] - column))[1]
            first = min(line[0][0] for line in lines if line)
            beside = {number: line[0][1] for number, line in enumerate(lines) if line and line[0][0] == first}
            name = across + beside[min(beside, key=lambda number: abs(number - row))]
        held[name] = content
    lower = re.sub(r"[?.]", "", text.lower())
    if kind == "cell":
        cells = [column + row for column in vocabulary.COLUMNS for row in vocabulary.ROWS]
        return held.get(find_named(lower, names if rooms else cells)[0], "nothing")
    if kind == "location":
        named = re.search(
            rf"(?:the )((?:(?:{'|'.join(COLORS)}) )?(?:{'|'.join(SHAPES)})|word \w+|number \d+)", lower
        ).group(1)
        wanted = named.removeprefix("word ").removeprefix("number ")
        (only,) = [
            name for name, content in held.items() if content == wanted or content.split()[-1] == wanted
        ]
        return only
    if kind == "mark_count":
        shape = next(shape for shape in SHAPES if shape in lower)
        return str(sum(content.split()[-1] == shape for content in held.values()))
    return None


READERS = {
    "receipt": read_receipt,
    "chart": read_chart,
    "sign": read_street,
    "clock": read_wall,
    "board": read_board,
}


@pytest.mark.parametrize("kind", READING_KINDS)
def test_a_second_reader_finds_the_answer(pictures, kind):
    asked = ask_all(pictures, kind)
    assert len(asked) > 60
    if kind in ALWAYS:
        assert len(asked) == 3 * len(SEEDS)
    for picture, question in asked:
        assert question.kind == kind
        assert READERS[picture.kind](picture, kind, question.text) == question.answer, (picture, question)


@pytest.mark.parametrize("kind", READING_KINDS)
def test_the_patches_hold_what_the_question_asks_about(pictures, kind):
    for picture, question in ask_all(pictures, kind):
        assert list(question.patches) == sorted(set(question.patches))
        assert all(0 <= patch < N_PATCHES for patch in question.patches)
        if ABSENT.get(kind) == question.answer:
            assert question.patches == ()
            continue
        assert question.patches
        shown = {picture.glyphs[patch] for patch in question.patches}
        if kind in ("price", "total", "priced_at", "item_below", "sign_text", "plate_number", "clock_city"):
            assert set(question.answer) <= shown
        if kind in ("bar_value", "bar_with_value"):
            assert set(question.answer) <= shown


def test_equal_generators_give_equal_questions(pictures):
    picture = pictures["receipt"][0]
    first, again = (make_reading_question(picture, "price", np.random.default_rng(3)) for _ in range(2))
    assert first == again
    others = {make_reading_question(picture, "price", np.random.default_rng(seed)).text for seed in range(30)}
    assert len(others) > 5


def test_a_picture_of_another_kind_allows_no_question(pictures):
    rng = np.random.default_rng(0)
    for sort, kinds in READING_KINDS_BY_PICTURE.items():
        for kind in set(READING_KINDS) - set(kinds):
            assert make_reading_question(pictures[sort][0], kind, rng) is None
    with pytest.raises(ValueError, match="unknown kind 'weather'"):
        make_reading_question(pictures["chart"][0], "weather", rng)


@pytest.mark.parametrize("kind", [kind for kind in READING_KINDS if kind not in ("cell", "mark_count")])
def test_no_answer_is_a_good_guess(pictures, kind):
    answers = Counter(question.answer for _, question in ask_all(pictures, kind))
    share = max(answers.values()) / answers.total()
    if set(answers) == {"yes", "no"}:
        assert 0.4 < share < 0.6
    elif len(answers) <= 6:
        assert share < 0.5
    else:
        assert share < 0.25


def test_empty_cells_and_absent_marks_are_seldom_asked_about(pictures):
    for kind, answer, low, high in (("cell", "nothing", 0.04, 0.2), ("mark_count", "0", 0.08, 0.35)):
        answers = Counter(question.answer for _, question in ask_all(pictures, kind))
        assert low < answers[answer] / answers.total() < high


def test_a_total_is_asked_only_where_it_is_printed(pictures):
    rng = np.random.default_rng(0)
    for picture in pictures["receipt"]:
        is_printed = any(thing.kind == "total" for thing in picture.things)
        assert (make_reading_question(picture, "total", rng) is not None) == is_printed


def test_sums_stay_small(pictures):
    for kind in ("price_sum", "bar_sum"):
        assert all(int(question.answer) <= HIGHEST_SUM for _, question in ask_all(pictures, kind))


def test_the_list_of_words_is_closed(pictures):
    words = set(READING_WORDS)
    assert list(READING_WORDS) == sorted(words)
    used = set()
    for kind in READING_KINDS:
        for _, question in ask_all(pictures, kind):
            used |= set(split_words(question.text)) | set(split_words(question.answer))
    for picture in (picture for sort in pictures.values() for picture in sort):
        used |= {word for thing in picture.things for word in split_words(f"{thing.color} {thing.text}")}
    assert used <= words
    assert not any(word.isdigit() for word in words)
    assert len(used) > 0.9 * len(words)  # none is there for nothing


def test_every_wording_is_used_and_spelt_in_both_ways(pictures):
    texts = " ".join(question.text for kind in READING_KINDS for _, question in ask_all(pictures, kind, 8))
    for wordings in TEMPLATES.values():
        for wording in wordings:
            pattern = re.sub(r"\\\{\w+\\\}", r"[\\w' ]*?", re.escape(wording))
            assert re.search(pattern, texts), wording
    assert "color" in split_words(texts) and "colour" in split_words(texts)


def test_answers_are_short_and_have_no_number_above_three_digits(pictures):
    for kind in READING_KINDS:
        for _, question in ask_all(pictures, kind, 1):
            assert len(question.answer.split()) <= 3
            assert question.answer == question.answer.lower()
            assert all(len(number) <= 3 for number in re.findall(r"\d+", question.answer))
