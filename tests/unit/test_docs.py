"""Documentation that a machine can check: links, commands, options, examples, stale pages."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gen_cli_docs
import gen_metrics_docs
from paddock.cli.app import command

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md"),
                 *ROOT.glob("examples/**/*.md"))
)  # fmt: skip
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _anchor(heading: str) -> str:
    """GitHub's rule: lower case, punctuation gone, spaces to dashes."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_code(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} in {_id(page)}"
        assert file.is_relative_to(ROOT), f"{target} leaves the project"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.M)
            assert anchor in map(_anchor, headings), f"{target} in {_id(page)}"


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_no_paths_of_somebodys_machine(page: Path) -> None:
    found = re.findall(r"(?:/home/|/root/|/Users/)[\w.-]*", page.read_text(encoding="utf-8"))
    assert not found


def _commands(page: Path) -> dict[str, str]:
    """Name -> the text of the block that follows ``<!-- command: NAME -->``."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"<!-- command: (\w+) -->\n```bash\n(.*?)\n```", text, flags=re.S)
    assert len(found) == len(dict(found))
    return dict(found)


def test_the_two_commands() -> None:
    english, chinese = map(_commands, READMES)
    assert english == chinese
    assert set(english) == {"run", "test"}
    for line in english.values():
        assert "\n" not in line
        assert "http" not in line
    assert english["run"].endswith("paddock up --yes")
    assert english["test"].endswith("pytest")


@pytest.mark.parametrize("name", ["run", "test"])
def test_ci_extracts_them_word_for_word(name: str) -> None:
    script = [str(ROOT / "scripts" / "readme_command"), name]
    found = subprocess.run(script, capture_output=True, text=True, check=True)
    assert found.stdout == _commands(READMES[0])[name] + "\n"
    assert f"scripts/readme_command {name}" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "pair", [READMES, (ROOT / "docs/quickstart.md", ROOT / "docs/quickstart.zh-CN.md")]
)
def test_both_languages_show_the_same_code(pair: tuple[Path, Path]) -> None:
    """Comments may be translated."""
    codes = []
    for page in pair:
        blocks = re.findall(r"```(\w*)\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
        codes.append([(kind, re.sub(r" *#.*", "", code)) for kind, code in blocks])
    assert codes[0] == codes[1]


def test_the_command_reference_is_fresh() -> None:
    page = ROOT / "docs" / "reference" / "cli.md"
    assert page.read_text(encoding="utf-8") == gen_cli_docs.render(), "run scripts/gen_cli_docs.py"


def test_the_metrics_reference_is_fresh() -> None:
    page = ROOT / "docs" / "reference" / "metrics.md"
    assert page.read_text(encoding="utf-8") == gen_metrics_docs.page()


def _command_lines() -> Iterator[tuple[Path, str]]:
    """Every ``paddock ...`` in the code of the pages."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"```(?:bash|sh|text|console)\n(.*?)```", text, flags=re.S)
        lines = [line for block in blocks for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
        for line in lines:
            code = line.partition(" #")[0]
            found = re.search(r"(?:^|(?<!from)[\s|/$])paddock ((?!\d)[a-z-].*)", code)
            if found:
                yield page, found.group(1)


def test_every_option_in_the_docs_exists() -> None:
    root = command()
    checked = 0
    for page, line in _command_lines():
        words = re.findall(r'"[^"]*"|\'[^\']*\'|\S+', line)
        here: Any = root
        while words and words[0] in getattr(here, "commands", {}):
            here = here.commands[words.pop(0)]
        known = {name for p in here.params for name in (*p.opts, *p.secondary_opts)}
        known |= {"--help", "-h"}
        if here is root:
            assert words[0].partition("=")[0] in known, f"paddock {line} in {_id(page)}"
        for word in words:
            if word == "--" and here is root.commands["exec"]:
                break  # somebody else's program
            if word == "--":  # what export writes down is given to serve
                known = {name for p in root.commands["serve"].params for name in p.opts}
            if re.match(r"--?[a-zA-Z]", word):
                assert word.partition("=")[0] in known, f"paddock {line} in {_id(page)}"
                checked += 1
    assert checked > 30


def test_decisions_are_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(re.findall(r"\]\((\d{4}-[^)]+)\)", (folder / "README.md").read_text()))
    assert listed == {path.name for path in folder.glob("0*.md")}


def test_the_reference_script_agrees() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "gen_cli_docs.py"), "--check"]
    env = {"PYTHONPATH": str(ROOT / "src")}
    assert subprocess.run(script, env=env, check=False).returncode == 0
