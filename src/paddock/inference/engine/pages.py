"""Counts the cache's pages: who has which, and that none is had twice."""

from __future__ import annotations

from collections.abc import Iterable


class PageAllocator:
    """Hands out page numbers 0 to ``n_pages - 1``, the lowest free ones first."""

    def __init__(self, n_pages: int) -> None:
        self._free = list(range(n_pages - 1, -1, -1))
        self._taken: set[int] = set()

    @property
    def free(self) -> int:
        """How many pages nobody has."""
        return len(self._free)

    def take(self, count: int) -> tuple[int, ...]:
        """``count`` pages; the caller has made sure that so many are free."""
        assert count <= len(self._free), f"{count} pages asked, {len(self._free)} free"
        pages = tuple(self._free.pop() for _ in range(count))
        self._taken.update(pages)
        return pages

    def give_back(self, pages: Iterable[int]) -> None:
        """Frees pages that ``take`` handed out."""
        for page in pages:
            self._taken.remove(page)
            self._free.append(page)
        self._free.sort(reverse=True)
