"""One request to an OpenAI-compatible server, streamed, with the time of each piece."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import aiohttp
import httpx
import msgspec

from paddock.errors import BenchError

Prompt = str | list[int]


@dataclass(frozen=True, slots=True)
class Target:
    """A server and what it is asked for. ``url`` is the base, without ``/v1``; times in seconds.

    ``ignore_eos`` asks for answers of full length by a field that vLLM, llama.cpp and Paddock know;
    ``more`` are other fields of the request.
    """

    url: str
    model: str | None = None
    key: str | None = None
    chat: bool = False
    ignore_eos: bool = True
    timeout: float = 600.0
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """What is asked."""
        return "/v1/chat/completions" if self.chat else "/v1/completions"

    def headers(self) -> dict[str, str]:
        """The key, if there is one."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def body(self, prompt: Prompt, new_tokens: int) -> dict[str, Any]:
        """A request for ``new_tokens`` greedy tokens, streamed, with token counts at the end."""
        said = {"messages": [{"role": "user", "content": prompt}]} if self.chat else {
            "prompt": prompt
        }  # fmt: skip
        return {
            "model": self.model,
            **said,
            "max_tokens": new_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **({"ignore_eos": True} if self.ignore_eos else {}),
            **self.more,
        }


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request.

    ``state`` is ``ok``, the HTTP status of a refusal, or one of ``timeout``, ``no connection``,
    ``broken stream`` and ``no text``; ``message`` is what the server said to it. Times are seconds
    from the moment at which the request was due: ``pieces`` those of each piece of text, ``end_s``
    the stream's end. Token counts are the server's own. Where it gives none, an answer of which it
    says that it ended at its limit has as many tokens as were asked for; else they are None.
    """

    state: str
    end_s: float
    pieces: tuple[float, ...] = ()
    prompt_tokens: int | None = None
    counted_tokens: int | None = None
    message: str = ""

    @property
    def new_tokens(self) -> int:
        """Tokens of the answer; pieces of text, which may hold several, where nobody counts."""
        return len(self.pieces) if self.counted_tokens is None else self.counted_tokens

    @property
    def first_s(self) -> float:
        """Time to first token."""
        return self.pieces[0]

    @property
    def per_token_s(self) -> float | None:
        """Time per output token after the first; None for an answer of one."""
        if self.new_tokens < 2 or len(self.pieces) < 2:
            return None
        return (self.pieces[-1] - self.pieces[0]) / (self.new_tokens - 1)

    @property
    def gaps(self) -> list[float]:
        """Times between two pieces of text."""
        return [after - before for before, after in pairwise(self.pieces)]


class _Delta(msgspec.Struct):
    content: str | None = None
    # How vLLM and llama.cpp stream what a reasoning model thinks: tokens as well.
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    text: str | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Piece(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None

    def says_something(self) -> bool:
        """Whether there is text in it, or log probabilities of a token without text."""
        for choice in self.choices or ():
            delta = choice.delta
            if (
                choice.text
                or choice.logprobs
                or (delta and (delta.content or delta.reasoning_content))
            ):
                return True
        return False


_decode = msgspec.json.Decoder(_Piece).decode


def session(target: Target) -> aiohttp.ClientSession:
    """What ``ask`` asks with: as many connections as there are requests at a time.

    aiohttp reads a stream with a third of the processor time that httpx takes, and the server is
    often on the same machine.
    """
    return aiohttp.ClientSession(
        headers=target.headers(),
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),  # ``ask`` has its own
        trust_env=True,
    )


async def ask(
    http: aiohttp.ClientSession, target: Target, prompt: Prompt, new_tokens: int, due: float
) -> Reply:
    """Sends one request and reads its stream. ``due`` is a time of ``time.perf_counter``.

    Nothing that the server or the network does raises; it is in the reply.
    """
    url, body = f"{target.url}{target.path}", target.body(prompt, new_tokens)
    pieces: list[float] = []
    begun = False

    async def answered(over: aiohttp.ClientSession) -> Reply:
        nonlocal begun
        async with over.post(url, json=body, allow_redirects=False) as response:
            begun = True
            if response.status != 200:
                said = message_of(await response.read())
                return Reply(str(response.status), _since(due), message=said)
            return await _read(response, pieces, due, new_tokens)

    async def asked() -> Reply:
        try:
            return await answered(http)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if begun or isinstance(error, aiohttp.ClientConnectorError):
                raise
            # A server may close a kept connection while it is used again, llama.cpp's does after
            # some answers. Such a request was not read; it goes out once more, as browsers do it,
            # on a new connection: others that were kept may be about to be closed too.
            async with session(target) as fresh:
                return await answered(fresh)

    try:
        return await asyncio.wait_for(asked(), target.timeout)
    except asyncio.TimeoutError:
        return _lost("timeout", due, pieces, f"no end within {target.timeout:g} s")
    except aiohttp.ClientConnectorError as error:
        return _lost("no connection", due, pieces, str(error))
    except aiohttp.ClientError as error:
        return _lost("broken stream", due, pieces, str(error) or type(error).__name__)


async def _read(
    response: aiohttp.ClientResponse, pieces: list[float], due: float, asked_tokens: int
) -> Reply:
    usage, at_limit, end_s = _Usage(), False, None
    async for line in _events(response):
        if line == b"[DONE]":
            # Read on: a response whose end was not read costs its connection.
            end_s = _since(due)
            continue
        try:
            piece = _decode(line)
        except msgspec.MsgspecError as error:
            return _lost("broken stream", due, pieces, f"{error}: {line[:200]!r}")
        if piece.error is not None:
            said = message_of(line)
            return _lost("broken stream", due, pieces, said)
        if piece.says_something():
            pieces.append(_since(due))
        usage = piece.usage or usage
        at_limit |= any(choice.finish_reason == "length" for choice in piece.choices or ())
    if end_s is None:
        return _lost("broken stream", due, pieces, "the stream ended without [DONE]")
    return Reply(
        "ok" if pieces else "no text",
        end_s,
        tuple(pieces),
        usage.prompt_tokens,
        asked_tokens if usage.completion_tokens is None and at_limit else usage.completion_tokens,
    )


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The data of each server-sent event; OpenAI's are of one line each."""
    rest = b""
    async for part in response.content.iter_any():
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()


def _lost(state: str, due: float, pieces: Sequence[float], message: str) -> Reply:
    return Reply(state, _since(due), tuple(pieces), message=message)


def _since(due: float) -> float:
    return time.perf_counter() - due


def message_of(body: bytes) -> str:
    """What a server's error says, in whatever shape; at most 300 characters."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return body[:300].decode("utf-8", "replace")
    while isinstance(value, dict):
        value = next((value[key] for key in ("error", "message", "detail") if key in value), body)
    return str(value)[:300]


def find_model(target: Target) -> str:
    """The name of the model to ask for: the one wished, or the first that is served.

    Raises BenchError if there is no server, it wants a key, or it does not serve that model.
    """
    try:
        response = httpx.get(
            f"{target.url}/v1/models", headers=target.headers(), timeout=min(30, target.timeout)
        )
    except httpx.InvalidURL as error:
        raise BenchError(f"{target.url} is no URL: {error}") from None
    except httpx.UnsupportedProtocol:
        raise BenchError(
            f"{target.url} is no URL of a server", hint="use one like http://127.0.0.1:8000"
        ) from None
    except httpx.HTTPError as error:
        raise BenchError(
            f"no server answers at {target.url}: {error or type(error).__name__}",
            hint="start one, with paddock serve say",
        ) from None
    refuse(target, response.status_code, response.content)
    try:
        names = [str(one["id"]) for one in response.json()["data"]]
    except (ValueError, KeyError, TypeError):
        raise BenchError(
            f"{target.url}/v1/models does not answer as OpenAI's API does",
            hint="give the base URL of an OpenAI-compatible server",
        ) from None
    if target.model is None and names:
        return names[0]
    if target.model not in names:
        raise BenchError(
            f"{target.url} does not serve the model {target.model!r}; it serves"
            f" {', '.join(map(repr, names)) or 'none'}",
            hint="choose with --model",
        )
    return target.model


def refuse(target: Target, status: int, body: bytes) -> None:
    """Raises BenchError unless ``status`` is 200, saying what it means here."""
    if status == 200:
        return
    said = message_of(body)
    unfit = "ask for fewer tokens, or with --no-ignore-eos if it does not know that field"
    hints = {
        400: unfit,
        401: "give the server's key with --api-key-file",
        403: "the key given by --api-key-file may not do this",
        404: "give the base URL of an OpenAI-compatible server, and --model as it names it",
        422: unfit,
        429: "the server is full: measure when nobody else asks, or with less at once",
        503: "wait until the server has loaded its model",
    }
    raise BenchError(
        f"{target.url} answers with status {status}: {said or 'without a word'}",
        hint=hints.get(status, "its log may say more"),
    )
