"""Random little Llamas made by transformers, the implementation that parity is measured against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SHAPES = {
    "mha": {"num_attention_heads": 4, "num_key_value_heads": 4},
    "gqa": {"num_attention_heads": 8, "num_key_value_heads": 2},
    # Llama 2 70B has 64 query heads for 8 key/value heads: eight each.
    "70b": {"num_attention_heads": 16, "num_key_value_heads": 2},
    "tied": {"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "head_dim": {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32},
    "llama3": {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "linear": {
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0},
    },
}


def random_llama(shape: str, seed: int = 0, **changes: object) -> LlamaForCausalLM:
    """A Llama of two layers, weights wide enough that greedy choices are clear."""
    torch.manual_seed(seed)
    options = {
        "vocab_size": 320,
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 2,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "initializer_range": 0.08,
        **SHAPES[shape],
        **changes,
    }
    return LlamaForCausalLM(LlamaConfig(**options)).eval()


def saved(folder: Path, shape: str, seed: int = 0, **changes: object) -> LlamaForCausalLM:
    """The same, also saved to ``folder`` in Hugging Face's layout."""
    model = random_llama(shape, seed, **changes)
    model.save_pretrained(folder)
    return model


def prompts(lengths: tuple[int, ...], vocab: int = 320, seed: int = 0) -> Iterator[list[int]]:
    """Random prompts of the given lengths that begin with token 1."""
    generator = torch.Generator().manual_seed(seed)
    for length in lengths:
        yield [1, *torch.randint(3, vocab, (length - 1,), generator=generator).tolist()]


def greedy(model: LlamaForCausalLM, prompt: list[int], n: int) -> list[int]:
    """transformers' own greedy answer of exactly ``n`` tokens, by its ``generate``."""
    ids = torch.tensor([prompt])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=n,
        min_new_tokens=n,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    return out[0, len(prompt) :].tolist()


def is_greedy(model: LlamaForCausalLM, prompt: list[int], answer: list[int]) -> bool:
    """Whether transformers chooses ``answer`` token by token after ``prompt``.

    One pass over the whole text: where its best next token is the answer's everywhere, its greedy
    answer is this one (by induction), at a hundredth of the time of ``generate``.
    """
    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer])).logits[0]
    return logits[len(prompt) - 1 : -1].argmax(-1).tolist() == answer
