"""The list of packages is that of the machine's own release and processor, and goes away again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import simhost
from paddock.deploy.provision import mirrors, repositories
from paddock.deploy.step import HOST, Machine
from paddock.errors import StepFailed, UsageError
from paddock.shell import LocalRunner

HERE = Path(__file__).parent
CASES = yaml.safe_load((HERE / "mirror_lists.yaml").read_text())
REPOSITORIES = yaml.safe_load((HERE / "repository_files.yaml").read_text())
MIRROR = "https://m.example.org"
KEYRING = re.compile(r" \[signed-by=[^]]*\]")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_list_is_of_the_release_and_the_processor(case: dict[str, Any], tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text("".join(f'{k}="{v}"\n' for k, v in case["release"].items()))
    call = f'{mirrors.WANTED}\nwanted "$1" "$2" "$3"'
    words = (MIRROR, str(release), case["architecture"])
    output = LocalRunner().run(["sh", "-euc", call, "sh", *words])
    if "refused" in case:
        assert output.exit_code == 2
        assert case["refused"] in output.stderr
        return
    lines = [KEYRING.sub("", line) for line in output.stdout.splitlines()]
    assert lines[0].startswith("# Written by Paddock")
    assert lines[1:] == case["lines"]


@pytest.mark.parametrize("case", REPOSITORIES, ids=lambda case: case["name"])
def test_repositories_stay_what_they_are_at_the_mirror(
    case: dict[str, Any], tmp_path: Path
) -> None:
    release, file = tmp_path / "os-release", tmp_path / "system.repo"
    release.write_text("".join(f'{k}="{v}"\n' for k, v in case["release"].items()))
    (tmp_path / "centos-release").write_text(f"{case.get('centos', '')}\n")
    file.write_text(case["file"])
    call = f'{repositories.MOVED}\nmoved "$@"'
    words = (MIRROR, str(release), case["architecture"], str(file))
    output = LocalRunner().run(["sh", "-euc", call, "sh", *words])
    if "refused" in case:
        assert output.exit_code == 2
        assert case["refused"] in output.stderr
        return
    comment, _, moved = output.stdout.partition("\n")
    assert comment.startswith(f"# Written by Paddock: {case['release']['ID']} ")
    assert moved == case["moved"]


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://repo.huaweicloud.com", "https://repo.huaweicloud.com"),
        ("https://mirrors.tuna.tsinghua.edu.cn/", "https://mirrors.tuna.tsinghua.edu.cn"),
        ("http://m.example.org/ubuntu-ports/", "http://m.example.org"),
        ("http://m.example.org/pub/debian", "http://m.example.org/pub"),
        ("file:///srv/mirror", "file:///srv/mirror"),
    ],
)
def test_the_base_of_a_mirror(given: str, base: str) -> None:
    assert mirrors.base(given) == base


@pytest.mark.parametrize("given", ["m.example.org", "https://", "https://ada:secret@m.example.org"])
def test_what_is_no_mirror(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        mirrors.base(given)
    assert "secret" not in str(caught.value)


OS_RELEASE = 'ID=ubuntu\nVERSION_ID="20.04"\nVERSION_CODENAME=focal\n'


@pytest.fixture
def host(tmp_path: Path) -> simhost.SimulatedHost:
    return simhost.build(
        tmp_path / "host",
        {
            "/etc/os-release": OS_RELEASE,
            "/etc/apt/sources.list": "deb http://user:secret@old.example.org/ubuntu focal main\n",
            "/etc/apt/sources.list.d/docker.list": "deb http://docker.example.org focal stable\n",
            "/etc/ssl/certs/ca-certificates.crt": "",
        },
        {"/bin/apt-get": "exit 0\n", "/bin/dpkg": "echo arm64\n"},
    )


def test_own_lists_rest_and_come_back(host: simhost.SimulatedHost) -> None:
    machine = Machine(host, "/var/lib/paddock")
    step = mirrors.system(MIRROR, on=HOST)
    before = step.check(machine)
    assert not before.right
    step.apply(machine, print)
    assert step.check(machine).right
    text = machine.read("/etc/apt/sources.list.d/paddock.list") or ""
    assert "ubuntu-ports focal main" in text
    assert machine.read("/etc/apt/sources.list") is None
    assert machine.read("/etc/apt/sources.list.d/docker.list")  # somebody else's stays
    step.apply(machine, print)  # as after a run that was broken off at its end
    assert step.check(machine).right
    assert "secret" not in str(before)  # credentials of the old list do not reach the journal
    step.undo(machine, before.before, print)
    assert "old.example.org" in (machine.read("/etc/apt/sources.list") or "")
    assert machine.read("/etc/apt/sources.list.d/paddock.list") is None


def test_another_release_is_seen(host: simhost.SimulatedHost) -> None:
    machine = Machine(host, "/var/lib/paddock")
    step = mirrors.system(MIRROR, on=HOST)
    step.apply(machine, print)
    (host.root / "etc/os-release").write_text(OS_RELEASE.replace("focal", "jammy"))
    assert not step.check(machine).right


def test_a_system_without_lists_is_refused(host: simhost.SimulatedHost) -> None:
    (host.root / "etc/os-release").write_text("ID=gentoo\nVERSION_CODENAME=x\n")
    with pytest.raises(StepFailed, match="mirrors are known for"):
        mirrors.system(MIRROR, on=HOST).check(Machine(host, "/var/lib/paddock"))


EULER = 'ID="openEuler"\nVERSION_ID="22.03"\n'
REPO = (
    "[OS]\nname=OS\nbaseurl=http://repo.openeuler.org/openEuler-22.03-LTS/OS/$basearch/\n"
    "gpgkey=http://repo.openeuler.org/openEuler-22.03-LTS/OS/$basearch/RPM-GPG-KEY-openEuler\n"
)


def test_own_repositories_rest_and_come_back(tmp_path: Path) -> None:
    key = "/etc/pki/rpm-gpg/RPM-GPG-KEY-openEuler"
    files = {
        "/etc/os-release": EULER,
        "/etc/yum.repos.d/openEuler.repo": REPO,
        "/etc/yum.repos.d/other.repo": "[other]\nbaseurl=http://other.example.org/\n",
        key: "a key",
    }
    machine = Machine(simhost.build(tmp_path / "host", files), "/var/lib/paddock")
    step = mirrors.system(MIRROR, on=HOST)
    before = step.check(machine).before
    for _ in range(2):  # the second as after a run that was broken off at its end
        step.apply(machine, print)
        assert step.check(machine).right
        text = machine.read("/etc/yum.repos.d/paddock.repo") or ""
        assert f"baseurl={MIRROR}/openeuler/openEuler-22.03-LTS/OS/$basearch/" in text
        assert f"gpgkey=file://{key}\n" in text, "the key on the disk goes before the network's"
        assert "other.example.org" not in text
    assert machine.read("/etc/yum.repos.d/openEuler.repo") is None
    # An update of the package that owns the file brings it again, for another release.
    machine.write("/etc/yum.repos.d/openEuler.repo", REPO.replace("22.03", "24.03"))
    assert not step.check(machine).right
    step.apply(machine, print)
    assert step.check(machine).right
    assert "openEuler-24.03-LTS" in (machine.read("/etc/yum.repos.d/paddock.repo") or "")
    step.undo(machine, before, print)
    assert machine.read("/etc/yum.repos.d/openEuler.repo") == REPO.replace("22.03", "24.03")
    assert machine.read("/etc/yum.repos.d/paddock.repo") is None
    assert machine.read("/etc/yum.repos.d/other.repo")


def test_a_system_that_leads_nowhere_known_is_refused(tmp_path: Path) -> None:
    host = simhost.build(tmp_path / "host", {"/etc/os-release": EULER})
    with pytest.raises(StepFailed, match=r"no file in /etc/yum\.repos\.d"):
        mirrors.system(MIRROR, on=HOST).check(Machine(host, "/var/lib/paddock"))
