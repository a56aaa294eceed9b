"""Counts the cache's pages: who reads which, which are free, and what full ones hold."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Sequence

Content = tuple[int, tuple[int, ...]]
"""What a full page holds: the name of all that comes before it, and its own tokens."""

ROOT = 0
"""The name of the empty beginning of a text."""


class PageTable:
    """Hands out page numbers 0 to ``n_pages - 1``, the lowest free ones first.

    A page is *used* while somebody refers to it. A full page can be registered under its content:
    keys and values at a position depend on all tokens up to it, so the content names the page
    before it too. When nobody refers to a registered page any more it is *cached*: a later text
    that begins alike may share it, until it is needed for something else, the one that was not
    used for longest first. All others are *free*.

    Pages are found by comparing tokens, not hashes of them, so a collision cannot mix two texts.
    """

    def __init__(self, n_pages: int, page_size: int) -> None:
        self.page_size = page_size
        self._references = [0] * n_pages
        self._free = list(range(n_pages))  # sorted, so it is a heap
        self._registered: dict[Content, tuple[int, int]] = {}  # content -> page, name
        self._contents: dict[int, Content] = {}  # page -> content
        self._unused: OrderedDict[int, None] = OrderedDict()  # cached pages, oldest first
        self._names = ROOT

    @property
    def free(self) -> int:
        """How many pages hold nothing."""
        return len(self._free)

    @property
    def cached(self) -> int:
        """How many pages nobody refers to and hold what might be wanted again."""
        return len(self._unused)

    @property
    def available(self) -> int:
        """How many pages ``take`` could give."""
        return len(self._free) + len(self._unused)

    @property
    def used(self) -> int:
        """How many pages somebody refers to."""
        return len(self._references) - self.available

    def take(self, count: int) -> tuple[int, ...]:
        """``count`` pages for one reader and writer; the caller made sure they are available."""
        assert count <= self.available, f"{count} pages asked, {self.available} available"
        pages = []
        for _ in range(count):
            page = heapq.heappop(self._free) if self._free else self._evict()
            self._references[page] = 1
            pages.append(page)
        return tuple(pages)

    def find(self, tokens: Sequence[int]) -> tuple[tuple[int, ...], int]:
        """The registered pages that ``tokens`` begin with, and the name of what they hold.

        At most those before the last token: what comes after that one has to be computed.
        Changes nothing; ``share`` the pages before the next ``take``.
        """
        name, pages, size = ROOT, [], self.page_size
        for start in range(0, (len(tokens) - 1) // size * size, size):
            found = self._registered.get((name, tuple(tokens[start : start + size])))
            if found is None:
                break
            page, name = found
            pages.append(page)
        return tuple(pages), name

    def unused(self, pages: Sequence[int]) -> int:
        """How many of ``pages`` are cached, so that sharing them makes less available."""
        return sum(page in self._unused for page in pages)

    def share(self, pages: Sequence[int]) -> None:
        """Refers to registered pages once more; they must not be written."""
        for page in pages:
            assert page in self._contents, f"page {page} is not registered"
            if self._references[page] == 0:
                del self._unused[page]
            self._references[page] += 1

    def register(self, before: int, tokens: Sequence[int], page: int) -> int:
        """Makes a full page known and returns the name of the text up to its end.

        ``before`` is the name of the text in front of it. If another page holds the same already,
        that one stays known.
        """
        content = (before, tuple(tokens))
        assert len(tokens) == self.page_size
        assert self._references[page] > 0, f"page {page} is not used"
        assert page not in self._contents, f"page {page} is registered"
        found = self._registered.get(content)
        if found is not None:
            return found[1]
        self._names += 1
        self._registered[content] = page, self._names
        self._contents[page] = content
        return self._names

    def give_back(self, pages: Sequence[int]) -> None:
        """Ends one reference to each of ``pages``, which are those of a text in order."""
        # The end of a text first: nobody finds it once its beginning is gone.
        for page in reversed(pages):
            assert self._references[page] > 0, f"page {page} was given back before"
            self._references[page] -= 1
            if self._references[page]:
                continue
            if page in self._contents:
                self._unused[page] = None
            else:
                heapq.heappush(self._free, page)

    def _evict(self) -> int:
        page, _ = self._unused.popitem(last=False)
        del self._registered[self._contents.pop(page)]
        return page
