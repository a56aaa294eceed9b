"""Container engines, networks, package sources and Pythons of other machines."""

from __future__ import annotations

import json

import pytest

from answers import answer, parts
from paddock.deploy.host import engines, network, software
from paddock.deploy.host.facts import Note, Python
from paddock.deploy.host.frames import Frame

DOCKER = {
    "ServerVersion": "20.10.24",
    "Runtimes": {"runc": {"path": "runc"}, "ascend": {"path": "/usr/local/Ascend/x"}},
    "DefaultRuntime": "ascend",
    "Driver": "overlay2",
    "CgroupVersion": "1",
    "DockerRootDir": "/var/lib/docker",
    "SecurityOptions": ["name=seccomp,profile=default"],
}


def test_docker_that_answers() -> None:
    found = parts(
        Frame("engine docker", "/usr/bin/docker"),
        Frame("docker --version", "Docker version 20.10.24, build 297e128"),
        Frame("docker info", "WARNING: No swap limit support\n" + json.dumps(DOCKER)),
        Frame("docker containers", CONTAINERS),
        Frame("file /etc/docker/daemon.json", '{"runtimes": {"ascend": {}}}', modified=1.0),
    )
    (docker,) = engines.engines(found, [])
    assert (docker.version, docker.server_version, docker.answers) == ("20.10.24", "20.10.24", True)
    assert docker.runtimes == ("ascend", "runc")
    assert docker.default_runtime == "ascend"
    assert docker.configured_runtimes == ("ascend",)
    assert docker.problem is None
    one, two = engines.containers(found)
    assert (one.name, one.id, one.privileged) == ("mf", "0123456789ab", False)
    assert one.devices == ("/dev/davinci0", "/dev/davinci_manager")
    assert (one.visible_devices, one.published) == ("0-1", ("22/tcp",))
    assert (two.name, two.devices, two.privileged, two.network) == ("db", (), True, "host")


CONTAINERS = """container /mf
id 0123456789abcdef0123456789abcdef
image mindformers:1.0
privileged false
runtime ascend
network bridge
device /dev/davinci0
device /dev/davinci_manager
publish 22/tcp
env ASCEND_VISIBLE_DEVICES=0-1
container /db
id ff
image db
privileged true
runtime runc
network host
"""


@pytest.mark.parametrize(
    ("said", "code", "problem"),
    [
        ("Cannot connect to the Docker daemon at unix:///x", 1, "Cannot connect"),
        ('{"ServerErrors": ["permission denied while trying to connect"]}', 1, "permission denied"),
        ('{"ServerVersion": "20', 0, "not whole JSON"),
        ("", 124, "did not answer in time"),
    ],
)
def test_docker_that_does_not_answer(said: str, code: int, problem: str) -> None:
    found = parts(Frame("engine docker", "/usr/bin/docker"), Frame("docker info", said, code))
    (docker,) = engines.engines(found, [])
    assert docker.answers is False
    assert problem in (docker.problem or "")


def test_podman_isula_and_others() -> None:
    info = {
        "host": {"ociRuntime": {"name": "crun"}, "cgroupVersion": "v2"},
        "store": {"graphDriverName": "overlay", "graphRoot": "/var/lib/containers/storage"},
        "version": {"Version": "4.3.1"},
    }
    found = parts(
        Frame("engine podman", "/usr/bin/podman"),
        Frame("podman --version", "podman version 4.3.1"),
        Frame("podman info", json.dumps(info)),
        Frame("engine isula", "/usr/bin/isula"),
        Frame("isula info", "Server Version: 2.1.3\nStorage Driver: overlay2\n"),
        Frame("engine containerd", "/usr/bin/containerd"),
        Frame(
            "containerd --version", "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20"
        ),
    )
    podman, isula, containerd = engines.engines(found, [])
    assert (podman.server_version, podman.runtimes, podman.cgroup_version) == (
        "4.3.1",
        ("crun",),
        "2",
    )
    assert (isula.server_version, isula.storage_driver, isula.answers) == (
        "2.1.3",
        "overlay2",
        True,
    )
    assert (containerd.version, containerd.answers) == ("1.6.20~ds1", None)
    (unasked,) = engines.engines(parts(Frame("engine podman", "/usr/bin/podman")), [])
    assert "would make one" in (unasked.problem or "")


def test_ports_from_the_kernels_table() -> None:
    found = answer(
        **{
            "listening": "   0: 0100007F:1F90 00000000:0000 0A 0\n"
            "   1: 00000000000000000000000000000000:0016 0:0 0A 0\n"
            "   2: 00000000000000000000000001000000:0277 0:0 0A 0",
            "ss -Hltnp": 'LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=1,fd=3))',
        }
    )
    assert [(p.port, p.address, p.process) for p in network.ports(found, [])] == [
        (22, "::", "sshd"),
        (631, "::1", None),
        (8080, "127.0.0.1", None),
    ]


def test_proxies_of_files() -> None:
    lines = (
        '/etc/environment:http_proxy="http://***@proxy:3128"\n'
        '/etc/apt/apt.conf.d/80p:Acquire::http::Proxy "http://proxy:3128";\n'
        '/root/.docker/config.json:   "httpsProxy": "http://proxy:3128",\n'
        "/etc/yum.conf:proxy=http://proxy:3128\n"
        "/etc/environment:#https_proxy=http://old\n"
        '/etc/systemd/system/docker.service.d/p.conf:Environment="NO_PROXY=localhost,127.0.0.1"\n'
    )
    found = network.proxies(answer(**{"proxy files": lines}), {"no_proxy": "a,b", "OTHER": "x"})
    assert [(p.variable, p.value) for p in found] == [
        ("no_proxy", "a,b"),
        ("http_proxy", "http://***@proxy:3128"),
        ("Acquire::http::Proxy", "http://proxy:3128"),
        ("httpsProxy", "http://proxy:3128"),
        ("proxy", "http://proxy:3128"),
        ("NO_PROXY", "localhost,127.0.0.1"),
    ]


def test_package_sources() -> None:
    found = answer(
        **{
            "pip files": "/etc/pip.conf:index-url = https://a.org/simple\n"
            "/etc/pip.conf:extra-index-url = https://b.org/simple https://c.org/simple\n"
            "/etc/pip.conf:proxy = http://p\n"
            '/etc/uv/uv.toml:url = "https://d.org/simple"\n'
            "/root/.condarc:  - conda-forge\n"
            "/root/.condarc:  custom: https://e.org/conda\n",
            "apt sources": "/etc/apt/sources.list:deb [arch=arm64] http://f.org/ports bionic main\n"
            "/etc/apt/sources.list.d/x.sources:Types: deb\n"
            "/etc/apt/sources.list.d/x.sources:URIs: http://g.org/debian\n"
            "/etc/apt/sources.list.d/x.sources:Suites: bookworm bookworm-updates\n"
            "/etc/apt/sources.list.d/x.sources:\n"
            "/etc/apt/sources.list.d/x.sources:Enabled: no\n"
            "/etc/apt/sources.list.d/x.sources:URIs: http://off.org\n"
            "/etc/apt/sources.list.d/x.sources:Suites: x\n",
            "yum sources": "/etc/yum.repos.d/a.repo:[base]\n"
            "/etc/yum.repos.d/a.repo:baseurl=https://h.org/$releasever\n",
        }
    )
    got = [
        (i.tool, i.url, i.suite) for i in network.indexes(found, {"PIP_INDEX_URL": "https://z.org"})
    ]
    assert got == [
        ("pip", "https://z.org", None),
        ("pip", "https://a.org/simple", None),
        ("pip", "https://b.org/simple", None),
        ("pip", "https://c.org/simple", None),
        ("uv", "https://d.org/simple", None),
        ("conda", "conda-forge", None),
        ("conda", "https://e.org/conda", None),
        ("apt", "http://f.org/ports", "bionic"),
        ("apt", "http://g.org/debian", "bookworm"),
        ("apt", "http://g.org/debian", "bookworm-updates"),
        ("yum", "https://h.org/$releasever", None),
    ]


PYTHON = """executable=/usr/bin/python3
version=3.9.2
prefix=/opt/conda/envs/mf
base=/opt/conda/envs/mf
implementation=cpython
libpython=/opt/conda/envs/mf/lib/libpython3.9.so.1.0
folder=/opt/conda/envs/mf/lib/python3.9/site-packages
dist=torch_npu-2.1.0.post3.dist-info
dist=PyYAML-6.0.egg-info
dist=Foo.Bar-1.0-py3.9.egg-info
dist=numpy-2.0.1.dist-info
dist=numpy-1.26.4.dist-info
dist=broken.dist-info
"""


def test_packages_from_their_folders() -> None:
    found = parts(Frame("python /usr/bin/python3", PYTHON), Frame("python count", "1"))
    (python,) = software.pythons(found, notes := [])
    assert notes == []
    assert (python.kind, python.active, python.version) == ("conda", True, "3.9.2")
    assert python.packages == {
        "foo-bar": "1.0",
        "numpy": "2.0.1",  # the first counts, as it does for Python
        "pyyaml": "6.0",
        "torch-npu": "2.1.0.post3",
    }
    assert python.version_of("torch_npu") == "2.1.0.post3"
    assert python.version_of("Foo.Bar") == "1.0"
    assert python.version_of("torch") is None


@pytest.mark.parametrize(
    ("prefix", "base", "kind"),
    [
        ("/opt/app/.venv", "/usr", "venv"),
        ("/usr", "/usr", "system"),
        ("/root/.pyenv/versions/3.10.13", "/root/.pyenv/versions/3.10.13", "pyenv"),
        ("/root/miniconda3", "/root/miniconda3", "conda"),
        ("/r/.local/share/uv/python/cpython-3.11", "/r/.local/share/uv/python/cpython-3.11", "uv"),
        ("/usr/local/python3.7.5", "/usr/local/python3.7.5", "other"),
    ],
)
def test_kinds_of_python(prefix: str, base: str, kind: str) -> None:
    text = f"executable={prefix}/bin/python3\nversion=3.9.0\nprefix={prefix}\nbase={base}"
    (python,) = software.pythons(parts(Frame("python /x", text), Frame("python count", "1")), [])
    assert python.kind == kind


def test_a_python_that_is_broken_is_a_note() -> None:
    failed = Frame(
        "python /opt/x/bin/python3", "error while loading shared libraries: libpython3.7m", 127
    )
    notes: list[Note] = []
    assert software.pythons(parts(failed, Frame("python count", "30")), notes) == ()
    assert "libpython3.7m" in notes[0].why
    assert notes[1].what == "further interpreters"


def test_a_fresh_python_has_no_packages() -> None:
    assert Python("/usr/bin/python3").version_of("numpy") is None
