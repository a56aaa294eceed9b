"""Writes a trained network as the folder that transformers and Paddock read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from .network import EPSILON, ROPE_THETA, Network
from .plan import Plan


def write_json(path: Path, value: Any) -> None:
    """Readable JSON with a line end."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def config(plan: Plan) -> dict[str, Any]:
    """config.json of the network."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": plan.vocab_size,
        "hidden_size": plan.hidden_size,
        "intermediate_size": plan.intermediate_size,
        "num_hidden_layers": plan.layers,
        "num_attention_heads": plan.heads,
        "num_key_value_heads": plan.kv_heads,
        "head_dim": plan.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": plan.long_row,
        "rms_norm_eps": EPSILON,
        "rope_theta": ROPE_THETA,
        "rope_scaling": None,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "pretraining_tp": 1,
        "tie_word_embeddings": False,
        "use_cache": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }


def save_weights(network: Network, plan: Plan, out: Path) -> None:
    """config.json, generation_config.json and model.safetensors in bf16."""
    out.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: value.detach().to(torch.bfloat16).contiguous()
        for name, value in network.state_dict().items()
    }
    save_file(tensors, str(out / "model.safetensors"), metadata={"format": "pt"})
    # safetensors makes a file that only its owner can read, but the package is for everyone.
    (out / "model.safetensors").chmod(0o644)
    write_json(out / "config.json", config(plan))
    write_json(
        out / "generation_config.json",
        {
            "bos_token_id": 1,
            "eos_token_id": 2,
            "do_sample": True,
            "temperature": 0.6,
            "top_p": 0.9,
            "max_length": plan.long_row,
        },
    )
