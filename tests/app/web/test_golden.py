"""What the explorer paints is what was looked at and kept: every view, of a still and a clip."""

import base64
import copy
import json
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFilter

from app.page import layout
from tests import golden
from tests.golden import run
from tests.golden.compare import difference, same
from tests.golden.stage import MEDIA, SCREENS, VIEWS, opened, painted, pictures

KEPT = Path(golden.__file__).with_name("pictures")


def kept(name: str) -> Image.Image:
    with Image.open(KEPT / f"{name}.png") as picture:
        return picture.convert("RGB")


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("medium", MEDIA)
def test_every_view_is_painted_as_it_was_looked_at(browser, medium, screen, tmp_path):
    other = []
    for name, made in pictures(browser, medium, screen):
        if not (KEPT / f"{name}.png").exists() or not same(made, kept(name)):
            made.save(tmp_path / f"{name}.png")
            other.append(str(tmp_path / f"{name}.png"))
    if other:
        pytest.fail(
            f"{len(other)} pictures are not what is kept in {KEPT}. The new ones:\n" + "\n".join(other) + "\n"
            "Look at them. If they are right: python -m tests.golden, and commit what it writes.",
            pytrace=False,
        )


def test_there_is_a_picture_of_everything_and_of_nothing_else():
    names = {
        f"{medium}-{screen}-{view}-{scheme}.png"
        for medium in MEDIA
        for screen in SCREENS
        for view in VIEWS
        for scheme in ("light", "dark")
    }
    files = list(KEPT.iterdir())
    assert {file.name for file in files} == names
    assert sum(file.stat().st_size for file in files) < 2**20


def shifted(value, look):
    """The last column of patches begins a third of a patch later."""
    frames = json.loads(value["frames"])
    frames[0]["x"][-2] += 3.5
    value["frames"] = json.dumps(frames)


def one_less(value, look):
    """A single token is missing from the kept ones."""
    order = bytearray(base64.b64decode(value["orders"]))
    row = 2 * value["n"]
    for start in range(0, len(order), row):  # the first pick becomes the last
        order[start : start + row] = order[start + 2 : start + row] + order[start : start + 2]
    value["orders"] = base64.b64encode(bytes(order)).decode()


def other_colour(value, look):
    """One stop of the ramp is another colour."""
    look["ramp"] = [*look["ramp"][:8], "#a06f73", *look["ramp"][9:]]


def darker(value, look):
    """What was dropped is dimmed a little more."""
    look["dim"] += 0.05


def pinker(value, look):
    """The line around kept tokens is of another colour."""
    look["outline"] = "#ffd0d0"


@pytest.mark.parametrize(
    ("spoil", "view"),
    [(shifted, "heat"), (one_less, "kept"), (other_colour, "heat"), (darker, "kept"), (pinker, "kept")],
)
def test_a_wrong_colour_a_shifted_cell_or_a_missing_token_is_seen(browser, spoil, view):
    value, look = copy.deepcopy(run.still()), copy.deepcopy(layout._look())
    spoil(value, look)
    page = opened(browser, "still", "desk", value, look)
    made = painted(page, view)
    page.close()
    assert not same(made, kept(f"still-desk-{view}-light")), difference(
        made, kept(f"still-desk-{view}-light")
    )


@pytest.mark.parametrize("name", ["still-desk-order-light", "clip-phone-kept-dark"])
def test_softer_edges_of_another_browser_are_not(name):
    picture = kept(name)
    soft = picture.filter(ImageFilter.GaussianBlur(0.3))
    assert ImageChops.difference(picture, soft).getbbox()
    assert same(picture, soft), difference(picture, soft)
