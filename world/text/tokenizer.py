"""Make the tokenizer that CLIP and LLM share, and phrases that name patches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from rediprune.files.atomic_write import write_text

from ..render.clip_plans import plan_clip
from ..render.scenes import COLORS, DIGITS, SHAPES, render_scene
from .clip_questions import (
    CLIP_KINDS,
    CLIP_TEMPLATES,
    DESCRIBE_CLIP,
    MOMENTS,
    describe_clip,
    make_clip_question,
)
from .scene_questions import (
    DESCRIBE,
    KINDS,
    NUMBER_WORDS,
    RELATIONS,
    TEMPLATES,
    add_article,
    describe_scene,
    make_scene_question,
    pluralise,
)

IMAGE_TOKEN = "<image>"
# The chat template of LLaVA-1.5, so that the embedded model takes the prompts of the public checkpoints.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
# </s> must not be id 2: transformers' CLIP takes an end token of 2 to mean "pool at the largest id".
_SPECIAL = ("<pad>", "<s>", "<unk>", "</s>")


def format_prompt(frames: int = 1) -> str:
    """Return the prompt of a still, or of a clip with an image per frame, with {question} to fill in."""
    return "USER: " + f"{IMAGE_TOKEN}\n" * frames + "{question} ASSISTANT:"


def _corpus(scenes: int = 400) -> list[str]:
    """Return texts with every word of the world, about as often as questions and answers use it."""
    lines = [DESCRIBE, DESCRIBE_CLIP, "USER: ASSISTANT:", *COLORS, *SHAPES, *DIGITS, *NUMBER_WORDS]
    for seed in range(scenes):
        scene = render_scene(seed)
        rng = np.random.default_rng(seed)
        questions = [make_scene_question(scene, kind, rng) for kind in KINDS] + [describe_scene(scene)]
        plan = plan_clip(seed)
        questions += [make_clip_question(plan, kind, rng) for kind in (*CLIP_KINDS, "frame")] + [
            describe_clip(plan)
        ]
        lines += [f"USER: \n{q.text} ASSISTANT: {q.answer}" for q in questions if q]
    return lines


def train_tokenizer(vocab_size: int = 640) -> Tokenizer:
    """Train a lower-casing byte-level BPE tokenizer.

    Every word of the world becomes one token; other text falls back to bytes.
    """
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.Lowercase()
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(_corpus(), trainer)
    return tok


def make_llm_tokenizer(tok: Tokenizer) -> PreTrainedTokenizerFast:
    """Make the tokenizer of the LLM: it starts with <s>, knows <image> and has the chat template."""
    return _wrap_tokenizer(
        tok, "<s> $A", extra_special_tokens={"image_token": IMAGE_TOKEN}, chat_template=CHAT_TEMPLATE
    )


def make_clip_tokenizer(tok: Tokenizer) -> PreTrainedTokenizerFast:
    """Make the tokenizer of the CLIP text tower, which encodes <s> ... </s> and pools at </s>."""
    return _wrap_tokenizer(tok, "<s> $A </s>")


def _wrap_tokenizer(tok: Tokenizer, template: str, **options) -> PreTrainedTokenizerFast:
    """Wrap a copy of the tokenizer for transformers.

    Args:
        tok: is left as it is.
        template: places the special tokens around a text $A.
        options: more arguments of PreTrainedTokenizerFast.
    """
    copy = Tokenizer.from_str(tok.to_str())
    copy.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(t, copy.token_to_id(t)) for t in ("<s>", "</s>") if t in template]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=copy, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        padding_side="right", truncation_side="right", clean_up_tokenization_spaces=False, **options,
    )  # fmt: skip


def fix_tokenizer_class(folder: Path) -> None:
    """Name a tokenizer class that transformers 4 knows too; transformers 5 writes one that 4 cannot load."""
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config.pop("backend", None)
    write_text(path, json.dumps(config, indent=2) + "\n")


def sample_phrase(rng: np.random.Generator) -> tuple[str, list[tuple[int, int, int]]]:
    """Sample a text and what it names.

    Half of the texts are phrases and half are whole questions about stills or clips, so that a question too
    points at what it asks about.

    Returns:
        The text, and one or two (colour, shape, digit) triples of indices, with -1 for any; a digit is stored
        as 1 + its value, as in SceneStore.
    """
    c = int(rng.integers(len(COLORS)))
    s = int(rng.integers(len(SHAPES)))
    d = int(rng.integers(len(DIGITS)))
    color = list(COLORS)[c]
    shape = SHAPES[s]
    any_ = -1
    # A phrase with what it names: by the form alone, or by colour and form.
    form = (shape, (any_, s, any_))
    name = (f"{color} {shape}", (c, s, any_))
    if rng.random() < 0.5:
        phrases = [
            form, name, (color, (c, any_, any_)), (f"the digit {DIGITS[d]}", (any_, any_, d + 1)),
            (add_article(shape), form[1]), (add_article(name[0]), name[1]),
            (add_article(f"{color} shape"), (c, any_, any_)),
            ("shapes", (any_, any_, any_)),
        ]  # fmt: skip
        text, wanted = phrases[int(rng.integers(len(phrases)))]
        return text, [wanted]
    templates = TEMPLATES if rng.random() < 0.5 else CLIP_TEMPLATES
    kind = str(rng.choice(list(templates)))
    ref = form if rng.random() < 0.5 else name
    words = {"ref": ref[0], "what": ref[0], "color": color, "moment": str(rng.choice(list(MOMENTS)))}
    wanted = [ref[1]]
    if kind == "color":
        words["ref"] = shape
        wanted = [form[1]]
    elif kind == "shape":
        wanted = [(c, any_, any_)]
    elif kind == "existence":
        words["what"] = add_article(ref[0])
    elif kind == "last" or (kind == "count" and templates is CLIP_TEMPLATES):
        wanted = [(any_, any_, any_)]  # any shape
    elif kind == "count":
        options = [
            (pluralise(shape), form[1]),
            (f"{color} shapes", (c, any_, any_)),
        ]
        words["what"], target = options[int(rng.integers(2))]
        wanted = [target]
    elif kind in ("relation", "order"):
        c2 = int(rng.integers(len(COLORS)))
        s2 = int(rng.integers(len(SHAPES)))
        by_form = rng.random() < 0.5
        words["other"] = SHAPES[s2] if by_form else f"{list(COLORS)[c2]} {SHAPES[s2]}"
        words["relation"] = str(rng.choice(RELATIONS))
        wanted.append((any_ if by_form else c2, s2, any_))
    return str(rng.choice(templates[kind])).format(**words), wanted
