"""``paddock container``: containers and images of a machine's engine, here or over SSH."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from paddock.cli import options, render
from paddock.cli.help import Command, examples
from paddock.errors import UsageError

if TYPE_CHECKING:
    from paddock.deploy.container import Engine, Found
    from paddock.deploy.step import Machine

EXAMPLES = """
paddock container images
paddock container ps --host ssh://root@npu1
paddock container run work --image ubuntu:22.04 --mount ~/workdir:/workdir --port 2223:223
paddock container exec work
paddock container stop work
"""

app = typer.Typer(rich_markup_mode=None)

EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="docker|podman|isula",
        help="Which engine.  [default: the first that is there]",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A container.", show_default=False)]
GIVEN = "What it is given"
LIMITS = "Its limits and rights"


@app.callback()
def container() -> None:
    """Looks after containers and images, as docker, podman and isula do."""


@app.command(cls=Command, epilog=examples("paddock container images --host ssh://root@npu1"))
def images(
    address: options.HostAddress = None,
    engine: EngineName = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Lists the images that the engine has (docker images)."""
    with _engine(address, engine) as (_, asked):
        found = asked.images()
    if json:
        rows = [{"id": i.id, "names": list(i.names), "bytes": i.size} for i in found]
        render.emit({"images": rows})
        return
    render.table(
        ("NAME", "ID", "SIZE"),
        [
            (name, _short(image.id), render.size(image.size) if image.size is not None else "")
            for image in found
            for name in image.names or ("",)
        ],
        right=(2,),
    )


@app.command(cls=Command, epilog=examples("paddock container ps --json"))
def ps(
    address: options.HostAddress = None,
    engine: EngineName = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Lists all containers, stopped ones too (docker ps -a)."""
    with _engine(address, engine) as (_, asked):
        found = sorted(asked.containers(), key=lambda each: each.name)
    if json:
        render.emit({"containers": [_row(each) for each in found]})
        return
    render.table(
        ("NAME", "ID", "IMAGE", "STATE", "DEPLOYMENT"),
        [(c.name, _short(c.id), c.image, c.status, c.deployment or "") for c in found],
    )


@app.command(cls=Command, epilog=examples("paddock container start work"))
def start(
    name: Name,
    address: options.HostAddress = None,
    engine: EngineName = None,
    debug: options.Debug = False,
) -> None:
    """Starts a container (docker start)."""
    with _engine(address, engine) as (_, asked):
        asked.start(name)
    render.line(f"started {name}")


@app.command(cls=Command, epilog=examples("paddock container stop work --timeout 60"))
def stop(
    name: Name,
    timeout: Annotated[
        int, typer.Option(metavar="S", min=0, help="End it by force after S seconds.")
    ] = 30,
    address: options.HostAddress = None,
    engine: EngineName = None,
    debug: options.Debug = False,
) -> None:
    """Stops a container (docker stop)."""
    with _engine(address, engine) as (_, asked):
        asked.stop(name, timeout)
    render.line(f"stopped {name}")


@app.command(cls=Command, epilog=examples("paddock container rm work"))
def rm(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Also one that runs.")] = False,
    address: options.HostAddress = None,
    engine: EngineName = None,
    debug: options.Debug = False,
) -> None:
    """Removes a container and what was written in it (docker rm); its mounts stay."""
    with _engine(address, engine) as (_, asked):
        asked.remove(name, force=force)
    render.line(f"removed {name}")


@app.command(
    "exec",
    cls=Command,
    epilog=examples("paddock container exec work\npaddock container exec work -- npu-smi info"),
)
def execute(
    name: Name,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND]", help="A program and its words.  [default: a shell]"),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="S", min=1, help="End a program after S seconds.")
    ] = 600.0,
    address: options.HostAddress = None,
    engine: EngineName = None,
    debug: options.Debug = False,
) -> None:
    """Opens a shell in a container, or runs one program there (docker exec)."""
    from paddock import shell
    from paddock.deploy.host import target

    machine = target.runner(host=address)
    inside = shell.ContainerRunner(name, engine or target.engines_on(machine)[0], machine)
    if command is None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("a shell needs a terminal", hint="name a program after --")
        shell.replace_by(inside, ["sh", "-c", 'exec "$(command -v bash || command -v sh)" -l'])
    output = inside.run(command, timeout=timeout)
    render.text(output.stdout)
    sys.stderr.write(output.stderr)
    raise typer.Exit(output.exit_code)


@app.command(
    cls=Command,
    epilog=examples(
        "paddock container run work --image ubuntu:20.04 --devices 0,1 --shm 128G\n"
        "paddock container run work --dry-run"
    ),
)
def run(
    name: Name,
    image: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help="What it starts from.  [default: a bare Ubuntu]"),
    ] = None,
    devices: Annotated[
        str,
        typer.Option(
            metavar="auto|none|N,N",
            help="Cards, by the numbers of /dev/davinciN or nvidia-smi; auto is all.",
            rich_help_panel=GIVEN,
        ),
    ] = "auto",
    mount: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE:TARGET[:ro]",
            help="A folder or file of the host's, which must exist; repeatable.",
            rich_help_panel=GIVEN,
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[ADDRESS:]HOST:CONTAINER",
            help="Publish a TCP port; repeatable.",
            rich_help_panel=GIVEN,
            show_default=False,
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A variable; repeatable.",
            rich_help_panel=GIVEN,
            show_default=False,
        ),
    ] = None,
    network: Annotated[
        str, typer.Option(metavar="bridge|host|none|NAME", rich_help_panel=GIVEN, help="Its net.")
    ] = "bridge",
    workdir: Annotated[
        str, typer.Option(metavar="PATH", rich_help_panel=GIVEN, help="Where programs start.")
    ] = "/workspace",
    user: Annotated[
        str | None,
        typer.Option(metavar="NAME|UID", help="Who they run as.", rich_help_panel=GIVEN),
    ] = None,
    shm: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Size of /dev/shm.  [default: 16G with cards]",
            rich_help_panel=LIMITS,
            show_default=False,
        ),
    ] = None,
    ipc: Annotated[
        str | None,
        typer.Option(metavar="private|host", help="Whose IPC it shares.", rich_help_panel=LIMITS),
    ] = None,
    pids: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="At most N processes.", rich_help_panel=LIMITS),
    ] = None,
    ulimit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N",
            help="A resource limit, -1 for none; repeatable.",
            rich_help_panel=LIMITS,
            show_default=False,
        ),
    ] = None,
    cap_add: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A capability; repeatable.",
            rich_help_panel=LIMITS,
            show_default=False,
        ),
    ] = None,
    privileged: Annotated[
        bool,
        typer.Option("--privileged", help="Root on the host; not needed.", rich_help_panel=LIMITS),
    ] = False,
    restart: Annotated[
        str, typer.Option(metavar="POLICY", help="When it is started again.")
    ] = "unless-stopped",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the engine's command and do nothing.")
    ] = False,
    address: options.HostAddress = None,
    engine: EngineName = None,
    debug: options.Debug = False,
) -> None:
    """Makes and starts a container with everything that the machine's cards need (docker run).

    Only what is there is given to it: device nodes, the driver's folders, npu-smi. One that runs
    with these options already is left alone; one that differs is made anew.
    """
    import msgspec

    from paddock.deploy import typed
    from paddock.deploy.container import ContainerStep, ImageStep, build
    from paddock.deploy.host import target
    from paddock.deploy.stackfile import ContainerWish, ServeWish, Stackfile

    values = {
        "engine": engine or "auto",
        "image": image,
        "devices": _devices(devices),
        "mounts": mount or (),
        "ports": port or (),
        "environment": dict(_pair(word, "--env") for word in env or ()),
        "network": network,
        "workdir": workdir,
        "user": user,
        "shm": shm,
        "ipc": ipc,
        "pids": pids,
        "ulimits": {k: _number(v, k) for k, v in (_pair(w, "--ulimit") for w in ulimit or ())},
        "cap_add": cap_add or (),
        "privileged": privileged,
        "restart": restart,
    }
    try:
        wish = typed.convert(values, ContainerWish)
    except msgspec.ValidationError as error:
        raise UsageError(str(error)) from error
    file = Stackfile(name=name, container=wish, serve=ServeWish(enabled=False))
    with render.waiting(f"looking at {address or 'this machine'}"):
        host = target.facts(host=address)
    built = build(file, host, None)
    for note in built.notes:
        sys.stderr.write(f"note: {note}\n")
    step = ContainerStep(built.spec, tuple(each.source for each in built.spec.mounts))
    if dry_run:
        render.line(step.command("run"))
        return
    machine = _machine(address)
    ImageStep(built.spec.engine, built.spec.image).apply(machine, _say)
    step.apply(machine, _say)
    render.line(name)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _machine(address: str | None) -> Machine:
    from paddock import settings
    from paddock.deploy.host import target
    from paddock.deploy.step import Machine

    folder = str(settings.load().state / "container") if address is None else ".paddock"
    return Machine(target.runner(host=address), folder)


@contextlib.contextmanager
def _engine(address: str | None, engine: str | None) -> Iterator[tuple[Machine, Engine]]:
    from paddock.deploy.container import connect
    from paddock.deploy.container.build import ENGINES
    from paddock.deploy.host import target
    from paddock.errors import nearest

    machine = _machine(address)
    name = engine or target.engines_on(machine.runner)[0]
    if name not in ENGINES:
        raise UsageError(
            f"{name!r} is not an engine of paddock's{nearest(name, ENGINES)}",
            hint=f"known are {', '.join(ENGINES)}",
        )
    with connect(machine, name) as asked:
        yield machine, asked


def _devices(text: str) -> str | list[int]:
    if text in ("auto", "none"):
        return text
    return [_number(word, "--devices") for word in text.split(",")]


def _number(text: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{where} is {text!r}, which is not a number") from None


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{option} is {text!r}", hint=f"write it as {option} NAME=VALUE")
    return name, value


def _short(identity: str) -> str:
    return identity.removeprefix("sha256:")[:12]


def _row(found: Found) -> dict[str, str | None]:
    return {
        "name": found.name,
        "id": found.id,
        "image": found.image,
        "state": found.status,
        "deployment": found.deployment,
    }
