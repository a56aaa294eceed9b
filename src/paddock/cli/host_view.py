"""A host's facts for people: colours on a terminal, the same lines without them elsewhere."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from paddock.cli import render
from paddock.deploy.host.facts import (
    NOT_ASKED,
    Ascend,
    Component,
    Engine,
    Filesystem,
    Host,
    Npu,
    Nvidia,
    Python,
)

GIB = 2**30
MIB = 2**20
KEY_PACKAGES = (
    "mindspore",
    "mindformers",
    "mindpet",
    "torch",
    "torch-npu",
    "vllm",
    "vllm-ascend",
    "transformers",
    "numpy",
    "protobuf",
)
"""Distributions whose versions decide whether a stack fits."""

_HEALTH = {"OK": "green", "Warning": "yellow", "Alarm": "red", "Critical": "red"}
_PLACES_SHOWN = 5


def show(host: Host) -> None:
    """Writes the facts to stdout."""
    terminal = sys.stdout.isatty()
    # A pipe has no width; what reads it wants each fact on its own line.
    console = Console(highlight=False, width=None if terminal else 10_000)
    if console.no_color:
        console = Console(highlight=False, width=console.width, color_system=None)
    with console.capture() as captured:
        console.print(view(host))
    # rich pads to the width; a pipe and a copied line are better without.
    text = "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
    sys.stdout.write(text)


def view(host: Host) -> Group:
    """The facts as something that rich draws: on a terminal, or into an SVG file."""
    parts: list[RenderableType] = [_grid(_machine(host))]
    if host.ascend is not None:
        parts += [Text(), _grid(_ascend(host, host.ascend))]
        if host.ascend.npus:
            parts += [Text(), _npus(host.ascend.npus)]
    if host.nvidia is not None:
        parts += [Text(), _grid(_nvidia(host.nvidia))]
        if host.nvidia.gpus:
            parts += [Text(), _gpus(host.nvidia)]
    for rows in (_software(host), _notes(host) if host.notes else ()):
        grid = _grid(rows)
        parts += [Text(), grid] if grid.row_count else []
    return Group(*parts)


Rows = Iterable[tuple[str, Text | str | None]]


def _grid(rows: Rows) -> Table:
    """Names and values below each other; a value that is None is left out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value is not None and str(value):
            grid.add_row(name, _clean(value))
    return grid


def _clean(value: Text | str) -> Text:
    """Text as it stands: neither rich's markup nor a terminal's commands are obeyed in it."""
    text = value if isinstance(value, Text) else Text(value)
    text.plain = text.plain.translate(render.CONTROLS)
    return text


def _join(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _machine(host: Host) -> Iterator[tuple[str, Text | str | None]]:
    system, cpu, memory = host.system, host.cpu, host.memory
    place = f" in {host.confinement.kind}" if host.confinement else ""
    yield "host", Text.assemble((host.hostname or "?", "bold cyan"), f"  {host.target}{place}")
    libc = f"{system.libc} {system.libc_version or ''}".strip() if system.libc else None
    kernel = f"kernel {system.kernel}" if system.kernel else None
    yield "system", _join(system.name or system.id, kernel, system.arch, libc)
    sockets = f"{cpu.sockets} × " if cpu.sockets and cpu.sockets > 1 else ""
    cores = f"{cpu.cores} cores" if cpu.cores else None
    threads = f"{cpu.threads} threads" if cpu.threads else None
    usable = f"{cpu.usable} usable" if cpu.usable and cpu.usable != cpu.threads else None
    quota = f"{cpu.quota:g} CPUs' time" if cpu.quota else None
    nodes = f"{cpu.numa_nodes} NUMA nodes" if cpu.numa_nodes and cpu.numa_nodes > 1 else None
    yield (
        "cpu",
        _join(f"{sockets}{cpu.model}" if cpu.model else None, cores, threads, usable, quota, nodes),
    )
    yield "", Text(" ".join(_instruction_sets(cpu.flags)), style="dim")
    if memory.total is not None:
        limit = f"limited to {_gib(memory.limit)}" if memory.limit else None
        yield "memory", _join(_free(memory.available, memory.total), limit)
    yield "disk", "\n".join(_disks(host.filesystems)) or None
    if host.shared_memory and host.shared_memory.total is not None:
        yield "shared memory", _free(host.shared_memory.free, host.shared_memory.total)
    yield "user", _user(host)
    yield "clock", _clock(host)
    yield "language", host.locale.lang


_INTERESTING = (
    *("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_bf16"),
    *("amx_int8", "fma", "f16c", "neon", "asimd", "asimddp", "fphp", "sve", "sve2", "bf16", "i8mm"),
)


def _instruction_sets(flags: tuple[str, ...]) -> list[str]:
    return [flag for flag in _INTERESTING if flag in flags]


def _gib(count: int | None) -> str:
    return "?" if count is None else f"{count / GIB:.1f} GiB"


def _free(free: int | None, total: int | None) -> str:
    if free is None:
        return _gib(total)
    return f"{free / GIB:.1f} of {_gib(total)} free"


def _disks(filesystems: tuple[Filesystem, ...]) -> list[str]:
    """The places where something can be put, the roomiest first, and those that are full."""
    # One device may be mounted in many places, in a container even over single files.
    real: dict[str, Filesystem] = {}
    for f in sorted(filesystems, key=lambda f: len(f.mount)):
        if f.total and f.total > GIB:
            real.setdefault(f.device if f.device.startswith("/") else f.mount, f)
    kept = [
        f
        for f in real.values()
        if not f.read_only and not f.mount.startswith(("/dev", "/sys", "/proc", "/run"))
    ]
    kept.sort(key=lambda f: (f.mount != "/", -(f.free or 0)))
    lines = [f"{f.mount}  {_free(f.free, f.total)}" for f in kept[:_PLACES_SHOWN]]
    if len(kept) > _PLACES_SHOWN:
        lines.append(f"and {len(kept) - _PLACES_SHOWN} more")
    return lines


def _user(host: Host) -> str | None:
    user = host.user
    if user.uid is None:
        return None
    groups = [group.name or str(group.id) for group in user.groups if group.id != user.gid]
    also = f"groups {' '.join(groups)}" if groups else None
    nameless = None if user.named else "no entry in the password database"
    return _join(f"{user.name or '?'} ({user.uid})", also, nameless)


def _clock(host: Host) -> str | None:
    clock = host.clock
    if clock.skew is None:
        return None
    known = clock.uncertainty or 0.0
    # On this machine the two clocks are one.
    off = f"{clock.skew:+.1f} s off" if abs(clock.skew) > max(0.5, known) else "right"
    synchronized = {True: "synchronized", False: "not synchronized"}.get(
        clock.synchronized or False
    )
    return _join(
        off if host.target != "local" else None,
        clock.timezone,
        synchronized if clock.synchronized is not None else None,
    )


def _ascend(host: Host, ascend: Ascend) -> Iterator[tuple[str, Text | str | None]]:
    names = Counter(npu.name or "unknown" for npu in ascend.npus)
    ids = Counter(f"{d.vendor}:{d.device}" for d in host.pci if d.vendor == "19e5")
    chips = _join(*(f"{count} × {name}" for name, count in names.items()))
    bus = _join(*(f"{count} × {name}" for name, count in ids.items()))
    yield (
        "Ascend",
        Text.assemble((chips or "no chip that answers", "bold"), f"  PCI {bus}" if bus else ""),
    )
    smi = ascend.npu_smi
    if smi and smi.error:
        yield "npu-smi", Text(smi.error, style="red")
    for kind in ("driver", "firmware", "toolkit", "nnae", "nnrt", "kernels", "nnal", "mindie"):
        found = [component for component in ascend.components if component.kind == kind]
        if found:
            yield _COMPONENTS.get(kind, kind), "\n".join(map(_component, found))
        elif kind == "driver" and smi and smi.driver_version:
            yield "driver", f"{smi.driver_version} (npu-smi's word)"
    nodes = [f"{n.path.removeprefix('/dev/')}" for n in ascend.nodes]
    if nodes:
        first = ascend.nodes[0]
        owner = f"{first.owner or first.uid}:{first.group or first.gid} {first.mode}"
        barred = [n.path for n in ascend.nodes if n.readable is False or n.writable is False]
        yield (
            "nodes",
            Text.assemble(
                f"{len(nodes)} of {owner}",
                (f", {len(barred)} barred to this user", "red") if barred else "",
            ),
        )
    configured = [port for port in ascend.hccn if port.address]
    yield "chip network", f"{len(configured)} addresses in hccn.conf" if configured else None
    yield "runtime hook", ascend.docker_runtime


_COMPONENTS = {
    "toolkit": "CANN toolkit",
    "kernels": "CANN kernels",
    "nnal": "NNAL",
    "mindie": "MindIE",
}


def _component(component: Component) -> str:
    socs = f"for {' '.join(component.socs)}" if component.socs else None
    inner = component.inner_version
    place = None if component.active else component.path
    return _join(component.version or component.number or "?", inner, socs, place)


def _npus(npus: tuple[Npu, ...]) -> Table:
    # Narrow on purpose: eight columns and the processes fit into 80.
    table = _table("NPU", "NAME", "HEALTH", "BUS", "POWER", "TEMP", "USE", "GiB USED", "PROCESSES")
    cards = Counter(npu.npu for npu in npus)
    for npu in npus:
        hbm = bool(npu.hbm_total_mb)
        used = npu.hbm_used_mb if hbm else npu.memory_used_mb
        chip = f"/{_or_dash(npu.chip)}" if cards[npu.npu] > 1 else ""
        cells: tuple[Text | str, ...] = (
            f"{npu.npu}{chip}",
            npu.name or "-",
            Text(npu.health or "-", style=_HEALTH.get(npu.health or "", "")),
            (npu.bus_id or "-").removeprefix("0000:"),
            _unit(npu.power_w, "W"),
            _unit(npu.temperature_c, "°C"),
            _unit(npu.utilization_percent, "%"),
            _used(used, npu.device_memory_mb),
            _processes(npu),
        )
        table.add_row(*map(_clean, cells))
    return table


def _used(used: int | None, total: int | None) -> str:
    """Megabytes as the tool counts them (2**20 bytes), in GiB."""
    if total is None:
        return "-"
    return f"{'?' if used is None else f'{used / 1024:.1f}'}/{total / 1024:.1f}"


def _processes(npu: Npu) -> str:
    if npu.processes is None:
        return "unknown"
    return ", ".join(f"{p.name or '?'} ({_or_dash(p.pid)})" for p in npu.processes) or "none"


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    numbers = {"POWER", "TEMP", "USE", "GiB USED", "COMPUTE"}
    for head in heads:
        last = head == heads[-1]
        table.add_column(head, justify="right" if head in numbers else "left", no_wrap=not last)
    return table


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _unit(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.0f} {unit}"


def _nvidia(nvidia: Nvidia) -> Iterator[tuple[str, Text | str | None]]:
    names = Counter(gpu.name or "unknown" for gpu in nvidia.gpus)
    chips = _join(*(f"{count} × {name}" for name, count in names.items()))
    yield "NVIDIA", Text(chips or "no GPU that answers", style="bold")
    yield "nvidia-smi", Text(nvidia.error, style="red") if nvidia.error else None
    cuda = f"CUDA up to {nvidia.cuda_version}" if nvidia.cuda_version else None
    yield "driver", _join(nvidia.driver_version, cuda) or None
    yield (
        "toolkit",
        _join(nvidia.container_toolkit, f"{len(nvidia.cdi)} CDI devices" if nvidia.cdi else None),
    )


def _gpus(nvidia: Nvidia) -> Table:
    table = _table("GPU", "NAME", "BUS", "POWER", "TEMP", "USE", "GiB USED", "COMPUTE")
    for gpu in nvidia.gpus:
        cells = (
            str(gpu.index),
            gpu.name or "-",
            (gpu.bus_id or "-").removeprefix("00000000:"),
            _unit(gpu.power_w, "W"),
            _unit(gpu.temperature_c, "°C"),
            _unit(gpu.utilization_percent, "%"),
            _used(gpu.memory_used_mb, gpu.memory_total_mb),
            gpu.compute_capability or "-",
        )
        table.add_row(*map(_clean, cells))
    return table


def _software(host: Host) -> Iterator[tuple[str, Text | str | None]]:
    asked = not any(note.where == "pythons" and note.why == NOT_ASKED for note in host.notes)
    none = "none" if asked else None
    yield "Python", Text("\n").join(map(_python, host.pythons)) if host.pythons else none
    tools = {f"{t.name} {t.version or ''}".strip() for t in host.tools if t.version}
    yield "tools", ", ".join(sorted(tools)) or None
    yield "containers", "\n".join(map(_engine, host.engines)) or none
    running = [_join(c.name, c.image, f"{len(c.devices)} devices") for c in host.containers]
    yield "running", "\n".join(running) or None
    ports = sorted({port.port for port in host.ports})
    yield "ports in use", ", ".join(map(str, ports)) or none
    yield (
        "proxies",
        "\n".join(f"{p.variable}={p.value}  ({p.source})" for p in host.proxies) or None,
    )
    indexes = dict.fromkeys(f"{i.tool}  {i.url}" for i in host.indexes)
    yield "package sources", "\n".join(indexes) or None
    yield "models", "\n".join(f"{f.path}  {render.size(f.bytes)}" for f in host.model_files) or None


def _python(python: Python) -> Text:
    packages = [
        f"{name} {python.packages[name]}" for name in KEY_PACKAGES if name in python.packages
    ]
    mark = "  (python3)" if python.active else ""
    return Text.assemble(
        f"{python.version}  {python.path}{mark}",
        (f"  {', '.join(packages)}" if packages else "", "dim"),
    )


def _engine(engine: Engine) -> str:
    name = f"{engine.name} {engine.server_version or engine.version or ''}".strip()
    runtimes = f"runtimes {' '.join(engine.runtimes)}" if engine.runtimes else None
    storage = f"storage {engine.storage_driver}" if engine.storage_driver else None
    problem = f"does not answer: {engine.problem}" if engine.problem else None
    return _join(name, runtimes, storage, problem)


def _notes(host: Host) -> Iterator[tuple[str, Text | str | None]]:
    unasked = [note for note in host.notes if note.why == NOT_ASKED]
    told = [note for note in host.notes if note not in unasked]
    lines = [Text(f"{note.where}: {note.what}: {note.why}", style="yellow") for note in told]
    if unasked:
        what = ", ".join(dict.fromkeys(note.what for note in unasked))
        lines.append(Text(f"not asked: {what}", style="dim"))
    yield "not read", Text("\n").join(lines)
