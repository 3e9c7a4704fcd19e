"""Count FLOPs and bytes of each station of one answer in closed form from a model's shapes: ESTIMATES.

One FLOP is one multiplication or one addition, so one multiply-add counts as 2. Matrix products are counted,
and attention over the full n x n square (a fused causal kernel may compute half of it). Norms, activations,
softmax, rotary positions and sampling are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..config import ASKS_ATTENTION, ASKS_PROJECTED


@dataclass(frozen=True)
class ModelShapes:
    """Hold the numbers of a vision tower, projector and LLM that FLOPs depend on, from the model's config.

    Attributes:
        vision_layers: encoder layers of the model, also those after the last one that this library runs.
        vision_width, vision_mlp: width of the encoder and inner width of its MLP.
        vision_tokens: tokens inside the encoder per frame, including the class token where there is one.
        vision_patches: patches per frame (vision_tokens without the class token).
        patch_dim: numbers in one patch, channels * patch_size ** 2.
        projector_in, projector_hidden, projector_out: the two-layer projector, per token, from C to D.
        llm_layers, llm_width, llm_mlp: L, D and the inner width m of the gated (three-matrix) FFN.
        n_heads, n_kv_heads, head_dim: attention heads; n_kv_heads < n_heads is grouped-query attention (GQA).
        vocab: rows of the output layer.
        kv_dtype_bytes: bytes of one number in the KV cache (2 for float16 and bfloat16, 4 for float32).
        vision_mlp_matrices: 2, or 3 where the encoder's MLP is gated.
        vision_windowed_layers: layers of the encoder that attend within windows only.
        vision_window_pairs: pairs of a query and a key in one such layer, per frame.
        projectors: number of projectors of this shape that every token goes through (Qwen3-VL's deepstack has
            several).
    """

    vision_layers: int
    vision_width: int
    vision_mlp: int
    vision_tokens: int
    vision_patches: int
    patch_dim: int
    projector_in: int
    projector_hidden: int
    projector_out: int
    llm_layers: int
    llm_width: int
    llm_mlp: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocab: int
    kv_dtype_bytes: int = 2
    vision_mlp_matrices: int = 2
    vision_windowed_layers: int = 0
    vision_window_pairs: int = 0
    projectors: int = 1


@dataclass(frozen=True)
class TextTowerShapes:
    """Hold the shape of the CLIP text encoder of a text-tower query; it always reads a full context.

    Attributes:
        layers, width, mlp: layers, width and inner MLP width of the text transformer.
        context: tokens that it reads, padding included (77 for CLIP).
        joint_width: E, the width of the joint image-text space.
        lift_macs: multiply-adds that map one visual token there; None for one projection, c * E.
    """

    layers: int
    width: int
    mlp: int
    context: int
    joint_width: int
    lift_macs: int | None = None


def vision_flops(s: ModelShapes) -> float:
    """Count the vision encoder over one frame, with all of its layers as the unmodified model runs it.

    With n tokens (class token included), width d, an MLP of width m with f matrices, and p patches of
    patch_dim:

    2 * (p * patch_dim * d + layers * (4nd^2 + f * ndm) + 2d * pairs)

    pairs is summed over the layers: n^2 for each, or the pairs within windows where a layer is windowed.
    """
    n, d = s.vision_tokens, s.vision_width
    pairs = (s.vision_layers - s.vision_windowed_layers) * n * n
    pairs += s.vision_windowed_layers * s.vision_window_pairs
    products = s.vision_layers * n * d * (4 * d + s.vision_mlp_matrices * s.vision_mlp)
    return 2 * (s.vision_patches * s.patch_dim * d + products + 2 * d * pairs)


def projector_flops(s: ModelShapes, n: int) -> float:
    """Count the two-layer projectors over n tokens: 2n * projectors * (in * hidden + hidden * out)."""
    return 2 * n * s.projectors * s.projector_hidden * (s.projector_in + s.projector_out)


def prefill_flops(s: ModelShapes, n: int) -> float:
    """Count the LLM over a prompt of n tokens.

    With width d, a = heads * head_dim and g = kv_heads * head_dim:

    2 * layers * (n * (2da + 2dg) + 2n^2a + 3ndm) + 2 * d * vocab

    With a = g = d (no GQA) this is 2 * layers * (4nd^2 + 2n^2d + 3ndm) + 2 * d * vocab. The three FFN
    matrices are LLaMA's gate, up and down; the output layer is applied to the last position only, as
    generate() does.
    """
    attention = 2 * n * n * s.n_heads * s.head_dim
    return 2 * (s.llm_layers * (n * _llm_token_macs(s) + attention) + s.llm_width * s.vocab)


def decode_flops(s: ModelShapes, n: int, n_new: int) -> float:
    """Count the decoding of n_new tokens after a prefill of n, with a KV cache that grows by one per step.

    The first of the n_new tokens comes out of the prefill, so there are n_new - 1 steps; step t reads n + t
    positions: sum over t of 2 * layers * (2da + 2dg + 2a(n + t) + 3dm) + 2 * d * vocab.
    """
    steps = max(0, n_new - 1)
    positions = steps * n + steps * (steps + 1) // 2
    attention = 2 * positions * s.n_heads * s.head_dim
    return 2 * (s.llm_layers * (steps * _llm_token_macs(s) + attention) + steps * s.llm_width * s.vocab)


def selection_flops(method: str, n: int, c: int, d: int = 0) -> float:
    """Count one choice among n tokens (width c, projected d): the full order of n picks, whatever K is.

    rediprune   5nc for unit vectors and relevance, 2n^2c for the Gram matrix, 4n^2 for n picks (minimum,
                scale, add and compare over n tokens each)
    diversity   3nc + 2n^2c + 4n^2: rediprune without relevance
    divprune    3nd + 2n^2d + 4n^2: diversity over projected tokens
    cdpruner    5nc for relevance, 3nd + 2n^2d for the Gram matrix, n^3 - n^2 for the rows of its Cholesky
                factor (pick i reads i earlier ones: 2in), 8n^2 for n picks
    relevance   5nc
    cls-attention, random, grid   0

    `extra_flops` counts what a method computes before that.
    """
    return {
        "rediprune": 5 * n * c + 2 * n * n * c + 4 * n * n,
        "diversity": 3 * n * c + 2 * n * n * c + 4 * n * n,
        "divprune": 3 * n * d + 2 * n * n * d + 4 * n * n,
        "cdpruner": 5 * n * c + 3 * n * d + 2 * n * n * d + n**3 - n * n + 8 * n * n,
        "relevance": 5 * n * c,
    }.get(method, 0)


def extra_flops(method: str, s: ModelShapes, n_projected: int, n_frames: int) -> float:
    """Count what a method computes over the whole prompt before it chooses.

    divprune, cdpruner   all tokens through the projector (`projector_flops`); the kept tokens go through it
                         a second time, as with every other method
    cls-attention        per frame 2 * (nd^2 + d^2 + nd): the keys of n tokens (class token included) of
                         one layer of width d, one query, and their products
    other methods        0
    """
    if method in ASKS_PROJECTED:
        return projector_flops(s, n_projected)
    n, d = s.vision_tokens, s.vision_width
    return 2 * n_frames * (n * d * d + d * d + n * d) if method in ASKS_ATTENTION else 0


def text_tower_flops(t: TextTowerShapes, n: int, c: int, value_path: bool = False) -> float:
    """Count a text-tower query: encode the question, and map n visual tokens (width c) to the joint space.

    With context x, width w, MLP width m and joint width E: 2 * layers * (4xw^2 + 2x^2w + 2xwm) + 2wE + 2ncE.
    Where the lift is more than a projection, its multiply-adds stand for cE. The value path of the last
    vision block (one value and one output matrix) adds 4nc^2.
    """
    text = _encoder_flops(t.layers, t.context, t.width, t.mlp) + 2 * t.width * t.joint_width
    lift = c * t.joint_width if t.lift_macs is None else t.lift_macs
    return text + 2 * n * lift + (4 * n * c * c if value_path else 0)


def visual_only_macs(s: ModelShapes, n: int, ffn_matrices: int = 2) -> float:
    """Count multiply-adds (1 each) of the LLM over n visual tokens alone, by the formula of the papers.

    layers * (4nd^2 + 2n^2d + f * ndm), with f = 2 FFN matrices as FastV and DivPrune write it; a LLaMA has
    f = 3. The formula has a single width, so grouped-query attention is ignored.
    """
    d = s.llm_width
    return s.llm_layers * (4 * n * d * d + 2 * n * n * d + ffn_matrices * n * d * s.llm_mlp)


def kv_bytes(s: ModelShapes, n: int) -> int:
    """Count the bytes of the KV cache of n tokens.

    2 (keys and values) * layers * kv_heads * head_dim * n * bytes per number.
    """
    return 2 * s.llm_layers * s.n_kv_heads * s.head_dim * n * s.kv_dtype_bytes


def _encoder_flops(layers: int, n: int, d: int, m: int) -> float:
    """Count a plain transformer encoder over n tokens: 2 * layers * (4nd^2 + 2n^2d + 2ndm)."""
    return 2 * layers * (4 * n * d * d + 2 * n * n * d + 2 * n * d * m)


def _llm_token_macs(s: ModelShapes) -> int:
    """Count multiply-adds of one token in one LLM layer without attention scores: 2da + 2dg + 3dm."""
    query_width = s.n_heads * s.head_dim
    kv_width = s.n_kv_heads * s.head_dim
    return s.llm_width * (2 * query_width + 2 * kv_width + 3 * s.llm_mlp)
