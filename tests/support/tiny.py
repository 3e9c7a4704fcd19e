"""Make a tiny LLaVA with random weights and a real processor from configs: the model of most tests.

84 px images in patches of 14 make a 6 x 6 grid of 36 visual tokens; vision width C = 32, LLM width D = 64 (so
that the published query is folded), 4 attention heads sharing 2 key-value heads. It understands nothing, but
everything about it is real: classes, processor, chat template, file layout, generation.

The tokenizer has whole words, so that a streamer, which holds text back up to the last space, has something
to stream; anything else becomes <unk>.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

IMAGE_SIZE, PATCH, C, D, JOINT = 84, 14, 32, 64, 16
GRID = IMAGE_SIZE // PATCH
N = GRID * GRID

SPECIAL = ("<unk>", "<s>", "</s>", "<pad>")
WORDS = """
    user assistant what where how many is are the a an of in on to left right above below color shape
    object star circle square triangle cross ring red green blue yellow purple orange white black gray
    big small one two three four five none yes no and there this picture scene letter digit written
    describe it near far dog cat man woman table tree house car sky please answer with word
""".split()  # noqa: SIM905 (a list of 90 literals reads worse)
CHARACTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789.,:;!?'\"-()"]

# The prompt of LLaVA-1.5: the image placeholders first, the question, and a tail after it.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }} {% endfor %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def words(**named: str) -> PreTrainedTokenizerFast:
    """Make a tokenizer of whole words; `named` adds special tokens, such as image_token="<image>"."""
    known = dict.fromkeys([*SPECIAL, *named.values(), *CHARACTERS, *WORDS])
    vocab = {word: i for i, word in enumerate(known)}
    backend = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", vocab["<s>"])])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        extra_special_tokens=dict(named),
    )


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Make the tiny model's tokenizer."""
    return words(image_token="<image>")


@cache
def processor() -> LlavaProcessor:
    """Make the tiny model's processor."""
    return LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
        ),
        tokenizer=tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def config(**changes) -> LlavaConfig:
    """Make the tiny model's config; `changes` replace top-level fields (vision_feature_layer, ...)."""
    tok = tokenizer()
    fields = dict(
        vision_config=CLIPVisionConfig(
            hidden_size=C,
            intermediate_size=2 * C,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=IMAGE_SIZE,
            patch_size=PATCH,
            projection_dim=JOINT,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tok),
            hidden_size=D,
            intermediate_size=2 * D,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            bos_token_id=tok.bos_token_id,
            eos_token_id=tok.eos_token_id,
            pad_token_id=tok.pad_token_id,
        ),
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        image_seq_length=N,
    )
    return LlavaConfig(**(fields | changes))


def model(seed: int = 0, dtype: torch.dtype = torch.float32, **changes) -> LlavaForConditionalGeneration:
    """Build the model in eval mode; a seed fixes the weights, and the global random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = LlavaForConditionalGeneration(config(**changes))
        with torch.no_grad():
            # The usual start (deviation 0.02) makes every answer the same word; at this scale answers vary
            # and depend on the visual tokens, so a wrong token in the wrong place shows.
            for weight in built.parameters():
                if weight.dim() > 1:
                    weight.normal_(0, weight[0].numel() ** -0.5)
            built.get_input_embeddings().weight.normal_(0, 1)
    tok = tokenizer()
    built.generation_config = GenerationConfig(
        bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id
    )
    return built.to(dtype).eval()


def save(folder: str | Path, seed: int = 0) -> Path:
    """Write model and processor as a local folder, as `from_pretrained` and `rediprune.load` read it."""
    model(seed).save_pretrained(folder)
    processor().save_pretrained(folder)
    return Path(folder)


def save_clip(folder: str | Path, seed: int = 0) -> Path:
    """Write a random CLIP in open_clip's `local-dir:` format, its vision width that of the tiny model.

    Use it as `TextTower.load(f"local-dir:{folder}")`. Its text side has CLIP's own vocabulary of 49,408.
    """
    import json

    import open_clip
    from safetensors.torch import save_file

    cfg = dict(
        embed_dim=JOINT,
        quick_gelu=True,
        vision_cfg=dict(image_size=IMAGE_SIZE, layers=3, width=C, head_width=C // 4, patch_size=PATCH),
        text_cfg=dict(context_length=77, vocab_size=49408, width=16, heads=2, layers=2),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = open_clip.CLIP(**cfg)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": cfg, "preprocess_cfg": preprocess}, indent=2)
    )
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def image(seed: int = 0, size: tuple[int, int] = (IMAGE_SIZE, IMAGE_SIZE)) -> Image.Image:
    """Make an RGB picture of coloured blocks, in which neighbouring patches differ; `size` is (w, h)."""
    blocks = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def prompt(question: str = "What color is the star?", n_images: int = 1) -> str:
    """Write the prompt of a question about n images by the chat template."""
    content = [{"type": "image"}] * n_images + [{"type": "text", "text": question}]
    return processor().apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


def inputs(*rows: tuple[str, list[Image.Image]]) -> dict[str, torch.Tensor]:
    """Run the processor on rows of (question, images) as one batch; no rows: one question, one image."""
    rows = rows or (("What color is the star?", [image()]),)
    texts = [prompt(question, len(images)) for question, images in rows]
    images = [one for _, images in rows for one in images]
    return dict(processor()(images=images or None, text=texts, padding=True, return_tensors="pt"))
