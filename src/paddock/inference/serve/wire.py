"""What server and worker say to each other: JSON messages over a pipe, one for each step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from paddock.inference.engine.request import Event, Usage
from paddock.inference.runtimes.base import SamplingParams


@dataclass(frozen=True, slots=True)
class Ask:
    """A request on its way to the worker; ``grammar`` is ``grammar.compile_schema``'s text."""

    prompt: list[int]
    sampling: SamplingParams
    max_new_tokens: int
    stop_ids: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    fresh: bool = False
    n: int = 1
    logprobs: int | None = None
    grammar: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Ask:
        """``to_dict`` undone."""
        lists = {name: tuple(value[name]) for name in ("stop_ids", "stop")}
        return cls(**{**value, **lists, "sampling": SamplingParams(**value["sampling"])})


def encode(kind: str, **values: Any) -> bytes:
    """One message."""
    return json.dumps({"kind": kind, **values}, separators=(",", ":")).encode()


def decode(message: bytes) -> dict[str, Any]:
    """``encode`` undone; ``kind`` says what it is."""
    value: dict[str, Any] = json.loads(message)
    return value


def event_to_list(event: Event) -> list[Any]:
    """An event without the names, which would be most of the message."""
    row: list[Any] = [event.request, event.index, event.token, event.text]
    if event.finish is None and event.logprob is None:
        return row
    return [*row, event.finish, event.logprob, event.top, event.stop,
            asdict(event.usage) if event.usage else None]  # fmt: skip


def event_from_list(row: list[Any]) -> Event:
    """``event_to_list`` undone."""
    request, index, token, text, *rest = row
    if not rest:
        return Event(request, token, text, index=index)
    finish, logprob, top, stop, usage = rest
    return Event(
        request,
        token,
        text,
        finish,
        index,
        logprob,
        tuple((token, value) for token, value in top),
        stop,
        Usage(**usage) if usage else None,
    )
