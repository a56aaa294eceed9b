"""Runs requests together: asks the runtime for one step after the other and says what came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from paddock.errors import GenerationError, PromptTooLong, QueueFull, UsageError
from paddock.inference.engine.budget import PrefillBudget
from paddock.inference.engine.generation import Generation
from paddock.inference.engine.options import EngineOptions
from paddock.inference.engine.request import Event, Finish, Request
from paddock.inference.engine.scheduler import Scheduler
from paddock.inference.engine.share import right_choices, work_of
from paddock.inference.engine.speculate.base import Drafter, Wanted
from paddock.inference.engine.stats import Counters, EngineStats
from paddock.inference.runtimes.base import Batch, Choice, Runtime, Work
from paddock.inference.tokenizer.base import Tokenizer

Planned = tuple[Generation, Work]


class Engine:
    """Continuous batching over one runtime. With a tokenizer its events carry text.

    ``add``, ``cancel``, ``idle`` and ``stats`` may be called from any thread at any time, also
    while a step runs. ``step``, ``stream`` and ``run`` belong to one thread at a time. Streams may
    be interleaved with each other and with ``step``: each gets its own requests' events.
    """

    def __init__(
        self,
        runtime: Runtime,
        tokenizer: Tokenizer | None = None,
        options: EngineOptions | None = None,
        drafter: Drafter | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``drafter`` makes guesses, if there is one; ``clock`` gives seconds, for the budget."""
        self.runtime = runtime
        self.tokenizer = tokenizer
        self.options = options or EngineOptions()
        self.drafter = drafter
        limits = runtime.limits
        # One request alone must fit: a context larger than all pages cannot be filled.
        self._room = min(limits.max_seq_len, limits.n_pages * limits.page_size)
        self._scheduler = Scheduler(limits, reuse=self.options.reuse_prefixes)
        self._budget = PrefillBudget(self.options.prefill_tokens, self.options.stall_s)
        self._clock = clock
        self._events: list[Event] = []
        self._live: dict[int, list[Generation]] = {}
        self._next = 0
        self._counters = Counters()
        self._lock = threading.Lock()
        self._stepping = False
        self._over: list[Generation] = []  # ends when the step does

    def add(self, request: Request) -> int:
        """Lets a request wait for its turn; the number under which ``step`` reports on it.

        Raises PromptTooLong, GenerationError (a token id that the model does not have), UsageError
        (stop strings without a tokenizer) and QueueFull.
        """
        self._check(request)
        most = self.options.max_waiting
        with self._lock:
            if most is not None:
                scheduler = self._scheduler
                places = self.runtime.limits.max_batch - len(scheduler.running)
                waiting = len(scheduler.waiting)
                if waiting + request.n > most + max(0, places):
                    self._counters.refused += 1
                    raise QueueFull(
                        f"{waiting} answers are waiting already, the limit is {most}",
                        hint="try again later",
                    )
            return self._enqueue(request, self._events, None)

    def cancel(self, number: int) -> bool:
        """Ends all answers of a request; False if there are none any more.

        Their pages come back at once or, while a step runs, when it ends. Each answer's last event
        has ``finish`` "cancelled".
        """
        with self._lock:
            live = tuple(self._live.get(number, ()))
            for one in live:
                if self._stepping:
                    one.over = "cancelled"
                    self._over.append(one)
                else:
                    self._end(one, "cancelled")
            return bool(live)

    def lost(self) -> list[int]:
        """The runtime's cache is gone (RanksLost): what can be begun again waits for it.

        That is every request of which nothing was said yet, once; the others are cancelled and
        their numbers returned. Call it between steps; the runtime's ``recover`` comes after.
        """
        with self._lock:
            running = list(self._scheduler.running)
            if self.drafter is not None:
                for one in running:
                    self.drafter.forget(one.number)
            self._scheduler.forget_all()
            # A request that ranks die of must not take every new group with it.
            again = {one.number - one.index for one in running if one.lost_before}
            for one in running:
                one.lost_before = True
            ended = [
                number
                for number, live in self._live.items()
                if number in again or any(len(one.tokens) > one.n_prompt for one in live)
            ]
        for number in ended:
            self.cancel(number)
        return ended

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do and ``step`` has nothing to report."""
        return not self._live and not self._events

    def step(self) -> list[Event]:
        """Runs one step of whatever there is; the events of requests that were ``add``ed.

        Each answer's events come in order. What the runtime raises is passed on: the answers are
        then where they were before the step, and may be cancelled or stepped again.
        """
        self._advance()
        return _drain(self._events)

    def stream(self, requests: Sequence[Request]) -> Iterator[Event]:
        """Events of all requests as they come; an event's ``request`` is the place in the list.

        Everything is checked before the first step (as by ``add``, but there is no limit on how
        many wait). Closing the iterator early cancels what is left.
        """
        for request in requests:
            self._check(request)
        events: list[Event] = []
        numbers: list[int] = []
        left = sum(request.n for request in requests)
        try:
            for i, request in enumerate(requests):
                with self._lock:
                    numbers.append(self._enqueue(request, events, i))
            while left:
                self._advance()
                for event in _drain(events):
                    if event.finish:
                        left -= 1
                    yield event
        finally:
            if left:
                for number in numbers:
                    self.cancel(number)

    def run(self, requests: Sequence[Request]) -> list[list[int]]:
        """The new tokens of each answer, request by request; a stop token that ended it is last."""
        first = [0]
        for request in requests:
            first.append(first[-1] + request.n)
        answers: list[list[int]] = [[] for _ in range(first[-1])]
        for event in self.stream(requests):
            if event.token is not None:
                answers[first[event.request] + event.index].append(event.token)
        return answers

    def expected_s(self) -> float:
        """How long the next step may take, in seconds, judged by the steps before.

        For the thread that steps.
        """
        return self._budget.expected_s(self._scheduler.prompt_tokens())

    def stats(self) -> EngineStats:
        """What was done until now and what is there to do."""
        with self._lock:
            scheduler = self._scheduler
            return self._counters.snapshot(
                len(scheduler.waiting),
                len(scheduler.running),
                scheduler.pages,
                scheduler.preemptions,
            )

    def close(self) -> None:
        """Cancels what is left and frees the runtime and the drafter."""
        for number in list(self._live):
            self.cancel(number)
        if self.drafter is not None:
            self.drafter.close()
        self.runtime.close()

    def _check(self, request: Request) -> None:
        prompt = request.prompt
        if len(prompt) >= self._room:
            raise PromptTooLong(
                f"the prompt has {len(prompt)} tokens, the context {self._room} in all",
                hint="shorten the prompt or open the model with a larger max_seq_len",
            )
        known = self.runtime.limits.vocab_size
        if not 0 <= min(prompt) <= max(prompt) < known:
            raise GenerationError(f"the prompt has a token id outside 0..{known - 1}")
        if request.stop and self.tokenizer is None:
            raise UsageError("stop strings need a tokenizer", hint="use stop_ids")

    def _enqueue(self, request: Request, events: list[Event], label: int | None) -> int:
        number = self._next
        label = number if label is None else label
        live = [
            Generation(number + i, request, i, self._room, self.tokenizer, events, label)
            for i in range(request.n)
        ]
        self._next += request.n
        self._live[number] = live
        self._scheduler.waiting.extend(live)
        return number

    def _advance(self) -> None:
        """One step: who takes part is settled, the runtime computes, the choices are taken."""
        with self._lock:
            if self._stepping:
                raise UsageError("a step is running in another thread", hint="step from one thread")
            shares = self._plan()
            self._stepping = True
        try:
            # Without the lock, so that requests can be added and cancelled meanwhile.
            planned = self._works(shares)
            choices: list[Choice] = []
            if planned:
                begin = self._clock()
                choices = self.runtime.step(Batch(tuple([work for _, work in planned])))
                self._measure(shares, self._clock() - begin)
            with self._lock:
                self._take(planned, choices)
        finally:
            with self._lock:
                self._stepping = False
                if self._over:
                    self._sweep()

    def _plan(self) -> list[tuple[Generation, int]]:
        scheduler = self._scheduler
        for one in scheduler.make_room():
            if self.drafter is not None:
                self.drafter.forget(one.number)
        if scheduler.waiting:
            for one in scheduler.admit():
                self._counters.admitted(one)
        return scheduler.shares(self._budget)

    def _works(self, shares: list[tuple[Generation, int]]) -> list[Planned]:
        guesses = self._guesses(shares) if self.drafter is not None else {}
        vocab = self.runtime.limits.vocab_size
        planned: list[Planned] = []
        for one, n in shares:
            work = work_of(one, n, guesses.get(one.number, ()) if guesses else (), vocab)
            if work is None:
                one.over = "stop"
                self._over.append(one)
            else:
                planned.append((one, work))
        return planned

    def _guesses(self, shares: list[tuple[Generation, int]]) -> dict[int, list[int]]:
        """What the drafter proposes for those who decode, as far as there are pages for it."""
        assert self.drafter is not None
        wanted: list[Wanted] = []
        decoding: list[Generation] = []
        for one, _ in shares:
            if one.missing != 1:
                continue
            most = one.most_guesses()
            if most > 0:
                most = self._scheduler.take_for_guesses(one, most)
            if most > 0:
                decoding.append(one)
                wanted.append(Wanted(one.number, one.tokens, most, one.sampling, one.n_prompt))
        if not wanted:
            return {}
        proposed = self.drafter.propose(wanted)
        return {one.number: guess for one, guess in zip(decoding, proposed, strict=True) if guess}

    def _measure(self, shares: list[tuple[Generation, int]], seconds: float) -> None:
        prompts = [n for _, n in shares if n > 1]
        tokens = sum(prompts)
        self._counters.steps += 1
        self._counters.computed_tokens += tokens
        self._budget.measured(tokens, seconds, decoding=len(prompts) < len(shares))

    def _take(self, planned: list[Planned], choices: list[Choice]) -> None:
        """Gives each answer its choices: those of right guesses, and the one after them."""
        at = 0
        for one, work in planned:
            end = work.start + len(work.tokens)
            if work.sampling is None:
                one.computed = end
                self._scheduler.register(one)
                continue
            given = choices[at : at + 1 + work.n_draft]
            at += 1 + work.n_draft
            if one.over:
                continue
            if one.scoring:
                one.scored += given
                one.computed = end
                self._scheduler.register(one)
                continue
            if work.n_draft:
                given = right_choices(work, given)
                one.verified(work.n_draft, len(given) - 1)
                self._counters.drafted += work.n_draft
                self._counters.accepted += len(given) - 1
            finish = None
            for choice in given:
                self._counters.new_tokens += 1
                finish = one.advance(choice)
                if finish:
                    break
            # Guesses behind a stop were computed and are not part of the text.
            computed = end - work.n_draft + len(given) - 1
            if not one.request.use_past:
                computed = 0
            one.computed = min(computed, len(one.tokens))
            self._scheduler.register(one)
            if finish:
                self._counters.finished(finish)
                self._drop(one)

    def _sweep(self) -> None:
        """Ends who was cancelled or had nothing left to say while the step ran."""
        for one in self._over:
            # Asked for twice, or both at once: it ends the first time.
            if one.over:
                self._end(one, one.over)
                one.over = None
        self._over.clear()

    def _end(self, one: Generation, reason: Finish) -> None:
        self._counters.finished(one.finish(reason))
        self._drop(one)

    def _drop(self, one: Generation) -> None:
        self._scheduler.remove(one)
        number = one.number - one.index
        live = self._live[number]
        live.remove(one)
        if not live:
            del self._live[number]
        if self.drafter is not None:
            self.drafter.forget(one.number)


def _drain(events: list[Event]) -> list[Event]:
    """Takes out what is there now; another thread may be adding the end of a cancelled answer."""
    taken = events[:]
    del events[: len(taken)]
    return taken
