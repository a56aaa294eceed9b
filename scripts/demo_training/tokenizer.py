"""Trains the demo tokenizer and writes it in both forms, which must agree on every text."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo_corpus import Document

CHAT_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}"
    "{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}"
    "{% else %}"
    "{% set loop_messages = messages %}"
    "{% set system_message = false %}"
    "{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message.strip() + '\\n<</SYS>>\\n\\n' "
    "+ message['content'].strip() %}"
    "{% else %}"
    "{% set content = message['content'].strip() %}"
    "{% endif %}"
    "{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + content + ' ' + eos_token }}"
    "{% endif %}"
    "{% endfor %}"
)
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def train_tokenizer(docs: list[Document], vocab_size: int) -> tuple[Any, bytes]:
    """A SentencePiece BPE model with the settings of Llama 2."""
    import sentencepiece as spm

    lines = [line for d in docs for s in d.segments for line in s.split("\n") if line.strip()]
    writer = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=writer,
        model_type="bpe",
        vocab_size=vocab_size,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        split_digits=True,
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    proto = writer.getvalue()
    return spm.SentencePieceProcessor(model_proto=proto), proto


def fast_tokenizer(proto: bytes) -> dict[str, Any]:
    """The same model as the JSON of a Hugging Face fast tokenizer (the form Llama 2 ships with).

    This is ``legacy=true``: every text between special tokens gets its own leading space, as in the
    reference code, which encodes each turn of a chat alone.
    """
    import sentencepiece as spm

    sp = spm.SentencePieceProcessor(model_proto=proto)
    pieces = [sp.id_to_piece(i) for i in range(sp.get_piece_size())]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    plain = {p for i, p in enumerate(pieces) if not (sp.is_byte(i) or sp.is_control(i) or i == 0)}
    merges: list[tuple[str, str]] = []
    for piece in pieces:
        if piece in plain:
            splits = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
            found = [s for s in splits if s[0] in plain and s[1] in plain]
            merges += sorted(found, key=lambda s: (vocab[s[0]], vocab[s[1]]))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": i,
                "content": pieces[i],
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for i in range(3)
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<s>", "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [list(m) for m in merges],
        },
    }


def save_tokenizer(proto: bytes, out: Path, max_length: int) -> None:
    """tokenizer.model, tokenizer.json, tokenizer_config.json and special_tokens_map.json."""

    def dump(name: str, value: Any, indent: int | None = 2) -> None:
        text = json.dumps(value, indent=indent, ensure_ascii=False) + "\n"
        (out / name).write_text(text, encoding="utf-8")

    (out / "tokenizer.model").write_bytes(proto)
    dump("tokenizer.json", fast_tokenizer(proto), indent=None)
    dump(
        "tokenizer_config.json",
        {
            "add_bos_token": True,
            "add_eos_token": False,
            "added_tokens_decoder": {
                str(i): {
                    "content": t,
                    "lstrip": False,
                    "normalized": False,
                    "rstrip": False,
                    "single_word": False,
                    "special": True,
                }
                for i, t in enumerate(("<unk>", "<s>", "</s>"))
            },
            **SPECIAL,
            "chat_template": CHAT_TEMPLATE,
            "clean_up_tokenization_spaces": False,
            "legacy": True,
            "model_max_length": max_length,
            "pad_token": None,
            "sp_model_kwargs": {},
            "tokenizer_class": "PreTrainedTokenizerFast",
            "use_default_system_prompt": False,
        },
    )
    dump("special_tokens_map.json", SPECIAL)


def encode(processor: Any, document: Document) -> list[int]:
    """``<s> ... </s>`` around every segment, as the reference code of Llama 2 does it."""
    out: list[int] = []
    for segment in document.segments:
        out += [1, *processor.encode(segment), 2]
    return out


ODD_LINES = [
    "",
    " ",
    "  two  spaces ",
    "\n",
    "a\n\nb",
    "你好，世界",
    "naïve café",
    "🙂🦙",
    "1234567890",
    "\ttab",
    "XYZZY qwfp",
    "[INST] hello [/INST]",
    "<<SYS>>\nBe kind.\n<</SYS>>\n\nHi",
    "ａｂｃ",
    "e\u0301",
    'don\'t "quote" (this) - that; 3.14 & more!',
    "line end\r\n",
    "\u00a0",
    "▁",
    "a▁b",
]


def check_equal(processor: Any, out: Path, stream: Iterator[Document], count: int) -> int:
    """Compare both tokenizers on generated and odd lines; returns the number of lines."""
    from tokenizers import Tokenizer

    fast = Tokenizer.from_file(str(out / "tokenizer.json"))
    lines = list(ODD_LINES)
    while len(lines) < count:
        for segment in next(stream).segments:
            lines += [segment, *segment.split("\n")]
    for line in lines:
        ours, theirs = processor.encode(line), fast.encode(line, add_special_tokens=False).ids
        if ours != theirs:
            raise ValueError(f"tokenizers differ on {line!r}: {ours} and {theirs}")
    return len(lines)
