"""One answer under way: its text so far, its pages, and how much of it the cache holds."""

from __future__ import annotations

from dataclasses import replace

from paddock.inference.engine.request import Event, Finish, Request, Usage
from paddock.inference.engine.speculate.length import DraftLength
from paddock.inference.engine.text import TextStream
from paddock.inference.runtimes.base import Choice
from paddock.inference.tokenizer.base import Tokenizer


class Generation:
    """One of a request's answers, from its arrival to its last event.

    ``tokens`` is the prompt and what was answered; it grows in place. The first ``computed`` of
    them are in the cache, in ``pages``; the first ``registered`` pages are known to others as what
    is called ``name``. ``number`` is unique and tells who came first.
    """

    __slots__ = (
        "_accepted", "_drafted", "cached", "computed", "constraint", "draft_length",
        "end", "events", "index", "label", "lost_before", "n_prompt", "name", "number", "over",
        "pages", "registered", "request", "sampling", "scored", "text", "tokens",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        request: Request,
        index: int,
        room: int,
        tokenizer: Tokenizer | None,
        events: list[Event],
        label: int,
    ) -> None:
        """``room`` positions hold prompt and answer. Events go to ``events``, named ``label``."""
        self.number = number
        self.request = request
        self.index = index
        self.label = label
        self.events = events
        self.tokens = list(request.prompt)
        self.n_prompt = len(self.tokens)
        self.end = min(self.n_prompt + request.max_new_tokens, room)
        seed = request.sampling.seed + index
        self.sampling = replace(request.sampling, seed=seed) if index else request.sampling
        self.text = TextStream(tokenizer, request.stop, fresh=request.fresh) if tokenizer else None
        self.constraint = request.constrain() if request.constrain else None
        self.draft_length = DraftLength()
        self.pages: tuple[int, ...] = ()
        self.name = 0
        self.registered = 0
        self.computed = 0
        self.cached = 0
        self.lost_before = False
        self.over: Finish | None = None
        self.scored: list[Choice] = []
        self._drafted = 0
        self._accepted = 0

    @property
    def missing(self) -> int:
        """How many tokens the cache does not hold yet; 1 while decoding."""
        return len(self.tokens) - self.computed

    @property
    def scoring(self) -> bool:
        """Whether the next step gives the log probability of the prompt's next token."""
        wanted = self.request.prompt_logprobs is not None and self.index == 0
        return wanted and len(self.scored) < self.n_prompt - 1

    def restart(self) -> None:
        """Forgets that anything is in the cache, and what was not read off it to the end."""
        self.pages = ()
        self.name = self.registered = self.computed = 0
        if self.scoring:
            self.scored.clear()

    def most_guesses(self) -> int:
        """How many guesses the next step may verify without running past the end."""
        request = self.request
        if not request.speculate or not request.use_past or self.constraint is not None:
            return 0
        return min(self.draft_length.next(), self.end - len(self.tokens) - 1)

    def verified(self, drafted: int, accepted: int) -> None:
        """Counts what became of a draft."""
        self._drafted += drafted
        self._accepted += accepted
        self.draft_length.update(drafted, accepted)

    def advance(self, choice: Choice) -> Finish | None:
        """Takes the token that was chosen, posts its event and says whether that was the last."""
        token, logprob, top = choice
        self.tokens.append(token)
        if self.constraint is not None:
            self.constraint.accept(token)
        finish: Finish | None = None
        stop: str | int | None = None
        if token in self.request.stop_ids:
            finish, stop = "stop", token
        elif len(self.tokens) >= self.end:
            finish = "length"
        text = ""
        if self.text is not None:
            if finish != "stop":
                text = self.text.push(token)
            if finish:
                text += self.text.flush()
            if self.text.stopped is not None and stop is None:
                finish, stop = "stop", self.text.stopped
        usage = self._usage() if finish else None
        prompt = tuple(self.scored) if len(self.tokens) == self.n_prompt + 1 else ()
        self.events.append(
            Event(self.label, token, text, finish, self.index, logprob, top, stop, usage, prompt)
        )
        return finish

    def finish(self, reason: Finish) -> Finish:
        """Ends the answer without another token; a stop string in what was held back goes first."""
        text = self.text.flush() if self.text is not None else ""
        stop = None
        if self.text is not None and self.text.stopped is not None:
            reason, stop = "stop", self.text.stopped
        self.events.append(
            Event(self.label, None, text, reason, self.index, stop=stop, usage=self._usage())
        )
        return reason

    def _usage(self) -> Usage:
        made = len(self.tokens) - self.n_prompt
        return Usage(self.n_prompt, made, self.cached, self._drafted, self._accepted)
