"""Write questions about pictures made to be read, with their answers and the patches that hold the answers.

Answers are words of a closed list, numbers written as digits, times in words, names of cells, yes or no. The
model's tokenizer lower-cases all text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ..render.pictures import Picture, Thing
from ..render.reading import vocabulary
from ..render.reading.receipts import TOTAL
from ..render.scenes import COLORS, SHAPES
from .scene_questions import Question, pluralise

# The kinds of questions about each kind of picture.
READING_KINDS_BY_PICTURE: dict[str, tuple[str, ...]] = {
    "receipt": (
        "price", "total", "cheapest", "dearest", "item_count", "listed", "costlier", "price_sum", "priced_at",
        "item_at", "item_below",
    ),
    "chart": (
        "highest", "lowest", "bar_value", "bar_count", "bar_compare", "bar_color", "bar_with_value",
        "bar_sum",
    ),
    "sign": (
        "sign_text", "sign_color", "sign_count", "sign_present", "plate_number", "plate_letters", "car_color",
    ),
    "clock": ("time", "time_check", "clock_color", "clock_city", "clock_count"),
    "board": ("cell", "location", "mark_count"),
}  # fmt: skip
READING_KINDS = tuple(kind for kinds in READING_KINDS_BY_PICTURE.values() for kind in kinds)
NOTHING = "nothing"
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
HIGHEST_SUM = 20  # sums above it are not asked for: the model cannot add larger numbers
_EMPTY_SHARE = 0.15  # of the questions about a cell that ask about one that holds nothing

# Kind -> wordings. A kind with several sets of wordings has a name for each after a colon.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "price": (
        "What does the {item} cost?",
        "How much is the {item}?",
        "What is the price of the {item}?",
        "How much does the {item} cost?",
        "What do you pay for {item}?",
    ),
    "total": (
        "What is the total?",
        "How much is the total?",
        "What does everything cost together?",
        "How much is to be paid in total?",
        "What is the sum of the receipt?",
    ),
    "cheapest": (
        "What is the cheapest item?",
        "Which item is the cheapest?",
        "Which item costs the least?",
        "What has the lowest price?",
    ),
    "dearest": (
        "What is the dearest item?",
        "Which item is the most expensive?",
        "Which item costs the most?",
        "What has the highest price?",
    ),
    "item_count": (
        "How many items are on the list?",
        "How many items are there?",
        "How many items can you count?",
        "How many things are listed?",
    ),
    "listed": (
        "Is {item} on the list?",
        "Is there any {item} on the list?",
        "Does the list have {item}?",
        "Can you see {item} on the list?",
    ),
    "costlier": (
        "Does the {item} cost more than the {other}?",
        "Is the {item} more expensive than the {other}?",
        "Is the {item} dearer than the {other}?",
        "Is the {other} cheaper than the {item}?",
    ),
    "price_sum": (
        "How much are the {item} and the {other} together?",
        "What do the {item} and the {other} cost together?",
        "What is the sum of the {item} and the {other}?",
    ),
    "priced_at": (
        "What costs {number}?",
        "Which item costs {number}?",
        "Which item has a price of {number}?",
    ),
    "item_at": (
        "What is the {ordinal} item?",
        "Which item is the {ordinal} on the list?",
        "What is in the {ordinal} line?",
    ),
    "item_below": (
        "What is below the {item}?",
        "Which item comes after the {item}?",
        "What is in the line below the {item}?",
    ),
    "highest": ("Which bar has the highest value?", "What has the most?", "Which bar is the biggest?"),
    "highest:upright": ("Which bar is the highest?", "Which bar is the tallest?", "What is the tallest bar?"),
    "highest:lying": ("Which bar is the longest?", "What is the longest bar?"),
    "highest:color": ("What {colour} is the biggest bar?", "Which {colour} has the most?"),
    "lowest": ("Which bar has the lowest value?", "What has the least?", "Which bar is the smallest?"),
    "lowest:upright": ("Which bar is the lowest?", "Which bar is the shortest?", "What is the shortest bar?"),
    "lowest:lying": ("Which bar is the shortest?", "What is the shortest bar?"),
    "lowest:color": ("What {colour} is the smallest bar?", "Which {colour} has the least?"),
    "bar_value": (
        "How much is {ref}?",
        "What is the value of {ref}?",
        "What number does {ref} have?",
        "How much is the {ref} bar?",
        "What is the value of the {ref} bar?",
    ),
    "bar_count": (
        "How many bars are there?",
        "How many bars can you see?",
        "How many bars does the chart have?",
        "How many bars are in the chart?",
    ),
    "bar_compare": (
        "Is {ref} more than {other}?",
        "Is {other} less than {ref}?",
        "Is the {ref} bar bigger than the {other} bar?",
        "Does {ref} have more than {other}?",
    ),
    "bar_color": (
        "What {colour} is the {label} bar?",
        "Which {colour} does the {label} bar have?",
        "What is the {colour} of {label}?",
    ),
    "bar_with_value": ("Which bar is {number}?", "Which bar has the value {number}?", "What has {number}?"),
    "bar_sum": (
        "How much are {ref} and {other} together?",
        "What is the sum of {ref} and {other}?",
        "How much are the {ref} bar and the {other} bar together?",
    ),
    "sign_text": (
        "What is written on the {ref}sign?",
        "What does the {ref}sign say?",
        "What is on the {ref}sign?",
        "Read the {ref}sign.",
    ),
    "sign_color": (
        "What {colour} is the sign that says {text}?",
        "Which {colour} is the {text} sign?",
        "What is the {colour} of the {text} sign?",
    ),
    "sign_count": (
        "How many signs are there?",
        "How many signs can you see?",
        "How many signs are in the street?",
    ),
    "sign_present": (
        "Is there a sign that says {text}?",
        "Does a sign say {text}?",
        "Does one of the signs say {text}?",
        "Is {text} written on a sign?",
    ),
    "plate_number": (
        "What number is on the plate?",
        "What is the number on the number plate?",
        "Which number is on the license plate?",
        "Which number does the car have?",
    ),
    "plate_letters": (
        "Which letters are on the plate?",
        "What letters are on the number plate?",
        "What are the letters on the license plate?",
    ),
    "car_color": (
        "What {colour} is the car?",
        "Which {colour} does the car have?",
        "What is the {colour} of the car?",
    ),
    "time": (
        "What time does the {ref}clock show?",
        "What is the time on the {ref}clock?",
        "Read the {ref}clock.",
    ),
    "time:only": ("What time is it?", "What is the time?", "Which time is it?"),
    "time:city": ("What time is it in {city}?", "What is the time in {city}?", "What time does {city} have?"),
    "time_check": ("Does the {ref}clock show {time}?", "Is it {time} on the {ref}clock?"),
    "time_check:city": ("Is it {time} in {city}?", "Is the time in {city} {time}?"),
    "clock_color": (
        "What {colour} is the clock that shows {time}?",
        "Which {colour} is the clock at {time}?",
    ),
    "clock_city": ("Where is it {time}?", "In which city is it {time}?", "Which city has {time}?"),
    "clock_count": (
        "How many clocks are there?",
        "How many clocks can you see?",
        "How many clocks are on the wall?",
    ),
    "cell": ("What is in {cell}?", "What can you see in {cell}?", "What does {cell} hold?"),
    "cell:grid": ("What is in cell {cell}?", "What is at {cell}?", "Read cell {cell}."),
    "location": ("Where is the {ref}?", "Where can you find the {ref}?", "Where do you see the {ref}?"),
    "location:grid": (
        "In which cell is the {ref}?",
        "Which cell has the {ref}?",
        "Which cell is the {ref} in?",
    ),
    "location:plan": (
        "In which room is the {ref}?",
        "Which room has the {ref}?",
        "Which room is the {ref} in?",
    ),
    "mark_count": (
        "How many {marks} are there?",
        "How many {marks} can you see?",
        "How many {marks} are on the board?",
    ),
}
_COLOR_SPELLINGS = ("color", "colour")

# What a content maker returns: the names of the sets of wordings, the words that fill them, the answer and
# the things that are needed; None if the picture allows no question of the kind.
Content = tuple[tuple[str, ...], dict[str, str], str, Sequence[Thing]]
ContentMaker = Callable[[Picture, np.random.Generator], Content | None]


def make_reading_question(picture: Picture, kind: str, rng: np.random.Generator) -> Question | None:
    """Make a question of a kind about a picture, or return None if the picture allows none.

    Args:
        picture: what to ask about; one without text, or of another kind, allows no question.
        kind: one of READING_KINDS.
        rng: chooses among the possible questions and wordings.

    Raises:
        ValueError: the kind is not one of READING_KINDS.
    """
    if kind not in _CONTENT_MAKERS:
        raise ValueError(f"unknown kind {kind!r}: choose one of {', '.join(READING_KINDS)}")
    if kind not in READING_KINDS_BY_PICTURE.get(picture.kind, ()):
        return None
    content = _CONTENT_MAKERS[kind](picture, rng)
    if content is None:
        return None
    names, words, answer, holders = content
    wordings = [wording for name in names for wording in TEMPLATES[name]]
    spelling = _COLOR_SPELLINGS[int(rng.integers(2))]
    text = wordings[int(rng.integers(len(wordings)))].format(colour=spelling, **words)
    patches = tuple(sorted({patch for thing in holders for patch in thing.patches}))
    return Question(text, answer, kind, patches)


def _select(picture: Picture, kind: str) -> list[Thing]:
    """Return the things of a kind in the order of the picture."""
    return [thing for thing in picture.things if thing.kind == kind]


def _pick(items: Sequence, rng: np.random.Generator):
    """Return a random item; None, without using the generator, if there is none."""
    return items[int(rng.integers(len(items)))] if items else None


def _pick_pair(items: Sequence, rng: np.random.Generator) -> tuple:
    """Return two different random items, in random order."""
    first, second = rng.permutation(len(items))[:2].tolist()
    return items[first], items[second]


def _flip(rng: np.random.Generator) -> bool:
    return bool(rng.random() < 0.5)


def _pick_absent(present: Sequence[str], every: Sequence[str], rng: np.random.Generator) -> str:
    """Return a word that is not there; half of the time one that looks like one that is."""
    absent = [word for word in every if word not in present]
    alike = [word for word in absent if any(word[0] == one[0] and word != one for one in present)]
    if alike and _flip(rng):
        return _pick(alike, rng)
    return _pick(absent, rng)


# Receipts and price lists.


def _list_rows(picture: Picture) -> list[tuple[Thing, Thing]]:
    """Return each name with its price; the total is left out."""
    names = [thing for thing in _select(picture, "item") if thing.text != TOTAL]
    return list(zip(names, _select(picture, "price"), strict=True))


def _ask_price(picture: Picture, rng: np.random.Generator) -> Content | None:
    name, price = _pick(_list_rows(picture), rng)
    return ("price",), {"item": name.text}, price.text, (name, price)


def _ask_total(picture: Picture, rng: np.random.Generator) -> Content | None:
    totals = _select(picture, "total")
    if not totals:
        return None
    name = next(thing for thing in _select(picture, "item") if thing.text == TOTAL)
    return ("total",), {}, totals[0].text, (name, totals[0])


def _ask_extreme_price(picture: Picture, kind: str, extreme: Callable) -> Content | None:
    rows = _list_rows(picture)
    wanted = extreme(int(price.text) for _, price in rows)
    found = [name for name, price in rows if int(price.text) == wanted]
    if len(found) != 1:
        return None
    return (kind,), {}, found[0].text, (found[0], *(price for _, price in rows))


def _ask_cheapest(picture: Picture, rng: np.random.Generator) -> Content | None:
    return _ask_extreme_price(picture, "cheapest", min)


def _ask_dearest(picture: Picture, rng: np.random.Generator) -> Content | None:
    return _ask_extreme_price(picture, "dearest", max)


def _ask_item_count(picture: Picture, rng: np.random.Generator) -> Content | None:
    rows = _list_rows(picture)
    return ("item_count",), {}, str(len(rows)), [name for name, _ in rows]


def _ask_listed(picture: Picture, rng: np.random.Generator) -> Content | None:
    names = [name for name, _ in _list_rows(picture)]
    if _flip(rng):
        name = _pick(names, rng)
        return ("listed",), {"item": name.text}, "yes", (name,)
    absent = _pick_absent([name.text for name in names], vocabulary.GOODS, rng)
    return ("listed",), {"item": absent}, "no", ()


def _ask_costlier(picture: Picture, rng: np.random.Generator) -> Content | None:
    first, second = _pick_pair(_list_rows(picture), rng)
    if first[1].text == second[1].text:
        return None
    answer = "yes" if int(first[1].text) > int(second[1].text) else "no"
    return ("costlier",), {"item": first[0].text, "other": second[0].text}, answer, (*first, *second)


def _ask_price_sum(picture: Picture, rng: np.random.Generator) -> Content | None:
    first, second = _pick_pair(_list_rows(picture), rng)
    total = int(first[1].text) + int(second[1].text)
    if total > HIGHEST_SUM:
        return None
    words = {"item": first[0].text, "other": second[0].text}
    return ("price_sum",), words, str(total), (*first, *second)


def _ask_priced_at(picture: Picture, rng: np.random.Generator) -> Content | None:
    rows = _list_rows(picture)
    times = Counter(price.text for _, price in rows)
    found = _pick([row for row in rows if times[row[1].text] == 1], rng)
    return found and (("priced_at",), {"number": found[1].text}, found[0].text, found)


def _ask_item_at(picture: Picture, rng: np.random.Generator) -> Content | None:
    names = [name for name, _ in _list_rows(picture)]
    place = int(rng.integers(len(names)))
    return ("item_at",), {"ordinal": ORDINALS[place]}, names[place].text, names[: place + 1]


def _ask_item_below(picture: Picture, rng: np.random.Generator) -> Content | None:
    names = [name for name, _ in _list_rows(picture)]
    place = int(rng.integers(len(names) - 1))
    return ("item_below",), {"item": names[place].text}, names[place + 1].text, names[place : place + 2]


# Bar charts.


def _list_bars(picture: Picture) -> list[tuple[Thing, Thing, Thing]]:
    """Return each bar with its label and with the number at its end, which may stand on the axis."""
    bars = _select(picture, "bar")
    values = _select(picture, "value")
    if not values:
        ticks = _select(picture, "tick")
        values = [min(ticks, key=lambda tick: abs(_middle(tick)[1] - bar.box[1])) for bar in bars]
    return list(zip(bars, _select(picture, "label"), values, strict=True))


def _middle(thing: Thing) -> tuple[float, float]:
    """Return the middle of a thing, x and y in pixels."""
    left, top, right, bottom = thing.box
    return (left + right) / 2, (top + bottom) / 2


def _refer_to_bar(bar: Thing, label: Thing, rng: np.random.Generator) -> tuple[str, tuple[Thing, ...]]:
    """Return the colour or the label of a bar, and the things that tell which bar it is."""
    if _flip(rng):
        return bar.color, (bar,)
    return label.text, (bar, label)


def _ask_extreme_bar(picture: Picture, kind: str, extreme: Callable, rng: np.random.Generator) -> Content:
    rows = _list_bars(picture)
    bar, label, _ = extreme(rows, key=lambda row: int(row[2].text))
    bars = [row[0] for row in rows]
    if rng.random() < 0.3:
        return (f"{kind}:color",), {}, bar.color, bars
    is_upright = len({one.box[3] for one in bars}) == 1
    shape = f"{kind}:upright" if is_upright else f"{kind}:lying"
    return (kind, shape), {}, label.text, (*bars, label)


def _ask_highest(picture: Picture, rng: np.random.Generator) -> Content | None:
    return _ask_extreme_bar(picture, "highest", max, rng)


def _ask_lowest(picture: Picture, rng: np.random.Generator) -> Content | None:
    return _ask_extreme_bar(picture, "lowest", min, rng)


def _ask_bar_value(picture: Picture, rng: np.random.Generator) -> Content | None:
    bar, label, value = _pick(_list_bars(picture), rng)
    ref, holders = _refer_to_bar(bar, label, rng)
    return ("bar_value",), {"ref": ref}, value.text, (*holders, value)


def _ask_bar_count(picture: Picture, rng: np.random.Generator) -> Content | None:
    bars = _select(picture, "bar")
    return ("bar_count",), {}, str(len(bars)), bars


def _refer_to_pair(
    picture: Picture, rng: np.random.Generator
) -> tuple[dict[str, str], tuple[int, int], tuple[Thing, ...]]:
    """Choose two bars, both named by their colours or both by their labels.

    Returns:
        The words that name them, their values and the things that tell which bars they are.
    """
    first, second = _pick_pair(_list_bars(picture), rng)
    values = (int(first[2].text), int(second[2].text))
    if _flip(rng):
        return {"ref": first[0].color, "other": second[0].color}, values, (first[0], second[0])
    return {"ref": first[1].text, "other": second[1].text}, values, (*first[:2], *second[:2])


def _ask_bar_compare(picture: Picture, rng: np.random.Generator) -> Content | None:
    words, values, holders = _refer_to_pair(picture, rng)
    if values[0] == values[1]:
        return None
    return ("bar_compare",), words, "yes" if values[0] > values[1] else "no", holders


def _ask_bar_color(picture: Picture, rng: np.random.Generator) -> Content | None:
    bar, label, _ = _pick(_list_bars(picture), rng)
    if label.text in COLORS:
        return None
    return ("bar_color",), {"label": label.text}, bar.color, (bar, label)


def _ask_bar_with_value(picture: Picture, rng: np.random.Generator) -> Content | None:
    rows = _list_bars(picture)
    times = Counter(value.text for _, _, value in rows)
    found = _pick([row for row in rows if times[row[2].text] == 1], rng)
    return found and (("bar_with_value",), {"number": found[2].text}, found[1].text, found)


def _ask_bar_sum(picture: Picture, rng: np.random.Generator) -> Content | None:
    words, values, holders = _refer_to_pair(picture, rng)
    if sum(values) > HIGHEST_SUM:
        return None
    ends = {value.text: value for _, _, value in _list_bars(picture)}
    numbers = [ends[str(value)] for value in values]
    if _select(picture, "value"):
        numbers = [value for bar, _, value in _list_bars(picture) if bar in holders]
    return ("bar_sum",), words, str(sum(values)), (*holders, *numbers)


# Streets with signs and cars.


def _ask_sign_text(picture: Picture, rng: np.random.Generator) -> Content | None:
    signs = _select(picture, "sign")
    sign = _pick(signs, rng)
    ref = "" if len(signs) == 1 and _flip(rng) else f"{sign.color} "
    return ("sign_text",), {"ref": ref}, sign.text, (sign,)


def _ask_sign_color(picture: Picture, rng: np.random.Generator) -> Content | None:
    sign = _pick(_select(picture, "sign"), rng)
    return ("sign_color",), {"text": sign.text}, sign.color, (sign,)


def _ask_sign_count(picture: Picture, rng: np.random.Generator) -> Content | None:
    signs = _select(picture, "sign")
    return ("sign_count",), {}, str(len(signs)), signs


def _ask_sign_present(picture: Picture, rng: np.random.Generator) -> Content | None:
    signs = _select(picture, "sign")
    if _flip(rng):
        sign = _pick(signs, rng)
        return ("sign_present",), {"text": sign.text}, "yes", (sign,)
    every = vocabulary.SPEEDS if rng.random() < 0.25 else vocabulary.SIGN_WORDS
    return ("sign_present",), {"text": _pick_absent([sign.text for sign in signs], every, rng)}, "no", ()


def _ask_plate(picture: Picture, kind: str, part: int) -> Content | None:
    plates = _select(picture, "plate")
    if not plates:
        return None
    return (kind,), {}, plates[0].text.split()[part], plates


def _ask_plate_letters(picture: Picture, rng: np.random.Generator) -> Content | None:
    return _ask_plate(picture, "plate_letters", 0)


def _ask_plate_number(picture: Picture, rng: np.random.Generator) -> Content | None:
    return _ask_plate(picture, "plate_number", 1)


def _ask_car_color(picture: Picture, rng: np.random.Generator) -> Content | None:
    cars = _select(picture, "car")
    return (("car_color",), {}, cars[0].color, cars) if cars else None


# Clocks.

_SIDES = {1: ("",), 2: ("left", "right"), 3: ("left", "middle", "right")}


def _choose_clock(
    picture: Picture, rng: np.random.Generator
) -> tuple[Thing, dict[str, str], str, tuple[Thing, ...]]:
    """Choose a clock and one way to name it.

    Returns:
        The clock, the words that name it, the ending of the sets of wordings ("", "city" or "only"), and the
        things that tell which clock it is.
    """
    clocks = _select(picture, "clock")
    labels = _select(picture, "label")
    place = int(rng.integers(len(clocks)))
    clock = clocks[place]
    ways = ["color", "side"] if len(clocks) > 1 else ["color", "only"]
    if labels:
        ways.append("city")
    way = _pick(ways, rng)
    if way == "city":
        return clock, {"city": labels[place].text.title()}, "city", (clock, labels[place])
    if way == "only":
        return clock, {"ref": ""}, "only", (clock,)
    name = clock.color if way == "color" else _SIDES[len(clocks)][place]
    return clock, {"ref": f"{name} "}, "", (clock,)


def _ask_time(picture: Picture, rng: np.random.Generator) -> Content | None:
    clock, words, way, holders = _choose_clock(picture, rng)
    names = {"": ("time",), "only": ("time", "time:only"), "city": ("time:city",)}[way]
    return names, words, clock.text, holders


def _ask_time_check(picture: Picture, rng: np.random.Generator) -> Content | None:
    clock, words, way, holders = _choose_clock(picture, rng)
    time = clock.text
    is_right = _flip(rng)
    if not is_right:
        # One hour more or less, the other half of the hour, or any other time.
        place = vocabulary.TIMES.index(time)
        half, hour = divmod(place, 12)
        alike = [half * 12 + (hour + 1) % 12, half * 12 + (hour - 1) % 12, (1 - half) * 12 + hour]
        others = [number for number in range(24) if number != place]
        time = vocabulary.TIMES[_pick(alike if _flip(rng) else others, rng)]
    name = "time_check:city" if way == "city" else "time_check"
    return (name,), {"time": time, **words}, "yes" if is_right else "no", holders


def _ask_clock_color(picture: Picture, rng: np.random.Generator) -> Content | None:
    clocks = _select(picture, "clock")
    times = Counter(clock.text for clock in clocks)
    clock = _pick([clock for clock in clocks if times[clock.text] == 1], rng)
    return clock and (("clock_color",), {"time": clock.text}, clock.color, (clock,))


def _ask_clock_city(picture: Picture, rng: np.random.Generator) -> Content | None:
    clocks = _select(picture, "clock")
    times = Counter(clock.text for clock in clocks)
    labels = _select(picture, "label")
    if not labels:
        return None
    found = _pick([pair for pair in zip(clocks, labels, strict=True) if times[pair[0].text] == 1], rng)
    return found and (("clock_city",), {"time": found[0].text}, found[1].text, found)


def _ask_clock_count(picture: Picture, rng: np.random.Generator) -> Content | None:
    clocks = _select(picture, "clock")
    return ("clock_count",), {}, str(len(clocks)), clocks


# Boards and plans.

_CONTENTS = ("mark", "word", "number")


def _list_cells(picture: Picture) -> list[tuple[str, tuple[Thing, ...], Thing | None]]:
    """Return the name of each cell or room, the things that show the name, and what it holds or None."""
    contents = [thing for thing in picture.things if thing.kind in _CONTENTS]
    rooms = _select(picture, "room")
    if rooms:
        return [
            (room.text, (room,), next((c for c in contents if _lies_in(c, room)), None)) for room in rooms
        ]
    columns = _select(picture, "column")
    rows = _select(picture, "row")
    held = {(_nearest(columns, thing, 0), _nearest(rows, thing, 1)): thing for thing in contents}
    return [
        (column.text + row.text, (column, row), held.get((across, down)))
        for across, column in enumerate(columns)
        for down, row in enumerate(rows)
    ]


def _lies_in(thing: Thing, room: Thing) -> bool:
    x, y = _middle(thing)
    left, top, right, bottom = room.box
    return left <= x < right and top <= y < bottom


def _nearest(headings: list[Thing], thing: Thing, axis: int) -> int:
    """Return the number of the heading nearest to a thing along an axis, 0 for x and 1 for y."""
    return min(
        range(len(headings)), key=lambda number: abs(_middle(headings[number])[axis] - _middle(thing)[axis])
    )


def _name_content(thing: Thing | None) -> str:
    """Return the answer for what a cell holds: "red star", "tea", "7" or "nothing"."""
    if thing is None:
        return NOTHING
    return f"{thing.color} {thing.text}".strip()


def _ask_cell(picture: Picture, rng: np.random.Generator) -> Content | None:
    cells = _list_cells(picture)
    is_empty = rng.random() < _EMPTY_SHARE
    found = _pick([cell for cell in cells if (cell[2] is None) == is_empty], rng)
    if found is None:
        return None
    name, headings, thing = found
    holders = headings if thing is None else (*headings, thing)
    if headings[0].kind == "room":
        return ("cell",), {"cell": f"the {name}"}, _name_content(thing), holders
    return ("cell", "cell:grid"), {"cell": name.upper()}, _name_content(thing), holders


def _ask_location(picture: Picture, rng: np.random.Generator) -> Content | None:
    cells = [cell for cell in _list_cells(picture) if cell[2] is not None]
    if not cells:
        return None
    name, headings, thing = _pick(cells, rng)
    if thing.kind != "mark":
        ref = f"{thing.kind} {thing.text}"
    else:
        is_only = sum(other[2].kind == "mark" and other[2].text == thing.text for other in cells) == 1
        ref = thing.text if is_only and _flip(rng) else f"{thing.color} {thing.text}"
    place = "location:plan" if headings[0].kind == "room" else "location:grid"
    return ("location", place), {"ref": ref}, name, (*headings, thing)


def _ask_mark_count(picture: Picture, rng: np.random.Generator) -> Content | None:
    marks = _select(picture, "mark")
    times = {shape: sum(mark.text == shape for mark in marks) for shape in SHAPES}
    # Each number that occurs is asked for as often as the others, but "0" less often.
    numbers = sorted({number for number in times.values() if number})
    if not numbers or rng.random() < _EMPTY_SHARE:
        numbers = [0] if 0 in times.values() else numbers
    number = _pick(numbers, rng)
    shape = _pick([shape for shape in SHAPES if times[shape] == number], rng)
    holders = [mark for mark in marks if mark.text == shape]
    return ("mark_count",), {"marks": pluralise(shape)}, str(number), holders


_CONTENT_MAKERS: dict[str, ContentMaker] = {
    "price": _ask_price,
    "total": _ask_total,
    "cheapest": _ask_cheapest,
    "dearest": _ask_dearest,
    "item_count": _ask_item_count,
    "listed": _ask_listed,
    "costlier": _ask_costlier,
    "price_sum": _ask_price_sum,
    "priced_at": _ask_priced_at,
    "item_at": _ask_item_at,
    "item_below": _ask_item_below,
    "highest": _ask_highest,
    "lowest": _ask_lowest,
    "bar_value": _ask_bar_value,
    "bar_count": _ask_bar_count,
    "bar_compare": _ask_bar_compare,
    "bar_color": _ask_bar_color,
    "bar_with_value": _ask_bar_with_value,
    "bar_sum": _ask_bar_sum,
    "sign_text": _ask_sign_text,
    "sign_color": _ask_sign_color,
    "sign_count": _ask_sign_count,
    "sign_present": _ask_sign_present,
    "plate_number": _ask_plate_number,
    "plate_letters": _ask_plate_letters,
    "car_color": _ask_car_color,
    "time": _ask_time,
    "time_check": _ask_time_check,
    "clock_color": _ask_clock_color,
    "clock_city": _ask_clock_city,
    "clock_count": _ask_clock_count,
    "cell": _ask_cell,
    "location": _ask_location,
    "mark_count": _ask_mark_count,
}


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case: runs of letters, digits and apostrophes, no number."""
    return [word for word in re.findall(r"[a-z0-9']+", text.lower()) if not word.isdigit()]


def _collect_words() -> tuple[str, ...]:
    """Return every word that a question, an answer or a picture can hold, sorted."""
    wordings = [re.sub(r"\{\w+\}", " ", wording) for wordings in TEMPLATES.values() for wording in wordings]
    lists = (
        vocabulary.GOODS, vocabulary.SHOP_TITLES, vocabulary.RECEIPT_TITLES, vocabulary.CHART_TITLES,
        vocabulary.DAYS, vocabulary.SIGN_WORDS, vocabulary.PLATE_LETTERS, vocabulary.CITIES, vocabulary.ROOMS,
        vocabulary.BOARD_WORDS, vocabulary.COLUMNS, vocabulary.TIMES, tuple(COLORS), SHAPES,
        ORDINALS,
    )  # fmt: skip
    cells = [column + row for column in vocabulary.COLUMNS for row in vocabulary.ROWS]
    plurals = [pluralise(shape) for shape in SHAPES]
    sides = [side for names in _SIDES.values() for side in names]
    others = [*_COLOR_SPELLINGS, *_CONTENTS, *cells, *plurals, *sides, "the", "yes", "no", NOTHING, TOTAL]
    texts = [*wordings, *(word for words in lists for word in words), *others]
    return tuple(sorted({word for text in texts for word in split_words(text)}))


# The closed list of words for the tokenizer; numbers are left out, as they are split into digits.
READING_WORDS = _collect_words()
