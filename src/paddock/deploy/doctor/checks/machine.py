"""Checks of the machine itself: disks, shared memory, clock, limits, languages, package lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from paddock.deploy.doctor.checks.registry import check
from paddock.deploy.doctor.finding import Evidence
from paddock.deploy.doctor.subject import Subject
from paddock.deploy.host.facts import Filesystem

GIB = 2**30


@check
def disk_short(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Less than ``gib`` free, but not less than ``above_gib``, where software and models go."""
    limit, above = (float(args.get(key, 0)) * GIB for key in ("gib", "above_gib"))
    seen: set[str] = set()
    for f in _places(subject):
        if f.free is not None and above <= f.free < limit and f.device not in seen:
            seen.add(f.device)
            fact = f"{f.mount} has {f.free / GIB:.1f} GiB free"
            yield Evidence(fact, "df", {"mount": f.mount})


def _places(subject: Subject) -> Iterator[Filesystem]:
    """The file systems behind the folders that are written to; the longest mount point counts."""
    host = subject.host
    roots = [engine.root for engine in host.engines if engine.root]
    for folder in ("/", host.user.home, "/usr/local", "/tmp", *roots):  # noqa: S108 - only named
        if folder:
            held = [f for f in host.filesystems if _holds(f.mount, folder)]
            if held:
                f = max(held, key=lambda f: len(f.mount))
                if not f.read_only:
                    yield f


def _holds(mount: str, folder: str) -> bool:
    return folder == mount or folder.startswith(mount.rstrip("/") + "/")


@check
def shared_memory_small(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A /dev/shm of less than ``gib``."""
    shm = subject.host.shared_memory
    if shm is not None and shm.total is not None and shm.total < float(args["gib"]) * GIB:
        fact = f"it has {shm.total / 2**20:.0f} MiB"
        yield Evidence(fact, "df /dev/shm")


@check
def clock_skewed(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A clock that is more than ``seconds`` off from the asker's, beyond what the way explains."""
    clock = subject.host.clock
    if clock.skew is None or clock.uncertainty is None:
        return
    if abs(clock.skew) - clock.uncertainty > float(args["seconds"]):
        side = "ahead of" if clock.skew > 0 else "behind"
        source = {False: ", and it is not synchronized"}.get(bool(clock.synchronized), "")
        source = source if clock.synchronized is not None else ""
        fact = f"its clock is {abs(clock.skew):.0f} s {side} this machine's{source}"
        yield Evidence(fact, "date")


@check
def limit_low(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """The resource limit ``name`` is below ``least``."""
    value = subject.host.limits.get(args["name"])
    if value is not None and 0 <= value < int(args["least"]):
        yield Evidence(f"{args['name']} is {value}", "/proc/self/limits")


@check
def no_utf8(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A session whose language is not UTF-8's, on a system that has no UTF-8 locale either."""
    locale = subject.host.locale
    if locale.utf8 is False and "utf" not in (locale.lang or "").lower():
        yield Evidence(f"LANG is {locale.lang or 'not set'}", "environment, locale -a")


@check
def apt_of_other_release(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """apt lists of Ubuntu that belong to another release than the system's."""
    system = subject.host.system
    releases = {
        r.facts["codename"] for r in subject.catalog.releases["os"] if "codename" in r.facts
    }
    if system.id != "ubuntu" or not system.codename:
        return
    for index in subject.host.indexes:
        suite = (index.suite or "").partition("-")[0]
        if index.tool == "apt" and suite in releases and suite != system.codename:
            fact = f"{index.url} {index.suite} on {system.codename}"
            values = {"wrong": suite, "codename": system.codename, "file": index.source}
            yield Evidence(fact, index.source, values)


@check
def root_by_password(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """An SSH server that lets root in with a password."""
    for line in subject.host.sshd:
        words = line.text.split()
        if [word.lower() for word in words[:2]] == ["permitrootlogin", "yes"]:
            barred = any(
                o.text.lower().split()[:2] == ["passwordauthentication", "no"]
                for o in subject.host.sshd
            )
            if not barred:
                yield Evidence(line.text, line.path, {"file": line.path})
            return  # the first line that sets it counts (sshd_config(5))
        if words and words[0].lower() == "permitrootlogin":
            return
