"""Answers that follow a JSON schema: llguidance says which tokens may come next."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from paddock.errors import MissingExtra, UsageError
from paddock.inference.tokenizer.base import Tokenizer

ANY_OBJECT: dict[str, Any] = {"type": "object"}
"""What ``response_format: json_object`` asks for."""

# Compact JSON: a small model that may write white space can go on doing so for ever.
_DEFAULTS = {"whitespace_flexible": False}


def compile_schema(schema: dict[str, Any]) -> str:
    """The grammar of ``schema``. Raises UsageError for a schema that cannot be followed."""
    guidance = _library()
    try:
        grammar: str = guidance.LLMatcher.grammar_from_json_schema(
            json.dumps(schema), defaults=_DEFAULTS
        )
        problem = guidance.LLMatcher.validate_grammar(grammar)
    except ValueError as error:
        problem = str(error)
    if problem:
        raise UsageError(f"this JSON schema cannot be followed: {problem.strip()}")
    return grammar


class Grammars:
    """Makes constraints for answers of one tokenizer, whose tokens are looked at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = _library().LLTokenizer(_Wrapped(tokenizer))

    def constraint(self, grammar: str) -> Callable[[], Constrained]:
        """What ``Request.constrain`` takes: a fresh constraint for each answer."""
        return lambda: Constrained(_library().LLMatcher(self._tokenizer, grammar))


class Constrained:
    """One answer under a grammar; see ``Constraint`` in engine/request.py."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def allowed(self) -> bytes | None:
        """See Constraint. After the grammar's end nothing is allowed, which ends the answer."""
        if self._matcher.is_stopped():
            return b""
        mask: bytes = self._matcher.compute_bitmask()
        return mask

    def accept(self, token: int) -> None:
        """See Constraint."""
        self._matcher.consume_token(token)


_MARK = "\x02"
"""A character that no vocabulary merges with its neighbours."""


class _Wrapped:
    """A tokenizer as llguidance wants to see it: the bytes of every token, and bytes to tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._spelled = [tokenizer.token_bytes(token) for token in range(tokenizer.vocab_size)]
        self._ids = {text: i for i, text in enumerate(self._spelled) if text}
        self._longest = max(map(len, self._ids), default=1)
        self.special_token_ids = [i for i, text in enumerate(self._spelled) if text is None]
        self.tokens = [
            text if text is not None else f"<special {i}>".encode()
            for i, text in enumerate(self._spelled)
        ]
        self.bos_token_id = tokenizer.bos_id
        self.eos_token_id = tokenizer.eos_ids[0]
        self.is_tokenizer_wrapper = True

    def __call__(self, text: str | bytes) -> list[int]:
        """Tokens that spell exactly these bytes, with no space put in front."""
        raw = text.encode() if isinstance(text, str) else text
        try:
            # Behind a mark, so that the space which begins a text stands before the mark.
            ids = self._tokenizer.encode(_MARK + raw.decode())
        except UnicodeDecodeError:
            return self._greedy(raw)
        mark = _MARK.encode()
        for i, token in enumerate(ids):
            if (self._spelled[token] or b"").endswith(mark):
                ids = ids[i + 1 :]
                break
        same = b"".join(self._spelled[token] or b"" for token in ids) == raw
        return ids if same else self._greedy(raw)

    def _greedy(self, raw: bytes) -> list[int]:
        """The longest token first; half characters are spelled byte by byte where they must."""
        ids = []
        at = 0
        while at < len(raw):
            for size in range(min(self._longest, len(raw) - at), 0, -1):
                found = self._ids.get(raw[at : at + size])
                if found is not None:
                    ids.append(found)
                    at += size
                    break
            else:
                at += 1  # a byte that the vocabulary cannot spell
        return ids


def _library() -> Any:
    try:
        import llguidance
    except ModuleNotFoundError:
        raise MissingExtra("llguidance", "serve") from None
    return llguidance
