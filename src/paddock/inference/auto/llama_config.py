"""``LlamaConfig``: MindFormers' flat, mutable description of a Llama and how it generates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddock.errors import UsageError, nearest
from paddock.inference.auto import notice
from paddock.inference.auto.keys import DTYPES, KEYS, Key
from paddock.inference.auto.mapping import AttributeDict
from paddock.inference.checkpoint.config import ModelConfig


class LlamaConfig(AttributeDict):
    """MindFormers' configuration of a Llama, with its names and defaults.

    ``LlamaConfig(**model_config)``; keys are items and attributes and may be changed until a model
    is made of them. An unknown key, a value of the wrong type or one that cannot be honoured
    raises UsageError; keys that mean nothing here are named in a warning once per process.
    """

    def __init__(self, **values: Any) -> None:
        super().__init__()
        # Not a key: what was said on purpose, as opposed to defaults.
        object.__setattr__(self, "_given", set())
        for name, key in KEYS.items():
            if key.preset:
                dict.__setitem__(self, name, key.default)
        self.update(values)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, _checked(name, value))
        self.given.add(name)
        if KEYS[name].fate == "ignored":
            notice.ignored("model_config", [name])

    def update(self, *others: Any, **values: Any) -> None:
        """As ``dict.update``, with the checks of single keys and one warning for all ignored."""
        new: dict[str, Any] = dict(*others, **values)
        checked = {name: _checked(name, value) for name, value in new.items()}
        notice.ignored("model_config", [n for n in new if KEYS[n].fate == "ignored"])
        for name, value in checked.items():
            self[name] = value

    def setdefault(self, name: str, default: Any = None) -> Any:
        """As ``dict.setdefault``."""
        if name not in self:
            self[name] = default
        return self[name]

    @property
    def given(self) -> set[str]:
        """The names of keys that were set, as opposed to those that hold a default."""
        names: set[str] = self.__dict__["_given"]
        return names

    def copy(self) -> LlamaConfig:
        """An independent copy that remembers which keys were given."""
        twin = LlamaConfig()
        dict.update(twin, self)
        twin.given.update(self.given)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> LlamaConfig:
        return self.copy()

    @classmethod
    def from_pretrained(cls, yaml_name_or_path: str, **values: Any) -> LlamaConfig:
        """The configuration of a name or path; see ``AutoConfig.from_pretrained``."""
        from paddock.inference.auto.classes import AutoConfig

        return AutoConfig.from_pretrained(yaml_name_or_path, **values)

    def save_pretrained(
        self, save_directory: str | None = None, save_name: str = "mindspore_model"
    ) -> None:
        """Writes ``<save_directory>/<save_name>.yaml`` in MindFormers' layout.

        The folder defaults to ``checkpoint_save``.
        """
        from pathlib import Path

        from paddock.inference.auto.yaml_config import MindFormerConfig

        folder = Path(save_directory or "checkpoint_save")
        folder.mkdir(parents=True, exist_ok=True)
        values = {k: v for k, v in self.to_dict().items() if k != "parallel_config"}
        wrapped = MindFormerConfig(
            model={
                "model_config": {"type": "LlamaConfig", **values},
                "arch": {"type": "LlamaForCausalLM"},
            }
        )
        (folder / f"{save_name}.yaml").write_text(f"{wrapped}\n", encoding="utf-8")

    def to_model_config(self) -> ModelConfig:
        """The shape that these keys describe, for weights that do not describe themselves."""
        from paddock.inference.checkpoint.configs import from_mindformers

        return from_mindformers({k: v for k, v in self.items() if k != "parallel_config"})


def from_model_config(config: ModelConfig, checkpoint: str) -> LlamaConfig:
    """The configuration of weights that describe themselves, at the path or name ``checkpoint``.

    Generation defaults are those of MindFormers' own Llama 2 files (greedy, 512 tokens in all).
    Only these and ``checkpoint`` count as given: the rest is read from the weights again when a
    model is made of it.
    """
    seq_length = min(config.max_seq_len, 4096)
    result = LlamaConfig(
        **GENERATION, max_decode_length=min(512, seq_length), checkpoint_name_or_path=checkpoint
    )
    described = {
        "seq_length": seq_length,
        "hidden_size": config.dim,
        "num_layers": config.n_layers,
        "num_heads": config.n_heads,
        "n_kv_heads": config.n_kv_heads,
        "max_position_embedding": config.max_seq_len,
        "intermediate_size": config.hidden_dim,
        "vocab_size": config.vocab_size,
        "rms_norm_eps": config.norm_eps,
        "bos_token_id": config.bos_id,
        "eos_token_id": config.eos_ids[0] if len(config.eos_ids) == 1 else list(config.eos_ids),
        "pad_token_id": config.pad_id if config.pad_id is not None else 0,
        "theta": config.rope_theta,
        "compute_dtype": {ours: theirs for theirs, ours in DTYPES.items()}[config.dtype],
    }
    dict.update(result, described)
    return result


GENERATION: dict[str, Any] = {
    "repetition_penalty": 1.0,
    "top_k": 3,
    "top_p": 1.0,
    "do_sample": False,
}
"""How MindFormers' YAML files of Llama 2 generate."""


def _checked(name: str, value: Any) -> Any:
    """``value`` as its key wants it. Raises UsageError."""
    key = KEYS.get(name)
    if key is None:
        raise UsageError(
            f"LlamaConfig has no key {name!r}{nearest(name, KEYS)}",
            hint="docs/guides/mindformers.md lists all keys",
        )
    if key.fate == "refused" and value != key.default and value:
        raise UsageError(
            f"{name} is {value!r}; Paddock can only do {key.default!r}",
            hint="docs/guides/mindformers.md says why",
        )
    if name == "type" and value != "LlamaConfig":
        raise UsageError(f"type is {value!r}; only Llama models (LlamaConfig) run here")
    if name == "compute_dtype":
        value = str(value).lower().rpartition(".")[2]
        _one_of(name, value, DTYPES)
    if name == "extend_method":
        value = str(value)
        _one_of(name, value, ("None", "PI", "NTK"))
    if name == "eos_token_id" and isinstance(value, (list, tuple)):
        return [_typed(name, item, key) for item in value]
    return _typed(name, value, key)


def _typed(name: str, value: Any, key: Key) -> Any:
    if key.kind is object or (value is None and key.optional):
        return value
    if key.kind is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:  # YAML 1.1 reads 1e-5, without a point, as text
            return float(value)
        except ValueError:
            pass
    if key.kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, key.kind) or (key.kind is int and isinstance(value, bool)):
        raise UsageError(f"{name} is {value!r}", hint=f"it must be of type {key.kind.__name__}")
    return value


def _one_of(name: str, value: str, allowed: Mapping[str, Any] | tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(
            f"{name} is {value!r}{nearest(value, allowed)}", hint=f"use {', '.join(allowed)}"
        )
