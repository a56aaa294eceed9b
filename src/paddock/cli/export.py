"""``paddock export``: a server or a whole stack file written down for other tools."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paddock.cli import options, render
from paddock.cli.help import Command, examples
from paddock.errors import UsageError

if TYPE_CHECKING:
    from paddock.deploy.container import ContainerSpec
    from paddock.deploy.provision import Context

EXAMPLES = """
paddock export systemd -- llama2-7b-chat --quant int4 --port 9000 > paddock.service
paddock export containerfile --out Containerfile
paddock export compose --file paddock.yaml > compose.yaml
paddock export kubernetes --facts npu1.json --image registry.lab/llama:1 > llama.yaml
"""

app = typer.Typer(rich_markup_mode=None)

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- SERVE OPTIONS]",
        help="What paddock serve is to be given.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", help="Where to; must not exist.", show_default=False
    ),
]
StackFile = Annotated[
    Path | None,
    typer.Option("--file", "-f", metavar="FILE", help="A stack file.", show_default=False),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="NAME",
        help="Which of its hosts.  [default: the only one]",
        show_default=False,
    ),
]
ImageName = Annotated[
    str | None,
    typer.Option(
        "--image",
        metavar="NAME",
        help="The image that export containerfile's recipe was built as.  [default: the bare one]",
        show_default=False,
    ),
]


@app.callback()
def export() -> None:
    """Writes a server or a stack down for systemd, Compose, Kubernetes or as a container image."""


@app.command(
    cls=Command,
    epilog=examples(
        "paddock export systemd -- --port 9000\npaddock export systemd -f paddock.yaml"
    ),
)
def systemd(
    arguments: Arguments = None,
    user: Annotated[str, typer.Option(metavar="NAME", help="Who it runs as.")] = "paddock",
    file: StackFile = None,
    on: On = None,
    facts: options.Facts = None,
    out: Out = None,
    debug: options.Debug = False,
) -> None:
    """Writes a systemd unit of paddock serve, or of a stack file's container or server."""
    from paddock.inference.serve.export import systemd as write

    if file is not None:
        from paddock.deploy.container.unit import unit
        from paddock.deploy.provision import serve

        _nothing(arguments, "a stack file says what paddock serve is given: serve.options")
        context = _context(file, on, facts)
        if context.file.container.engine != "none":
            _give(unit(_spec(context)), out)
            return
        arguments = serve.command(context)[4:]
    here = shutil.which("paddock") or str(Path(sys.executable).with_name("paddock"))
    _give(write(arguments or [], executable=here, user=user), out)


@app.command(
    cls=Command,
    epilog=examples(
        "paddock export containerfile -- --insecure\n"
        "paddock export containerfile -f paddock.yaml --facts npu1.json -o Containerfile"
    ),
)
def containerfile(
    arguments: Arguments = None,
    file: StackFile = None,
    on: On = None,
    facts: options.Facts = None,
    out: Out = None,
    debug: options.Debug = False,
) -> None:
    """Writes a recipe for docker build or podman build: of the server, or of a whole stack."""
    from paddock.inference.serve.export import containerfile as write

    if file is None:
        _give(write(arguments or []), out)
        return
    from paddock.deploy.container.containerfile import PADDOCK
    from paddock.deploy.container.containerfile import containerfile as whole
    from paddock.deploy.provision import steps

    _nothing(arguments, "a stack file says what paddock serve is given: serve.options")
    context = _context(file, on, facts)
    made = steps(context)
    installs = any(step.id == PADDOCK for step in made)
    wheels = f"{context.folder}/wheels" if installs else None
    _give(whole(_spec(context), made, wheels=wheels), out)
    if installs:
        _wheel_beside(out, context.host.system.arch or "")


@app.command(cls=Command, epilog=examples("paddock export compose -f paddock.yaml > compose.yaml"))
def compose(
    file: StackFile = None,
    on: On = None,
    facts: options.Facts = None,
    image: ImageName = None,
    out: Out = None,
    debug: options.Debug = False,
) -> None:
    """Writes a stack file's container for docker compose or podman-compose."""
    from paddock.deploy.container.compose import compose as write

    _give(write(_spec(_context(file, on, facts), image)), out)


@app.command(
    cls=Command,
    epilog=examples("paddock export kubernetes -f paddock.yaml --image registry.lab/llama:1"),
)
def kubernetes(
    file: StackFile = None,
    on: On = None,
    facts: options.Facts = None,
    image: ImageName = None,
    out: Out = None,
    debug: options.Debug = False,
) -> None:
    """Writes a stack file's container as a Kubernetes Deployment and its Service.

    Cards are asked for as the device plugins name them: huawei.com/Ascend910 and its like by the
    chip, nvidia.com/gpu.
    """
    from paddock.deploy.container.kubernetes import Node, cards
    from paddock.deploy.container.kubernetes import kubernetes as write
    from paddock.deploy.plan import decide

    context = _context(file, on, facts)
    spec, seen = _spec(context, image), decide.view(context.host)
    count = cards(spec, gpus=len(context.host.nvidia.gpus) if context.host.nvidia else 0)
    wish = context.file.serve
    ready = wish.port if wish.enabled and spec.ports else None
    _give(write(spec, Node(seen.chip or seen.accelerator, seen.arch, count, ready)), out)


def _wheel_beside(out: Path | None, arch: str) -> None:
    """Puts the wheel that a recipe copies beside it, or says what is to be there."""
    from paddock.deploy.provision import wheel

    if out is None:
        sys.stderr.write("note: it copies the wheel of this Paddock, which --out puts beside it\n")
        return
    try:
        render.line(f"wrote {wheel.build(out.parent, arch=arch)}")
    except UsageError as error:  # the recipe is good all the same
        sys.stderr.write(f"note: {error.message}: put a wheel for that beside {out.name}\n")


def _context(file: Path | None, on: str | None, facts: Path | None) -> Context:
    """What the stack file means on its host, by facts that are read now or were recorded."""
    from paddock.cli import deployment
    from paddock.deploy import stackfile
    from paddock.deploy.host import target
    from paddock.deploy.plan import decide
    from paddock.deploy.provision import Context

    found = deployment.opened(file)
    entry = deployment.one_host(found, on)
    mine = stackfile.for_host(found.file, entry)
    address = None if entry.address == "local" else entry.address
    with render.waiting(f"looking at {entry.name}"):
        host = target.facts(file=facts) if facts else target.facts(host=address)
    mine = decide.decide(mine, host, host)
    stack = decide.stack(mine, host, found.folder / "locks" / f"{entry.name}.lock")
    return Context(mine, host, host, stack, "/opt/paddock", mine.stack.artifacts)


def _spec(context: Context, image: str | None = None) -> ContainerSpec:
    """The container that the stack file wishes for. Raises UsageError where it wants none."""
    from dataclasses import replace

    from paddock.deploy.container import build

    if context.file.container.engine == "none":
        raise UsageError(
            "the stack file wants no container",
            hint="set container.engine to docker, podman or isula",
        )
    built = build(context.file, context.host, context.stack)
    for note in built.notes:
        sys.stderr.write(f"note: {note}\n")
    # What was built by the recipe starts what is in it.
    return replace(built.spec, image=image, command=None) if image else built.spec


def _nothing(arguments: list[str] | None, hint: str) -> None:
    if arguments:
        raise UsageError(f"{' '.join(arguments)!r} beside --file", hint=hint)


def _give(text: str, out: Path | None) -> None:
    if out is None:
        render.text(text)
        return
    if out.exists():
        raise UsageError(f"{out} exists", hint="delete it, or name another file")
    out.write_text(text, encoding="utf-8")
    render.line(f"wrote {out}")
