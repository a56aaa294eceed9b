"""Meta's params.json and our configuration, in both directions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from paddock.errors import CheckpointError
from paddock.inference.checkpoint.config import ModelConfig, RopeScaling
from paddock.inference.checkpoint.configs.fields import Fields, checked_config, head_size

# params.json names no special tokens and no context; they follow from the tokenizer, which the
# vocabulary tells. Llama 3: model cards and llama-models' tokenizer.py (<|begin_of_text|>;
# <|end_of_text|>, <|eom_id|>, <|eot_id|>).
_LLAMA3_VOCAB = 128256
_LLAMA3_IDS: dict[str, Any] = {"bos_id": 128000, "eos_ids": (128001, 128008, 128009)}


def from_meta(
    values: Mapping[str, Any],
    origin: str = "params.json",
    *,
    vocab_size: int | None = None,
    tie_embeddings: bool = False,
) -> ModelConfig:
    """The configuration that ``values`` (a parsed params.json) describes.

    ``vocab_size`` is the number of rows of tok_embeddings, needed where the file says -1 (Llama 1
    and 2). ``use_scaled_rope`` means Llama 3.1's rule with a factor of 8 unless
    ``rope_scaling_factor`` says otherwise (source: llama-models, ``apply_scaling``).
    """
    fields = Fields(values, origin)
    dim, n_heads = fields.integer("dim"), fields.integer("n_heads")
    stated = fields.integer("vocab_size", -1)
    vocab = stated if stated > 0 else vocab_size
    if vocab is None:
        raise CheckpointError(f"{origin}: vocab_size is {stated} and no embedding tells it")
    llama3 = vocab == _LLAMA3_VOCAB
    scaled = fields.flag("use_scaled_rope")
    if fields.has("moe_args") or fields.has("quantization_args"):
        raise CheckpointError(f"{origin}: experts or quantized weights do not run here")
    multiplier = fields.number("ffn_dim_multiplier") if fields.has("ffn_dim_multiplier") else None
    config = ModelConfig(
        vocab_size=vocab,
        dim=dim,
        n_layers=fields.integer("n_layers"),
        n_heads=n_heads,
        n_kv_heads=fields.integer("n_kv_heads", n_heads),
        hidden_dim=hidden_size(dim, fields.integer("multiple_of", 256), multiplier),
        head_dim=head_size(dim, n_heads, origin),
        norm_eps=fields.number("norm_eps", 1e-5),
        rope_theta=fields.number("rope_theta", 10000.0),
        rope_scaling=(
            RopeScaling(
                "llama3",
                fields.number("rope_scaling_factor", 8.0),
                high_freq_factor=fields.number("rope_high_freq_factor", 4.0),
            )
            if scaled
            else None
        ),
        max_seq_len=131072 if scaled else 8192 if llama3 else 4096,
        tie_embeddings=tie_embeddings,
        **(_LLAMA3_IDS if llama3 else {}),
    )
    return checked_config(config, origin)


def to_meta(config: ModelConfig) -> dict[str, Any]:
    """A params.json that Meta's own code reads. Raises CheckpointError for what it cannot say."""
    if config.head_dim * config.n_heads != config.dim:
        raise CheckpointError(
            f"Meta's format has no head size of its own ({config.head_dim} here, "
            f"{config.dim} / {config.n_heads} there)"
        )
    multiple_of, multiplier = _feed_forward(config)
    values: dict[str, Any] = {
        "dim": config.dim,
        "n_layers": config.n_layers,
        "n_heads": config.n_heads,
        "n_kv_heads": config.n_kv_heads,
        "vocab_size": config.vocab_size,
        "multiple_of": multiple_of,
        "norm_eps": config.norm_eps,
    }
    if multiplier is not None:
        values["ffn_dim_multiplier"] = multiplier
    if config.rope_theta != 10000.0:
        values["rope_theta"] = config.rope_theta
    scaling = config.rope_scaling
    if scaling is not None:
        known = (scaling.kind, scaling.low_freq_factor, scaling.original_max_seq_len)
        if known != ("llama3", 1.0, 8192):
            raise CheckpointError(f"Meta's format cannot say this rotary scaling: {scaling}")
        values["use_scaled_rope"] = True
        if scaling.factor != 8.0:
            values["rope_scaling_factor"] = scaling.factor
        if scaling.high_freq_factor != 4.0:
            values["rope_high_freq_factor"] = scaling.high_freq_factor
    return values


def hidden_size(dim: int, multiple_of: int, multiplier: float | None) -> int:
    """The feed-forward width that Meta's ``FeedForward`` computes from these.

    Two thirds of 4 * dim, times the multiplier, rounded up to ``multiple_of``.
    """
    if multiple_of < 1:
        raise CheckpointError(f"params.json: multiple_of is {multiple_of}, not 1 or more")
    size = int(2 * (4 * dim) / 3)
    if multiplier is not None:
        size = int(multiplier * size)
    return multiple_of * ((size + multiple_of - 1) // multiple_of)


def _feed_forward(config: ModelConfig) -> tuple[int, float | None]:
    """Some ``multiple_of`` and multiplier that give ``hidden_dim``; published ones first."""
    for multiple_of, multiplier in _candidates(config):
        if hidden_size(config.dim, multiple_of, multiplier) == config.hidden_dim:
            return multiple_of, multiplier
    raise CheckpointError(
        f"no params.json gives a feed-forward width of {config.hidden_dim} for {config.dim}"
    )


def _candidates(config: ModelConfig) -> Iterator[tuple[int, float | None]]:
    base = int(2 * (4 * config.dim) / 3)
    for multiplier in (None, 1.3, 1.4, 1.5):
        for multiple_of in (256, 1024, 4096, 512, 128, 64, 32):
            yield multiple_of, multiplier
    # Halfway into the element, so that the truncation in hidden_size cannot fall one short.
    yield 1, (config.hidden_dim + 0.5) / max(base, 1)
