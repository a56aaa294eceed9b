"""GGUF's ``llama.*`` metadata and our configuration, in both directions.

Keys: the GGUF specification and ``gguf.constants.Keys``. Llama 3.1's rotary rule is no key there
but a tensor, ``rope_freqs.weight``: one divisor per pair of elements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from paddock.errors import CheckpointError
from paddock.inference.checkpoint.config import ModelConfig, RopeScaling
from paddock.inference.checkpoint.configs.fields import Fields, checked_config, head_size

_ORIGINAL = "llama.rope.scaling.original_context_length"


def from_gguf(
    values: Mapping[str, Any],
    origin: str = "GGUF metadata",
    *,
    vocab_size: int | None = None,
    tie_embeddings: bool = False,
    rope_factors: Sequence[float] | None = None,
    dtype: str = "fp16",
) -> ModelConfig:
    """The configuration in ``values``, the metadata of a GGUF file.

    ``vocab_size`` is the number of rows of the embedding, used where metadata say none.
    ``rope_factors`` are the numbers of ``rope_freqs.weight``. Raises CheckpointError for an
    architecture other than llama, for experts and for rotary scalings that are not known here.
    """
    fields = Fields(values, origin)
    architecture = fields.text("general.architecture")
    if architecture != "llama":
        raise CheckpointError(
            f"{origin}: the architecture is {architecture!r}", hint="only llama runs here"
        )
    if fields.integer("llama.expert_count", 0):
        raise CheckpointError(f"{origin}: a mixture of experts does not run here")
    dim = fields.integer("llama.embedding_length")
    n_heads = fields.integer("llama.attention.head_count")
    if fields.has("llama.attention.key_length"):
        head_dim = fields.integer("llama.attention.key_length")
    else:
        head_dim = head_size(dim, n_heads, origin)
    for key in ("llama.rope.dimension_count", "llama.attention.value_length"):
        if fields.integer(key, head_dim) != head_dim:
            raise fields.wrong(key, f"the head size {head_dim}")
    stated = fields.integer("llama.vocab_size", vocab_size)
    theta = fields.number("llama.rope.freq_base", 10000.0)
    eos = fields.ids("tokenizer.ggml.eos_token_id", (2,))
    eot = fields.ids("tokenizer.ggml.eot_token_id", ())
    pad = "tokenizer.ggml.padding_token_id"
    config = ModelConfig(
        vocab_size=stated,
        dim=dim,
        n_layers=fields.integer("llama.block_count"),
        n_heads=n_heads,
        n_kv_heads=fields.integer("llama.attention.head_count_kv", n_heads),
        hidden_dim=fields.integer("llama.feed_forward_length"),
        head_dim=head_dim,
        # The file holds a float32; seven digits give back the number that was meant.
        norm_eps=_digits(fields.number("llama.attention.layer_norm_rms_epsilon")),
        rope_theta=_digits(theta),
        rope_scaling=_scaling(fields, rope_factors, theta, head_dim),
        max_seq_len=fields.integer("llama.context_length"),
        tie_embeddings=tie_embeddings,
        bos_id=fields.integer("tokenizer.ggml.bos_token_id", 1),
        eos_ids=tuple(dict.fromkeys(eos + eot)),
        pad_id=fields.integer(pad) if fields.has(pad) else None,
        dtype=dtype,
    )
    return checked_config(config, origin)


def to_gguf(config: ModelConfig) -> dict[str, int | float | str]:
    """The ``llama.*`` and special-token keys for ``config``; whole numbers are uint32 there.

    Raises CheckpointError for other kinds of scaling. Llama 3.1's rule goes into ``rope_factors``.
    """
    values: dict[str, int | float | str] = {
        "llama.vocab_size": config.vocab_size,
        "llama.context_length": config.max_seq_len,
        "llama.embedding_length": config.dim,
        "llama.block_count": config.n_layers,
        "llama.feed_forward_length": config.hidden_dim,
        "llama.attention.head_count": config.n_heads,
        "llama.attention.head_count_kv": config.n_kv_heads,
        "llama.attention.key_length": config.head_dim,
        "llama.attention.value_length": config.head_dim,
        "llama.attention.layer_norm_rms_epsilon": float(config.norm_eps),
        "llama.rope.dimension_count": config.head_dim,
        "llama.rope.freq_base": float(config.rope_theta),
    }
    if config.bos_id >= 0:
        values["tokenizer.ggml.bos_token_id"] = config.bos_id
    if config.eos_ids:
        values["tokenizer.ggml.eos_token_id"] = config.eos_ids[0]
    if len(config.eos_ids) > 1:
        # One more stop id has a key of its own; which, if there are several: the last, because
        # Llama 3's configuration ends with <|eot_id|>.
        values["tokenizer.ggml.eot_token_id"] = config.eos_ids[-1]
    if config.pad_id is not None and config.pad_id >= 0:
        values["tokenizer.ggml.padding_token_id"] = config.pad_id
    if config.rope_scaling is not None:
        if config.rope_scaling.kind not in ("linear", "llama3"):
            raise CheckpointError(f"GGUF cannot say rotary scaling {config.rope_scaling.kind!r}")
        if config.rope_scaling.kind == "linear":
            values["llama.rope.scaling.type"] = "linear"
            values["llama.rope.scaling.factor"] = float(config.rope_scaling.factor)
        else:
            # Only for readers like this one; llama.cpp takes the factors from the tensor.
            values[_ORIGINAL] = config.rope_scaling.original_max_seq_len
    return values


def rope_factors(scaling: RopeScaling, theta: float, head_dim: int) -> list[float]:
    """What llama3 scaling divides each of the ``head_dim / 2`` rotary frequencies by.

    Source: transformers ``_compute_llama3_parameters``; llama.cpp's converter stores the same.
    """
    low_wavelength = scaling.original_max_seq_len / scaling.low_freq_factor
    high_wavelength = scaling.original_max_seq_len / scaling.high_freq_factor
    factors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * theta ** (i / head_dim)
        if wavelength < high_wavelength:
            factors.append(1.0)
        elif wavelength > low_wavelength:
            factors.append(scaling.factor)
        else:
            smooth = (scaling.original_max_seq_len / wavelength - scaling.low_freq_factor) / (
                scaling.high_freq_factor - scaling.low_freq_factor
            )
            factors.append(1.0 / ((1.0 - smooth) / scaling.factor + smooth))
    return factors


def _scaling(
    fields: Fields, factors: Sequence[float] | None, theta: float, head_dim: int
) -> RopeScaling | None:
    kind = fields.text("llama.rope.scaling.type", "none")
    if kind not in ("none", "linear"):
        raise CheckpointError(f"{fields.origin}: rotary scaling {kind!r} is not known here")
    if factors is None or all(one == 1.0 for one in factors):
        if kind == "none" or fields.number("llama.rope.scaling.factor") == 1.0:
            return None
        return RopeScaling("linear", _digits(fields.number("llama.rope.scaling.factor")))
    # Published Llama 3.1 to 3.3 differ in the factor only, which the slowest pair shows.
    original = fields.integer(_ORIGINAL, 8192)
    if not all(0 < one < math.inf for one in factors) or original < 1:
        raise CheckpointError(f"{fields.origin}: rope_freqs.weight holds impossible numbers")
    scaling = RopeScaling("llama3", _digits(max(factors)), original_max_seq_len=original)
    expected = rope_factors(scaling, theta, head_dim)
    close = len(expected) == len(factors) and all(
        math.isclose(a, b, rel_tol=1e-4) for a, b in zip(expected, factors, strict=True)
    )
    if kind != "none" or not close:
        raise CheckpointError(f"{fields.origin}: rope_freqs.weight is not Llama 3.1's rule")
    return scaling


def _digits(value: float) -> float:
    return float(f"{value:.7g}")
