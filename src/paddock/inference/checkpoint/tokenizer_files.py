"""Carries a model's tokenizer along when its weights are converted."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddock.errors import CheckpointError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.fields import load_json
from paddock.inference.checkpoint.reader import Reader

_log = logging.getLogger(__name__)

FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
)
# SentencePiece's and GGUF's token types have the same numbers.
_NORMAL, _UNKNOWN, _CONTROL, _UNUSED, _BYTE = 1, 2, 3, 5, 6
_BPE = 2


def source_folder(path: Path) -> Path:
    """Where the tokenizer of the checkpoint at ``path`` lies.

    Meta's downloads keep one tokenizer.model above the folders of all sizes.
    """
    folder = path if path.is_dir() else path.parent
    here = any((folder / name).is_file() for name in ("tokenizer.model", "tokenizer.json"))
    above = (folder.parent / "tokenizer.model").is_file() and any(folder.glob("consolidated.*.pth"))
    return folder.parent if above and not here else folder


def carry(reader: Reader, folder: Path, config: ModelConfig, to: str) -> dict[str, Any]:
    """Puts the files of ``reader``'s tokenizer into ``folder``; its GGUF metadata for that format.

    A GGUF file's tokenizer is taken out of its metadata.
    """
    if reader.format == "gguf":
        metadata = {
            key: value
            for key, value in getattr(reader, "metadata", {}).items()
            if key.startswith("tokenizer.")
        }
        model = model_from_gguf(metadata)
        if model is not None:
            (folder / "tokenizer.model").write_bytes(model)
        template = metadata.get("tokenizer.chat_template")
    else:
        source = source_folder(reader.path)
        copy(source, folder)
        metadata = gguf_metadata(source, config) if to == "gguf" else {}
        template = None
    if to in ("hf", "paddock"):
        write_tokenizer_config(folder, config, template)
    return metadata


def copy(source: Path, target: Path) -> list[str]:
    """Copies the tokenizer's files between two folders; their names."""
    copied = [name for name in FILES if (source / name).is_file()]
    for name in copied:
        shutil.copyfile(source / name, target / name)
    return copied


def write_tokenizer_config(folder: Path, config: ModelConfig, chat_template: str | None) -> None:
    """A tokenizer_config.json for a folder whose tokenizer.model has none beside it.

    Special tokens are spelled as the Llama 2 tokenizer spells them.
    """
    path = folder / "tokenizer_config.json"
    if path.exists() or not (folder / "tokenizer.model").is_file():
        return
    values: dict[str, Any] = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "model_max_length": config.max_seq_len,
        "clean_up_tokenization_spaces": False,
    }
    if chat_template is not None:
        values["chat_template"] = chat_template
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def gguf_metadata(folder: Path, config: ModelConfig) -> dict[str, Any]:
    """GGUF's ``tokenizer.*`` keys for the SentencePiece model in ``folder``; empty without one.

    Ids above the model's own are named by added_tokens.json, or unused. A warning is logged where
    there is a tokenizer that this cannot say (Llama 3's byte-level BPE, a unigram model). Raises
    CheckpointError if it has more pieces than the model has embeddings.
    """
    proto = _read_model(folder / "tokenizer.model")
    if proto is None:
        if (folder / "tokenizer.model").exists() or (folder / "tokenizer.json").exists():
            _log.warning("%s: only SentencePiece BPE goes into GGUF; no tokenizer written", folder)
        return {}
    if len(proto.pieces) > config.vocab_size:
        raise CheckpointError(
            f"{folder / 'tokenizer.model'} has {len(proto.pieces)} pieces, "
            f"the model only {config.vocab_size} embeddings"
        )
    tokens = [piece.piece for piece in proto.pieces]
    scores = [piece.score for piece in proto.pieces]
    types = [int(piece.type) for piece in proto.pieces]
    added = _added_tokens(folder)
    for number in range(len(tokens), config.vocab_size):
        tokens.append(added.get(number, f"[PAD{number}]"))
        scores.append(-10000.0)
        types.append(_CONTROL if number in added else _UNUSED)
    settings = _settings(folder)
    metadata: dict[str, Any] = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.unknown_token_id": int(proto.trainer_spec.unk_id),
        "tokenizer.ggml.add_bos_token": settings.get("add_bos_token") is not False,
        "tokenizer.ggml.add_eos_token": settings.get("add_eos_token") is True,
        "tokenizer.ggml.add_space_prefix": bool(proto.normalizer_spec.add_dummy_prefix),
    }
    template = _chat_template(folder, settings)
    if template is not None:
        metadata["tokenizer.chat_template"] = template
    return metadata


def model_from_gguf(metadata: Mapping[str, Any]) -> bytes | None:
    """A SentencePiece model with the vocabulary of a GGUF file's metadata.

    None, with a warning, if the file's tokenizer is of another kind. What GGUF does not say
    (training settings) is left at SentencePiece's defaults.
    """
    tokens = metadata.get("tokenizer.ggml.tokens")
    types = metadata.get("tokenizer.ggml.token_type")
    scores = metadata.get("tokenizer.ggml.scores")
    lists = all(isinstance(one, list) for one in (tokens, types, scores))
    if metadata.get("tokenizer.ggml.model") != "llama" or not lists:
        if tokens:
            _log.warning("the GGUF file's tokenizer is no SentencePiece model; not carried along")
        return None
    assert isinstance(tokens, list) and isinstance(types, list) and isinstance(scores, list)
    if not len(tokens) == len(types) == len(scores) or _UNKNOWN not in types:
        raise CheckpointError("the GGUF file's tokenizer has no unknown token or lists of one size")
    try:
        from sentencepiece import sentencepiece_model_pb2 as protos

        proto: Any = protos.ModelProto()  # type: ignore[attr-defined]  # made at run time
        for token, score, kind in zip(tokens, scores, types, strict=True):
            proto.pieces.add(piece=token, score=score, type=kind)
        trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
        trainer.model_type = _BPE
        trainer.vocab_size = len(tokens)
        trainer.byte_fallback = _BYTE in types
        trainer.unk_id = types.index(_UNKNOWN)
        trainer.bos_id = metadata.get("tokenizer.ggml.bos_token_id", 1)
        trainer.eos_id = metadata.get("tokenizer.ggml.eos_token_id", 2)
        trainer.pad_id = -1
        normalizer.name = "identity"
        normalizer.add_dummy_prefix = metadata.get("tokenizer.ggml.add_space_prefix", True)
        normalizer.remove_extra_whitespaces = False
        data: bytes = proto.SerializeToString()
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the GGUF file's tokenizer is malformed: {error}") from error
    return data


def _read_model(path: Path) -> Any:
    """The parsed SentencePiece model, or None if there is none or it is no BPE model."""
    if not path.is_file():
        return None
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2 as protos

    proto: Any = protos.ModelProto()  # type: ignore[attr-defined]  # made at run time
    try:
        proto.ParseFromString(path.read_bytes())
    except DecodeError:
        return None  # Llama 3 uses the same file name for a list of base64 ranks
    return proto if proto.trainer_spec.model_type == _BPE and proto.pieces else None


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return load_json(path) if path.is_file() else {}


def _chat_template(folder: Path, settings: dict[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    template = settings.get("chat_template")
    return template if isinstance(template, str) else None


def _added_tokens(folder: Path) -> dict[int, str]:
    path = folder / "added_tokens.json"
    if not path.is_file():
        return {}
    return {number: name for name, number in load_json(path).items() if isinstance(number, int)}
