"""A weight file as memory that the system may take back, so that loading does not double it."""

from __future__ import annotations

import contextlib
import mmap
from pathlib import Path

from paddock.errors import CheckpointError, CorruptCheckpoint
from paddock.inference.checkpoint.base import Array


class MappedFile:
    """One file mapped read-only. ``size`` is in bytes; views stay valid while anyone holds them."""

    def __init__(self, path: Path) -> None:
        """Raises CheckpointError if the file cannot be opened, CorruptCheckpoint if it is empty."""
        import numpy as np

        self.path = path
        try:
            with path.open("rb") as file:
                # mmap keeps its own descriptor, so the file may be closed at once.
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise CorruptCheckpoint(f"{path} is empty") from None
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
        if hasattr(mmap, "MADV_HUGEPAGE"):
            # What is read from the disk through this mapping comes into memory in huge pages where
            # the file system can (ext4 since Linux 6.16, XFS, Btrfs): weights are then read a third
            # faster by whoever maps the file next, too. A kernel without them refuses.
            with contextlib.suppress(OSError):
                self._map.madvise(mmap.MADV_HUGEPAGE)
        self.size = len(self._map)
        self._bytes = np.frombuffer(self._map, np.uint8)

    def view(self, start: int, length: int) -> Array:
        """Bytes ``start`` to ``start + length`` as a read-only uint8 array; nothing is read yet."""
        if start < 0 or length < 0 or start + length > self.size:
            raise CorruptCheckpoint(
                f"{self.path} ends at byte {self.size}, but bytes {start} to {start + length} "
                "are needed: the file is truncated"
            )
        return self._bytes[start : start + length]

    def read(self, start: int, length: int) -> bytes:
        """A copy of those bytes; for headers."""
        return self.view(start, length).tobytes()

    def give_back(self, start: int, length: int) -> None:
        """Drops those bytes from resident memory; a later use reads them from the file again."""
        if not hasattr(mmap, "MADV_DONTNEED"):  # not on every platform; it is only an economy
            return
        # Whole pages: rounded outwards, because a neighbour's page costs one re-read at most.
        first = start // mmap.PAGESIZE * mmap.PAGESIZE
        if length > 0:
            self._map.madvise(mmap.MADV_DONTNEED, first, start + length - first)
