"""One table per file format between its tensor names and ours, and the leftovers it may hold."""

from __future__ import annotations

import re
from functools import cache

_HF = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "layers.{}.attention_norm.weight": "model.layers.{}.input_layernorm.weight",
    "layers.{}.attention.wq.weight": "model.layers.{}.self_attn.q_proj.weight",
    "layers.{}.attention.wk.weight": "model.layers.{}.self_attn.k_proj.weight",
    "layers.{}.attention.wv.weight": "model.layers.{}.self_attn.v_proj.weight",
    "layers.{}.attention.wo.weight": "model.layers.{}.self_attn.o_proj.weight",
    "layers.{}.ffn_norm.weight": "model.layers.{}.post_attention_layernorm.weight",
    "layers.{}.feed_forward.w1.weight": "model.layers.{}.mlp.gate_proj.weight",
    "layers.{}.feed_forward.w2.weight": "model.layers.{}.mlp.down_proj.weight",
    "layers.{}.feed_forward.w3.weight": "model.layers.{}.mlp.up_proj.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
# Meta's names are ours.
_META = {name: name for name in _HF}
# MindFormers 1.0 LlamaForCausalLM: Meta's names below `model.`, except for the embedding, the last
# norm and the head.
_MINDSPORE = {name: f"model.{name}" for name in _HF} | {
    "tok_embeddings.weight": "model.tok_embeddings.embedding_weight",
    "norm.weight": "model.norm_out.weight",
    "output.weight": "lm_head.weight",
}
# gguf.constants.TENSOR_NAMES of architecture "llama".
_GGUF = {
    "tok_embeddings.weight": "token_embd.weight",
    "layers.{}.attention_norm.weight": "blk.{}.attn_norm.weight",
    "layers.{}.attention.wq.weight": "blk.{}.attn_q.weight",
    "layers.{}.attention.wk.weight": "blk.{}.attn_k.weight",
    "layers.{}.attention.wv.weight": "blk.{}.attn_v.weight",
    "layers.{}.attention.wo.weight": "blk.{}.attn_output.weight",
    "layers.{}.ffn_norm.weight": "blk.{}.ffn_norm.weight",
    "layers.{}.feed_forward.w1.weight": "blk.{}.ffn_gate.weight",
    "layers.{}.feed_forward.w2.weight": "blk.{}.ffn_down.weight",
    "layers.{}.feed_forward.w3.weight": "blk.{}.ffn_up.weight",
    "norm.weight": "output_norm.weight",
    "output.weight": "output.weight",
}
TABLES = {"hf": _HF, "paddock": _HF, "meta": _META, "mindspore": _MINDSPORE, "gguf": _GGUF}
"""Per format: our name -> the file's, ``{}`` standing for the layer's number."""

# Known tensors that hold no weight: rotary tables, which follow from the configuration, and what
# training leaves in a MindSpore checkpoint (optimizer moments by prefix, counters by name).
_HARMLESS = {
    "hf": re.compile(r"model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq"),
    "meta": re.compile(r"rope\.freqs|freqs_cis"),
    "mindspore": re.compile(
        r"(model\.)?(freqs_mgr\.)?freqs_(cos|sin|cis)"
        r"|(adam_m|adam_v|moments|moment1|moment2|accu_grads)\..+"
        r"|global_step|epoch_num|step_num|loss_scale|scale_sense|learning_rate"
        r"|current_iterator_step|last_overflow_iterator_step|beta[12]_power"
    ),
    "gguf": re.compile(r"rope_freqs\.weight"),
}
_HARMLESS["paddock"] = _HARMLESS["hf"]

_NUMBER = re.compile(r"(?<=\.)(0|[1-9]\d{0,5})(?=\.)")


def to_ours(format: str, name: str) -> str | None:
    """Our name of a tensor that ``format`` calls ``name``; None if it is no weight of a Llama."""
    template, layer = _split(name)
    ours = _reverse(format).get(template)
    return None if ours is None else ours.format(layer)


def to_theirs(format: str, name: str) -> str:
    """What ``format`` calls our tensor ``name`` (a key of ``ModelConfig.shapes()``)."""
    template, layer = _split(name)
    return TABLES[format][template].format(layer)


def is_harmless(format: str, name: str) -> bool:
    """Whether ``name`` is known to hold no weight, so that a reader may drop it."""
    return _HARMLESS[format].fullmatch(name) is not None


def _split(name: str) -> tuple[str, str]:
    found = _NUMBER.search(name)
    if found is None:
        return name, ""
    return name[: found.start()] + "{}" + name[found.end() :], found.group()


@cache
def _reverse(format: str) -> dict[str, str]:
    return {theirs: ours for ours, theirs in TABLES[format].items()}
