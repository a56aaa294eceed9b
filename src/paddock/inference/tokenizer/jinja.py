"""Chat templates of other models: Jinja, with message contents that stay plain text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from paddock.errors import MissingExtra
from paddock.inference.tokenizer.base import Tokenizer

if TYPE_CHECKING:
    from paddock.inference.tokenizer.sandbox import Sandbox

_PRIVATE = 0xF0000  # Unicode's private plane 15


class JinjaChat:
    """One Jinja chat template.

    A template writes control tokens as text. So that the same text inside a message stays plain,
    contents are rendered in disguise: characters become private ones that occur nowhere else, and
    change back when the result has been cut at the control tokens.
    """

    def __init__(self, source: str, origin: str) -> None:
        self.source = source
        self.origin = origin
        self._sandbox: Sandbox | None = None

    def render(self, messages: Sequence[Mapping[str, str]], **variables: object) -> str:
        """The template's text. Raises UsageError for what it refuses, TokenizerError if broken."""
        if self._sandbox is None:
            try:
                from paddock.inference.tokenizer.sandbox import Sandbox
            except ImportError as error:
                raise MissingExtra("jinja2", "models") from error
            self._sandbox = Sandbox(self.source, self.origin)
        given = {"add_generation_prompt": True, "tools": None, "documents": None, **variables}
        return self._sandbox.render(messages=[dict(message) for message in messages], **given)

    def encode(
        self,
        messages: Sequence[Mapping[str, str]],
        tokenizer: Tokenizer,
        add_generation_prompt: bool,
    ) -> list[int]:
        """The prompt's ids: control tokens where the template wrote them, and text between.

        Each text between control tokens is encoded by itself. Two disguises are tried. The light
        one hides only control tokens spelled out in a content, so that a template which looks
        into contents sees them as they are. If the rest of a content forms one together with what
        the template writes next to it, the full one is used, which hides every character that a
        control token could be made of.
        """
        specials = tokenizer.specials
        variables: dict[str, object] = {
            "add_generation_prompt": add_generation_prompt,
            **_named_tokens(tokenizer),
        }
        cut = _cutter(specials)
        disguise = _Disguise(
            {char for piece in specials for char in piece if not char.isspace()},
            itertools.chain([self.source], (message["content"] for message in messages)),
        )
        results = []
        for hide in (
            lambda text: cut.sub(lambda found: disguise.on(found[0][0]) + found[0][1:], text),
            disguise.on,
        ):
            hidden = [{**message, "content": hide(message["content"])} for message in messages]
            # Odd parts are the control tokens.
            results.append(cut.split(self.render(hidden, **variables)))
        light, full = results
        parts = light if light[1::2] == full[1::2] else full
        ids: list[int] = []
        for i, part in enumerate(parts):
            if i % 2:
                ids.append(specials[part])
            elif part:
                ids += tokenizer.encode(disguise.off(part))
        return ids


def _named_tokens(tokenizer: Tokenizer) -> dict[str, str]:
    named = {
        "bos_token": tokenizer.bos_id,
        "eos_token": tokenizer.eos_ids[0] if tokenizer.eos_ids else None,
        "pad_token": tokenizer.pad_id,
        "unk_token": tokenizer.unk_id,
    }
    return {
        name: "" if token is None else tokenizer.id_to_piece(token) for name, token in named.items()
    }


def _cutter(specials: Mapping[str, int]) -> re.Pattern[str]:
    """Matches one control token; the longest where one begins with another."""
    pieces = sorted(specials, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, pieces))})" if pieces else "((?!))")


class _Disguise:
    """One private character for each of ``alphabet``, none of which occurs in ``texts``."""

    def __init__(self, alphabet: set[str], texts: Iterable[str]) -> None:
        taken = set().union(*texts)
        free = (char for char in map(chr, itertools.count(_PRIVATE)) if char not in taken)
        self._on = {ord(char): next(free) for char in sorted(alphabet)}
        self._off = {ord(private): chr(char) for char, private in self._on.items()}

    def on(self, text: str) -> str:
        return text.translate(self._on)

    def off(self, text: str) -> str:
        return text.translate(self._off)
