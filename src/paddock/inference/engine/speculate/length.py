"""How many guesses to make: more while they are right, and pauses while they are wrong."""

from __future__ import annotations

FIRST, MOST = 4, 16
LONGEST_PAUSE = 16


class DraftLength:
    """The length of one answer's next draft, from what became of those before.

    A draft that was right to its end doubles it, one that failed on the way sets it just above
    what was right. Drafts that failed at once make pauses of 1, 2, 4, … drafts that could have been
    made: a text that cannot be guessed costs little. Counts only and no clock, so that a run can
    be repeated.
    """

    __slots__ = ("_length", "_misses", "_skip")

    def __init__(self) -> None:
        self._length = FIRST
        self._misses = 0
        self._skip = 0

    def next(self) -> int:
        """How many guesses to make in this step; 0 in a pause, which gets shorter by this."""
        if self._skip:
            self._skip -= 1
            return 0
        return self._length

    def update(self, drafted: int, accepted: int) -> None:
        """A draft was verified: of ``drafted`` (1 or more) guesses ``accepted`` were right."""
        if accepted == drafted:
            self._length = min(MOST, max(self._length, 2 * drafted))
        else:
            self._length = accepted + 1
        if accepted:
            self._misses = 0
        else:
            self._skip = min(LONGEST_PAUSE, 1 << self._misses)
            self._misses = min(self._misses + 1, 10)
