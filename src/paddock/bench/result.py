"""What a measurement leaves behind: versioned JSON, checked when it is read."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from paddock.bench import facts
from paddock.bench.cost import Storage
from paddock.bench.serving.served import Served
from paddock.bench.summary import Summary
from paddock.bench.workload import Workload
from paddock.errors import BenchError, PaddockError

SCHEMA = "paddock-bench/1"
"""Raised when a field changes its meaning or goes; a new field with a default does not raise it."""

KINDS = ("decode", "prefill", "batch", "load", "peers", "roofline", "serve")
STATES = ("ok", "failed", "absent")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one run.

    ``share`` is what was reached of the machine's ceiling, round by round, 1 being all of it: None
    where there is no ceiling to hold it against. ``bytes`` and ``operations`` are what one sample
    had to read and compute at least, ``seconds`` the samples' times (for the roofline).
    ``memory`` is the bytes a second of read passes between the steps, where ``share`` is of those
    and not of the round's ceiling.
    """

    unit: str
    values: Summary
    share: Summary | None = None
    bytes: float | None = None
    operations: float | None = None
    seconds: Summary | None = None
    memory: Summary | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "unit": self.unit,
            "values": self.values.to_dict(),
            "share": self.share.to_dict() if self.share else None,
            "bytes": self.bytes,
            "operations": self.operations,
            "seconds": self.seconds.to_dict() if self.seconds else None,
            "memory": self.memory.to_dict() if self.memory else None,
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Figure:
        """Reads ``to_dict``'s form."""
        value = {"memory": None} | value  # which older results lack
        optional = {
            key: Summary.from_dict(value[key]) if value[key] is not None else None
            for key in ("share", "seconds", "memory")
        }
        return cls(
            _of(value, "unit", str),
            Summary.from_dict(value["values"]),
            optional["share"],
            value["bytes"],
            value["operations"],
            optional["seconds"],
            optional["memory"],
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One runtime's share of a measurement.

    ``state`` is one of STATES, ``note`` says why it is not ``ok`` or what differs from the others
    (weights of another kind, say). ``warm_up`` is the first turn, which ``figures`` leave out.
    ``workload`` is what it was given, ``options`` how it was opened or asked. ``served`` is there
    if the runtime was a server.
    """

    runtime: str
    state: str = "ok"
    version: str | None = None
    weights: str | None = None
    note: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    workload: dict[str, Any] | None = None
    storage: dict[str, Any] | None = None
    warm_up: dict[str, float] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    served: Served | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = {name: getattr(self, name) for name in Run.__slots__}
        return plain | {
            "figures": {name: one.to_dict() for name, one in self.figures.items()},
            "served": self.served.to_dict() if self.served else None,
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Run:
        """Reads ``to_dict``'s form."""
        value = {"served": None} | value  # which older results lack
        _fields(value, set(Run.__slots__), "a run")
        if value["state"] not in STATES:
            raise BenchError(f"a run's state is {value['state']!r}")
        if value["workload"] is not None:
            Workload(**value["workload"])
        if value["storage"] is not None:
            Storage(**value["storage"])
        figures = {name: Figure.from_dict(one) for name, one in value["figures"].items()}
        served = Served.from_dict(value["served"]) if value["served"] else None
        return cls(**(value | {"figures": figures, "served": served}))


@dataclass(frozen=True, slots=True)
class Ratio:
    """One runtime's figure over another's, round by round."""

    figure: str
    ours: str
    theirs: str
    values: Summary

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "figure": self.figure,
            "ours": self.ours,
            "theirs": self.theirs,
            "values": self.values.to_dict(),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Ratio:
        """Reads ``to_dict``'s form."""
        _fields(value, {"figure", "ours", "theirs", "values"}, "a ratio")
        return cls(
            value["figure"], value["ours"], value["theirs"], Summary.from_dict(value["values"])
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """The ceilings of all rounds, with how they were measured."""

    method: str
    threads: int
    bytes_per_s: Summary
    operations_per_s: dict[str, Summary]
    instructions: dict[str, str | None]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {
            "bytes_per_s": self.bytes_per_s.to_dict(),
            "operations_per_s": {k: v.to_dict() for k, v in self.operations_per_s.items()},
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Measured:
        """Reads ``to_dict``'s form."""
        _fields(value, set(cls.__slots__), "ceilings")
        return cls(
            value["method"],
            _of(value, "threads", int),
            Summary.from_dict(value["bytes_per_s"]),
            {k: Summary.from_dict(v) for k, v in value["operations_per_s"].items()},
            value["instructions"],
        )


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement, whole. ``model`` is None where none took part (``roofline`` alone)."""

    kind: str
    model: dict[str, Any] | None
    runs: tuple[Run, ...]
    ceilings: Measured | None
    ratios: tuple[Ratio, ...]
    host: dict[str, Any]
    packages: dict[str, str]
    commit: str | None
    command: tuple[str, ...]
    created: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, ``schema`` first."""
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "created": self.created,
            "command": list(self.command),
            "commit": self.commit,
            "packages": self.packages,
            "host": self.host,
            "model": self.model,
            "ceilings": self.ceilings.to_dict() if self.ceilings else None,
            "runs": [run.to_dict() for run in self.runs],
            "ratios": [ratio.to_dict() for ratio in self.ratios],
        }

    @classmethod
    def from_dict(cls, value: Any) -> Result:
        """Reads ``to_dict``'s form. Raises BenchError for anything else."""
        if not isinstance(value, dict) or value.get("schema") != SCHEMA:
            found = value.get("schema") if isinstance(value, dict) else type(value).__name__
            raise BenchError(f"this is no result of schema {SCHEMA} but {found!r}")
        _fields(value, {"schema", *cls.__slots__}, "a result")
        if value["kind"] not in KINDS:
            raise BenchError(f"a result's kind is {value['kind']!r}")
        try:
            return cls(
                value["kind"],
                value["model"],
                tuple(map(Run.from_dict, value["runs"])),
                Measured.from_dict(value["ceilings"]) if value["ceilings"] else None,
                tuple(map(Ratio.from_dict, value["ratios"])),
                _of(value, "host", dict),
                _of(value, "packages", dict),
                value["commit"],
                tuple(_of(value, "command", list)),
                _of(value, "created", str),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise BenchError(f"the result is damaged: {error!r}") from error

    def run(self, runtime: str) -> Run | None:
        """The run of that name, if there is one."""
        return next((run for run in self.runs if run.runtime == runtime), None)


def new(
    kind: str,
    runs: Sequence[Run],
    *,
    host: dict[str, Any],
    model: dict[str, Any] | None = None,
    ceilings: Measured | None = None,
    ratios: Sequence[Ratio] = (),
) -> Result:
    """A result with the software's facts; ``host`` was read before the measurement."""
    return Result(
        kind,
        json.loads(json.dumps(model)),  # as it will be read: lists, no tuples
        tuple(runs),
        ceilings,
        tuple(ratios),
        host,
        facts.packages(),
        facts.commit(),
        ("paddock", *sys.argv[1:]),
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def save(result: Result, path: Path) -> None:
    """Writes the JSON, readable for people too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result.to_dict(), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> Result:
    """Reads and checks a saved result. Raises BenchError naming the file."""
    try:
        return Result.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise BenchError(f"{path} is not JSON: {error}") from error
    except PaddockError as error:
        raise BenchError(f"{path}: {error.message}") from error


def _fields(value: dict[str, Any], wanted: set[str], what: str) -> None:
    if set(value) != wanted:
        missing, extra = sorted(wanted - set(value)), sorted(set(value) - wanted)
        raise BenchError(f"{what} lacks the fields {missing} and has {extra} beside its own")


def _of(value: dict[str, Any], key: str, kind: type) -> Any:
    if not isinstance(value[key], kind):
        raise BenchError(f"{key} is {value[key]!r}, not of type {kind.__name__}")
    return value[key]
