"""CLIP's text tower beside a vision encoder that is already loaded: text and visual tokens in one joint
space.

Of the CLIP checkpoint only the text tower and the two pieces that lift visual tokens into the joint space
(the vision tower's final LayerNorm and its projection) are read; the vision tower itself is never allocated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import POINTINGS
from ..costs.estimate import TextTowerShapes
from ..trace import Query
from .question import split_text

LIFT = ("visual.ln_post.weight", "visual.ln_post.bias", "visual.proj")


class TextTower:
    """open_clip's text encoder with the vision tower's way into the joint space of width E. Float32
    throughout.

    Attributes:
        name: what it was loaded from.
        width: C, the width of the visual tokens it takes.
    """

    def __init__(self, clip, tokenizer, lift: tuple[Tensor, Tensor, Tensor], eps: float, name: str) -> None:
        """clip: open_clip.CLIP without `visual`; lift: LayerNorm weight and bias [C], projection [C, E]."""
        self.name = name
        self._clip, self._tokenizer = clip, tokenizer
        self._scale, self._shift, self._projection = lift
        self._eps = eps
        self._end = tokenizer([""])[0, 1].item()  # an empty text is start, end, padding

    @classmethod
    def load(cls, name: str | Path, device: str | torch.device = "cpu") -> TextTower:
        """Load by open_clip's names.

        Args:
            name: "local-dir:/path" (or just the path) of a folder in open_clip's local-dir format, or
                "MODEL/TAG" such as "ViT-L-14-336-quickgelu/openai", which open_clip downloads from the
                Hugging Face Hub once.

        Raises:
            ValueError: not a CLIP with a vision transformer, unknown name, or a broken folder.
            OSError: no such folder, or the download failed.
        """
        import open_clip  # a second or two, and only this query needs it
        from safetensors import safe_open

        name = str(name)
        folder = Path(name.removeprefix("local-dir:"))
        local = name.startswith("local-dir:") or folder.is_dir()
        config, weights = _local(folder) if local else _public(name)
        _check_family(config, name)

        with torch.device("meta"):
            clip = open_clip.CLIP(**config)
        del clip.visual
        with safe_open(weights, "pt") as file:
            names = set(file.keys())
            if missing := [key for key in LIFT if key not in names]:
                raise ValueError(f"text tower {name}: {weights} lacks {', '.join(missing)}")
            lift = tuple(file.get_tensor(key).float().to(device) for key in LIFT)
            text = {key: file.get_tensor(key).float() for key in names if not key.startswith("visual.")}
        try:
            clip.load_state_dict(text, assign=True)
        except RuntimeError as error:
            raise ValueError(f"text tower {name}: its weights do not fit its config ({error})") from error
        if clip.attn_mask is not None:  # causal; a non-persistent buffer, so no checkpoint carries it
            n = clip.context_length
            clip.attn_mask = torch.full((n, n), -math.inf).triu_(1)

        eps = (config["vision_cfg"].get("norm_kwargs") or {}).get("eps", 1e-5)
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}" if local else name.partition("/")[0])
        return cls(clip.requires_grad_(False).eval().to(device), tokenizer, lift, eps, name)

    @property
    def width(self) -> int:
        return self._projection.shape[0]

    @property
    def device(self) -> torch.device:
        return self._projection.device

    @property
    def shapes(self) -> TextTowerShapes:
        """The numbers that the cost of a query depends on."""
        blocks = self._clip.transformer.resblocks
        return TextTowerShapes(
            layers=len(blocks),
            width=self._clip.token_embedding.embedding_dim,
            mlp=blocks[0].mlp.c_fc.out_features,
            context=self._clip.context_length,
            joint_width=self._projection.shape[1],
        )

    @torch.no_grad()
    def encode(self, text: str) -> Tensor:
        """The text's embedding, [E] float32, not normalised. ValueError where there is nothing to read."""
        ids, content = self._read(text)
        if not content:
            raise ValueError("the question is empty: the text tower needs at least one token to look for")
        return self._clip.encode_text(ids.to(self.device))[0]

    def tokens(self, text: str) -> tuple[str, ...]:
        """Return the tokens that `encode` reads, as text: cut to the context, no start, end or padding.

        Joined they read as the text does (see question.split_text).
        """
        # open_clip wraps transformers tokenizers, whose own decode is one level down.
        decode = getattr(self._tokenizer, "tokenizer", self._tokenizer).decode
        return split_text(decode, self._read(text)[1])

    @torch.no_grad()
    def keys(self, tokens: Tensor) -> Tensor:
        """Visual tokens [T, N, C] in the joint space, [T, N, E] float32: final LayerNorm, then projection."""
        if tokens.shape[-1] != self.width:
            raise ValueError(
                f"visual tokens have width {tokens.shape[-1]} but text tower {self.name} takes {self.width}: "
                "it was not trained with this vision encoder"
            )
        tokens = tokens.to(self.device, torch.float32)
        return F.layer_norm(tokens, (self.width,), self._scale, self._shift, self._eps) @ self._projection

    def value_keys(self, tokens: Tensor, value_path: Callable[[Tensor], Tensor]) -> Tensor:
        """`keys` after the last block's value path alone (LN -> v_proj -> out_proj, as in MaskCLIP)."""
        return self.keys(value_path(tokens))

    def _read(self, text: str) -> tuple[Tensor, list[int]]:
        """Ids as the tower takes them, [1, L], and those that carry the text (between start and end)."""
        ids = self._tokenizer([text])
        row = ids[0].tolist()
        return ids, row[1 : row.index(self._end, 1)]


def _local(folder: Path) -> tuple[dict, Path]:
    config, weights = folder / "open_clip_config.json", folder / "open_clip_model.safetensors"
    for path in (config, weights):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} does not exist: a local text tower needs {config.name} and {weights.name}"
            )
    try:
        model = json.loads(config.read_text())["model_cfg"]
        return {**model, "vision_cfg": model["vision_cfg"], "text_cfg": model["text_cfg"]}, weights
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{config} is no open_clip config: it needs model_cfg with vision_cfg, text_cfg"
        ) from error


def _public(name: str) -> tuple[dict, Path]:
    import open_clip

    model, _, tag = name.partition("/")
    config, pretrained = open_clip.get_model_config(model), open_clip.get_pretrained_cfg(model, tag)
    if config is None or not pretrained:
        raise ValueError(
            f"text tower {name!r} is unknown to open_clip: give MODEL/TAG, such as "
            "ViT-L-14-336-quickgelu/openai, or a folder that exists"
        )
    if bool(pretrained.get("quick_gelu")) != bool(config.get("quick_gelu")):
        # open_clip only warns, and then computes with another activation than the weights were trained with.
        raise ValueError(f"text tower {name}: these weights need the other GELU; try {model}-quickgelu/{tag}")
    _check_family(config, name)  # before a gigabyte is downloaded in vain
    try:
        weights = Path(open_clip.download_pretrained(pretrained))
    except Exception as error:
        raise OSError(
            f"text tower {name} could not be downloaded ({error}): connect once so that it is cached, "
            'or choose the query "prompt-tail", which needs no text tower'
        ) from error
    if weights.suffix != ".safetensors":
        raise ValueError(f"text tower {name}: only safetensors are read, and this is {weights.name}")
    return config, weights


def _check_family(config: dict, name: str) -> None:
    """Only a plain CLIP lifts every visual token by LayerNorm and projection; a pooling head does not."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    plain = not (config.get("custom_text") or text.get("hf_model_name") or "multimodal_cfg" in config)
    if (
        not plain
        or vision.get("timm_model_name")
        or vision.get("attentional_pool")
        or isinstance(vision["layers"], list)
    ):
        raise ValueError(
            f"text tower {name} is no CLIP with a vision transformer whose every token has a place in the "
            'joint space: use the query "prompt-tail"'
        )


def text_tower_query(
    tower: TextTower,
    text: str,
    features: Tensor,
    pointing: str = "cosine",
    value_path: Callable[[Tensor], Tensor] | None = None,
) -> Query:
    """The question and the visual tokens, both in CLIP's joint space.

    Args:
        tower: the text tower that was trained with the vision encoder of `features`.
        text: the question; what does not fit the tower's context is cut (Query.tokens shows what was read).
        features: [T, N, C] visual tokens as the projector receives them.
        pointing: one of config.POINTINGS. Patch-text cosine is known to come out with the wrong sign in some
            CLIP towers, so measure which pointing finds the object.
        value_path: for "value", the last block without attention mixing, [T, N, C] -> [T, N, C]
            (an adapter's `value_path`).

    Returns:
        Query with vector [E] and keys [T, N, E], float32, on the tower's device; its weights are None.

    Raises:
        ValueError: text without tokens, unknown pointing, no value path, or a tower of another width.
    """
    if pointing not in POINTINGS:
        raise ValueError(f"pointing={pointing!r} is unknown: choose one of {', '.join(POINTINGS)}")
    if pointing != "value":
        keys = tower.keys(features)
    elif value_path is not None:
        keys = tower.value_keys(features, value_path)
    else:
        raise ValueError(
            'pointing="value" needs the last block of the vision tower, which this model does not offer: '
            'use "cosine" or "negated"'
        )
    return Query(
        "text-tower", tower.encode(text), keys, tower.tokens(text), sign=-1 if pointing == "negated" else 1
    )
