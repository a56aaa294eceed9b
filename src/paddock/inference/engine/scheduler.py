"""Who is in the next step and with how much: admission, pages, preemption, shares of prompts."""

from __future__ import annotations

from bisect import insort

from paddock.inference.engine.budget import PrefillBudget
from paddock.inference.engine.generation import Generation
from paddock.inference.engine.pages import ROOT, PageTable
from paddock.inference.runtimes.base import Limits


def _number(generation: Generation) -> int:
    return generation.number


class Scheduler:
    """Waiting and running answers, each list in order of arrival, and the pages they use.

    First come, first served: nobody is let in before an older answer that lacks pages, and if
    pages run out the newest makes room (its text is computed again later). So the oldest always
    goes on, and every answer becomes the oldest.
    """

    def __init__(self, limits: Limits, *, reuse: bool) -> None:
        self.pages = PageTable(limits.n_pages, limits.page_size)
        self.waiting: list[Generation] = []
        self.running: list[Generation] = []
        self.preemptions = 0
        self._limits = limits
        self._reuse = reuse and limits.page_size < limits.max_seq_len
        self._blocked = (-1, 0)

    def remove(self, generation: Generation) -> None:
        """Takes out an answer that is over; its pages come back at once."""
        if generation in self.running:
            self.running.remove(generation)
            self.pages.give_back(generation.pages)
            generation.pages = ()
        else:
            self.waiting.remove(generation)

    def make_room(self) -> list[Generation]:
        """Gives every running answer the pages for its text; those sent back to wait for it."""
        size = self._limits.page_size
        preempted: list[Generation] = []
        at = 0
        while at < len(self.running):
            one = self.running[at]
            if len(one.tokens) <= len(one.pages) * size:
                at += 1
            elif self.pages.available:
                one.pages += self.pages.take(1)
            else:
                preempted.append(self.running[-1])
                self._preempt(self.running[-1])
        return preempted

    def admit(self) -> list[Generation]:
        """Lets in who is next while there are places, and pages for all of the text so far."""
        size = self._limits.page_size
        admitted: list[Generation] = []
        at = 0
        while at < len(self.waiting) and len(self.running) < self._limits.max_batch:
            one = self.waiting[at]
            # A page for each that will need one, so that nobody is let in to be sent back at once.
            growing = sum(len(other.pages) * size < other.end for other in self.running)
            spare = self.pages.available - growing
            if self._blocked == (one.number, spare):
                break
            shared, name = self._find(one)
            if self._in_the_making(one, len(shared)):
                at += 1
                continue
            lacking = -(-len(one.tokens) // size) - len(shared)
            if self.running and lacking + self.pages.unused(shared) > spare:
                self._blocked = (one.number, spare)
                break
            self.pages.share(shared)
            one.pages = shared + self.pages.take(lacking)
            one.name, one.registered = name, len(shared)
            one.computed = len(shared) * size
            del self.waiting[at]
            insort(self.running, one, key=_number)
            admitted.append(one)
        return admitted

    def forget_all(self) -> None:
        """The cache is empty: whoever ran waits again, and no page holds anything."""
        for one in self.running:
            one.restart()
            insort(self.waiting, one, key=_number)
        self.running.clear()
        self.pages = PageTable(self._limits.n_pages, self._limits.page_size)
        self._blocked = (-1, 0)

    def shares(self, budget: PrefillBudget) -> list[tuple[Generation, int]]:
        """How many tokens each running answer computes now: 1 if it decodes, else of its prompt.

        Prompts share what ``budget`` allows. Half of it is the oldest's, so that a long one gets
        on; the rest goes to whoever needs least, so that a short one need not wait for long ones.
        """
        prompts = [
            one for one in self.running if len(one.tokens) - one.computed > 1 and not one.scoring
        ]
        if not prompts:
            return [(one, 1) for one in self.running]
        tokens = budget.tokens(decoding=len(prompts) < len(self.running))
        given = {id(one): 0 for one in prompts}
        oldest = prompts[0]
        given[id(oldest)] = min(oldest.missing, max(1, tokens // 2))
        left = tokens - given[id(oldest)]
        for one in sorted(prompts, key=lambda one: one.missing - given[id(one)]):
            more = min(left, one.missing - given[id(one)])
            given[id(one)] += more
            left -= more
        every = [(one, given.get(id(one), 1)) for one in self.running]
        return [(one, n) for one, n in every if n]

    def prompt_tokens(self) -> int:
        """How many tokens of prompts there are for the next step to take from."""
        tokens = sum(one.missing for one in self.running if one.missing > 1)
        places = self._limits.max_batch - len(self.running)
        return tokens + sum(len(one.tokens) for one in self.waiting[:places])

    def take_for_guesses(self, one: Generation, guesses: int) -> int:
        """How many of ``guesses`` after the text have room; takes free pages, preempts nobody."""
        size = self._limits.page_size
        lacking = -(-(len(one.tokens) + guesses) // size) - len(one.pages)
        if lacking > 0:
            one.pages += self.pages.take(min(lacking, self.pages.available))
        return min(guesses, len(one.pages) * size - len(one.tokens))

    def register(self, one: Generation) -> None:
        """Makes the pages that became full known, for texts that begin alike."""
        size = self._limits.page_size
        while one.computed >= (one.registered + 1) * size and self._shares(one):
            begin = one.registered * size
            content = one.tokens[begin : begin + size]
            one.name = self.pages.register(one.name, content, one.pages[one.registered])
            one.registered += 1

    def _find(self, one: Generation) -> tuple[tuple[int, ...], int]:
        """The pages that others computed and ``one`` may use, and the name of their text."""
        return self.pages.find(one.tokens) if self._shares(one) and not one.scoring else ((), ROOT)

    def _shares(self, one: Generation) -> bool:
        return self._reuse and one.request.use_past

    def _in_the_making(self, one: Generation, known: int) -> bool:
        """Whether a running prompt is about to compute the page that comes after those known."""
        end = (known + 1) * self._limits.page_size
        if not self._shares(one) or end >= len(one.tokens):
            return False
        head: list[int] | None = None
        for other in self.running:
            if other.computed < end <= len(other.tokens) and self._shares(other):
                head = head or one.tokens[:end]
                if other.tokens[:end] == head:
                    return True
        return False

    def _preempt(self, one: Generation) -> None:
        self.running.remove(one)
        self.pages.give_back(one.pages)
        one.restart()
        insort(self.waiting, one, key=_number)
        self.preemptions += 1
