"""Check that load_media tells clips from stills, and which message a bad file gets."""

import pytest
from PIL import Image

from rediprune.media import MediaError
from rediprune.media.image import LoadedImage
from rediprune.media.load import load_media
from rediprune.media.video import LoadedVideo
from tests.support import tiny
from tests.support.footage import write, write_sound


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_an_animated_picture_is_a_clip_and_a_still_one_is_not(tmp_path, kind):
    frames = [tiny.image(t) for t in range(4)]
    frames[0].save(tmp_path / f"moves.{kind}", save_all=True, append_images=frames[1:], duration=300)
    frames[0].save(tmp_path / f"still.{kind}")
    moves = load_media(tmp_path / f"moves.{kind}", 3)
    assert isinstance(moves, LoadedVideo) and len(moves.frames) == 3
    assert isinstance(load_media(tmp_path / f"still.{kind}"), LoadedImage)


def test_a_video_is_a_clip_whatever_its_name(tmp_path):
    written = write(tmp_path / "clip.mp4").rename(tmp_path / "clip.dat")
    assert len(load_media(written, 4).frames) == 4


@pytest.mark.parametrize("kind", ["tiff", "mpo"])
def test_pages_and_previews_are_no_frames(tmp_path, kind):
    first, second = tiny.image(0), tiny.image(1)
    first.save(tmp_path / f"photo.{kind}", save_all=True, append_images=[second])
    assert isinstance(load_media(tmp_path / f"photo.{kind}"), LoadedImage)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("photo.png", b"no", "save it as PNG or JPEG"),
        ("photo.heic", b"no", "save it as PNG or JPEG"),
        ("clip.mp4", b"no", "save it again as MP4"),
        ("notes.txt", b"no", "neither a picture nor a video"),
        ("notes", b"no", "neither a picture nor a video"),
        ("clip.mp4", b"", "is empty"),
    ],
)
def test_a_bad_file_gets_the_sentence_that_fits_its_name(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=says):
        load_media(tmp_path / name)


def test_sound_alone_is_no_clip_and_a_bomb_is_no_picture(tmp_path, monkeypatch):
    with pytest.raises(MediaError, match="only sound"):
        load_media(write_sound(tmp_path / "song.wav", "pcm_s16le"))
    tiny.image().save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(MediaError, match="megapixels"):
        load_media(tmp_path / "bomb.png")


def test_a_broken_off_animation_gives_what_came_before(tmp_path):
    frames = [tiny.image(t) for t in range(6)]
    frames[0].save(tmp_path / "cut.gif", save_all=True, append_images=frames[1:], duration=300)
    whole = (tmp_path / "cut.gif").read_bytes()
    (tmp_path / "cut.gif").write_bytes(whole[: len(whole) // 2])
    found = load_media(tmp_path / "cut.gif", 8)
    assert isinstance(found, LoadedVideo) and 1 <= len(found.frames) < 6
