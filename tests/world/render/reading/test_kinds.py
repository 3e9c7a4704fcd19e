"""What each kind of picture shows agrees with itself: sums, heights of bars, hands of clocks, cells."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from world.render.pictures import SIZE
from world.render.reading import render_board, render_chart, render_clock, render_receipt, render_sign
from world.render.reading.vocabulary import (
    BOARD_WORDS,
    CITIES,
    GOODS,
    PLATE_LETTERS,
    ROOMS,
    SIGN_WORDS,
    SPEEDS,
    TIMES,
    name_time,
)
from world.render.scenes import COLORS

SEEDS = range(200)


def texts(picture, kind: str) -> list[str]:
    return [thing.text for thing in picture.things if thing.kind == kind]


def select(picture, kind: str) -> list:
    return [thing for thing in picture.things if thing.kind == kind]


def color_at(picture, x: float, y: float) -> np.ndarray:
    return picture.pixels[int(y), int(x)].astype(int)


def is_close(color: np.ndarray, name: str) -> bool:
    return bool(np.abs(color - np.array(COLORS[name])).max() < 30)


def test_goods_are_short_and_the_lists_are_closed():
    assert all(2 <= len(name) <= 7 and name.isalpha() for name in GOODS)
    assert len(set(GOODS)) == len(GOODS) >= 50


def test_a_receipt_adds_up():
    numbers_of_rows = set()
    with_total = 0
    for picture in map(render_receipt, SEEDS):
        names = texts(picture, "item")
        prices = [int(price) for price in texts(picture, "price")]
        assert all(1 <= price <= 999 for price in prices)
        numbers_of_rows.add(len(prices))
        if totals := texts(picture, "total"):
            with_total += 1
            assert names.pop() == "total"
            assert int(totals[0]) == sum(prices) <= 999
        assert len(names) == len(prices) == len(set(names))
        assert set(names) <= set(GOODS)
        # A name and its price stand in one row; the rows follow each other downwards.
        tops = [thing.box[1] for thing in picture.things if thing.kind in ("item", "price", "total")]
        assert tops[::2] == tops[1::2] == sorted(tops[::2])
    assert numbers_of_rows == set(range(3, 9))
    assert 0.35 < with_total / len(SEEDS) < 0.65


def test_bars_are_as_long_as_their_values():
    kinds = set()
    for picture in map(render_chart, SEEDS):
        bars = select(picture, "bar")
        labels = texts(picture, "label")
        assert 3 <= len(bars) == len(labels) == len(set(labels)) == len({bar.color for bar in bars}) <= 7
        upright = len({bar.box[3] for bar in bars}) == 1
        lengths = [bar.box[3] - bar.box[1] if upright else bar.box[2] - bar.box[0] for bar in bars]
        ticks = select(picture, "tick")
        if ticks:
            values = []
            for bar in bars:
                distances = {abs((tick.box[1] + tick.box[3]) / 2 - bar.box[1]): tick for tick in ticks}
                assert min(distances) <= 1
                values.append(int(distances[min(distances)].text))
        else:
            values = [int(value) for value in texts(picture, "value")]
        kinds.add((upright, bool(ticks)))
        unit = max(lengths) / max(values)
        for bar, length, value in zip(bars, lengths, values, strict=True):
            assert abs(length - unit * value) <= 4
            middle = ((bar.box[0] + bar.box[2]) / 2, (bar.box[1] + bar.box[3]) / 2)
            assert is_close(color_at(picture, *middle), bar.color)
        assert values.count(max(values)) == values.count(min(values)) == 1
        if len(set(labels) & set(COLORS)) > 0:
            assert labels == [bar.color for bar in bars]
    assert kinds == {(True, True), (True, False), (False, False)}


def test_labels_and_values_stand_at_their_bars():
    for picture in map(render_chart, SEEDS):
        bars = select(picture, "bar")
        upright = len({bar.box[3] for bar in bars}) == 1
        axis = 0 if upright else 1
        for kind in ("label", "value"):
            for bar, text in zip(bars, select(picture, kind), strict=kind == "label"):
                middle = (text.box[axis] + text.box[axis + 2]) / 2
                nearest = min(bars, key=lambda one: abs((one.box[axis] + one.box[axis + 2]) / 2 - middle))
                assert nearest is bar


def test_signs_and_cars_have_colors_of_their_own():
    numbers = set()
    cars = 0
    for picture in map(render_sign, SEEDS):
        signs = select(picture, "sign")
        colored = [thing.color for thing in picture.things if thing.color]
        assert len(set(colored)) == len(colored)
        numbers.add(len(signs))
        words = [sign.text for sign in signs]
        assert set(words) <= {*SIGN_WORDS, *SPEEDS} and len(set(words)) == len(words)
        for sign in signs:
            assert is_close(color_at(picture, (sign.box[0] + sign.box[2]) / 2, sign.box[1] + 4), sign.color)
        for plate in select(picture, "plate"):
            letters, digits = plate.text.split()
            assert letters in PLATE_LETTERS and 1 <= int(digits) <= 999
        cars += len(select(picture, "car"))
        assert len(select(picture, "car")) == len(select(picture, "plate")) <= 1
    assert numbers == {1, 2, 3}
    assert 0.35 < cars / len(SEEDS) < 0.65


def read_clock(picture, clock) -> str:
    """Return the time that the dark pixels of a clock's hands show."""
    x = (clock.box[0] + clock.box[2]) / 2
    y = (clock.box[1] + clock.box[3]) / 2
    radius = (clock.box[2] - clock.box[0]) / 2

    def brightness(angle: float, low: float, high: float) -> float:
        reach = np.linspace(low, high, 12) * radius
        columns = (x + np.sin(angle) * reach).astype(int)
        rows = (y - np.cos(angle) * reach).astype(int)
        return float(picture.pixels[rows, columns].mean())

    half = brightness(math.pi, 0.5, 0.62) < brightness(0, 0.5, 0.62)
    levels = {hour: brightness(math.radians(30 * (hour + half / 2)), 0.18, 0.4) for hour in range(1, 13)}
    if not half:
        # At twelve the minute hand lies over the hour hand: it is twelve if no other hour is dark.
        levels[12] = 150
    return name_time(min(levels, key=levels.get), half)


def test_the_hands_show_the_time():
    seen = set()
    numbers = set()
    for picture in map(render_clock, SEEDS):
        clocks = select(picture, "clock")
        numbers.add(len(clocks))
        assert len({clock.color for clock in clocks}) == len(clocks)
        lefts = [clock.box[0] for clock in clocks]
        assert lefts == sorted(lefts)
        for before, after in pairwise(clocks):
            assert before.box[2] < after.box[0]
        for clock in clocks:
            assert clock.box[0] >= 0 and clock.box[2] <= SIZE and clock.box[3] <= SIZE
            assert read_clock(picture, clock) == clock.text
            seen.add(clock.text)
    assert numbers == {1, 2, 3}
    assert seen == set(TIMES)


def test_a_city_stands_below_its_clock():
    labelled = 0
    for picture in map(render_clock, SEEDS):
        clocks = select(picture, "clock")
        labels = select(picture, "label")
        assert len(labels) in (0, len(clocks))
        labelled += bool(labels)
        assert {label.text for label in labels} <= set(CITIES)
        for label in labels:
            above = [clock for clock in clocks if clock.box[3] <= label.box[1]]
            middle = (label.box[0] + label.box[2]) / 2
            nearest = min(clocks, key=lambda clock: abs((clock.box[0] + clock.box[2]) / 2 - middle))
            assert nearest in above and nearest is clocks[labels.index(label)]
    assert 0.4 < labelled / len(SEEDS) < 0.8


def test_each_cell_holds_at_most_one_thing():
    plans = 0
    for picture in map(render_board, SEEDS):
        contents = [thing for thing in picture.things if thing.kind in ("mark", "word", "number")]
        names = [(thing.color, thing.text) for thing in contents]
        assert len(set(names)) == len(names)
        assert {thing.text for thing in contents if thing.kind == "word"} <= set(BOARD_WORDS)
        rooms = select(picture, "room")
        plans += bool(rooms)
        places = []
        for thing in contents:
            x = (thing.box[0] + thing.box[2]) / 2
            y = (thing.box[1] + thing.box[3]) / 2
            if thing.kind == "mark":
                assert is_close(color_at(picture, x, y), thing.color)
            if rooms:
                inside = [room for room in rooms if room.box[0] < x < room.box[2]]
                places += [room.text for room in inside if room.box[1] < y < room.box[3]]
            else:
                columns = [abs((head.box[0] + head.box[2]) / 2 - x) for head in select(picture, "column")]
                rows = [abs((head.box[1] + head.box[3]) / 2 - y) for head in select(picture, "row")]
                # Within half a cell of exactly one column and one row.
                assert sum(distance < 28 for distance in columns) == 1
                assert sum(distance < 28 for distance in rows) == 1
                places.append((int(np.argmin(columns)), int(np.argmin(rows))))
        assert len(set(places)) == len(places) == len(contents)
        assert {room.text for room in rooms} <= set(ROOMS)
    assert 0.2 < plans / len(SEEDS) < 0.5


@pytest.mark.parametrize(
    ("hour", "half", "text"), [(3, False, "three o'clock"), (12, True, "half past twelve")]
)
def test_a_time_in_words(hour, half, text):
    assert name_time(hour, half) == text
