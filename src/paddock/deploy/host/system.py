"""The machine itself from the answer: system, processors, memory, file systems, user, clock."""

from __future__ import annotations

import re
import shlex
from typing import Literal

from paddock.deploy.host.facts import (
    NOT_ASKED,
    Clock,
    Confinement,
    Cpu,
    Filesystem,
    Group,
    Locale,
    Memory,
    Note,
    System,
    User,
)
from paddock.deploy.host.frames import Answer
from paddock.deploy.host.values import decimal, hexadecimal, kilobytes, pairs, whole

_VIRTUAL = re.compile(
    "autofs|bpf|cgroup2?|configfs|debugfs|devpts|efivarfs|fusectl|hugetlbfs|mqueue|nsfs|proc|pstore"
    "|ramfs|rpc_pipefs|securityfs|selinuxfs|sysfs|tracefs|binfmt_misc"
)
"""Kinds of file system that hold no files of anybody's."""


def text_of(answer: Answer, name: str, notes: list[Note], what: str) -> str:
    """The text of a frame, empty with a note where it was not asked or could not be told."""
    frame = answer.get(name)
    if frame is None:
        notes.append(Note(name, what, NOT_ASKED))
        return ""
    if not frame.text.strip():
        notes.append(Note(name, what, f"no answer, exit code {frame.exit_code}"))
    return frame.text


def system(answer: Answer, notes: list[Note]) -> System:
    """The operating system, its kernel and C library."""
    release = {
        key: _unquoted(value)
        for key, value in pairs(
            text_of(answer, "file /etc/os-release", notes, "operating system")
        ).items()
    }
    words = text_of(answer, "uname -snrm", notes, "kernel and architecture").split()
    if words and len(words) != 4:
        notes.append(Note("uname -snrm", "kernel and architecture", f"not four words: {words}"))
        words = []
    libc, version = _libc(text_of(answer, "libc", notes, "C library"), notes)
    uptime = text_of(answer, "file /proc/uptime", notes, "uptime").split()
    modules, security = answer.get("modules"), answer.get("security")
    return System(
        id=release.get("ID"),
        version=release.get("VERSION_ID"),
        name=release.get("PRETTY_NAME"),
        codename=release.get("VERSION_CODENAME") or release.get("UBUNTU_CODENAME"),
        like=tuple(release.get("ID_LIKE", "").split()),
        kernel=words[2] if words else None,
        arch=words[3] if words else None,
        libc=libc,
        libc_version=version,
        uptime_s=decimal(uptime[0]) if uptime else None,
        modules=tuple(modules.lines) if modules else (),
        security=_security(security.text) if security else (),
    )


def hostname(answer: Answer) -> str | None:
    """The node's name, None where uname did not answer as it must."""
    frame = answer.get("uname -snrm")
    words = frame.text.split() if frame else []
    return words[1] if len(words) == 4 else None


def _unquoted(value: str) -> str:
    """A value as os-release writes it. Source: os-release(5), which follows the shell's quoting."""
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value


def _libc(text: str, notes: list[Note]) -> tuple[str | None, str | None]:
    glibc = re.search(r"^glibc (\S+)", text) or re.search(r"(?:GLIBC|GNU libc).* (\d[\d.]+)", text)
    if glibc:
        return "glibc", glibc[1]
    if "musl" in text:
        version = re.search(r"Version (\S+)", text)
        return "musl", version[1] if version else None
    if text.strip():
        notes.append(Note("libc", "C library", f"neither glibc nor musl: {text.strip()[:60]!r}"))
    return None, None


def _security(text: str) -> tuple[str, ...]:
    table = pairs(text)
    seccomp = pairs(text, ":").get("Seccomp")
    found = []
    if "selinux" in table:
        found.append(f"selinux={table['selinux'].lower()}")
    if table.get("apparmor") == "Y":
        found.append("apparmor")
    if seccomp not in (None, "0"):
        found.append(f"seccomp={seccomp}")
    return tuple(found)


def cpu(answer: Answer, notes: list[Note]) -> Cpu:
    """The processors. Arm's kernels name no model: there lscpu's word counts, else the ids."""
    text = text_of(answer, "cpu", notes, "processors")
    table, counts = pairs(text, ":"), pairs(text)
    flags = (table.get("flags") or table.get("Features") or "").split()
    model = table.get("model name") or table.get("Model name") or table.get("BIOS Model name")
    if model is None and "CPU part" in table:
        model = f"implementer {table.get('CPU implementer')} part {table['CPU part']}"
    security = answer.get("security")
    allowed = pairs(security.text, ":").get("Cpus_allowed_list") if security else None
    return Cpu(
        model=model,
        vendor=table.get("vendor_id") or table.get("Vendor ID"),
        # A kernel that hides its topology counts none.
        sockets=whole(counts.get("sockets")) or None,
        cores=whole(counts.get("cores")) or None,
        threads=_count_range(counts.get("online")),
        usable=_count_range(allowed),
        quota=min(filter(None, map(_quota, answer.lines("cpu limit"))), default=None),
        numa_nodes=_count_range(counts.get("nodes")),
        flags=tuple(sorted(flags)),
    )


def _quota(line: str) -> float | None:
    """``200000 100000`` is two CPUs; ``max`` and -1 are no limit."""
    words = [whole(word) for word in line.split()]
    return words[0] / words[1] if len(words) == 2 and words[0] and words[1] else None


def _count_range(text: str | None) -> int | None:
    """``0-3,8`` is 5."""
    if not text or not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        return None
    bounds = [part.split("-") for part in text.split(",")]
    return sum(int(bound[-1]) - int(bound[0]) + 1 for bound in bounds)


def memory(answer: Answer, notes: list[Note]) -> Memory:
    """Main memory, and the control group's limit where it is below that."""
    table = pairs(text_of(answer, "file /proc/meminfo", notes, "memory"), ":")
    total = kilobytes(table.get("MemTotal"))
    limits = [int(line) for line in answer.lines("memory limit") if line.strip().isdecimal()]
    limit = min(limits, default=None)
    return Memory(
        total=total,
        available=kilobytes(table.get("MemAvailable")),
        swap_total=kilobytes(table.get("SwapTotal")),
        swap_free=kilobytes(table.get("SwapFree")),
        # Version 1 of control groups prints "no limit" as a number near 2**63.
        limit=limit if limit is not None and (total is None or limit < total) else None,
        hugepages_total=whole(table.get("HugePages_Total")),
        hugepages_free=whole(table.get("HugePages_Free")),
    )


def filesystems(answer: Answer, notes: list[Note]) -> tuple[Filesystem, ...]:
    """What is mounted and holds files, with the sizes that ``df`` gives."""
    text = text_of(answer, "df -P -k", notes, "free disk space")
    sizes = {found.mount: found for found in map(_df_line, text.splitlines()) if found}
    mounted: dict[str, Filesystem] = {}
    for line in answer.lines("mounts"):
        words = line.split()
        if len(words) != 4 or _VIRTUAL.fullmatch(words[2]):
            continue
        mount = words[1].replace("\\040", " ")
        size = sizes.get(mount)
        mounted[mount] = Filesystem(
            mount,
            words[0],
            kind=words[2],
            read_only=words[3] == "ro",
            total=size.total if size else None,
            free=size.free if size else None,
        )
    # The last one mounted on a place hides those before it; df alone is better than nothing.
    return tuple(mounted.values()) or tuple(sizes.values())


def shared_memory(answer: Answer, notes: list[Note]) -> Filesystem | None:
    """The file system of shared memory, None where there is no such folder."""
    text = text_of(answer, "df -P -k /dev/shm", notes, "shared memory")
    return next((found for found in map(_df_line, text.splitlines()) if found), None)


def _df_line(line: str) -> Filesystem | None:
    """One line of ``df -P -k``. Source: POSIX, df, output format with -P."""
    match = re.fullmatch(r"(.+?)\s+(\d+)\s+(\d+)\s+(-?\d+)\s+(?:\d+%|-)\s+(/.*)", line.rstrip())
    if match is None:
        return None
    free = max(0, int(match[4])) * 1024
    return Filesystem(match[5], match[1], total=int(match[2]) * 1024, free=free)


def user(answer: Answer, notes: list[Note]) -> User:
    """Who looked, with the groups and rights that decide about device nodes."""
    text = text_of(answer, "user", notes, "user and groups")
    table = pairs(text)
    names: dict[int, str] = {}
    for line in re.findall(r"^(?:group|other)=(.+)$", text, re.MULTILINE):
        fields = line.split(":")
        if len(fields) >= 3 and fields[2].isdecimal():
            names[int(fields[2])] = fields[0]
    numbers = [int(word) for word in table.get("groups", "").split() if word.isdecimal()]
    security = answer.get("security")
    capabilities = hexadecimal(pairs(security.text, ":").get("CapEff")) if security else None
    return User(
        uid=whole(table.get("uid")),
        gid=whole(table.get("gid")),
        name=table.get("name") or None,
        named={"yes": True, "no": False}.get(table.get("named", "")),
        home=table.get("home") or None,
        shell=table.get("shell") or None,
        groups=tuple(Group(number, names.get(number)) for number in numbers),
        accelerator_groups=tuple(re.findall(r"^other=(.+)$", text, re.MULTILINE)),
        capabilities=int(capabilities, 16) if capabilities else None,
    )


def clock(answer: Answer, reader: float | None, seconds: float, notes: list[Note]) -> Clock:
    """The host's clock against the reader's.

    ``reader`` is when the answer was whole, None for a recording, ``seconds`` how long it took.
    The host told the time when it began and when it ended, so that its own work does not count as
    distance. Source of the formula: RFC 5905, section 8.
    """
    words = text_of(answer, "clock", notes, "time").split()
    began = _time(words[:1])
    ended = _time([word for line in answer.lines("clock end") for word in line.split()][:1])
    zone, source = answer.lines("timezone"), answer.lines("clock source")
    skew = uncertainty = None
    if began is not None and ended is not None and reader is not None:
        skew = round((began - (reader - seconds) + ended - reader) / 2, 3)
        # Without fractions of a second (busybox) either time may be almost a second old.
        slack = 0.0 if "." in words[0].removesuffix(".%N") else 0.5
        skew, uncertainty = skew + slack, round(max(0.0, seconds - ended + began) / 2 + slack, 3)
    return Clock(
        host=ended,
        reader=reader,
        skew=skew,
        uncertainty=uncertainty,
        timezone=zone[0] if zone else None,
        utc_offset=words[1] if len(words) > 1 else None,
        synchronized={"yes": True, "no": False}.get(source[0]) if source else None,
    )


def _time(words: list[str]) -> float | None:
    """``1795622244.123`` or, where ``date`` knows no fractions, ``1795622244.%N``."""
    match = re.match(r"\d+(?:\.\d+)?", words[0]) if words else None
    return float(match[0]) if match else None


def locale(answer: Answer) -> Locale:
    """The language that is set, and whether the machine has any UTF-8 locale."""
    lang, utf8 = answer.lines("lang"), answer.lines("utf8")
    return Locale(
        lang=lang[0] if lang else None,
        utf8={"yes": True, "no": False}.get(utf8[0]) if utf8 else None,
    )


def confinement(answer: Answer) -> Confinement | None:
    """The container that answered, None where it was none."""
    lines = [line.split(maxsplit=1) for line in answer.lines("confinement")]
    return next((Confinement(words[0], words[1]) for words in lines if len(words) == 2), None)


_LIMITS = {
    "Max open files": "nofile",
    "Max processes": "nproc",
    "Max locked memory": "memlock",
    "Max stack size": "stack",
    "Max core file size": "core",
}


def limits(answer: Answer, which: Literal["soft", "hard"] = "soft") -> dict[str, int]:
    """Limits from /proc/self/limits; -1 is unlimited."""
    frame = answer.get("file /proc/self/limits")
    found: dict[str, int] = {}
    for line in frame.lines if frame else []:
        match = re.match(r"(Max [a-z ]+?)\s{2,}(\d+|unlimited)\s+(\d+|unlimited)\s", line + " ")
        if match and match[1] in _LIMITS:
            value = match[2 if which == "soft" else 3]
            found[_LIMITS[match[1]]] = -1 if value == "unlimited" else int(value)
    return found


def environment(answer: Answer, name: str) -> dict[str, str]:
    """The variables of a frame of ``NAME=value`` lines, sorted."""
    frame = answer.get(name)
    return dict(sorted(pairs(frame.text).items())) if frame else {}
