"""The MindSpore runtime: MindFormers' model in a worker process, behind the Runtime contract."""

from __future__ import annotations

import contextlib
import shutil
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from paddock.errors import DeviceError, GenerationError, PaddockError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes.base import Batch, Choice, Limits
from paddock.inference.runtimes.mindspore.channel import Channel, Failed, Floats
from paddock.inference.runtimes.mindspore.description import Description
from paddock.inference.runtimes.mindspore.group import Group
from paddock.inference.runtimes.mindspore.sampler import sample
from paddock.inference.runtimes.mindspore.slots import Decode, Slots


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a worker may take: to load, for the first step of a kind, for any other.

    The first one compiles the graph, which takes minutes for a large model on Ascend.
    """

    load: float = 3600.0
    first: float = 1800.0
    step: float = 300.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the worker said of itself: versions by name, names that were stood in for, its mode."""

    versions: dict[str, str] = field(default_factory=dict)
    standins: tuple[str, ...] = ()
    mode: str = "graph"


class MindSporeRuntime:
    """Runs steps; see ``runtimes/base.py`` for the contract and ``slots.py`` for how.

    A worker that dies or hangs is a RuntimeLost of the step under way; what it had is gone then,
    and the model is to be opened again.
    """

    def __init__(
        self,
        config: ModelConfig,
        description: Description,
        limits: Limits,
        channel: Channel | Group,
        folder: Path,
        told: Told,
        timeouts: Timeouts,
    ) -> None:
        """``folder`` is the worker's working folder; it is removed in the end."""
        self.config = config
        self.limits = limits
        self.description = description
        self.dtype = description.dtype
        self.device = description.target
        self.use_past = description.use_past
        self.told = told
        self.folder = folder
        self._channel = channel
        self._timeouts = timeouts
        self._slots = Slots(limits, description.use_past)
        self._seen: set[str] = set()
        self._finish = weakref.finalize(self, _finish, channel, folder)

    def step(self, batch: Batch) -> list[Choice]:
        """See Runtime."""
        sampled = [item for item in batch.work if item.sampling is not None]
        logits = self.logits(batch)
        return sample(logits, sampled) if sampled else []

    def logits(self, batch: Batch) -> Floats:
        """fp32 logits (S, vocab_size) of the works that sample, for tests and perplexity."""
        plan = self._slots.plan(batch.work)
        if plan is None:
            return np.empty((0, self.limits.vocab_size), np.float32)
        question: dict[str, Any] = {"do": "prefill", "wanted": plan.wanted}
        if isinstance(plan, Decode):
            question.update(do="decode", tokens=plan.tokens, lengths=plan.lengths)
        else:
            question.update(rows=plan.rows)
        try:
            rows = self._ask(question)
        except PaddockError:
            self._slots.forget()
            raise
        if rows.shape != (len(plan.wanted), self.config.vocab_size):
            self._slots.forget()
            raise GenerationError(
                f"the worker gave logits of {rows.shape},"
                f" not {(len(plan.wanted), self.config.vocab_size)}"
            )
        return rows[:, : self.limits.vocab_size]

    def all_logits(self, tokens: Sequence[int]) -> Floats:
        """fp32 logits (len(tokens), vocab_size) at every position of one text.

        Only without ``use_past``: with it MindFormers computes the head for the last one alone.
        Raises GenerationError.
        """
        if self.use_past:
            raise GenerationError(
                "MindFormers with use_past gives the logits of the last position only",
                hint="open the model with use_past=False",
            )
        return self._ask({"do": "everywhere", "row": list(tokens)})[:, : self.limits.vocab_size]

    @contextlib.contextmanager
    def profiled(self, folder: Path) -> Iterator[None]:
        """Has mindspore.Profiler write what happens in the block to ``folder``, for MindInsight."""
        self._tell({"do": "profile", "folder": str(folder.resolve())})
        try:
            yield
        finally:
            self._tell({"do": "profile_end"})

    def close(self) -> None:
        """See Runtime."""
        self._finish()

    def _tell(self, question: dict[str, Any]) -> None:
        try:
            self._channel.ask(question, self._timeouts.first)
        except Failed as error:
            raise DeviceError(f"mindspore.Profiler failed: {error.kind}: {error.told}") from None

    def _ask(self, question: dict[str, Any]) -> Floats:
        kind = question["do"]
        timeout = self._timeouts.step if kind in self._seen else self._timeouts.first
        try:
            _, rows = self._channel.ask(question, timeout)
        except Failed as error:
            raise GenerationError(
                f"MindFormers failed in {kind}: {error.kind}: {error.told}"
            ) from None
        self._seen.add(kind)
        return rows


def _finish(channel: Channel | Group, folder: Path) -> None:
    channel.close()
    shutil.rmtree(folder, ignore_errors=True)
