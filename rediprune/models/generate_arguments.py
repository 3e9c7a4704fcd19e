"""Every argument and setting of transformers' `generate`, and what becomes of it beside a pruned prompt.

A pruned call hands generate the prompt ids whole and, beside them, the shorter prompt as embeddings. Whatever
reads the ids or the scores means what it means without pruning; whatever takes the prompt from the ids, or
counts cached positions by their number, goes wrong and is refused.

Served: has its effect, as without pruning. Idle: does nothing to the prompt, such as a setting that is read
only beside another that is refused. Refused: a ModelError that gives the reason.

Names are those of transformers 5.16 to 5.24. A test holds the table against the installed version, so that a
new argument is noticed, and tries the served ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .transformers_names import CACHE_NAMES


@dataclass(frozen=True)
class Argument:
    """What becomes of one argument or setting.

    Attributes:
        fate: "served", "idle" or "refused".
        reason: why; for a refused one the end of the sentence that begins with its name.
        idle_values: values, besides None, at which a refused setting does nothing.
    """

    fate: str
    reason: str
    idle_values: tuple[Any, ...] = ()


def _all(fate: str, reason: str, *names: str, idle_values: tuple[Any, ...] = ()) -> dict[str, Argument]:
    return dict.fromkeys(names, Argument(fate, reason, idle_values))


_ONLY_PLAIN = "cannot be combined with pruning: pass only what the processor returned"
_ONLY_CONFIG = "cannot be changed for one call while pruning: set it in model.config"
_WITHOUT = "cannot be combined with pruning: generate without it"
_COUNTS_IDS = (
    f"{_WITHOUT}, for it counts cached positions by the prompt ids, which are more than the LLM read"
)
_OTHER_LOOP = f"{_WITHOUT}, for a decoding loop of its own may read the prompt from the ids, unpruned"

# What a call may hold that is neither a setting nor seen by the vision encoder. `media_inputs` of the adapter
# are not listed: they are what pruning takes apart.
ARGUMENTS: dict[str, Argument] = {
    # The prompt.
    **_all("served", "the prompt ids, under either name", "inputs", "input_ids"),
    **_all("served", "checked against the ids and cut together with them", "attention_mask"),
    **_all("refused", _ONLY_PLAIN, "inputs_embeds", "position_ids", "mm_encoder_outputs", "rope_deltas"),
    **_all("refused", _ONLY_PLAIN, "cache_position", "token_type_ids", "encoder_outputs"),
    **_all(
        "refused", _ONLY_CONFIG,
        "vision_feature_layer", "vision_feature_select_strategy", "vision_aspect_ratio",
    ),
    **_all("served", "an empty one is filled; one that holds tokens is refused", *CACHE_NAMES),
    # What generate is told beside it.
    **_all("served", "its settings are looked up where the call has none", "generation_config"),
    **_all("served", "is handed the whole prompt ids and the scores", "logits_processor"),
    **_all("served", "is handed the whole prompt ids and the scores", "stopping_criteria"),
    **_all("served", "is handed the whole prompt ids", "prefix_allowed_tokens_fn", "streamer"),
    **_all("served", "decodes the new tokens that stop_strings are looked for in", "tokenizer"),
    **_all(
        "served", "a prompt of its own, which holds no image and is read whole",
        "negative_prompt_ids", "negative_prompt_attention_mask",
    ),
    **_all("idle", "how long the loop runs on several devices, not what it reads", "synced_gpus"),
    **_all("idle", "read only beside custom_generate, which is refused", "trust_remote_code"),
    **_all("idle", "read only beside assistant_model, which is refused", "assistant_tokenizer"),
    **_all("idle", "of transformers before 5.0; generate itself refuses it since", "use_model_defaults"),
    **_all("refused", _COUNTS_IDS, "assistant_model"),
    **_all("refused", _OTHER_LOOP, "custom_generate"),
    # What the model's forward takes besides.
    **_all("served", "the logits of the last positions; generate reads the last", "logits_to_keep"),
    **_all("served", "of the prompt as the LLM read it", "output_router_logits"),
    **_all("idle", "generate sets it itself and takes no other", "is_first_iteration"),
    **_all("idle", "generate sets it itself and takes no other", "next_sequence_length"),
    **_all("idle", "divides a loss, and there is none without labels", "num_items_in_batch"),
    **_all("idle", "how one token may look at others, whichever they are", "is_causal"),
    **_all("idle", "some processors return them; left out, for no loss is asked of generate", "labels"),
    **_all(
        "refused", f"{_ONLY_PLAIN}, for it tells where packed prompts begin and end before pruning",
        "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "seq_idx",
    ),
    # Settings: how long, and when it ends. with_prompt corrects the totals.
    **_all("served", "count the prompt ids and the new tokens", "max_length", "min_length"),
    **_all("served", "count new tokens", "max_new_tokens", "min_new_tokens"),
    **_all("served", "read the new tokens or the clock", "stop_strings", "max_time", "early_stopping"),
    **_all("served", "ids of tokens, in the ids that are handed on", "eos_token_id", "pad_token_id"),
    **_all("idle", "begins prompts that hold nothing; this one holds an image", "bos_token_id"),
    # Settings: which token comes next.
    **_all(
        "served", "read the scores alone",
        "do_sample", "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff",
        "eta_cutoff", "renormalize_logits", "remove_invalid_values", "suppress_tokens",
    ),
    **_all(
        "served", "read the whole prompt ids and the scores",
        "no_repeat_ngram_size", "bad_words_ids", "sequence_bias", "watermarking_config",
    ),
    **_all("served", "reads the whole prompt ids without padding (call.with_prompt)", "repetition_penalty"),
    **_all(
        "served", "count from the end of the whole prompt ids",
        "begin_suppress_tokens", "exponential_decay_length_penalty", "forced_eos_token_id",
        "forced_bos_token_id",
    ),
    **_all("served", "a second prompt is read beside the pruned one", "guidance_scale"),
    **_all(
        "served", "prompt and new tokens are repeated for each",
        "num_beams", "num_return_sequences", "length_penalty",
    ),
    # Settings: the cache, compilation, and what comes back.
    **_all("served", "generate keeps one in any case where it is handed embeddings", "use_cache"),
    **_all(
        "served", "made to hold the embeddings and the new tokens",
        "cache_config", "max_cache_len", "compile_config", "disable_compile",
    ),
    **_all(
        "refused", f"{_WITHOUT}, for continuous batching reads the prompt from the ids, unpruned",
        "continuous_batching_config",
    ),
    **_all(
        "served", "of the prompt as the LLM read it",
        "output_attentions", "output_hidden_states", "output_scores", "output_logits",
        "return_dict_in_generate",
    ),
    # Settings that would go wrong.
    "cache_implementation": Argument(
        "refused",
        f"{_WITHOUT}: continuous batching reads the prompt from the ids, unpruned",
        (
            "static", "dynamic", "dynamic_full", "offloaded", "offloaded_static", "sliding_window", "hybrid",
            "hybrid_chunked", "offloaded_hybrid", "offloaded_hybrid_chunked", "quantized",
        ),
    ),
    "token_healing": Argument(
        "refused",
        f"{_WITHOUT}, for it writes the prompt ids anew and loses the image's",
        (False,),
    ),
    **_all("refused", _COUNTS_IDS, "prompt_lookup_num_tokens", "prefill_chunk_size", "assistant_early_exit"),
    **_all("refused", _COUNTS_IDS, "use_mtp", "is_assistant", idle_values=(False,)),
    **_all(
        "refused", f"{_WITHOUT}, for it reads an encoder's prompt, which generate does not look for here",
        "encoder_repetition_penalty", "encoder_no_repeat_ngram_size", idle_values=(0, 1.0),
    ),
    **_all("refused", _OTHER_LOOP, "dola_layers", "constraints", "force_words_ids"),
    **_all("refused", _OTHER_LOOP, "penalty_alpha", idle_values=(0,)),
    **_all("refused", _OTHER_LOOP, "num_beam_groups", idle_values=(0, 1)),
    # Settings that are read only beside a refused one.
    **_all("idle", "read only beside num_beam_groups", "diversity_penalty"),
    **_all("idle", "read only by contrastive search (penalty_alpha)", "low_memory"),
    **_all(
        "idle", "read only where tokens are drafted (assistant_model, prompt_lookup_num_tokens, use_mtp)",
        "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold",
        "max_matching_ngram_size", "assistant_lookbehind", "target_lookbehind", "assistant_ensemble_weight",
        "speculation_type",
    ),
    **_all("idle", "encoder-decoder models alone read it", "decoder_start_token_id"),
    **_all("idle", "says where a config came from", "transformers_version", "_commit_hash"),
    **_all("idle", "says where a config came from", "_from_model_config"),
}  # fmt: skip
