"""The answer of probe.sh taken apart: one frame for each thing that was asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from paddock.deploy.host.facts import Note
from paddock.errors import RunnerError

FIRST = "paddock probe"
GROUPS = ("accelerators", "engines", "pythons", "machine", "probe")
"""What the probe does at the same time; each ends with a frame that proves it was finished."""

# What a machine prints is shown on terminals and kept in files: no commands to either.
_CONTROLS = {c: "\ufffd" for c in (*range(32), *range(127, 160)) if chr(c) not in "\n\t\r"}

_HEADER = re.compile(rb"@@ (-?\d+) (\d+) (-|\d+(?:\.\d+)?) ([^\n]+)\n")


@dataclass(frozen=True, slots=True)
class Frame:
    """One answer. ``name`` is what was asked: a command line, or ``file PATH [=> REAL]``.

    ``modified`` is in seconds since 1970, for files that were asked for it.
    """

    name: str
    text: str
    exit_code: int = 0
    modified: float | None = None

    @property
    def lines(self) -> list[str]:
        """The lines that are not blank, without the space at their ends."""
        return [line.rstrip() for line in self.text.splitlines() if line.strip()]

    @property
    def path(self) -> str:
        """For ``file A => B`` the path A that was asked for."""
        return self.name.removeprefix("file ").partition(" => ")[0]

    @property
    def real_path(self) -> str:
        """For ``file A => B`` the path B where the file really lies, which may be A."""
        asked, _, real = self.name.removeprefix("file ").partition(" => ")
        return real or asked


@dataclass(frozen=True, slots=True)
class Answer:
    """All frames of one probe in their order, and what was wrong with the answer as a whole."""

    frames: tuple[Frame, ...]
    notes: tuple[Note, ...] = ()
    _first: dict[str, Frame] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Indexes the frames by name; the first of a name counts."""
        index: dict[str, Frame] = {}
        for frame in self.frames:
            index.setdefault(frame.name, frame)
        object.__setattr__(self, "_first", index)

    def get(self, name: str) -> Frame | None:
        """The frame of that name, or None where it was not asked."""
        return self._first.get(name)

    def lines(self, name: str) -> list[str]:
        """The lines of a frame that are not blank; none where it was not asked."""
        frame = self.get(name)
        return frame.lines if frame else []

    def file(self, path: str) -> Frame | None:
        """The frame of a file that could be read, whatever it is a link to."""
        return next((f for f in self.files() if f.path == path and f.exit_code == 0), None)

    def files(self) -> Iterator[Frame]:
        """The frames of files."""
        return self.starting("file ")

    def starting(self, prefix: str) -> Iterator[Frame]:
        """The frames whose name begins so, in their order."""
        return (frame for frame in self.frames if frame.name.startswith(prefix))


def parse(document: bytes) -> Answer:
    """The frames of an answer. What is damaged or missing becomes a note, what is whole is kept.

    Lines that a login shell prints before the answer are passed over with a note. Raises
    RunnerError where there is no frame at all: then no POSIX shell answered.
    """
    frames: list[Frame] = []
    notes: list[Note] = []
    place = _next_header(document, 0, only=FIRST.encode())
    if place is None:
        said = document.decode(errors="replace").strip().splitlines()
        raise RunnerError(
            f"the machine did not answer the probe but said {said[0] if said else 'nothing'!r}",
            hint="it needs a POSIX shell named sh that runs what it reads from its input",
        )
    if noise := document[:place].decode(errors="replace").strip():
        why = f"the login shell prints {len(noise)} characters before it runs a command"
        notes.append(Note("probe", "a clean answer", why))
    while place is not None:
        header = _HEADER.match(document, place)
        assert header is not None, "_next_header finds headers only"
        name = header[4].decode(errors="replace")
        start, end = header.end(), header.end() + int(header[2])
        at_frame = end + 1 == len(document) or _HEADER.match(document, end + 1) is not None
        if document[end : end + 1] == b"\n" and at_frame:
            modified = None if header[3] == b"-" else float(header[3])
            text = document[start:end].decode(errors="replace").translate(_CONTROLS)
            frames.append(Frame(name, text, int(header[1]), modified))
            place = end + 1 if end + 1 < len(document) else None
        else:
            notes.append(Note("probe", name, "this part of the answer is damaged or cut off"))
            place = _next_header(document, start)
    found = {frame.name for frame in frames}
    notes += [
        Note("probe", group, "the answer ends before this was finished")
        for group in GROUPS
        if f"end {group}" not in found
    ]
    return Answer(tuple(frames), tuple(notes))


def compose(frames: Iterable[Frame]) -> bytes:
    """The document of an answer that was recorded in parts: the inverse of ``parse``."""
    ends = [Frame(f"end {group}", ".") for group in GROUPS]
    pieces = []
    for frame in (Frame(FIRST, "1"), *frames, *ends):
        body = frame.text.rstrip("\n").encode()
        modified = "-" if frame.modified is None else f"{frame.modified:.6f}"
        pieces += [
            f"@@ {frame.exit_code} {len(body)} {modified} {frame.name}\n".encode(),
            body,
            b"\n",
        ]
    return b"".join(pieces)


def _next_header(document: bytes, start: int, only: bytes | None = None) -> int | None:
    """Where the next header line begins, at the beginning of a line from ``start`` on."""
    for header in _HEADER.finditer(document, start):
        at = header.start()
        if (at == 0 or document[at - 1 : at] == b"\n") and only in (None, header[4]):
            return at
    return None
