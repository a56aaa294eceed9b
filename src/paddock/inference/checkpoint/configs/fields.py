"""Reads keys of somebody else's configuration, so that a wrong value is named, not stumbled on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddock.errors import CheckpointError
from paddock.inference.checkpoint.config import ModelConfig, RopeScaling

# Far above any Llama; a damaged number must not become an endless list of expected tensors.
_LARGEST = {
    "vocab_size": 1 << 24, "dim": 1 << 20, "n_layers": 4096, "n_heads": 1 << 14,
    "n_kv_heads": 1 << 14, "hidden_dim": 1 << 22, "head_dim": 1 << 14, "max_seq_len": 1 << 31,
}  # fmt: skip


class Fields:
    """Keys of ``values``, with ``origin`` (a file, or a name) for messages."""

    def __init__(self, values: Mapping[str, Any], origin: str) -> None:
        if not isinstance(values, Mapping):
            raise CheckpointError(f"{origin} holds {type(values).__name__}, not keys and values")
        self.values = values
        self.origin = origin

    def has(self, key: str) -> bool:
        """Whether ``key`` is there with a value other than null."""
        return self.values.get(key) is not None

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number; ``default`` if absent, CheckpointError if there is no default."""
        value = self._get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(key, "a whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number; YAML's ``1e-5``, which its parser takes for text, is one too."""
        value = self._get(key, default)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise self.wrong(key, "a number") from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "a number")
        try:
            result = float(value)
        except OverflowError:
            raise self.wrong(key, "a number of ordinary size") from None
        if not math.isfinite(result):
            raise self.wrong(key, "a finite number")
        return result

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, "text")
        return value

    def ids(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Token ids given as one number or a list of them."""
        value = self._get(key, list(default))
        listed = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(one, bool) or not isinstance(one, int) for one in listed):
            raise self.wrong(key, "a token id or a list of them")
        return tuple(dict.fromkeys(listed))

    def wrong(self, key: str, wanted: str) -> CheckpointError:
        """The error for a value that cannot be used."""
        return CheckpointError(f"{self.origin}: {key} is {self.values.get(key)!r}, not {wanted}")

    def _get(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        if value is None:
            value = default
        if value is None:
            raise CheckpointError(f"{self.origin}: {key} is missing")
        return value


def checked_config(config: ModelConfig, origin: str) -> ModelConfig:
    """``config`` if a Llama can have this shape. Raises CheckpointError naming the value."""
    for field, largest in _LARGEST.items():
        value = getattr(config, field)
        if not 1 <= value <= largest:
            raise CheckpointError(f"{origin}: {field} is {value}, not between 1 and {largest}")
    if config.n_heads % config.n_kv_heads:
        raise CheckpointError(
            f"{origin}: {config.n_heads} heads cannot share {config.n_kv_heads} key/value heads"
        )
    if config.head_dim % 2:
        raise CheckpointError(f"{origin}: a head of {config.head_dim} elements cannot be rotated")
    if config.norm_eps < 0 or config.rope_theta <= 0:
        raise CheckpointError(
            f"{origin}: norm_eps {config.norm_eps} or rope_theta {config.rope_theta} is impossible"
        )
    if config.rope_scaling is not None:
        _check_scaling(config.rope_scaling, origin)
    return config


def _check_scaling(scaling: RopeScaling, origin: str) -> None:
    possible = 0 < scaling.factor < math.inf
    if scaling.kind == "llama3":
        possible &= 0 < scaling.low_freq_factor < scaling.high_freq_factor
        possible &= scaling.original_max_seq_len > 0
    if not possible:
        raise CheckpointError(f"{origin}: rotary scaling is impossible: {scaling}")


def head_size(dim: int, n_heads: int, origin: str) -> int:
    """``dim / n_heads``, for a format that has no other head size."""
    if n_heads < 1 or dim % n_heads:
        raise CheckpointError(f"{origin}: {n_heads} heads do not divide a width of {dim}")
    return dim // n_heads


def load_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds keys and values. Raises CheckpointError naming the file."""
    try:
        if path.stat().st_size > 100_000_000:
            raise CheckpointError(f"{path} is too large for a configuration")
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} holds {type(values).__name__}, not keys and values")
    return values
