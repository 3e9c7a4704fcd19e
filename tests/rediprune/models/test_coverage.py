"""Every image-text-to-text class of transformers is served or refused with its reason; a new one shows."""

from dataclasses import replace

import pytest
import transformers
from packaging.version import Version
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as NAMES

from rediprune.models import ModelError
from rediprune.models.generic.lines import LINES
from rediprune.models.registry import FAMILIES, adapter_for
from rediprune.models.unsupported import _NO_SEPARATE_PROJECTOR, _NOT_SERVED, refuse_class
from tests.families import tiny_models

# The release that the tables were made for: an older one lacks some of the classes, a newer one has more.
KNOWN_WITH = Version("5.24")
# Not in transformers' list, but refused by name or served as a variant.
BESIDE = {"flamingo", "phi4_multimodal"}
OURS = {*FAMILIES, *LINES, *_NO_SEPARATE_PROJECTOR, *_NOT_SERVED}


def test_every_class_of_transformers_is_served_or_refused():
    unknown = set(NAMES) - OURS
    assert not unknown, f"new in transformers {transformers.__version__}, to be served or refused: {unknown}"


def test_every_class_of_ours_is_in_transformers():
    installed = Version(Version(transformers.__version__).base_version)
    gone = OURS - set(NAMES) - BESIDE
    if installed < KNOWN_WITH:  # an older release: what is missing there came later
        assert len(gone) < len(OURS) // 2
    else:
        assert not gone


def test_no_family_is_in_two_tables():
    # A variant of LLaVA with another vision encoder than its own adapter's is served by a line.
    variants = {"llava"}
    assert set(FAMILIES) & set(LINES) == variants
    assert not (set(FAMILIES) | set(LINES)) & (set(_NO_SEPARATE_PROJECTOR) | set(_NOT_SERVED))
    assert not set(_NO_SEPARATE_PROJECTOR) & set(_NOT_SERVED)


def test_every_line_is_tried_on_a_model():
    assert set(LINES) - {"llava"} == set(tiny_models.models())


@pytest.mark.pinned
def test_every_family_is_tried_with_the_pinned_transformers():
    assert tiny_models.served_here() == tiny_models.models()


def test_a_family_that_needs_a_newer_transformers_is_refused_by_name(monkeypatch):
    line = replace(LINES["smolvlm"], since=(99, 1))
    monkeypatch.setitem(LINES, "smolvlm", line)
    model = tiny_models.build("smolvlm", tiny_models.models()["smolvlm"])
    with pytest.raises(ModelError, match=r"with transformers 99\.1 or newer, not with the installed 5\."):
        adapter_for(model)


def test_a_line_says_clips_where_they_are_tried():
    assert {name for name, line in LINES.items() if line.video} == {
        name for name, tiny in tiny_models.models().items() if tiny.video
    }


def test_at_least_sixty_of_those_with_a_projector_are_served():
    assert len({*FAMILIES, *LINES}) >= 60


@pytest.mark.parametrize("kind", sorted(_NOT_SERVED))
def test_what_is_not_served_yet_says_what_is_missing(kind):
    class Config:
        model_type = kind
        vision_config = None

    with pytest.raises(ModelError, match="SomeModel is not served yet: "):
        refuse_class("SomeModel", Config(), FAMILIES)
