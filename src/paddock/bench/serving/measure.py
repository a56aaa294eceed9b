"""Lets clients ask a server, so many at once or so many a second, and makes a Result of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from paddock.bench import facts, result
from paddock.bench.result import Result
from paddock.bench.serving.client import Prompt, Reply, Target, ask, find_model, refuse, session
from paddock.bench.serving.load import Load
from paddock.bench.serving.outcome import run_of
from paddock.errors import BenchError, UsageError

Progress = Callable[[int, int], None]
One = Callable[[Prompt, float], Awaitable[Reply]]


def measure(target: Target, load: Load, progress: Progress = lambda done, total: None) -> Result:
    """Measures the server at ``target.url`` by ``load``.

    Raises BenchError if it cannot be asked at all; requests that fail later are counted.
    """
    host = facts.host()
    if target.chat and load.ids_of is not None:
        raise UsageError("a conversation is text, not token ids", hint="leave out --tokenizer")
    target = replace(target, model=find_model(target))
    prompts = load.prompts()
    replies, warm_up, wall_s, cpu = asyncio.run(_all(target, load, prompts, progress))
    run = run_of(target, load, replies, warm_up, wall_s, cpu)
    return result.new("serve", [run], host=host, model={"name": target.model})


async def _all(
    target: Target, load: Load, prompts: Sequence[Prompt], progress: Progress
) -> tuple[list[Reply], list[Reply], float, float]:
    async with session(target) as http:

        async def one(prompt: Prompt, due: float) -> Reply:
            return await ask(http, target, prompt, load.new_tokens, due)

        warm_up = [await one(prompt, time.perf_counter()) for prompt in prompts[: load.warm_up]]
        for reply in warm_up:
            if reply.state != "ok":
                _refuse(target, reply)
        replies: list[Reply] = []

        def note(reply: Reply) -> None:
            replies.append(reply)
            progress(len(replies), load.requests)

        rest = prompts[load.warm_up :]
        began, cpu = time.perf_counter(), time.process_time()
        if load.rate is None:
            await _closed(rest, load.concurrency or 1, one, note)
        else:
            await _open(rest, [began + at for at in load.arrivals()], one, note)
        wall_s = time.perf_counter() - began
        return replies, warm_up, wall_s, (time.process_time() - cpu) / wall_s


async def _closed(
    prompts: Sequence[Prompt], clients: int, one: One, note: Callable[[Reply], None]
) -> None:
    """Each client asks again when it was answered."""
    left = iter(prompts)

    async def client() -> None:
        for prompt in left:
            note(await one(prompt, time.perf_counter()))

    await asyncio.gather(*(client() for _ in range(clients)))


async def _open(
    prompts: Sequence[Prompt], times: Sequence[float], one: One, note: Callable[[Reply], None]
) -> None:
    """Each request is sent when it is due. Its times count from then, not from being sent."""

    async def client(prompt: Prompt, due: float) -> None:
        await asyncio.sleep(due - time.perf_counter())
        note(await one(prompt, due))

    await asyncio.gather(*(client(*pair) for pair in zip(prompts, times, strict=True)))


def _refuse(target: Target, reply: Reply) -> None:
    if reply.state.isdigit():
        refuse(target, int(reply.state), reply.message.encode())
    raise BenchError(
        f"{target.url} did not answer the first request: {reply.state}, {reply.message}",
        hint="its log may say more",
    )
