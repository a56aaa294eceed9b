"""How help looks and how Ctrl-C and a closed pipe leave a command."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from paddock.errors import UsageError, nearest


def examples(text: str) -> str:
    r"""An ``Examples:`` paragraph for the end of a help page; ``\b`` keeps its lines."""
    lines = "\n".join(f"  {line}" for line in text.strip().splitlines())
    return f"\b\nExamples:\n{lines}"


def _format_options(command: Any, context: Any, formatter: Any) -> None:
    """Arguments, then options under the heading (``rich_help_panel``) each was declared with."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        is_argument = parameter.param_type_name == "argument"
        panel = getattr(parameter, "rich_help_panel", None)
        title = "Arguments" if is_argument else panel or "Options"
        sections.setdefault(title, []).append(record)
    order = ("Arguments", "Options")
    for title in sorted(sections, key=lambda t: order.index(t) if t in order else len(order)):
        with formatter.section(title):
            formatter.write_dl(sections[title])


class Command(TyperCommand):
    """A command whose options are grouped in its help."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the sections; called by the parser."""
        _format_options(self, ctx, formatter)


class Group(TyperGroup):
    """A command that has commands."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the commands, then the options; called by the parser."""
        self.format_commands(ctx, formatter)
        _format_options(self, ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Names the nearest command where there is none of that name."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise UsageError(
                f"no such command: {args[0]}{nearest(args[0], self.list_commands(ctx))}",
                hint=f"see: {ctx.command_path} --help",
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Keeps the parser from turning Ctrl-C and a closed pipe into messages."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:
            raise typer.Exit(141) from None
