"""Turns whatever was raised into what, hint and exit code, so that no user meets a traceback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from paddock.errors import MissingExtra, PaddockError, nearest

EXTRA_OF = {
    "torch": "torch",
    "numpy": "models",
    "ml_dtypes": "models",
    "sentencepiece": "models",
    "tokenizers": "models",
    "gguf": "models",
    "google": "models",
    "jinja2": "models",
    "huggingface_hub": "models",
    "httpx": "models",
}
"""Which extra brings which top-level module."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What to tell a user: the kind (an exception's name), one sentence, what to do, exit code."""

    kind: str
    message: str
    hint: str | None
    exit_code: int

    def to_dict(self) -> dict[str, Any]:
        """The failure as plain JSON values."""
        return {"kind": self.kind, "message": self.message, "hint": self.hint}


def explain(error: BaseException) -> Failure:
    """The failure that ``error`` means to a user."""
    if isinstance(error, PaddockError):
        return Failure(type(error).__name__, error.message, error.hint, error.exit_code)
    if isinstance(error, ModuleNotFoundError):
        library = (error.name or "").partition(".")[0]
        if library in EXTRA_OF:
            return explain(MissingExtra(library, EXTRA_OF[library]))
    if hasattr(error, "format_message"):  # the parser's own errors; typer gives them no public base
        return _usage(error)
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return Failure(type(error).__name__, f"{error.strerror}{where}", None, 1)
    if isinstance(error, MemoryError):
        hint = "use a smaller model, a smaller dtype or a shorter context"
        return Failure("MemoryError", "the machine ran out of memory", hint, 1)
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    hint = "this is a fault of Paddock; run it again with --debug and report what it prints"
    return Failure(type(error).__name__, " ".join(message.split()), hint, 1)


def _usage(error: Any) -> Failure:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "paddock"
    message = error.format_message().strip().rstrip(".")
    option = getattr(error, "option_name", None)
    if option and message.lower().startswith("no such option"):
        known = [name for p in context.command.params for name in p.opts] if context else []
        message = f"no such option: {option}{nearest(option, known)}"
    message = message.replace("\n", " ")
    first, _, rest = message.partition(" ")
    return Failure("UsageError", f"{first.lower()} {rest}", f"see: {path} --help", error.exit_code)
