"""What MindFormers' model names stand for: a YAML file, weights and a tokenizer on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paddock import settings
from paddock.errors import FetchError, ModelNotFound, UsageError, nearest
from paddock.inference.auto.llama_config import GENERATION, LlamaConfig
from paddock.inference.checkpoint import fetch, store

# Shapes: configs/llama2/*.yaml of MindFormers 1.0.0.
_SHAPES: dict[str, dict[str, Any]] = {
    "llama2_7b": {},
    "llama2_13b": {"hidden_size": 5120, "num_layers": 40, "num_heads": 40},
    "llama2_70b": {
        "hidden_size": 8192,
        "num_layers": 80,
        "num_heads": 64,
        "n_kv_heads": 8,
        "ffn_dim_multiplier": 1.3,
    },
}

SUPPORTED = (store.DEMO, *_SHAPES)
"""Names that are known without asking a hub."""

_FILES = (".ckpt", ".yaml", ".yml", ".gguf", ".safetensors", ".pth", ".model", ".json")


def plain(name: str) -> str:
    """``name`` without MindFormers' prefix for its second download site (``mindspore/``)."""
    return name.removeprefix("mindspore/")


def default_config(name: str) -> LlamaConfig | None:
    """The configuration that MindFormers ships for ``name``, None if it ships none."""
    if plain(name) not in _SHAPES:
        return None
    config = LlamaConfig(**GENERATION, max_decode_length=512, checkpoint_name_or_path=plain(name))
    shape = {"seq_length": 4096, "max_position_embedding": 4096}
    dict.update(config, shape | _SHAPES[plain(name)])  # not "given": the weights may know better
    return config


def downloaded(name: str, file: str) -> Path | None:
    """``file`` in the folder where MindFormers keeps the downloads of ``name``, if it is there."""
    name = plain(name)
    path = settings.load().checkpoint_download / name.split("_")[0] / file
    return path if path.is_file() else None


def weights(name: str) -> Path:
    """Where the weights of a name or path are; pulled first if they are not on this machine.

    MindFormers' download folder comes first, then Paddock's store. Raises ModelNotFound with
    the places looked at, and UsageError for what is neither a name nor a path.
    """
    word = plain(name)
    return downloaded(word, f"{word}.ckpt") or local(name) or _pull(word)


def tokenizer(name: str) -> Path:
    """Where the tokenizer of a name or path is: a file, or a folder that holds one."""
    word = plain(name)
    found = downloaded(word, "tokenizer.model") or local(name) or _pull(word)
    if found.suffix in (".yaml", ".yml"):
        return _named_by(found)
    return found.parent if found.suffix in (".ckpt", ".safetensors", ".pth") else found


def local(name: str) -> Path | None:
    """The file or folder of a path, or of a name that is complete in the store; else None.

    Raises ModelNotFound for a path that leads nowhere.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    if path.suffix in _FILES or path.is_absolute() or name.startswith((".", "~")):
        raise ModelNotFound(
            f"there is no file or folder {name}", hint=f"looked from {Path.cwd()}; correct the path"
        )
    try:
        return store.locate(plain(name), settings.load())
    except ModelNotFound:
        return None


def the_yaml(folder: Path) -> Path | None:
    """The one YAML file of a folder, None if there is none. Raises UsageError for several."""
    found = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if len(found) > 1:
        raise UsageError(
            f"{folder} holds several YAML files: {', '.join(file.name for file in found)}",
            hint="name the one that is meant",
        )
    return found[0] if found else None


def _pull(name: str) -> Path:
    chosen = settings.load()
    try:
        return store.locate(name, chosen)
    except ModelNotFound as absent:
        if chosen.offline or ("/" not in name and store.canonical(name) not in store.KNOWN):
            raise ModelNotFound(
                absent.message + nearest(name, SUPPORTED), hint=absent.hint
            ) from None
        try:
            return fetch.pull(name, chosen)
        except FetchError as cause:
            raise ModelNotFound(
                f"{absent.message}; and it could not be downloaded: {cause.message}",
                hint=cause.hint or absent.hint,
            ) from cause


def _named_by(yaml: Path) -> Path:
    """The tokenizer that a YAML file names (``processor.tokenizer.vocab_file``) or lies beside."""
    from paddock.inference.auto.yaml_config import MindFormerConfig

    part: Any = MindFormerConfig(yaml)
    for key in ("processor", "tokenizer", "vocab_file"):
        part = part.get(key) if isinstance(part, dict) else None
    return Path(part) if part else yaml.parent
