"""The tokenizer that Llama 2 was trained with: a SentencePiece model, run by that library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddock.errors import MissingExtra, TokenizerError
from paddock.inference.tokenizer.base import check_text, framed, looks_like_tag, unknown_id
from paddock.inference.tokenizer.files import read_bytes
from paddock.inference.tokenizer.stream import ALL_LEADING, SPACE, decode_all

# Numbers of ModelProto.SentencePiece.Type in sentencepiece_model.proto.
CONTROL, USER_DEFINED, UNUSED, BYTE = 3, 4, 5, 6


class SentencePieceTokenizer:
    """A ``tokenizer.model``, from a file or from its bytes (``origin`` then names it in errors).

    Ids are those of the sentencepiece library, with one exception: a user-defined piece that is
    spelled like markup (``<|user|>``) is not matched in text; see ``looks_like_tag``.
    """

    def __init__(self, source: str | Path | bytes, *, origin: str | None = None) -> None:
        data = source if isinstance(source, bytes) else read_bytes(Path(source))
        self.origin = origin or ("a SentencePiece model" if data is source else str(source))
        proto = _parse(data, self.origin)
        fenced = [
            (token, piece)
            for token, piece in enumerate(proto.pieces)
            if piece.type == USER_DEFINED and looks_like_tag(piece.piece)
        ]
        for _, piece in fenced:
            piece.type = UNUSED  # never the result of encoding, and decoded as before
        self._sp = _processor(proto.SerializeToString() if fenced else data, self.origin)
        self.vocab_size: int = self._sp.vocab_size()
        self.bos_id = _present(self._sp.bos_id())
        self.pad_id = _present(self._sp.pad_id())
        self.unk_id = _present(self._sp.unk_id())
        eos = _present(self._sp.eos_id())
        self.eos_ids: tuple[int, ...] = () if eos is None else (eos,)
        self.specials: Mapping[str, int] = {
            piece.piece: token for token, piece in enumerate(proto.pieces) if piece.type == CONTROL
        } | {piece.piece: token for token, piece in fenced}
        spec = proto.normalizer_spec
        self.drop_leading: int = (
            ALL_LEADING if spec.remove_extra_whitespaces else int(spec.add_dummy_prefix)
        )
        self._bytes: dict[int, bytes | None] = {}
        self._unk_text: bytes = self._sp.decode([self.unk_id]).encode()

    def encode(self, text: str, *, bos: bool = False, eos: bool = False) -> list[int]:
        """Ids of ``text`` as plain text; see Tokenizer."""
        check_text(text)
        return framed(self, self._sp.encode(text), bos=bos, eos=eos)

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Text of ``ids``; see Tokenizer. The unknown token reads `` ⁇ ``, as in the library."""
        return decode_all(self, ids, skip_special=skip_special)

    def id_to_piece(self, token: int) -> str:
        """The vocabulary's spelling, with U+2581 for a space."""
        if not 0 <= token < self.vocab_size:
            raise unknown_id(token, self.vocab_size)
        piece: str = self._sp.id_to_piece(int(token))
        return piece

    def token_bytes(self, token: int) -> bytes | None:
        """See Tokenizer."""
        try:
            return self._bytes[token]
        except KeyError:
            data = self._bytes[token] = self._spell(token, self.id_to_piece(token))
            return data

    def _spell(self, token: int, piece: str) -> bytes | None:
        token = int(token)
        if self._sp.is_control(token):
            return None
        if self._sp.is_byte(token):
            return bytes([int(piece[3:5], 16)])
        if token == self.unk_id:
            return self._unk_text
        return piece.replace(SPACE, " ").encode()


def _parse(data: bytes, origin: str) -> Any:
    try:
        from google.protobuf.message import DecodeError
        from sentencepiece import sentencepiece_model_pb2
    except ImportError as error:
        raise MissingExtra("sentencepiece", "models") from error
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made at run time
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise TokenizerError(f"{origin} is no SentencePiece model", hint=_hint(data)) from error
    if not proto.pieces:
        raise TokenizerError(f"{origin} holds no SentencePiece vocabulary", hint=_hint(data))
    if proto.trainer_spec.treat_whitespace_as_suffix:
        raise TokenizerError(f"{origin} puts spaces behind words, which no Llama does")
    return proto


def _hint(data: bytes) -> str:
    first = data[:200].split(b"\n")[0].split(b" ")
    if len(first) == 2 and first[1].isdigit():
        return "it is in tiktoken's format, as Meta publishes Llama 3: use tokenizer.json instead"
    return "it is truncated, or another file under that name; fetch it again"


def _processor(data: bytes, origin: str) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_proto=data)
    except (RuntimeError, ValueError) as error:
        raise TokenizerError(f"{origin} is no usable SentencePiece model: {error}") from error


def _present(token: int) -> int | None:
    return None if token < 0 else token
