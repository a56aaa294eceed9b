"""Puts the commands together; importing it loads the parser and nothing heavier."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from paddock._version import __version__
from paddock.cli import (
    bench,
    bundle,
    catalog,
    chat,
    container,
    convert,
    doctor,
    down,
    export,
    export_sh,
    host,
    init,
    inspect,
    key,
    logs,
    make_random,
    models,
    options,
    plan,
    profile,
    pull,
    quantize,
    ranktable,
    rehearse,
    resolve,
    run,
    serve,
    shell,
    ssh_config,
    status,
    up,
    verify,
)
from paddock.cli.help import Command, Group, examples

EXAMPLES = """
paddock up                                from this machine to a model that answers
paddock run "I love Beijing, because"     the built-in model, nothing to download
paddock chat                              talk to it
paddock pull llama2-7b-chat               fetch a real one
paddock run -m llama2-7b-chat --chat "Who are you?"
"""

ORDER = (
    "up",
    "plan",
    "status",
    "logs",
    "shell",
    "exec",
    "ssh-config",
    "verify",
    "down",
    "init",
    "rehearse",
    "bundle",
    "run",
    "chat",
    "serve",
    "key",
    "export",
    "pull",
    "models",
    "inspect",
    "convert",
    "quantize",
    "make-random",
    "bench",
    "profile",
    "doctor",
    "host",
    "resolve",
    "container",
    "ranktable",
    "catalog",
)
"""The commands as the help lists them; typer would put groups last."""


def command() -> Any:
    """The parser's command object: what ``main`` runs and the reference is generated from."""
    root: Any = typer.main.get_command(_application())
    root.commands = {name: root.commands[name] for name in ORDER}
    return root


def _application() -> typer.Typer:
    app = typer.Typer(
        cls=Group,
        # Plain help: typer's framed help would import rich and pygments, 0.1 s on every --help.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=examples(EXAMPLES),
    )
    app.callback(invoke_without_command=True)(paddock)
    app.command(cls=Command, epilog=examples(up.EXAMPLES))(up.up)
    app.command(cls=Command, epilog=examples(plan.EXAMPLES))(plan.plan)
    app.command(cls=Command, epilog=examples(status.EXAMPLES))(status.status)
    app.command(cls=Command, epilog=examples(logs.EXAMPLES))(logs.logs)
    app.command(cls=Command, epilog=examples(shell.SHELL_EXAMPLES))(shell.shell)
    app.command("ssh-config", cls=Command, epilog=examples(ssh_config.EXAMPLES))(
        ssh_config.ssh_config
    )
    app.add_typer(bundle.app, name="bundle", cls=Group, epilog=examples(bundle.EXAMPLES))
    app.command("exec", cls=Command, epilog=examples(shell.EXEC_EXAMPLES))(shell.execute)
    app.command(cls=Command, epilog=examples(verify.EXAMPLES))(verify.verify)
    app.command(cls=Command, epilog=examples(down.EXAMPLES))(down.down)
    app.command(cls=Command, epilog=examples(init.EXAMPLES))(init.init)
    app.command(cls=Command, epilog=examples(rehearse.EXAMPLES))(rehearse.rehearse)
    app.command(cls=Command, epilog=examples(run.EXAMPLES))(run.run)
    app.command(cls=Command, epilog=examples(chat.EXAMPLES))(chat.chat)
    app.command(cls=Command, epilog=examples(serve.EXAMPLES))(serve.serve)
    app.add_typer(key.app, name="key", cls=Group, epilog=examples(key.EXAMPLES))
    export.app.command("sh", cls=Command, epilog=examples(export_sh.EXAMPLES))(export_sh.sh)
    app.add_typer(export.app, name="export", cls=Group, epilog=examples(export.EXAMPLES))
    app.command(cls=Command, epilog=examples(pull.EXAMPLES))(pull.pull)
    app.add_typer(models.app, name="models", cls=Group, epilog=examples(models.EXAMPLES))
    app.command(cls=Command, epilog=examples(inspect.EXAMPLES))(inspect.inspect)
    app.command(cls=Command, epilog=examples(convert.EXAMPLES))(convert.convert)
    app.command(cls=Command, epilog=examples(quantize.EXAMPLES))(quantize.quantize)
    app.command(cls=Command, epilog=examples(make_random.EXAMPLES))(make_random.make_random)
    app.add_typer(bench.app, name="bench", cls=Group, epilog=examples(bench.EXAMPLES))
    app.command(cls=Command, epilog=examples(profile.EXAMPLES))(profile.profile)
    app.command(cls=Command, epilog=examples(host.EXAMPLES))(host.host)
    app.command(cls=Command, epilog=examples(doctor.EXAMPLES))(doctor.doctor)
    app.command(cls=Command, epilog=examples(resolve.EXAMPLES))(resolve.resolve)
    app.add_typer(ranktable.app, name="ranktable", cls=Group, epilog=examples(ranktable.EXAMPLES))
    app.add_typer(container.app, name="container", cls=Group, epilog=examples(container.EXAMPLES))
    app.add_typer(catalog.app, name="catalog", cls=Group, epilog=examples(catalog.EXAMPLES))
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"paddock {__version__}")
        raise typer.Exit


def paddock(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Deploys and runs Llama 2 models on Ascend, NVIDIA and plain CPUs."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
