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
    "aiohttp": "serve",
    "fastapi": "serve",
    "starlette": "serve",
    "pydantic": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "llguidance": "serve",
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
    """The parser's message with the nearest option or value, in the style of our own."""
    context = getattr(error, "ctx", None)
    hint = f"see: {context.command_path if context is not None else 'paddock'} --help"
    message = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    lower = message.lower()
    option = getattr(error, "option_name", None)
    if option and lower.startswith("no such option"):
        known = [name for p in context.command.params for name in p.opts] if context else []
        message = f"no such option: {option}{_nearest_option(option, known)}"
    elif lower.startswith("got unexpected extra argument"):
        message = "unexpected arguments: " + message.partition("(s) (")[2].rstrip(")")
        hint = f"put a text with spaces in quotes; {hint}"
    elif " is not one of " in message:
        value, _, allowed = message.rpartition(": ")[2].partition(" is not one of ")
        words = [word.strip("'") for word in allowed.split(", ")]
        message += nearest(value.strip("'"), words)
    return Failure("UsageError", message[:1].lower() + message[1:], hint, error.exit_code)


def _nearest_option(option: str, known: list[str]) -> str:
    # Without the dashes, which would make any two options look alike.
    spelled = {name.lstrip("-"): name for name in known}
    close = nearest(option.lstrip("-"), spelled)
    for bare, name in spelled.items():
        close = close.replace(f"'{bare}'", f"'{name}'")
    return close
