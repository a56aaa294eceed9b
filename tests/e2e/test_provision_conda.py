"""Environments by a real conda from a channel on loopback, on a layer over this machine."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import condakit
import pytest
from machines import Layered, layered
from webserver import Mirror, serving

import pythons
from paddock.deploy import catalog
from paddock.deploy.host import probe
from paddock.deploy.plan import decide
from paddock.deploy.provision import Context, python
from paddock.deploy.resolve import HostView, make, resolve
from paddock.deploy.stackfile import ContainerWish, Mirrors, PythonWish, Stackfile, StackWish
from paddock.deploy.step import Machine, Step
from paddock.errors import StepFailed
from paddock.shell import LocalRunner

pytestmark = pytest.mark.e2e
FOLDER = "/var/lib/paddock-test"
PREFIX = f"{FOLDER}/python/paddock"


@pytest.fixture(scope="module")
def other() -> pythons.Python:
    """A Python of a version that a stack of MindSpore can have, and the tests' own is not."""
    found = pythons.other("3.9", "3.10")
    if found is None:
        pytest.skip("there is no other Python here to make a package of")
    return found


@pytest.fixture(scope="module")
def shop(other: pythons.Python) -> Iterator[Mirror]:
    """A server with a channel and an installer; outside /tmp, which a layer has of its own."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="paddock-conda-") as name:
        condakit.channel(Path(name, "pkgs/main"), other)
        condakit.installer(Path(name, "Conda-Linux-x86_64.sh"))
        with serving(Path(name)) as mirror:
            yield mirror


@pytest.fixture(scope="module")
def layer(shop: Mirror, other: pythons.Python) -> Iterator[Layered]:
    with layered() as made:
        yield made


@pytest.fixture
def machine(layer: Layered, shop: Mirror) -> Iterator[Machine]:
    """The layer without a conda; a test that fails leaves none to the next one."""
    yield Machine(layer, FOLDER)
    shop.cut = None
    layer.run(["rm", "-rf", FOLDER, "/opt/conda", "/root/.conda"])


def context(
    machine: Machine, shop: Mirror, other: pythons.Python, wish: PythonWish, channel: str = "main"
) -> Context:
    """MindSpore straight onto the layer; every ``auto`` decided as ``paddock up`` does it."""
    facts = probe.read(machine.runner)
    file = Stackfile(
        container=ContainerWish(engine="none"),
        mirrors=Mirrors(conda=f"{shop.address}/pkgs/{channel}/"),
        python=wish,
        stack=StackWish(framework="mindspore"),
    )
    data = catalog.load()
    view = HostView(accelerator="ascend", chip="910b", arch="x86_64")
    stack = resolve(data, view, make(data, "mindspore", python=other.version))
    return Context(decide.decide(file, facts, facts), facts, facts, stack, FOLDER)


CHANGES = re.compile(rf"^/(tmp|run)/|^{FOLDER}/jobs/|^/var/lib/paddock-test/jobs/")


def files(layer: Layered) -> set[str]:
    """What differs from the machine below; conda's caches of packages and notices stay."""
    paths = {path for path in layer.changed() if not CHANGES.search(path)}
    return {path for path in paths if "/pkgs/" not in path and "/.cache/" not in path}


def apply(machine: Machine, steps: list[Step]) -> dict[str, dict[str, object]]:
    """Checks, applies and checks each; what was there before by step."""
    befores = {}
    for step in steps:
        state = step.check(machine)
        assert not state.right, step.id
        befores[step.id] = dict(state.before)
        step.apply(machine, print)
        assert step.check(machine).right, step.id
    return befores


def undo(machine: Machine, steps: list[Step], befores: dict[str, dict[str, object]]) -> None:
    for step in reversed(steps):
        step.undo(machine, befores[step.id], print)


def conda(machine: Machine, program: str, *words: str) -> object:
    done = machine.run([program, *words, "--json"], timeout=300)
    assert done.ok, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_by_an_installer_that_is_given(
    layer: Layered, machine: Machine, shop: Mirror, other: pythons.Python
) -> None:
    before = files(layer)
    installer = str(shop.root / "Conda-Linux-x86_64.sh")
    of = context(machine, shop, other, PythonWish(installer=installer))
    assert of.file.python.manager == "conda", "who gives an installer wants conda"
    steps = python.steps(of)
    names = [step.id for step in steps]
    assert names == ["python.conda", "python.environment", "python.channels"]
    befores = apply(machine, steps)

    # The environment is what the stack says, by the judgement of conda and of itself.
    program = f"{FOLDER}/conda/bin/conda"
    assert machine.run([program, "--version"]).stdout == f"conda {condakit.VERSION}\n"
    listed = conda(machine, program, "list", "-p", PREFIX)
    assert isinstance(listed, list)
    assert {each["name"]: each["version"] for each in listed}["python"] == other.full
    assert {each["base_url"] for each in listed} == {f"{shop.address}/pkgs/main"}
    wanted = of.stack.version("python") if of.stack else None
    assert wanted is not None and wanted.startswith(other.version)
    assert machine.run([f"{PREFIX}/bin/python", "--version"]).stdout == f"Python {other.full}\n"
    assert machine.run([f"{PREFIX}/bin/pip", "--version"]).ok
    assert machine.run([f"{PREFIX}/bin/python", "-c", "import ssl, sqlite3, ctypes"]).ok

    # Whoever uses conda in it goes to the mirror and nowhere else.
    del shop.asked[:]
    sought = machine.run([program, "install", "-p", PREFIX, "-y", "no-such-package"], timeout=300)
    assert "PackagesNotFoundError" in sought.stdout + sought.stderr
    assert shop.asked and "repo.anaconda.com" not in sought.stdout + sought.stderr

    now = files(layer)
    assert all(step.check(machine).right for step in steps)
    undo(machine, steps, befores)
    assert now - files(layer)
    assert files(layer) == before
    undo(machine, steps, befores)


def test_by_an_address_whose_download_breaks_off(
    layer: Layered, machine: Machine, shop: Mirror, other: pythons.Python
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    before = files(layer)
    address = f"{shop.address}/Conda-Linux-x86_64.sh"
    (step, *_) = python.steps(context(machine, shop, other, PythonWish(installer=address)))
    state = step.check(machine)
    shop.cut = ".sh"
    with pytest.raises(StepFailed, match="a download was cut off") as caught:
        step.apply(machine, print)
    assert "goes on where it stopped" in (caught.value.hint or "")
    assert not step.check(machine).right
    shop.cut = None
    del shop.resumed[:]
    step.apply(machine, print)
    assert shop.resumed == ["/Conda-Linux-x86_64.sh"], "it did not begin anew"
    assert step.check(machine).right
    step.undo(machine, state.before, print)
    assert files(layer) == before


def test_by_a_conda_that_is_there(
    layer: Layered, machine: Machine, shop: Mirror, other: pythons.Python
) -> None:
    installer = str(shop.root / "Conda-Linux-x86_64.sh")
    assert machine.run(["bash", installer, "-b", "-p", "/opt/conda"], timeout=300).ok
    of = context(machine, shop, other, PythonWish())
    tool = of.inside.tool("conda")
    assert tool is not None
    assert (tool.path, tool.version) == ("/opt/conda/bin/conda", condakit.VERSION)
    before = files(layer)
    steps = python.steps(of)
    assert [step.id for step in steps] == ["python.environment", "python.channels"]
    befores = apply(machine, steps)
    environments = conda(machine, tool.path, "env", "list")
    assert isinstance(environments, dict) and PREFIX in environments["envs"]
    # Broken off in the middle, as conda leaves it: not taken for somebody else's.
    machine.run(["rm", f"{PREFIX}/.paddock", f"{PREFIX}/bin/python"])
    machine.write(f"{PREFIX}.making", "")
    assert not steps[0].check(machine).right
    steps[0].apply(machine, print)
    steps[1].apply(machine, print)
    assert all(step.check(machine).right for step in steps)
    undo(machine, steps, befores)
    assert files(layer) == before
    environments = conda(machine, tool.path, "env", "list")
    assert isinstance(environments, dict) and PREFIX not in environments["envs"]


def test_what_the_channel_does_not_have_is_said(
    machine: Machine, shop: Mirror, other: pythons.Python
) -> None:
    installer = str(shop.root / "Conda-Linux-x86_64.sh")
    assert machine.run(["bash", installer, "-b", "-p", "/opt/conda"], timeout=300).ok
    for wish, channel, said in (
        (PythonWish(version="3.6"), "main", "cannot be had here"),
        (PythonWish(), "nowhere", "no package lists"),
    ):
        (step, *_) = python.steps(context(machine, shop, other, wish, channel))
        with pytest.raises(StepFailed, match=said) as caught:
            step.apply(machine, print)
        assert caught.value.hint
        step.undo(machine, {"state": "none"}, print)
        assert not machine.run(["test", "-e", PREFIX]).ok


def test_a_damaged_installer_and_a_folder_of_somebody_else(
    machine: Machine, shop: Mirror, other: pythons.Python
) -> None:
    good = shop.root / "Conda-Linux-x86_64.sh"
    bad = shop.root / "bad.sh"
    bad.write_bytes(good.read_bytes()[:-1] + b"x")
    (step, *_) = python.steps(context(machine, shop, other, PythonWish(installer=str(bad))))
    with pytest.raises(StepFailed) as caught:
        step.apply(machine, print)
    assert "checksum" in caught.value.log
    assert not machine.run(["test", "-e", f"{FOLDER}/conda"]).ok
    machine.write(f"{PREFIX}/mine", "mine")
    steps = python.steps(context(machine, shop, other, PythonWish(installer=str(good))))
    with pytest.raises(StepFailed) as caught:
        steps[1].apply(machine, print)
    assert "not Paddock's to replace" in caught.value.log
    steps[1].undo(machine, {"state": "none"}, print)
    assert machine.read(f"{PREFIX}/mine") == "mine"
    assert LocalRunner().read(f"{PREFIX}/mine") is None
