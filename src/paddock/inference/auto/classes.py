"""``AutoConfig``, ``AutoModel`` and ``AutoTokenizer``: everything from a name or a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paddock.errors import ModelNotFound, UsageError
from paddock.inference.auto import names
from paddock.inference.auto.llama_config import LlamaConfig, from_model_config
from paddock.inference.auto.model import LlamaForCausalLM
from paddock.inference.auto.tokenizer import LlamaTokenizer
from paddock.inference.auto.yaml_config import MindFormerConfig
from paddock.inference.checkpoint.open import open_checkpoint


class _Auto:
    """What the three have in common: no instances of their own, a list of names."""

    def __init__(self) -> None:
        raise UsageError(
            f"{type(self).__name__} has no instances",
            hint=f"use {type(self).__name__}.from_pretrained(name_or_path)",
        )

    @classmethod
    def get_support_list(cls) -> dict[str, list[str]]:
        """The known names by family. Any hub id and any path are taken too."""
        families: dict[str, list[str]] = {}
        for name in names.SUPPORTED:
            families.setdefault(name.split("_")[0], []).append(name)
        return families

    @classmethod
    def show_support_list(cls) -> None:
        """Writes the list to the standard output."""
        import sys

        sys.stdout.write(f"support list of {cls.__name__} is:\n")
        for family, members in cls.get_support_list().items():
            sys.stdout.write(f"   {family}: {members}\n")


class AutoConfig(_Auto):
    """Makes a ``LlamaConfig`` of a name, a YAML file or a model's files."""

    @classmethod
    def from_pretrained(
        cls,
        yaml_name_or_path: str | None = None,
        *,
        pretrained_model_name_or_path: str | None = None,
        **values: Any,
    ) -> LlamaConfig:
        """The configuration; ``values`` replace its keys.

        A YAML file is read as it is, and so is the one of a folder. Else a folder or file of
        weights describes itself. A name stands for ``<name>.yaml`` in MindFormers' download
        folder, else for weights in the store, else for what MindFormers ships under that name.
        """
        name = _name(pretrained_model_name_or_path or yaml_name_or_path)
        config = _config(name)
        config.update(values)
        return config


class AutoModel(_Auto):
    """Makes a ``LlamaForCausalLM`` of a name, a folder or a configuration."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_dir: str | None = None,
        *,
        pretrained_model_name_or_path: str | None = None,
        download_checkpoint: bool = True,
        runtime: str = "auto",
        device: str | None = None,
        dtype: str | None = None,
        **values: Any,
    ) -> LlamaForCausalLM:
        """The model with its weights; ``values`` replace keys of its configuration.

        ``runtime``, ``device`` (``cpu``, ``cuda:1``, ``npu:0``) and ``dtype`` (``bf16``, ``fp16``,
        ``fp32``, ``auto``) are Paddock's own. ``download_checkpoint=False`` makes a model without
        weights, for ``load_param_into_net``. Raises ModelNotFound where there are no weights.
        """
        if "config" in values:
            raise UsageError(
                "AutoModel.from_pretrained takes no config", hint="use AutoModel.from_config"
            )
        name = _name(pretrained_model_name_or_path or pretrained_model_name_or_dir)
        config = _config(name)
        config.checkpoint_name_or_path = _weights_beside(name)
        config.update(values)
        if not download_checkpoint:
            config.checkpoint_name_or_path = None
        return LlamaForCausalLM(config, runtime=runtime, device=device, dtype=dtype)

    @classmethod
    def from_config(
        cls,
        config: LlamaConfig | MindFormerConfig | str | Path,
        *,
        download_checkpoint: bool = True,
        runtime: str = "auto",
        device: str | None = None,
        dtype: str | None = None,
        **values: Any,
    ) -> LlamaForCausalLM:
        """The model of a configuration or YAML file, which stay as they are.

        Other arguments as in ``from_pretrained``.
        """
        if isinstance(config, (str, Path)):
            config = MindFormerConfig(config)
        chosen = config.copy() if isinstance(config, LlamaConfig) else _from_yaml(config, "config")
        chosen.update(values)
        if not download_checkpoint:
            chosen.checkpoint_name_or_path = None
        return LlamaForCausalLM(chosen, runtime=runtime, device=device, dtype=dtype)


class AutoTokenizer(_Auto):
    """Makes a ``LlamaTokenizer`` of a name, a tokenizer file or a folder."""

    @classmethod
    def from_pretrained(
        cls,
        yaml_name_or_path: str | None = None,
        *,
        pretrained_model_name_or_path: str | None = None,
        **values: Any,
    ) -> LlamaTokenizer:
        """The tokenizer; ``values`` are arguments of ``LlamaTokenizer``."""
        name = _name(pretrained_model_name_or_path or yaml_name_or_path)
        return LlamaTokenizer(str(names.tokenizer(name)), **values)


def _name(name: Any) -> str:
    if not isinstance(name, (str, Path)) or not str(name):
        raise UsageError(f"a name or path is needed, not {name!r}")
    return str(name)


def _config(name: str) -> LlamaConfig:
    if yaml := names.downloaded(name, f"{names.plain(name)}.yaml"):
        return _from_yaml(MindFormerConfig(yaml), str(yaml))
    found = names.local(name)
    if found is not None and (yaml := _yaml_at(found)):
        return _from_yaml(MindFormerConfig(yaml), str(yaml))
    shipped = names.default_config(name)
    if shipped is not None and (found is None or found.suffix == ".ckpt"):
        return shipped
    found = found or names.weights(name)
    config = from_model_config(open_checkpoint(found).config(), name)
    if shipped is not None:
        config.max_decode_length = shipped.max_decode_length
    return config


def _yaml_at(path: Path) -> Path | None:
    if path.is_dir():
        return None if (path / "config.json").is_file() else names.the_yaml(path)
    return path if path.suffix in (".yaml", ".yml") else None


def _from_yaml(config: MindFormerConfig, where: str) -> LlamaConfig:
    model = config.get("model")
    keys = model.get("model_config") if isinstance(model, dict) else None
    if not isinstance(keys, dict):
        raise UsageError(
            f"{where} has no model.model_config", hint="name a YAML file in MindFormers' layout"
        )
    return LlamaConfig(**keys)


def _weights_beside(name: str) -> str:
    """What ``checkpoint_name_or_path`` is for a name or folder given to ``from_pretrained``."""
    path = Path(name).expanduser()
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        raise UsageError(
            f"{name} is a configuration, not a folder with weights",
            hint="use AutoModel.from_config for a YAML file",
        )
    if not path.is_dir() or (path / "config.json").is_file():
        return names.plain(name)
    found = sorted(path.glob("*.ckpt"))
    if len(found) > 1:
        raise UsageError(
            f"{path} holds several checkpoints: {', '.join(file.name for file in found)}",
            hint="say which one: checkpoint_name_or_path=…",
        )
    if not found and names.the_yaml(path):
        raise ModelNotFound(f"there is no .ckpt file in {path}", hint="put the weights beside")
    return str(found[0]) if found else name
