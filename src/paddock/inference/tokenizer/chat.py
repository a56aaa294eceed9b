"""Messages to the ids a chat model was trained on, whatever the messages contain."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

from paddock.errors import PaddockError, TokenizerError, UsageError, nearest
from paddock.inference.tokenizer.base import Tokenizer, begin_id, end_id
from paddock.inference.tokenizer.jinja import JinjaChat

Messages: TypeAlias = Sequence[Mapping[str, str]]

ROLES = ("system", "user", "assistant", "tool")
KEYS = ("role", "content")

# Llama 2's turns are marked by text, not by tokens.
# Source: chat_completion in github.com/meta-llama/llama, llama/generation.py.
TAGS = re.compile(r"\[(/?INST)\]|<<(/?SYS)>>")


class ChatTemplate:
    """How a conversation is laid out for one model.

    Without ``source`` it is Llama 2's, built in. With the Jinja source that other models publish,
    it is rendered in a sandbox; a source that lays out text as Llama 2's does uses the built-in
    one. ``origin`` names the file in errors.
    """

    def __init__(self, source: str | None = None, *, origin: str = "the chat template") -> None:
        self.source = source
        self.origin = origin
        self._jinja = None if source is None else JinjaChat(source, origin)

    def encode(
        self, messages: Messages, tokenizer: Tokenizer, *, add_generation_prompt: bool = True
    ) -> list[int]:
        """The prompt's ids for ``messages``, each with a ``role`` and a ``content``.

        With ``add_generation_prompt`` the prompt ends where the assistant's answer begins, so the
        last message must not be the assistant's. Raises UsageError for messages that the template
        has no place for, TokenizerError for a template or vocabulary that cannot be used.

        No content becomes a control token, and none can pretend to be a turn: Llama 2's textual
        tags are spaced out in it (``[INST]`` becomes ``[ INST ]``, ``<<SYS>>`` ``<< SYS >>``).
        """
        check_messages(messages)
        if add_generation_prompt and messages[-1]["role"] == "assistant":
            raise UsageError(
                "the last message is the assistant's, so there is nothing to answer",
                hint="end with a user message",
            )
        if self._jinja is None or self.is_llama2:
            return _llama2(messages, tokenizer)
        if TAGS.search(self._jinja.source):
            messages = [
                {**message, "content": disarmed(message["content"], tokenizer)}
                for message in messages
            ]
        return self._jinja.encode(messages, tokenizer, add_generation_prompt)

    @cached_property
    def is_llama2(self) -> bool:
        """Whether this template lays out probe conversations exactly as the built-in one."""
        if self._jinja is None:
            return True
        if "[INST]" not in self._jinja.source or "<<SYS>>" not in self._jinja.source:
            return False
        try:
            return all(
                self._jinja.render(probe, bos_token="<s>", eos_token="</s>")  # noqa: S106
                == "".join(f"<s>{text}</s>" if done else f"<s>{text}"
                           for text, done in _llama2_turns(probe))
                for probe in _PROBES
            )  # fmt: skip
        except PaddockError:
            return False


_PROBES: tuple[Messages, ...] = tuple(
    [
        {"role": role, "content": f" {role} {i}\n"}
        if role != "system"
        else {"role": role, "content": "be brief"}
        for i, role in enumerate(roles)
    ]
    for roles in (
        ["user"],
        ["system", "user"],
        ["user", "assistant", "user"],
        ["system", "user", "assistant", "user", "assistant", "user"],
    )
)


def chat_stop_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Ids that end an assistant's answer: the end tokens, and Llama 3's end of turn."""
    turn = tokenizer.specials.get("<|eot_id|>")
    extra = () if turn is None or turn in tokenizer.eos_ids else (turn,)
    return (*tokenizer.eos_ids, *extra)


def check_messages(messages: Messages) -> None:
    """Raises UsageError, naming the place, unless each message is a known role and a text."""
    if not messages:
        raise UsageError("there are no messages", hint="give at least one user message")
    for i, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise UsageError(f"message {i} is a {type(message).__name__}, not a mapping")
        for key in message:
            if key not in KEYS:
                raise UsageError(
                    f"message {i} has an unknown key {key!r}{nearest(str(key), KEYS)}",
                    hint=f"known are {', '.join(KEYS)}",
                )
        for key in KEYS:
            if not isinstance(message.get(key), str):
                raise UsageError(f"message {i} has no text under {key!r}")
        if message["role"] not in ROLES:
            raise UsageError(
                f"message {i} has an unknown role {message['role']!r}"
                f"{nearest(message['role'], ROLES)}",
                hint=f"known are {', '.join(ROLES)}",
            )


def spaced_out(text: str) -> str:
    """``text`` with Llama 2's textual tags broken by spaces; nothing else is touched."""
    return TAGS.sub(lambda tag: f"[ {tag[1]} ]" if tag[1] else f"<< {tag[2]} >>", text)


def disarmed(text: str, tokenizer: Tokenizer) -> str:
    """``text`` without textual tags, as a model that knows this vocabulary would read it.

    A vocabulary that normalises text can make a tag of what was none (full-width brackets,
    zero-width spaces within), so what it reads is looked at too.
    """
    text = spaced_out(text)
    for _ in range(4):
        read = tokenizer.decode(tokenizer.encode(text))
        if not TAGS.search(read):
            return text
        text = spaced_out(read)
    raise TokenizerError("this vocabulary turns text without chat tags into chat tags")


def _llama2(messages: Messages, tokenizer: Tokenizer) -> list[int]:
    """Each turn by itself, as Meta's reference does: begin, question and answer, end."""
    safe = [
        {"role": message["role"], "content": disarmed(message["content"], tokenizer)}
        for message in messages
    ]
    ids: list[int] = []
    for text, done in _llama2_turns(safe):
        ids += [begin_id(tokenizer), *tokenizer.encode(text)]
        if done:
            ids.append(end_id(tokenizer))
    return ids


def _llama2_turns(messages: Messages) -> list[tuple[str, bool]]:
    """The text of each turn, and whether the assistant has answered in it."""
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    talk = messages if system is None else messages[1:]
    for i, message in enumerate(talk):
        expected = "assistant" if i % 2 else "user"
        if message["role"] != expected:
            where = i + (system is not None)
            raise UsageError(
                f"message {where} is the {message['role']}'s where the {expected}'s belongs",
                hint="an optional system message first, then user and assistant in turn",
            )
    if not talk:
        raise UsageError("there is no user message", hint="a system message alone asks nothing")
    turns: list[tuple[str, bool]] = []
    for i in range(0, len(talk), 2):
        user = talk[i]["content"]
        if i == 0 and system is not None:
            user = f"<<SYS>>\n{system}\n<</SYS>>\n\n{user}"
        text = f"[INST] {user.strip()} [/INST]"
        answer = talk[i + 1]["content"].strip() if i + 1 < len(talk) else None
        turns.append((text if answer is None else f"{text} {answer} ", answer is not None))
    return turns
