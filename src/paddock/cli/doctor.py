"""``paddock doctor``: what is wrong with a machine, a log or a configuration, and the fix."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paddock.cli import options, render
from paddock.errors import CatalogError, FactsError, RunnerError, Unreachable, UsageError

if TYPE_CHECKING:
    from paddock.deploy.doctor import Config, Report, Subject, Wish
    from paddock.shell import Runner

EXAMPLES = """
paddock doctor
paddock doctor --host ssh://root@npu1
paddock doctor --container mindformers --model llama2-7b
paddock doctor --log train.log
paddock doctor --config run_llama2_7b.yaml
python run.py 2>&1 | paddock doctor --log -
paddock doctor --fix > mend.sh
"""

PLACE = "Where to look"
TEXTS = "What else to look at"
MENDING = "Mending"

CANNOT_LOOK = 2
"""Neither healthy (0) nor ill (1)."""


def doctor(
    address: options.HostAddress = None,
    container: options.ContainerName = None,
    engine: options.Engine = None,
    facts: options.Facts = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Name the rule behind an error log ('-' is standard input); repeatable. "
            "Without a machine named, only the text is read.",
            show_default=False,
            rich_help_panel=TEXTS,
        ),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A MindFormers YAML file that is going to run there; repeatable.",
            show_default=False,
            rich_help_panel=TEXTS,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="Does it fit there? llama2-7b, llama2-13b, llama2-70b.",
            show_default=False,
            rich_help_panel=TEXTS,
        ),
    ] = None,
    framework: Annotated[
        str | None,
        typer.Option(
            "--framework",
            "-f",
            metavar="mindspore|torch|vllm|cann",
            help="What is going to be installed.",
            show_default=False,
            rich_help_panel=TEXTS,
        ),
    ] = None,
    port: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            min=1,
            max=65535,
            help="A port that must be free; repeatable.",
            show_default=False,
            rich_help_panel=TEXTS,
        ),
    ] = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Print a script of the fixes; on a terminal, ask to run the safe steps of it.",
            rich_help_panel=MENDING,
        ),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Run the safe steps without asking.", rich_help_panel=MENDING
        ),
    ] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Says what is wrong, with the evidence, the cause and the fix.

    Reads only. Findings come worst first. Exit code 0: nothing blocks; 1: something does; 2: it
    could not look.
    """
    if yes and not fix:
        raise UsageError("--yes without --fix has nothing to agree to", hint="add --fix")
    try:
        report, machine = _look(
            address, container, engine, facts, log, config, model, framework, port
        )
    except (RunnerError, FactsError, CatalogError) as error:
        error.exit_code = CANNOT_LOOK
        raise
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        problem = FactsError(f"cannot read{where}: {error.strerror or error}")
        problem.exit_code = CANNOT_LOOK
        raise problem from error
    if fix:
        _mend(report, machine, address, container, engine, facts, yes=yes, as_json=json)
    elif json:
        render.emit(report.to_dict())
    else:
        from paddock.cli import doctor_view

        doctor_view.show(report, machine)
    raise typer.Exit(report.exit_code)


def _look(
    address: str | None,
    container: str | None,
    engine: str | None,
    facts: Path | None,
    log: list[str] | None,
    config: list[Path] | None,
    model: str | None,
    framework: str | None,
    port: list[int] | None,
) -> tuple[Report, Subject | None]:
    """The report, and the machine if one was looked at."""
    from paddock.deploy import doctor as room
    from paddock.deploy.host import Host, target

    wish = _wish(model, framework, port)
    named = bool(address or container or facts or engine)
    texts = {("standard input" if name == "-" else name): _text(name) for name in log or ()}
    configs = tuple(room.read_config(path) for path in config or ())
    if texts and not (named or configs or model or framework or port):
        subject = room.Subject(Host(target=", ".join(texts)))
        return room.diagnose(subject, texts), None
    with render.waiting(f"looking at {container or address or facts or 'this machine'}"):
        host = target.facts(host=address, container=container, engine=engine, file=facts)
        if facts is None:
            configs = tuple(_checkpoints(each, address, container, engine) for each in configs)
        subject = room.Subject(host, configs, wish)
        return room.diagnose(subject, texts), subject


def _wish(model: str | None, framework: str | None, port: list[int] | None) -> Wish:
    """What is going to be run; refuses names that nobody knows."""
    from paddock.deploy import doctor as room

    if model or framework:
        from paddock.deploy import catalog
        from paddock.deploy.resolve import make

        known = make(catalog.load(), framework or "torch", model=model)
        model = known.model
    return room.Wish(model, framework, tuple(port or ()))


def _text(name: str) -> str:
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    return data.decode(errors="replace")


def _checkpoints(
    config: Config, address: str | None, container: str | None, engine: str | None
) -> Config:
    """The configuration with the checkpoints that it names and the machine does not have."""
    from paddock.deploy.doctor import mindformers

    return mindformers.look_for(config, _runner(address, container, engine))


def _runner(address: str | None, container: str | None, engine: str | None) -> Runner:
    """Who asks the machine; an engine that was not named is the first that knows the container."""
    from paddock.deploy.host import target
    from paddock.shell import ENGINES

    if not container or engine:
        return target.runner(host=address, container=container, engine=engine)
    problem: Unreachable | None = None
    for name in ENGINES:
        runner = target.runner(host=address, container=container, engine=name)
        try:
            runner.run(["true"])
        except Unreachable as error:
            problem = problem or error
        else:
            return runner
    assert problem is not None, "there is at least one engine"
    raise problem


def _mend(
    report: Report,
    machine: Subject | None,
    address: str | None,
    container: str | None,
    engine: str | None,
    facts: Path | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Prints the script; runs its safe steps where that is possible and agreed to."""
    from paddock.deploy.doctor import mend

    text = mend.script(report)
    steps = mend.safe_steps(report)
    can_run = machine is not None and facts is None and bool(steps)
    if yes and not can_run and steps:
        raise UsageError(
            "there is no machine to run the safe steps on",
            hint="leave --yes away, or look at a machine and not at recorded facts or a log",
        )
    if not as_json:
        render.text(text)
    done = []
    if can_run and (yes or (not as_json and _agreed(len(steps), report.target))):
        runner = _runner(address, container, engine)
        show = lambda fix: render.line(f"$ {fix.run}")  # noqa: E731
        for step in mend.run_safe(report, runner, before=show):
            out = step.output
            done.append({"run": step.fix.run, "exit_code": out.exit_code, "stdout": out.stdout})
            for said in filter(None, (out.stdout.rstrip(), out.stderr.rstrip())):
                render.line(said.translate(render.CONTROLS))
            if not out.ok:
                render.line(f"it ended with exit code {out.exit_code}")
    if as_json:
        render.emit({**report.to_dict(), "script": text, "ran": done})


def _agreed(count: int, target: str) -> bool:
    """Asks on a terminal; where there is none, nobody agrees."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    word = "step" if count == 1 else "steps"
    return typer.confirm(f"run the {count} safe {word} on {target}?", err=True)
