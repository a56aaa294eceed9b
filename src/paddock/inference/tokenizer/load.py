"""Finds the tokenizer and the chat template that belong to a model's path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paddock.errors import TokenizerError
from paddock.inference.tokenizer.base import Tokenizer
from paddock.inference.tokenizer.chat import ChatTemplate
from paddock.inference.tokenizer.files import read_object, read_text

LOOKED_FOR = "tokenizer.model, tokenizer.json or a single .gguf file"


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer of a model folder, or of a ``.model``, ``.json`` or ``.gguf`` file.

    In a folder, ``tokenizer.model`` goes first, unless it is in tiktoken's format or the folder
    adds tokens to it that only ``tokenizer.json`` carries. Raises TokenizerError saying what was
    looked for.
    """
    path = Path(path)
    if path.is_dir():
        return _from_folder(path)
    if not path.exists():
        raise TokenizerError(
            f"{path} does not exist", hint=f"a folder with {LOOKED_FOR}, or a file"
        )
    if path.suffix == ".model":
        from paddock.inference.tokenizer.sentencepiece import SentencePieceTokenizer

        return SentencePieceTokenizer(path)
    if path.suffix == ".json":
        from paddock.inference.tokenizer.hf import HfTokenizer

        return HfTokenizer(path)
    if path.suffix == ".gguf":
        from paddock.inference.tokenizer.gguf import gguf_tokenizer

        return gguf_tokenizer(path)
    raise TokenizerError(
        f"{path} is no tokenizer by its name", hint=f"give a folder with {LOOKED_FOR}, or a file"
    )


def _from_folder(folder: Path) -> Tokenizer:
    model, fast = folder / "tokenizer.model", folder / "tokenizer.json"
    if model.is_file():
        try:
            tokenizer = load_tokenizer(model)
        except TokenizerError:
            if not fast.is_file():
                raise
        else:
            if not (fast.is_file() and _added_ids(folder, tokenizer.vocab_size)):
                return tokenizer
    if fast.is_file():
        return load_tokenizer(fast)
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return load_tokenizer(files[0])
    found = f"; it holds {len(files)} .gguf files" if files else ""
    raise TokenizerError(f"{folder} has no tokenizer{found}", hint=f"looked for {LOOKED_FOR}")


def _added_ids(folder: Path, vocab_size: int) -> bool:
    """Whether the folder's configuration adds tokens beyond the first ``vocab_size`` ids."""
    ids: list[Any] = list(read_object(folder / "added_tokens.json").values())
    declared = read_object(folder / "tokenizer_config.json").get("added_tokens_decoder")
    if isinstance(declared, dict):
        ids += [int(token) for token in declared if str(token).isdigit()]
    return any(isinstance(token, int) and token >= vocab_size for token in ids)


def load_chat_template(path: str | Path) -> ChatTemplate:
    """The chat template beside a model's tokenizer; Llama 2's if there is none.

    Looks for ``chat_template.jinja``, then ``chat_template`` in ``chat_template.json`` and
    ``tokenizer_config.json``, then ``tokenizer.chat_template`` in a GGUF file; ``path`` is as for
    ``load_tokenizer``. Raises TokenizerError naming the file whose template cannot be used.
    """
    path = Path(path)
    if path.suffix == ".gguf" and path.is_file():
        return _gguf_template(path)
    folder = path if path.is_dir() else path.parent
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        return ChatTemplate(read_text(jinja), origin=str(jinja))
    for name in ("chat_template.json", "tokenizer_config.json"):
        source = _template_in(read_object(folder / name).get("chat_template"))
        if source is not None:
            return ChatTemplate(source, origin=str(folder / name))
    files = sorted(folder.glob("*.gguf")) if path.is_dir() else []
    if len(files) == 1 and not (folder / "tokenizer.model").is_file():
        return _gguf_template(files[0])
    return ChatTemplate()


def _gguf_template(path: Path) -> ChatTemplate:
    from paddock.inference.tokenizer.gguf_metadata import read_metadata

    source = _template_in(read_metadata(path).get("tokenizer.chat_template"))
    return ChatTemplate() if source is None else ChatTemplate(source, origin=str(path))


def _template_in(value: Any) -> str | None:
    """The template in a configuration value: a string, or the one named ``default`` in a list."""
    if isinstance(value, list):
        named = {entry.get("name"): entry.get("template") for entry in value
                 if isinstance(entry, dict)}  # fmt: skip
        value = named.get("default")
    return value if isinstance(value, str) else None
