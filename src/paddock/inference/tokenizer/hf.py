"""A Hugging Face ``tokenizer.json``, run by the tokenizers library."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddock.errors import MissingExtra, TokenizerError
from paddock.inference.tokenizer.base import check_text, framed, looks_like_tag, unknown_id
from paddock.inference.tokenizer.files import parse_object, read_object, read_text
from paddock.inference.tokenizer.stream import SPACE, decode_all

if TYPE_CHECKING:
    import tokenizers

# Used only for a role that no configuration file mentions.
_USUAL = {
    "bos": ("<s>", "<|begin_of_text|>"),
    "eos": ("</s>", "<|end_of_text|>"),
    "pad": ("<pad>", "[PAD]", "<|finetune_right_pad_id|>"),
    "unk": ("<unk>",),
}


class HfTokenizer:
    """A model folder, or a ``tokenizer.json`` and the configuration files beside it.

    Takes the BPE vocabularies that Llamas have: byte-level ones (Llama 3) and those converted from
    SentencePiece with byte fallback (Llama 2). Ids are those of the library; but a control token,
    or an added token spelled like markup, is not matched in text.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        file = path / "tokenizer.json" if path.is_dir() else path
        config = read_object(file.with_name("special_tokens_map.json"))
        config |= read_object(file.with_name("tokenizer_config.json"))
        self._setup(parse_object(read_text(file), file), config, str(file))

    @classmethod
    def from_data(
        cls, data: dict[str, Any], config: Mapping[str, Any], *, origin: str
    ) -> HfTokenizer:
        """From the contents of ``tokenizer.json`` and ``tokenizer_config.json``.

        ``origin`` names them in errors.
        """
        self = cls.__new__(cls)
        self._setup(data, config, origin)
        return self

    def _setup(self, data: dict[str, Any], config: Mapping[str, Any], origin: str) -> None:
        self.origin = origin
        added, control = _fence(data, config, origin)
        self._tok = tok = _library_tokenizer(data, origin)
        ids = tok.get_vocab(with_added_tokens=True)
        self._pieces: dict[int, str] = {token: piece for piece, token in ids.items()}
        self._added = {ids[piece]: piece for piece in added}
        self.vocab_size = max(self._pieces) + 1
        self.bos_id = self._role("bos", config)
        eos = self._role("eos", config)
        self.eos_ids: tuple[int, ...] = () if eos is None else (eos,)
        self.pad_id = self._role("pad", config)
        self.unk_id = self._role("unk", config)
        named = (self.bos_id, eos, self.pad_id, self.unk_id)
        self._control = {ids[piece] for piece in control}
        self._control |= {token for token in named if token is not None}
        fenced = self._control | {
            token for token, piece in self._added.items() if looks_like_tag(piece)
        }
        self.specials: Mapping[str, int] = {self._pieces[token]: token for token in sorted(fenced)}
        # The unknown token is the one special that encoding may yield.
        self._barred = frozenset(fenced - {self.unk_id})
        self._bytes: dict[int, bytes | None] = {}
        self._spell, self.drop_leading = _decoder(data.get("decoder"), origin)

    def _role(self, role: str, config: Mapping[str, Any]) -> int | None:
        """The id of the begin, end, padding or unknown token; None if there is none."""
        key = f"{role}_token"
        if key not in config:
            ids = (self._tok.token_to_id(piece) for piece in _USUAL[role])
            return next((token for token in ids if token is not None), None)
        piece = config[key]
        if isinstance(piece, Mapping):
            piece = piece.get("content")
        if piece is None:
            return None
        token = self._tok.token_to_id(piece) if isinstance(piece, str) else None
        if token is None:
            raise TokenizerError(
                f"{self.origin} has no token {piece!r}, which its configuration calls {key}"
            )
        return token

    def encode(self, text: str, *, bos: bool = False, eos: bool = False) -> list[int]:
        """Ids of ``text`` as plain text; see Tokenizer.

        Raises TokenizerError too if the vocabulary's own merges lead to a control token: such a
        file cannot be used safely.
        """
        check_text(text)
        ids = self._tok.encode(text, add_special_tokens=False).ids
        if not self._barred.isdisjoint(ids):
            token = next(token for token in ids if token in self._barred)
            raise TokenizerError(
                f"{self.origin} turns plain text into the control token {self.id_to_piece(token)!r}"
            )
        return framed(self, ids, bos=bos, eos=eos)

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Text of ``ids``; see Tokenizer."""
        return decode_all(self, ids, skip_special=skip_special)

    def id_to_piece(self, token: int) -> str:
        """The vocabulary's spelling of one id."""
        piece = self._pieces.get(token)
        if piece is None:
            raise unknown_id(token, self.vocab_size)
        return piece

    def token_bytes(self, token: int) -> bytes | None:
        """See Tokenizer."""
        try:
            return self._bytes[token]
        except KeyError:
            piece = self.id_to_piece(token)
        if token in self._control:
            data = None
        else:
            data = piece.encode() if token in self._added else self._spell(piece)
        self._bytes[token] = data
        return data


def _fence(
    data: dict[str, Any], config: Mapping[str, Any], origin: str
) -> tuple[list[str], list[str]]:
    """Marks in ``data`` what text must not reach; returns all added pieces, and the control ones.

    The library matches an added token in text unless it is special and ``encode_special_tokens``
    is set, so those spelled like markup are made special for it.
    """
    added, control = [], []
    declared = config.get("added_tokens_decoder")
    special_too = {
        entry["content"]
        for entry in (declared.values() if isinstance(declared, dict) else ())
        if isinstance(entry, dict) and entry.get("special") and "content" in entry
    }
    for entry in data.get("added_tokens") or ():
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise TokenizerError(f"{origin}: added_tokens has an entry without a content")
        piece = entry["content"]
        added.append(piece)
        if entry.get("special") or piece in special_too:
            control.append(piece)
        entry["special"] = piece in control or looks_like_tag(piece)
    return added, control


def _library_tokenizer(data: dict[str, Any], origin: str) -> tokenizers.Tokenizer:
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtra("tokenizers", "models") from error
    model = data.get("model")
    kind = model.get("type", "BPE") if isinstance(model, dict) else None
    if kind != "BPE":
        raise TokenizerError(
            f"{origin} holds a {kind} model", hint="only BPE is supported, which every Llama has"
        )
    try:
        tok = tokenizers.Tokenizer.from_str(json.dumps(data))
    except Exception as error:  # the library raises plain Exception
        raise TokenizerError(f"{origin} is no usable tokenizer.json: {error}") from error
    tok.no_padding()
    tok.no_truncation()
    tok.encode_special_tokens = True
    if not tok.get_vocab_size():
        raise TokenizerError(f"{origin} holds an empty vocabulary")
    return tok


def _decoder(decoder: Any, origin: str) -> tuple[Callable[[str], bytes], int]:
    """How a piece is spelled in bytes, and how many leading pieces lose their space."""
    parts = decoder.get("decoders", [decoder]) if isinstance(decoder, dict) else []
    kinds = {part.get("type"): part for part in parts}
    if "ByteLevel" in kinds:
        return _byte_level, 0
    if "Metaspace" in kinds:
        drops = kinds["Metaspace"].get("prepend_scheme", "always") != "never"
    elif "Replace" in kinds and kinds["Replace"].get("pattern") == {"String": SPACE}:
        drops = kinds.get("Strip", {}).get("start", 0) > 0
    else:
        raise TokenizerError(
            f"{origin} has a decoder of an unknown kind: {', '.join(map(str, kinds)) or 'none'}",
            hint="byte-level and SentencePiece-like decoders are supported",
        )
    return (_byte_fallback if "ByteFallback" in kinds else _spaced), int(drops)


def _spaced(piece: str) -> bytes:
    return piece.replace(SPACE, " ").encode()


def _byte_fallback(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        try:
            return bytes([int(piece[3:5], 16)])
        except ValueError:
            pass
    return _spaced(piece)


def _byte_level(piece: str) -> bytes:
    alphabet = _byte_alphabet()
    try:
        return bytes([alphabet[char] for char in piece])
    except KeyError:
        return piece.encode()


@cache
def _byte_alphabet() -> dict[str, int]:
    """GPT-2's spelling of bytes: printable Latin-1 is itself, the others follow from U+0100 on.

    Source: ``bytes_to_unicode`` of github.com/openai/gpt-2, src/encoder.py.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(0x100 + i): byte for i, byte in enumerate(others)
    }
