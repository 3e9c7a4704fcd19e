"""An image or a clip is made ready once, named by its pixels, and refused in one sentence."""

from dataclasses import dataclass

import pytest
import torch
from PIL import Image

from rediprune.explainer.encode import as_media_input, encode, run_processor
from rediprune.media import load_image
from rediprune.models import adapter_for
from tests.support import tiny

FRAMES = [tiny.image(seed, (120, 90)) for seed in range(3)]


@dataclass
class Loaded:
    """What `load_video` returns, as far as it matters here."""

    frames: tuple
    seconds: tuple = ()


@pytest.fixture(scope="module")
def adapter():
    return adapter_for(tiny.model())


def test_a_picture_is_a_still_and_a_list_is_a_clip_even_of_one():
    assert not as_media_input(FRAMES[0]).clip
    assert as_media_input(FRAMES[:1]).clip
    clip = as_media_input(Loaded(tuple(FRAMES), (0, 0.5, 1.5)))
    assert (clip.frames, clip.seconds, clip.size) == (tuple(FRAMES), (0.0, 0.5, 1.5), (120, 90))
    assert as_media_input(frame for frame in FRAMES).frames == tuple(FRAMES)


def test_what_the_loaders_return_is_shown_as_it_is(tmp_path):
    FRAMES[0].save(tmp_path / "picture.png")
    shown = as_media_input(load_image(tmp_path / "picture.png"))
    assert not shown.clip and shown.frames == (FRAMES[0],)


def test_pictures_of_any_mode_are_shown_in_colour():
    grey = FRAMES[0].convert("L")
    assert (
        {frame.mode for frame in as_media_input([grey, grey]).frames}
        == {as_media_input(grey).frames[0].mode}
        == {"RGB"}
    )


def test_the_same_pixels_have_the_same_name_and_other_ones_another():
    key = as_media_input(FRAMES).fingerprint()
    assert as_media_input(Loaded(tuple(frame.copy() for frame in FRAMES))).fingerprint() == key
    flat = Image.frombytes("RGB", (90, 120), FRAMES[0].tobytes())
    shown = [
        FRAMES[::-1],
        FRAMES[:2],
        FRAMES[:1],
        FRAMES[0],
        flat,
        Loaded(tuple(FRAMES), (0, 1, 2)),
        Loaded(tuple(FRAMES), (0, 1, 3)),
    ]
    assert len({key, *(as_media_input(media).fingerprint() for media in shown)}) == len(shown) + 1


@pytest.mark.parametrize(
    ("media", "error", "says"),
    [
        ([], ValueError, "at least one frame"),
        ([tiny.image(0, (9, 9)), tiny.image(0, (9, 8))], ValueError, r"all of one size.*\(9, 8\), \(9, 9\)"),
        (Loaded(tuple(FRAMES), (0, 1)), ValueError, "2 times were given for 3 frames"),
        ("clip.mp4", TypeError, "a str is not a picture: give PIL images, or open files with load_image"),
        ([torch.zeros(3, 9, 9)], TypeError, "a Tensor is not a picture"),
        (None, TypeError, "a NoneType is not a picture"),
    ],
    ids=["no frames", "sizes", "seconds", "a path", "tensors", "nothing"],
)
def test_what_cannot_be_shown_is_one_sentence(media, error, says):
    with pytest.raises(error, match=says):
        as_media_input(media)


def test_a_family_without_videos_is_shown_a_clip_as_several_images(adapter):
    ours = run_processor(adapter, tiny.processor(), as_media_input(FRAMES), "What color is the star?")
    theirs = tiny.inputs(("What color is the star?", FRAMES))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_pixels_go_their_way_once_they_are_encoded(adapter):
    shown = as_media_input(Loaded(tuple(FRAMES), (0, 1, 2)))
    look = encode(adapter, tiny.processor(), shown, "key")
    assert (look.vision.shape, look.n_visual, len(look.items)) == ((3, tiny.N), 3 * tiny.N, 3)
    assert [place.image_size for place in look.vision.geometry] == [(120, 90)] * 3
    assert look.media.seconds == (0, 1, 2) and look.media.clip and look.media.size == (120, 90)
    assert all(frame.getextrema() == ((0, 0),) * 3 for frame in look.media.frames)
    pixels = tiny.inputs(("is it", FRAMES))
    expected = torch.cat([one.vision.features for one in adapter.look(pixels)])
    assert torch.equal(look.vision.features, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_pixels_take_the_models_own_precision(dtype):
    adapter = adapter_for(tiny.model(dtype=dtype))
    assert encode(adapter, tiny.processor(), as_media_input(FRAMES), "").vision.features.dtype is dtype
