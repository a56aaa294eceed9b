"""The machine itself, as other systems print it."""

from __future__ import annotations

import pytest

from answers import answer
from paddock.deploy.host import system
from paddock.deploy.host.facts import Confinement, Note


def test_ubuntu_on_arm() -> None:
    found = answer(
        **{
            "file /etc/os-release": 'NAME="Ubuntu"\nVERSION_ID="20.04"\nID=ubuntu\nID_LIKE=debian\n'
            'PRETTY_NAME="Ubuntu 20.04.6 LTS"\nVERSION_CODENAME=focal\n',
            "uname -snrm": "Linux npu1 5.4.0-42-generic aarch64",
            "libc": "glibc 2.31",
            "file /proc/uptime": "350735.47 234388.90",
            "modules": "drv_davinci_intf_host\ndrv_pcie_host",
            "security": "selinux=Enforcing\napparmor=Y\nSeccomp:\t2\nCapEff:\t00000000a80425fb\n"
            "Cpus_allowed_list:\t0-3,8",
            "cpu": "processor\t: 0\nBogoMIPS\t: 200.00\nFeatures\t: fp asimd asimddp\n"
            "CPU implementer\t: 0x48\nCPU part\t: 0xd01\nModel name:  Kunpeng-920\n"
            "Vendor ID:   HiSilicon\nsockets=4\ncores=192\nonline=0-191\nnodes=0-7",
        }
    )
    notes: list[Note] = []
    os = system.system(found, notes)
    assert (os.id, os.version, os.codename, os.like) == ("ubuntu", "20.04", "focal", ("debian",))
    assert (os.kernel, os.arch, os.libc, os.libc_version) == (
        *("5.4.0-42-generic", "aarch64"),
        *("glibc", "2.31"),
    )
    assert os.security == ("selinux=enforcing", "apparmor", "seccomp=2")
    assert os.modules == ("drv_davinci_intf_host", "drv_pcie_host")
    cpu = system.cpu(found, notes)
    assert (cpu.model, cpu.vendor) == ("Kunpeng-920", "HiSilicon")
    assert (cpu.sockets, cpu.cores, cpu.threads, cpu.usable, cpu.numa_nodes) == (4, 192, 192, 5, 8)
    assert cpu.flags == ("asimd", "asimddp", "fp")
    assert notes == []


@pytest.mark.parametrize(
    ("text", "libc"),
    [
        ("glibc 2.36", ("glibc", "2.36")),
        ("ldd (Ubuntu GLIBC 2.31-0ubuntu9.9) 2.31\nCopyright", ("glibc", "2.31")),
        ("ldd (GNU libc) 2.28", ("glibc", "2.28")),
        ("musl libc (x86_64)\nVersion 1.2.4", ("musl", "1.2.4")),
        ("something else", (None, None)),
    ],
)
def test_c_libraries(text: str, libc: tuple[str | None, str | None]) -> None:
    notes: list[Note] = []
    found = system.system(answer(libc=text), notes)
    assert (found.libc, found.libc_version) == libc
    assert any(note.where == "libc" for note in notes) == (libc[0] is None)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max", None),
        ("1073741824", 2**30),
        ("9223372036854771712", None),
        ("", None),
        ("max\n2048", 2048),
    ],
)
def test_memory_limits_of_control_groups(limit: str, expected: int | None) -> None:
    found = answer(**{"file /proc/meminfo": "MemTotal: 16777216 kB\n", "memory limit": limit})
    memory = system.memory(found, [])
    assert (memory.total, memory.limit, memory.available) == (2**34, expected, None)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max 100000", None), ("250000 100000", 2.5), ("-1 100000", None), ("", None), ("max", None)],
)
def test_processor_time_of_control_groups(limit: str, expected: float | None) -> None:
    assert system.cpu(answer(**{"cpu limit": limit}), []).quota == expected


def test_file_systems() -> None:
    found = answer(
        **{
            "df -P -k": "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
            "/dev/sda1 1000 400 600 40% /\n"
            "//server/a share 2000 0 2000 0% /mnt/a b\n"
            "df: /run/user/1000/doc: Operation not permitted\n",
            "mounts": "/dev/sda1 / ext4 rw\nproc /proc proc rw\n"
            "//server/a\\040share /mnt/a\\040b cifs rw\n"
            "/dev/sda1 /usr/local/Ascend/driver/lib64 ext4 ro",
        }
    )
    real = system.filesystems(found, [])
    assert [(f.mount, f.kind, f.total, f.free) for f in real] == [
        ("/", "ext4", 1024_000, 614_400),
        ("/mnt/a b", "cifs", 2048_000, 2048_000),
        ("/usr/local/Ascend/driver/lib64", "ext4", None, None),
    ]
    assert [f.read_only for f in real] == [False, False, True]


def test_a_user_without_a_name() -> None:
    text = (
        "uid=1234\ngid=0\nname=\nhome=/\nshell=\ngroups=0 1000\nnamed=no\n"
        "group=root:x:0:\ngroup=\nother=HwHiAiUser:x:1000:\n"
    )
    user = system.user(answer(user=text, security="CapEff:\t0000000000000002"), [])
    assert (user.uid, user.gid, user.name, user.named) == (1234, 0, None, False)
    assert [(g.id, g.name) for g in user.groups] == [(0, "root"), (1000, "HwHiAiUser")]
    assert user.capabilities == 2


@pytest.mark.parametrize(
    ("began", "ended", "skew", "uncertainty"),
    [
        ("1000.000 +0000", "1000.500 +0000", 0.0, 0.25),  # the same clock, half a second of work
        ("1060.000 +0000", "1060.500 +0000", 60.0, 0.25),
        ("1000 +0800", "1000 +0800", -0.25 + 0.5, 1.0),  # whole seconds only
        ("1000.%N +0000", "1000.%N +0000", -0.25 + 0.5, 1.0),
        ("", "", None, None),
    ],
)
def test_clocks(began: str, ended: str, skew: float | None, uncertainty: float | None) -> None:
    found = answer(**{"clock": began, "clock end": ended, "timezone": "Asia/Shanghai"})
    # The question left at 999.75 and the answer was whole at 1000.75 by the reader's clock.
    clock = system.clock(found, reader=1000.75, seconds=1.0, notes=[])
    assert (clock.skew, clock.uncertainty) == (skew, uncertainty)
    assert clock.timezone == "Asia/Shanghai"


def test_the_container_that_one_sits_in() -> None:
    assert system.confinement(
        answer(confinement="docker /.dockerenv\ncontainer /proc/1/cgroup")
    ) == (Confinement("docker", "/.dockerenv"))
    assert system.confinement(answer(confinement="")) is None
