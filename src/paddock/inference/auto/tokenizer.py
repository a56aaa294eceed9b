"""``LlamaTokenizer``: MindFormers' way of calling a tokenizer, over Paddock's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from paddock.errors import TokenizerError, UsageError, nearest
from paddock.inference.auto.encoding import BatchEncoding, shaped, strategies
from paddock.inference.tokenizer.load import load_tokenizer

_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)


class LlamaTokenizer:
    """Text to ids and back as MindFormers' tokenizers do it; ``vocab_file`` is a file or folder.

    Spellings of special tokens must be pieces of the vocabulary; None takes the file's own. Unlike
    MindFormers', a text's ``<s>`` or ``</s>`` is plain text and never a control token.
    """

    padding_side = "right"
    model_input_names = ("input_ids", "attention_mask")

    def __init__(
        self,
        vocab_file: str | Path,
        unk_token: str | None = None,
        bos_token: str | None = None,
        eos_token: str | None = None,
        pad_token: str | None = None,
        *,
        add_bos_token: bool = True,
        add_eos_token: bool = False,
        model_max_length: int | None = None,
        **others: Any,
    ) -> None:
        for name, value in others.items():
            # Their defaults, which is all that these may be here.
            if OTHERS.get(name, OTHERS) != value:
                raise UsageError(
                    f"LlamaTokenizer cannot take {name}={value!r}"
                    + ("" if name in OTHERS else nearest(name, _arguments()))
                )
        self.vocab_file = str(vocab_file)
        self.add_bos_token = add_bos_token
        self.add_eos_token = add_eos_token
        self.model_max_length = model_max_length
        self.tokenizer = load_tokenizer(Path(vocab_file))
        base = self.tokenizer
        self._ids: dict[str, int] | None = None
        self.unk_token_id = self._special(unk_token, base.unk_id)
        self.bos_token_id = self._special(bos_token, base.bos_id)
        self.eos_token_id = self._special(eos_token, next(iter(base.eos_ids), None))
        # MindFormers pads with <unk>, and so does a model whose file names no padding.
        own_pad = base.pad_id if base.pad_id is not None else self.unk_token_id
        self.pad_token_id = self._special(pad_token, own_pad)

    @classmethod
    def from_pretrained(cls, name_or_path: str, **values: Any) -> LlamaTokenizer:
        """The tokenizer of a name or path; see ``AutoTokenizer.from_pretrained``."""
        from paddock.inference.auto import names

        return cls(str(names.tokenizer(name_or_path)), **values)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are."""
        return self.tokenizer.vocab_size

    def __len__(self) -> int:
        return self.vocab_size

    @property
    def bos_token(self) -> str | None:
        """How the begin token is spelled."""
        return self._spelled(self.bos_token_id)

    @property
    def eos_token(self) -> str | None:
        """How the end token is spelled."""
        return self._spelled(self.eos_token_id)

    @property
    def unk_token(self) -> str | None:
        """How the unknown token is spelled."""
        return self._spelled(self.unk_token_id)

    @property
    def pad_token(self) -> str | None:
        """How the padding token is spelled."""
        return self._spelled(self.pad_token_id)

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of the special tokens, each once."""
        ids = (self.bos_token_id, self.eos_token_id, self.unk_token_id, self.pad_token_id)
        return list(dict.fromkeys(token for token in ids if token is not None))

    @property
    def all_special_tokens(self) -> list[str]:
        """The spellings of the special tokens."""
        return [self.tokenizer.id_to_piece(token) for token in self.all_special_ids]

    def __call__(
        self,
        text: str | Sequence[str],
        *,
        add_special_tokens: bool = True,
        padding: bool | str | None = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        return_tensors: str | None = None,
        return_attention_mask: bool | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """``input_ids`` and ``attention_mask`` (1 for text, 0 for padding) of one text or several.

        One text gives flat lists, several nested ones. ``padding`` True pads to the longest,
        ``"max_length"`` to ``max_length``, on the right. ``max_length`` without padding and
        truncation truncates, as in MindFormers. ``return_tensors`` is None for lists, ``"np"``,
        ``"ms"`` (our Tensor) or ``"pt"``.
        """
        pad_to, cut = strategies(padding, truncation, max_length or self.model_max_length)
        if max_length is not None and padding is False and truncation is None:
            cut = max_length
        texts = [text] if isinstance(text, str) else list(text)
        for item in texts:
            if not isinstance(item, str):
                raise UsageError(f"the tokenizer got {type(item).__name__}, not text")
        batch = [self._encode(item, add_special_tokens, cut) for item in texts]
        width = max(map(len, batch), default=0) if pad_to == "longest" else pad_to
        masks = [[1] * len(ids) for ids in batch]
        if isinstance(width, int):
            if self.pad_token_id is None:
                raise UsageError("this tokenizer has no padding token", hint="give pad_token")
            fill = self.pad_token_id
            masks = [mask + [0] * (width - len(mask)) for mask in masks]
            batch = [ids + [fill] * (width - len(ids)) for ids in batch]
        single = isinstance(text, str)
        result = BatchEncoding(input_ids=shaped(batch, single, return_tensors))
        if return_attention_mask is not False:
            result["attention_mask"] = shaped(masks, single, return_tensors)
        return result

    def encode(self, text: str, **options: Any) -> Any:
        """The ids of one text; options as of a call."""
        return self(text, **options)["input_ids"]

    def tokenize(self, text: str) -> list[str]:
        """The pieces of one text, without special tokens."""
        return [self.tokenizer.id_to_piece(token) for token in self.tokenizer.encode(text)]

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> str | list[str]:
        """The text of ids, or a list of texts for a list (or 2-D array) of them.

        Special tokens are spelled as MindFormers does: ``<s>I love Beijing``, but with an end token
        ``<s> I love Beijing</s>``.
        """
        if clean_up_tokenization_spaces:
            raise UsageError("clean_up_tokenization_spaces is not for Llama's tokenizer")
        given = token_ids.tolist() if hasattr(token_ids, "tolist") else token_ids
        if isinstance(given, int):
            given = [given]
        if len(given) and hasattr(given[0], "__len__"):
            return [self._text(row, skip_special_tokens) for row in given]
        return self._text(given, skip_special_tokens)

    def batch_decode(self, sequences: Any, **options: Any) -> list[str]:
        """The texts of several lists of ids."""
        return [str(self.decode(row, **options)) for row in sequences]

    def convert_ids_to_tokens(
        self, ids: int | Sequence[int], skip_special_tokens: bool = False
    ) -> str | list[str]:
        """The vocabulary's spelling of one id or several."""
        if not isinstance(ids, Iterable):
            return self.tokenizer.id_to_piece(int(ids))
        special = self.all_special_ids if skip_special_tokens else ()
        return [self.tokenizer.id_to_piece(int(i)) for i in ids if int(i) not in special]

    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> Any:
        """The id of one spelling or of several; unknown ones give the unknown token's id."""
        vocabulary = self.get_vocab()
        if isinstance(tokens, str):
            return vocabulary.get(tokens, self.unk_token_id)
        return [vocabulary.get(token, self.unk_token_id) for token in tokens]

    def get_vocab(self) -> dict[str, int]:
        """Spelling -> id of every token."""
        if self._ids is None:
            self._ids = {self.tokenizer.id_to_piece(i): i for i in range(self.vocab_size)}
        return dict(self._ids)

    def save_pretrained(self, save_directory: str | Path) -> tuple[str, ...]:
        """Copies the tokenizer's files into a folder; returns their new paths."""
        source = Path(self.vocab_file)
        files = [source / n for n in _FILES] if source.is_dir() else [source]
        files = [file for file in files if file.is_file() and file.suffix in (".model", ".json")]
        if not files:
            raise TokenizerError(f"the tokenizer of {source} has no file of its own to copy")
        target = Path(save_directory)
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            if file.resolve() != (target / file.name).resolve():
                shutil.copyfile(file, target / file.name)
        return tuple(str(target / file.name) for file in files)

    def _encode(self, text: str, special: bool, cut: int | None) -> list[int]:
        ids = self.tokenizer.encode(text)
        head = [self.bos_token_id] if special and self.add_bos_token else []
        tail = [self.eos_token_id] if special and self.add_eos_token else []
        if cut is not None:
            ids = ids[: max(cut - len(head) - len(tail), 0)]
        return [token for token in (*head, *ids, *tail) if token is not None]

    def _text(self, ids: Sequence[int], skip: bool) -> str:
        special = set(self.all_special_ids)
        if skip:
            return self.tokenizer.decode([int(token) for token in ids if int(token) not in special])
        text, before = "", None
        # MindFormers decodes each run between special tokens by itself, and puts a space in front
        # of a run that a special token follows.
        for is_special, run in groupby(map(int, ids), special.__contains__):
            if is_special:
                pieces = "".join(self.tokenizer.id_to_piece(token) for token in run)
                text += pieces if before is None else f" {before}{pieces}"
                before = None
            else:
                before = self.tokenizer.decode(list(run))
        return text + (before or "")

    def _special(self, spelling: str | None, own: int | None) -> int | None:
        if spelling is None or (own is not None and self._spelled(own) == spelling):
            return own
        found = self.get_vocab().get(spelling)
        if found is None:
            raise TokenizerError(f"{self.vocab_file} has no token {spelling!r}")
        return found

    def _spelled(self, token: int | None) -> str | None:
        return None if token is None else self.tokenizer.id_to_piece(token)


OTHERS: dict[str, Any] = {
    "type": "LlamaTokenizer",
    "sp_model_kwargs": None,
    "clean_up_tokenization_spaces": False,
    "legacy": True,
    "use_fast": False,
}
"""Further arguments of MindFormers' tokenizer, with the only value each may have here."""


def _arguments() -> list[str]:
    tokens = ("unk_token", "bos_token", "eos_token", "pad_token")
    return [*tokens, "add_bos_token", "add_eos_token", "model_max_length", *OTHERS]
