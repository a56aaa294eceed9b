"""Every exception that Paddock raises on purpose, so that a caller can catch by meaning.

PaddockError                 says what, with which value, and (hint) what to do
├── UsageError               an argument, option or configuration key that cannot be honoured
├── MissingExtra             a library of an optional extra is not installed
├── ModelNotFound            no model of that name or at that path
├── CheckpointError          weight files that cannot be read or do not fit their configuration
│   ├── CorruptCheckpoint    truncated, wrong magic, checksum or NaN scale
│   ├── TensorMismatch       a missing, extra or wrongly shaped tensor
│   └── UnsafeCheckpoint     a pickle that would run code; never loaded
├── DoesNotFit               more memory needed than there is; carries the numbers
├── TokenizerError           tokenizer files or text that cannot be handled
├── FetchError               a download that failed for good
│   ├── GatedModel           the hub wants a licence accepted or a token (HTTP 401/403)
│   └── IntegrityError       size or SHA-256 differ from what was promised
├── RunnerError              a machine that cannot be asked, or a program that did not answer
│   ├── Unreachable          no connection, no such container, no right to enter
│   │   └── NoProgram        the program that would enter it (ssh, docker) is not there
│   └── TimedOut             no answer within the time given
├── FactsError               recorded facts of a host that cannot be read
├── CatalogError             compatibility data or a lock file that cannot be read
├── NoStack                  no consistent set of versions; carries what could be given up
├── ContainerError           a container engine that refuses what it was asked
├── StepFailed               a step of a deployment that did not do what it says; carries its log
├── RehearsalError           a simulated host that cannot be made on this machine
├── BundleError              a bundle that is not whole, or cannot be made
├── JournalError             a deployment's journal that cannot be read
├── Locked                   somebody else works on the deployment or the host
├── Blocked                  the doctor found what must be mended before a host is deployed to
├── Interrupted              somebody wanted it to end; what was begun can be gone on with
├── DeviceError              a device that is absent, or asked for what it cannot do
├── RanksLost                a rank of several died: what the group computed is gone
├── BenchError               a measurement that cannot be made, or a result that cannot be true
└── GenerationError          a request that cannot be served
    ├── PromptTooLong        more tokens than the model or the cache holds
    ├── QueueFull            too many requests are waiting already
    └── RuntimeLost          the process that computes has died or hangs; nothing in it can be used
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class PaddockError(Exception):
    """What went wrong, with which value; ``hint`` is what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(PaddockError):
    """An argument, option or configuration key that cannot be honoured."""

    exit_code = 2


class MissingExtra(PaddockError):
    """A library of an optional extra is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"{library} is not installed", hint=f"install it with: pip install 'paddock[{extra}]'"
        )


class ModelNotFound(PaddockError):
    """No model of that name or at that path."""


class CheckpointError(PaddockError):
    """Weight files that cannot be read or do not fit their configuration."""


class CorruptCheckpoint(CheckpointError):
    """A weight file that is truncated, damaged or not what its name says."""


class TensorMismatch(CheckpointError):
    """A tensor that is missing, left over or of the wrong shape."""


class UnsafeCheckpoint(CheckpointError):
    """A pickle that holds more than tensors; it is never executed."""


class DoesNotFit(PaddockError):
    """More memory is needed than there is."""


class TokenizerError(PaddockError):
    """Tokenizer files or text that cannot be handled."""


class FetchError(PaddockError):
    """A download that failed for good."""


class GatedModel(FetchError):
    """The hub wants a licence accepted or an access token."""


class IntegrityError(FetchError):
    """A file whose size or SHA-256 differs from what was promised."""


class RunnerError(PaddockError):
    """A machine that cannot be asked, or a program that did not answer as it must."""


class Unreachable(RunnerError):
    """No connection to the machine, no such container, or no right to enter it."""


class NoProgram(Unreachable):
    """The program that would enter the machine (ssh, docker) is not installed."""


class TimedOut(RunnerError):
    """No answer within the time given; whatever was started has been ended."""


class FactsError(PaddockError):
    """Recorded facts of a host that cannot be read."""


class CatalogError(PaddockError):
    """Compatibility data or a lock file that cannot be read."""


class NoStack(PaddockError):
    """No consistent set of versions fulfils the wish.

    ``explanations`` has one ``paddock.deploy.resolve.Explanation`` for each independent conflict.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, explanations: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.explanations = explanations


class ContainerError(PaddockError):
    """A container engine that refuses what it was asked; the message holds its own words."""


class StepFailed(PaddockError):
    """A step of a deployment that did not do what it says; ``log`` is the end of its output."""

    def __init__(
        self, step: str, target: str, reason: str, *, log: str = "", hint: str | None = None
    ) -> None:
        super().__init__(f"{step} on {target}: {reason}", hint=hint)
        self.step = step
        self.target = target
        self.log = log


class RehearsalError(PaddockError):
    """A simulated host that cannot be made on this machine; says what it lacks."""


class BundleError(PaddockError):
    """A bundle that is not whole, or cannot be made."""


class JournalError(PaddockError):
    """A deployment's journal that cannot be read."""


class Locked(PaddockError):
    """Somebody else works on the deployment or the host."""


class Blocked(PaddockError):
    """The doctor found what must be mended before a host is deployed to."""


class Interrupted(PaddockError):
    """Somebody wanted it to end before it was through; what was begun can be gone on with."""

    exit_code = 130


class DeviceError(PaddockError):
    """A device that is absent, or asked for what it cannot do."""


class RanksLost(PaddockError):
    """A rank died, fell silent or cannot be started; keys and values of all requests are gone."""


class BenchError(PaddockError):
    """A measurement that cannot be made, or a result that cannot be true."""


class GenerationError(PaddockError):
    """A request that cannot be served."""


class PromptTooLong(GenerationError):
    """More tokens than the model or the cache holds."""


class QueueFull(GenerationError):
    """Too many requests are waiting already; the same request may succeed later."""


class RuntimeLost(GenerationError):
    """The process that computes has died or hangs; its requests end, the model is opened anew."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A ``; did you mean 'x'?`` clause for an unknown word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
