"""The worker's own file, run as it is: old syntax, no MindSpore, and messages apart from prints."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from paddock.errors import DeviceError, RuntimeLost
from paddock.inference.runtimes.mindspore.channel import WORKER, Channel, Failed
from paddock.inference.runtimes.mindspore.python import find_python
from paddock.shell import Output, RecordedRunner

FILES = [WORKER, WORKER.with_name("cpu_standins.py")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_python_3_7_and_needs_the_standard_library_only(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 7))
    named = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named.add((node.module or "").partition(".")[0])
        # New in 3.8 and later, which no syntax check finds.
        assert not (
            isinstance(node, ast.Attribute) and node.attr in ("removeprefix", "removesuffix")
        )
    assert named - {"numpy"} <= sys.stdlib_module_names  # numpy is MindSpore's own need


@pytest.fixture
def worker(tmp_path: Path) -> Channel:
    return Channel([sys.executable, "-S", str(WORKER)], folder=tmp_path)


def test_what_it_cannot_do_is_told_and_it_goes_on(worker: Channel) -> None:
    question = {"do": "open", "context": {"device_target": "CPU"}, "model_config": {}}
    for _ in range(2):
        with pytest.raises(Failed) as told:
            worker.ask(question, 60)
        assert told.value.kind == "ModuleNotFoundError" and "mindspore" in told.value.told
    with pytest.raises(Failed, match="there is no request 'dance'"):
        worker.ask({"do": "dance"}, 60)
    worker.close()


def test_what_mindspore_prints_does_not_get_among_the_messages(tmp_path: Path) -> None:
    package = tmp_path / "mindspore"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import os\nprint('loud')\nos.write(1, b'louder')\nassert not os.read(0, 1)\n"
    )
    loud = Channel([sys.executable, str(WORKER)], variables={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(Failed, match=r"mindspore\.common|mindformers"):
        loud.ask({"do": "open", "context": {"device_target": "CPU"}, "model_config": {}}, 60)
    loud.close()


def test_it_ends_when_it_is_told_to(worker: Channel) -> None:
    with pytest.raises(RuntimeLost, match="exit code 0"):
        worker.ask({"do": "stop"}, 60)


def test_the_python_is_the_named_one_or_one_that_has_both(tmp_path: Path) -> None:
    folder = tmp_path / "env"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    assert find_python(folder) == find_python(folder / "bin" / "python") == f"{folder}/bin/python"
    nowhere = RecordedRunner()
    with pytest.raises(DeviceError, match="no Python with MindSpore and MindFormers was found"):
        find_python(None, nowhere)

    class Has:
        target = "local"

        def run(self, argv: list[str], *, timeout: float = 0, stdin: str = "") -> Output:
            assert argv[0] == "python3" and "mindformers" in argv[2]
            return Output(0)

        def read(self, path: str) -> None:
            return None

    assert find_python(None, Has()) == "python3"
