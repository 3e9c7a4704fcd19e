"""Put text and visual tokens into one joint space with the text tower of a loaded vision encoder.

The text tower is read from a CLIP or SigLIP checkpoint, and the two parts that map visual tokens into the
joint space: the vision tower's final LayerNorm and CLIP's projection or SigLIP's pooling head (see `lift`).
The vision tower itself is never allocated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ..config import POINTINGS
from ..costs.estimate import TextTowerShapes
from ..trace import Query
from .lift import Lift, PoolLift, ProjectionLift
from .question import split_text

# The parameters that map visual tokens into the joint space, by their names in the checkpoint.
LIFT = ("visual.ln_post.weight", "visual.ln_post.bias", "visual.proj")
# Prefixes of SigLIP's parameters that do so: its last LayerNorm and its pooling head.
POOL = ("visual.trunk.norm.", "visual.trunk.attn_pool.")


class TextTower:
    """Encode text and visual tokens into the joint space of width E, in float32 throughout.

    Attributes:
        name: the folder or the open_clip name that it was loaded from.
    """

    def __init__(self, clip, tokenizer, lift: Lift, name: str) -> None:
        """Take the parts of a CLIP or SigLIP; `load` reads them from a checkpoint.

        Args:
            clip: open_clip's model without its vision tower.
            tokenizer: open_clip's tokenizer of that model.
            lift: maps visual tokens into the joint space.
            name: where the parts were loaded from.
        """
        self.name = name
        self._clip = clip
        self._tokenizer = tokenizer
        self._lift = lift
        # An empty text is start, end, padding for CLIP; SigLIP has no start and pads with the end.
        first, second = tokenizer([""])[0, :2].tolist()
        self._starts = int(first != second)
        self._end = second

    @classmethod
    def load(cls, name: str | Path, device: str | torch.device = "cpu") -> TextTower:
        """Load from a folder, or by open_clip's names.

        Args:
            name: "local-dir:/path" (or just the path) of a folder in open_clip's local-dir format, or
                "MODEL/TAG" such as "ViT-L-14-336-quickgelu/openai", which open_clip downloads from the
                Hugging Face Hub once.
            device: where the text is encoded.

        Raises:
            ValueError: not a CLIP or SigLIP with a vision transformer, an unknown name, or a damaged folder.
            OSError: no such folder, or the download failed.
        """
        import open_clip  # takes a second or two, and only this query needs it
        from safetensors import safe_open

        name = str(name)
        folder = Path(name.removeprefix("local-dir:"))
        local = name.startswith("local-dir:") or folder.is_dir()
        if local:
            config, weights = _local(folder)
        else:
            config, weights = _public(name)
        _check_family(config, name)

        with safe_open(weights, "pt") as file:
            names = file.keys()
            stored = {key: file.get_tensor(key).float() for key in names if _is_used(key)}
        build = _siglip if _pools(config) else _clip
        try:
            clip, lift = build(config, stored, device)
        except KeyError as error:
            raise ValueError(f"text tower {name}: {weights} lacks {error.args[0]}") from error
        except RuntimeError as error:
            raise ValueError(f"text tower {name}: its weights do not fit its config ({error})") from error
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}" if local else name.partition("/")[0])
        return cls(clip.requires_grad_(False).eval().to(device), tokenizer, lift, name)

    @property
    def width(self) -> int:
        """Return C, the width of the visual tokens that the tower takes."""
        return self._lift.width

    @property
    def device(self) -> torch.device:
        """Return the device that the tower computes on."""
        return self._lift.device

    @property
    def shapes(self) -> TextTowerShapes:
        """Return the numbers that the cost of a query depends on."""
        text = getattr(self._clip, "text", self._clip)
        blocks = text.transformer.resblocks
        return TextTowerShapes(
            layers=len(blocks),
            width=text.token_embedding.embedding_dim,
            mlp=blocks[0].mlp.c_fc.out_features,
            context=self._clip.context_length,
            joint_width=self._lift.joint_width,
            lift_macs=self._lift.token_macs,
        )

    @torch.no_grad()
    def encode(self, text: str) -> Tensor:
        """Embed a text, [E] float32, not normalised.

        Raises:
            ValueError: a text without tokens.
        """
        ids, content = self._read(text)
        if not content:
            raise ValueError("the question is empty: the text tower needs at least one token to look for")
        return self._clip.encode_text(ids.to(self.device))[0]

    def tokens(self, text: str) -> tuple[str, ...]:
        """Return the tokens that `encode` reads, as text, cut to the context; no start, end or padding.

        Joined, they are the text (see question.split_text).
        """
        # open_clip wraps transformers tokenizers, whose own decode is one level down.
        decode = getattr(self._tokenizer, "tokenizer", self._tokenizer).decode
        return split_text(decode, self._read(text)[1])

    @torch.no_grad()
    def keys(self, tokens: Tensor) -> Tensor:
        """Map visual tokens [T, N, C] into the joint space, [T, N, E] float32, by the tower's lift."""
        if tokens.shape[-1] != self.width:
            raise ValueError(
                f"visual tokens have width {tokens.shape[-1]} but text tower {self.name} takes {self.width}: "
                "it was not trained with this vision encoder"
            )
        return self._lift(tokens.to(self.device, torch.float32))

    def value_keys(self, tokens: Tensor, value_path: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply the last block's value path (LN, v_proj, out_proj; MaskCLIP), then `keys`."""
        return self.keys(value_path(tokens))

    def _read(self, text: str) -> tuple[Tensor, list[int]]:
        """Return the ids that the tower takes, [1, L], and those between start and end: the text."""
        ids = self._tokenizer([text])
        row = ids[0].tolist()
        end = row.index(self._end, self._starts) if self._end in row[self._starts :] else len(row)
        return ids, row[self._starts : end]


def _is_used(key: str) -> bool:
    """Return whether a stored parameter is one of the text side or of the lift."""
    return not key.startswith("visual.") or key in LIFT or key.startswith(POOL)


def _clip(config: dict, stored: dict[str, Tensor], device: str | torch.device) -> tuple[nn.Module, Lift]:
    """Build a CLIP's text side and its lift; raises KeyError for a parameter that is not stored."""
    import open_clip

    # Build the model without memory for its weights, drop the vision tower, then assign the text weights.
    with torch.device("meta"):
        clip = open_clip.CLIP(**config)
    del clip.visual
    scale, shift, projection = (stored.pop(key).to(device) for key in LIFT)
    clip.load_state_dict(stored, assign=True)
    if clip.attn_mask is not None:  # causal; a non-persistent buffer, so no checkpoint carries it
        n = clip.context_length
        clip.attn_mask = torch.full((n, n), -math.inf).triu_(1)
    eps = (config["vision_cfg"].get("norm_kwargs") or {}).get("eps", 1e-5)
    return clip, ProjectionLift(scale, shift, projection, eps)


def _siglip(config: dict, stored: dict[str, Tensor], device: str | torch.device) -> tuple[nn.Module, Lift]:
    """Build a SigLIP's text side and its lift; raises KeyError for a parameter that is not stored."""
    import open_clip

    with torch.device("meta"):
        clip = open_clip.CustomTextCLIP(**{k: v for k, v in config.items() if k != "custom_text"})
    trunk = clip.visual.trunk
    for prefix, module in zip(POOL, (trunk.norm, trunk.attn_pool), strict=True):
        parts = {key: stored.pop(prefix + key) for key in module.state_dict()}
        module.load_state_dict(parts, assign=True)
        module.requires_grad_(False).eval().to(device)
    del clip.visual
    clip.load_state_dict(stored, assign=True)
    return clip, PoolLift(trunk.norm, trunk.attn_pool)


def _local(folder: Path) -> tuple[dict, Path]:
    """Return the model config in a folder, and the path of its weights."""
    config = folder / "open_clip_config.json"
    weights = folder / "open_clip_model.safetensors"
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
    """Return the config that open_clip has for MODEL/TAG, and the path of the downloaded weights."""
    import open_clip

    model, _, tag = name.partition("/")
    config = open_clip.get_model_config(model)
    pretrained = open_clip.get_pretrained_cfg(model, tag)
    if config is None or not pretrained:
        raise ValueError(
            f"text tower {name!r} is unknown to open_clip: give MODEL/TAG, such as "
            "ViT-L-14-336-quickgelu/openai, or a folder that exists"
        )
    if bool(pretrained.get("quick_gelu")) != bool(config.get("quick_gelu")):
        # open_clip only warns, and then computes with another activation than the weights were trained with.
        raise ValueError(f"text tower {name}: these weights need the other GELU; try {model}-quickgelu/{tag}")
    _check_family(config, name)  # before a gigabyte is downloaded for nothing
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


def _pools(config: dict) -> bool:
    """Return whether this is a SigLIP: timm's encoder, whose attention pool leads to the joint space."""
    vision = config["vision_cfg"]
    named = str(vision.get("timm_model_name"))
    return "siglip" in named and vision.get("timm_pool") == "map" and vision.get("timm_proj") == "none"


def _check_family(config: dict, name: str) -> None:
    """Refuse all but a plain CLIP and a SigLIP: what else pools does not map every token by itself."""
    vision = config["vision_cfg"]
    text = config["text_cfg"]
    if text.get("hf_model_name") or "multimodal_cfg" in config:
        plain = False
    elif _pools(config):
        plain = True
    else:
        own = config.get("custom_text") or vision.get("timm_model_name") or vision.get("attentional_pool")
        plain = not own and not isinstance(vision["layers"], list)
    if not plain:
        raise ValueError(
            f"text tower {name} is no CLIP or SigLIP with a vision transformer whose every token has a place "
            'in the joint space: use the query "prompt-tail"'
        )


def text_tower_query(
    tower: TextTower,
    text: str,
    features: Tensor,
    pointing: str = "cosine",
    value_path: Callable[[Tensor], Tensor] | None = None,
) -> Query:
    """Make a query from the question and the visual tokens, both in CLIP's joint space.

    Args:
        tower: the text tower that was trained with the vision encoder of `features`.
        text: the question; text beyond the tower's context is cut (Query.tokens holds what was read).
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
