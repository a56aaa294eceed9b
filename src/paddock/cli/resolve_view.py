"""How ``paddock resolve`` shows a stack, a reason and a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paddock.cli import render

if TYPE_CHECKING:
    from paddock.deploy.resolve import Explanation, Stack, Why, Wish
    from paddock.errors import NoStack


def stack(found: Stack) -> None:
    """The stack as tables: components, settings, files; notes go to the person."""
    rows = [
        (choice.title, choice.version, choice.origin, choice.level)
        for choice in found.choices
        if choice.kind != "setting"
    ]
    render.table(("COMPONENT", "VERSION", "FROM", "LEVEL"), rows)
    settings = [(c.component, c.version) for c in found.choices if c.kind == "setting"]
    if settings:
        render.text("\nsettings\n")
        render.pairs([(f"  {name}", value) for name, value in settings])
    if found.files:
        render.text("\nfiles\n")
        for file in found.files:
            render.text(f"  {file.name}\n")
            for line in filter(None, (file.url, file.note)):
                render.text(f"      {line}\n")
    if found.images:
        render.text("\nimages that hold this stack already\n")
        for image in found.images:
            render.text(f"  {image}\n")
    for note in found.notes:
        render.line(f"note: {note}")


def why(answer: Why) -> None:
    """A component with its reasons, then each version that would have been better."""
    version = answer.version or "left open: no source says which"
    render.text(f"{answer.title} {version} ({answer.level or 'no pairs'})\n")
    for each in answer.evidence:
        other = (
            f"{each.object} {each.object_version}"
            if each.subject == answer.component
            else f"{each.subject} {each.subject_version}"
        )
        remark = f", {each.why}" if each.why else ""
        render.text(f"  with {other}: {each.level}, {each.url or each.source}{remark}\n")
    for rejected in answer.rejected:
        render.text(f"  not {rejected.version}: {rejected.reason}\n")


def refusal(wish: Wish, error: NoStack) -> None:
    """What conflicts and every way out, on stdout: it is the answer that was asked for."""
    count = len(error.explanations)
    render.text(f"There is no stack of {wish.framework} that fulfils this.\n")
    for number, found in enumerate(error.explanations, 1):
        explanation: Explanation = found
        indent = "   " if count > 1 else ""
        mark = f"\n{number}. " if count > 1 else "\n"
        for cause in explanation.causes:
            render.text(mark + f"\n{indent}".join(cause) + "\n")
            mark = f"{indent}also: "
        for url in explanation.sources:
            render.text(f"{indent}see {url}\n")
        one = len(explanation.corrections) == 1
        render.text(f"{indent}{'The way out:' if one else 'Ways out, each by itself enough:'}\n")
        for correction in explanation.corrections:
            render.text(f"{indent}- {correction.sentence}\n")
    if count > 1:
        render.text(f"\n{'Both' if count == 2 else f'All {count}'} have to be undone.\n")
