"""Packages by real dnf from a mirror, on a layer over this machine that is an openEuler to dnf."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import rpmkit
from machines import Layered, layered
from rpmkit import Rpm
from webserver import Mirror, serving

import pythons
from paddock.deploy import catalog
from paddock.deploy.host import probe
from paddock.deploy.provision import Context, base, python
from paddock.deploy.provision.packages import PackagesStep
from paddock.deploy.resolve import HostView, make, resolve
from paddock.deploy.stackfile import ContainerWish, Mirrors, PythonWish, Stackfile
from paddock.deploy.step import Machine
from paddock.errors import StepFailed
from paddock.shell import LocalRunner

pytestmark = pytest.mark.e2e
FOLDER = "/var/lib/paddock-test"


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[Mirror, str]]:
    """A mirror with what CANN needs and the public key that it is signed with."""
    rpmkit.needs()
    other = pythons.other("3.12", "3.10", "3.13", "3.9")
    # Below /tmp by a short name, because of gpg's socket.
    with tempfile.TemporaryDirectory(prefix="p-") as name:
        home = Path(name, "g")
        public = rpmkit.key(home)
        names = base.packages("dnf")
        packages = [
            Rpm("openEuler-release", "22.03", provides=("system-release = 22.03",)),
            *(Rpm(each) for each in names if each != "gcc"),
            # As the real one: it brings others along, and would like still more.
            Rpm("gcc", "10.3.1", requires=("cpp", "glibc-devel"), recommends=("annobin",)),
            *(Rpm("cpp", "10.3.1"), Rpm("glibc-devel"), Rpm("annobin")),
            *(Rpm("libjq"), Rpm("jq", requires=("libjq",)), Rpm("tree")),
            Rpm("python3", "3.9.9", provides=("python(abi) = 3.9",)),
        ]
        if other is not None:
            packages.append(Rpm(f"python{other.version}", other.full, files=other.files("/usr")))
        root = Path(name, "mirror")
        where = root / "openeuler" / rpmkit.RELEASE / "OS" / "x86_64"
        rpmkit.build(where, packages, home)
        rpmkit.build(root / "strange", [Rpm("unsigned")], None)
        (where / "RPM-GPG-KEY-openEuler").write_text(public)
        with serving(root) as mirror:
            yield mirror, public


@pytest.fixture(scope="module")
def layer(shop: tuple[Mirror, str]) -> Iterator[Layered]:
    with layered() as made:
        yield made


@pytest.fixture(scope="module")
def euler(shop: tuple[Mirror, str], layer: Layered) -> Machine:
    mirror, public = shop
    (released,) = mirror.root.rglob("openEuler-release-*.rpm")
    return rpmkit.become(layer, FOLDER, released, public)


@pytest.fixture
def mirror(shop: tuple[Mirror, str], euler: Machine) -> Iterator[Mirror]:
    """The mirror; what dnf has kept of it is forgotten."""
    assert euler.run(["dnf", "clean", "all"], timeout=120).ok
    yield shop[0]
    shop[0].cut = None


def context(machine: Machine, mirror: Mirror, wish: PythonWish | None = None) -> Context:
    """MindSpore with CANN straight onto the layer, whose facts are read from it."""
    facts = probe.read(machine.runner)
    file = Stackfile(
        container=ContainerWish(engine="none"),
        mirrors=Mirrors(apt=mirror.address),
        python=wish or PythonWish(manager="venv"),
    )
    data = catalog.load()
    view = HostView(accelerator="ascend", chip="910b", arch="x86_64")
    stack = resolve(data, view, make(data, "mindspore"))
    return Context(file, facts, facts, stack, FOLDER, artifacts="/srv/artifacts")


def installed(machine: Machine) -> set[str]:
    return set(machine.run(["rpm", "-qa"]).stdout.split())


NOT_COMPARED = re.compile(
    r"^/(var/(lib/(dnf|rpm)|cache|log)|etc/(\.pwd\.lock|.*-$)|run|tmp"
    rf"|{FOLDER[1:]}/(jobs|packages)|root/\.rpmdb)"
)
"""Databases, whose content is compared by asking them; logs, locks, jobs."""


def files(layer: Layered) -> dict[str, str]:
    """The checksums of the files of the layer that differ from those of the machine below it."""
    paths = sorted(path for path in layer.changed() if not NOT_COMPARED.search(path))
    sums = ["sha256sum", "--", *paths]
    there, below = layer.run(sums).stdout, LocalRunner().run(sums).stdout
    lines = set(there.splitlines()) - set(below.splitlines())
    lines = {line for line in lines if "/__pycache__/" not in line}  # what a Python writes
    return {line[66:]: line[:64] for line in lines}


def as_yum(machine: Machine) -> None:
    """As in CentOS 8, whose yum is dnf, for who has the habit."""
    assert machine.sh("mv /usr/bin/dnf /usr/bin/yum").ok


@pytest.mark.parametrize("program", ["dnf", "yum"])
def test_what_cann_needs_comes_from_the_mirror_and_goes_again(
    layer: Layered, euler: Machine, mirror: Mirror, program: str
) -> None:
    if program == "yum":
        as_yum(euler)
    try:
        before = installed(euler), files(layer)
        steps = base.steps(context(euler, mirror))
        assert [step.id for step in steps] == ["base.mirror", "base.packages", "base.user"]
        befores = {}
        for step in steps:
            state = step.check(euler)
            befores[step.id] = state.before
            assert not state.right, step.id
            step.apply(euler, print)
            assert step.check(euler).right, step.id
        assert any(f"/{rpmkit.RELEASE}/OS/x86_64/Packages/" in path for path in mirror.asked)
        now = installed(euler)
        assert {"gcc-10.3.1-1.x86_64", "cpp-10.3.1-1.x86_64", "gcc-gfortran-1.0-1.x86_64"} <= now
        assert "annobin-1.0-1.x86_64" not in now, "what is only recommended is not installed"
        for step in steps:  # a second time changes nothing
            step.apply(euler, print)
        assert installed(euler) == now
        assert all(step.check(euler).right for step in steps)
        for step in reversed(steps):
            step.undo(euler, befores[step.id], print)
        assert (installed(euler), files(layer)) == before
        for step in reversed(steps):
            step.undo(euler, befores[step.id], print)
        assert (installed(euler), files(layer)) == before
    finally:
        if program == "yum":
            assert euler.sh("mv /usr/bin/yum /usr/bin/dnf").ok


@pytest.fixture
def led(euler: Machine, mirror: Mirror) -> Iterator[Machine]:
    """The layer with its packages from the mirror."""
    step = base.steps(context(euler, mirror))[0]
    before = step.check(euler).before
    step.apply(euler, print)
    yield euler
    step.undo(euler, before, print)


def packages(*names: str, step: str) -> PackagesStep:
    return PackagesStep(step, "t", "w", names, names, FOLDER)


def test_what_somebody_else_needs_by_now_stays(led: Machine) -> None:
    step = packages("libjq", "tree", step="test.library")
    before = step.check(led)
    step.apply(led, print)
    assert led.run(["dnf", "install", "-y", "jq"], timeout=300).ok
    said: list[str] = []
    step.undo(led, before.before, said.append)
    assert any("libjq is needed by packages that came later" in line for line in said)
    left = installed(led)
    assert {"libjq-1.0-1.x86_64", "jq-1.0-1.x86_64"} <= left
    assert "tree-1.0-1.x86_64" not in left
    assert led.run(["dnf", "remove", "-y", "jq", "libjq"], timeout=300).ok


def failure(machine: Machine, step: PackagesStep) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        step.apply(machine, print)
    step.undo(machine, {"missing": list(step.dnf)}, print)
    return caught.value


def test_a_package_that_does_not_exist_is_said(led: Machine) -> None:
    error = failure(led, packages("no-such-package-of-paddock", "tree", step="test.none"))
    assert "have no such package" in error.message
    assert "no-such-package-of-paddock" in error.message
    assert "tree-1.0-1.x86_64" not in installed(led)


def test_a_download_that_is_cut_is_said_and_gone_on_with(led: Machine, mirror: Mirror) -> None:
    mirror.cut = "tree-1.0-1.x86_64.rpm"
    step = packages("tree", step="test.cut")
    before = step.check(led)
    error = failure(led, step)
    assert "a download was cut off" in error.message
    mirror.cut = None
    step.apply(led, print)
    assert step.check(led).right
    step.undo(led, before.before, print)


def test_a_mirror_without_this_release_is_said(led: Machine, mirror: Mirror) -> None:
    there = mirror.root / "openeuler"
    there.rename(mirror.root / "elsewhere")
    try:
        assert led.run(["dnf", "clean", "all"], timeout=120).ok
        error = failure(led, packages("tree", step="test.release"))
        assert "no package lists at this address" in error.message
        assert "mirrors.apt" in (error.hint or "")
    finally:
        (mirror.root / "elsewhere").rename(there)


def test_an_unsigned_package_is_refused(led: Machine, mirror: Mirror) -> None:
    strange = f"[strange]\nname=s\nbaseurl={mirror.address}/strange\ngpgcheck=1\n"
    led.write("/etc/yum.repos.d/strange.repo", f"{strange}gpgkey=file://{rpmkit.KEY}\n")
    try:
        error = failure(led, packages("unsigned", step="test.unsigned"))
        assert "not signed by anybody" in error.message
        assert "unsigned-1.0-1.x86_64" not in installed(led)
    finally:
        led.run(["rm", "/etc/yum.repos.d/strange.repo"])


def test_another_python_of_the_packages(layer: Layered, led: Machine, mirror: Mirror) -> None:
    other = pythons.other("3.12", "3.10", "3.13", "3.9")
    if other is None:
        pytest.skip("there is no other Python here to make a package of")
    hide = f"mount -t tmpfs tmpfs {other.prefix.parent}"
    assert led.sh(f"[ ! -d {other.prefix.parent} ] || {hide}").ok
    before = installed(led), files(layer)
    wish = PythonWish(manager="venv", version=other.version)
    interpreter, environment, *_ = python.steps(context(led, mirror, wish))
    befores = {}
    for step in (interpreter, environment):
        state = step.check(led)
        befores[step.id] = state.before
        assert not state.right, step.id
        step.apply(led, print)
        assert step.check(led).right, step.id
    version = led.run([f"{FOLDER}/python/paddock/bin/python", "--version"])
    assert version.stdout == f"Python {other.full}\n"
    for step in (environment, interpreter):
        step.undo(led, befores[step.id], print)
    assert (installed(led), files(layer)) == before


def test_a_python_that_no_package_has_is_said(led: Machine, mirror: Mirror) -> None:
    of = context(led, mirror, PythonWish(manager="venv", version="3.8"))
    interpreter = python.steps(of)[0]
    if interpreter.check(led).right:
        pytest.skip("this machine has a Python 3.8")
    with pytest.raises(StepFailed, match="cannot be had here"):
        interpreter.apply(led, print)


def test_kylin_is_told_that_no_mirror_has_it(euler: Machine, mirror: Mirror) -> None:
    kylin = rpmkit.OS_RELEASE.replace('"openEuler"', '"kylin"').replace('"22.03"', '"V10"')
    euler.write("/etc/os-release", kylin)
    try:
        step = base.steps(context(euler, mirror))[0]
        with pytest.raises(StepFailed, match=r"mirrors are known for .*") as caught:
            step.check(euler)
        assert "ID=kylin V10" in caught.value.message
    finally:
        euler.write("/etc/os-release", rpmkit.OS_RELEASE)
