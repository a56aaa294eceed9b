"""The tokenizer inside a GGUF file: its metadata turned into a form that a library runs.

Keys and type numbers: docs/gguf.md of github.com/ggml-org/ggml, section "Tokenizer".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddock.errors import MissingExtra, TokenizerError
from paddock.inference.tokenizer.base import Tokenizer
from paddock.inference.tokenizer.gguf_metadata import read_metadata
from paddock.inference.tokenizer.hf import HfTokenizer
from paddock.inference.tokenizer.sentencepiece import BYTE, CONTROL, SentencePieceTokenizer

_NORMAL, _UNKNOWN, _USER_DEFINED = 1, 2, 4

# How text is cut before merging, by tokenizer.ggml.pre. Sources: the Split pattern of Llama 3's
# tokenizer.json; GPT-2's encoder.py.
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CUTS = {"llama-bpe": _LLAMA3, "llama3": _LLAMA3, "llama-v3": _LLAMA3, "gpt-2": _GPT2}


def gguf_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer of a GGUF file. Raises TokenizerError if it holds none that is supported."""
    return tokenizer_from_metadata(read_metadata(path), origin=str(path))


def tokenizer_from_metadata(metadata: Mapping[str, Any], *, origin: str) -> Tokenizer:
    """The tokenizer that ``tokenizer.*`` keys describe; ``origin`` names the file in errors."""
    reading = _Metadata(metadata, origin)
    kind = reading.get("model")
    if kind == "llama":
        return _sentencepiece(reading)
    if kind == "gpt2":
        return _byte_level(reading)
    raise TokenizerError(
        f"{origin} has a tokenizer of kind {kind!r}" if kind else f"{origin} holds no tokenizer",
        hint="tokenizer.ggml.model must be 'llama' or 'gpt2'",
    )


class _Metadata:
    """Checked access to ``tokenizer.ggml.*``."""

    def __init__(self, metadata: Mapping[str, Any], origin: str) -> None:
        self._metadata = metadata
        self.origin = origin
        tokens = self.get("tokens")
        self.tokens: list[str] = tokens if isinstance(tokens, list) else []
        if not all(isinstance(token, str) for token in self.tokens):
            raise TokenizerError(f"{origin}: tokenizer.ggml.tokens holds more than strings")

    def get(self, key: str, default: Any = None) -> Any:
        return self._metadata.get(f"tokenizer.ggml.{key}", default)

    def per_token(self, key: str, default: Any) -> list[Any]:
        """A list as long as the vocabulary; ``default`` everywhere if the file has none."""
        values = self.get(key)
        if values is None:
            values = [default] * len(self.tokens)
        if not self.tokens or len(values) != len(self.tokens):
            raise TokenizerError(
                f"{self.origin}: tokenizer.ggml.{key} has {len(values)} entries "
                f"for {len(self.tokens)} tokens"
            )
        return list(values)

    def token(self, role: str) -> str | None:
        """The spelling of the token in a role (``bos``, ``eos``, ``unknown``, ``padding``)."""
        token = self.get(f"{role}_token_id")
        if token is None:
            return None
        if not 0 <= token < len(self.tokens):
            raise TokenizerError(
                f"{self.origin}: tokenizer.ggml.{role}_token_id is {token}, outside "
                f"the vocabulary of {len(self.tokens)}"
            )
        return str(self.tokens[token])


def _sentencepiece(reading: _Metadata) -> SentencePieceTokenizer:
    try:
        from sentencepiece import sentencepiece_model_pb2
    except ImportError as error:
        raise MissingExtra("sentencepiece", "models") from error
    types = reading.per_token("token_type", _NORMAL)
    scores = reading.per_token("scores", 0.0)
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made at run time
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    trainer.model_type = trainer.BPE
    trainer.vocab_size = len(reading.tokens)
    trainer.byte_fallback = BYTE in types
    normalizer.name = "identity"
    normalizer.add_dummy_prefix = bool(reading.get("add_space_prefix", True))
    normalizer.remove_extra_whitespaces = bool(reading.get("remove_extra_whitespaces", False))
    charsmap = reading.get("precompiled_charsmap")
    if charsmap is not None:
        normalizer.precompiled_charsmap = bytes(charsmap)
    roles = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    control = set()
    for ours, theirs in roles.items():
        piece = reading.token(theirs)
        # Without a name the library looks for the usual one: <s>, </s>, <pad>, <unk>.
        setattr(trainer, f"{ours}_piece", piece or "")
        if piece is not None and ours != "unk":
            control.add(piece)
    for piece, score, kind in zip(reading.tokens, scores, types, strict=True):
        if kind == _UNKNOWN:
            trainer.unk_piece = piece
        kind = CONTROL if piece in control and kind != _UNKNOWN else int(kind)
        proto.pieces.add(piece=piece, score=float(score), type=kind)
    return SentencePieceTokenizer(proto.SerializeToString(), origin=reading.origin)


def _byte_level(reading: _Metadata) -> HfTokenizer:
    cut = _CUTS.get(reading.get("pre", "gpt-2"))
    if cut is None:
        raise TokenizerError(
            f"{reading.origin} cuts text in a way called {reading.get('pre')!r}",
            hint=f"known for tokenizer.ggml.pre: {', '.join(_CUTS)}",
        )
    types = reading.per_token("token_type", _NORMAL)
    merges = reading.get("merges")
    if not isinstance(merges, list):
        raise TokenizerError(f"{reading.origin} has no tokenizer.ggml.merges")
    added = [
        {"id": token, "content": piece, "special": kind == CONTROL, "single_word": False,
         "lstrip": False, "rstrip": False, "normalized": False}
        for token, (piece, kind) in enumerate(zip(reading.tokens, types, strict=True))
        if kind in (CONTROL, _USER_DEFINED)
    ]  # fmt: skip
    data = {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": cut}, "behavior": "Isolated",
                 "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                 "use_regex": False},
            ],
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {piece: token for token, piece in enumerate(reading.tokens)},
            "merges": merges,
            # Llama 3 takes a word that is in the vocabulary whole, whatever the merges say.
            "ignore_merges": cut is _LLAMA3,
        },
    }  # fmt: skip
    roles = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    config = {f"{ours}_token": reading.token(theirs) for ours, theirs in roles.items()}
    return HfTokenizer.from_data(data, config, origin=reading.origin)
