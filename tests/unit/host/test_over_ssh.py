"""Over a real sshd on the loopback interface, with keys of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import sshd
from paddock.deploy.host import Host, probe
from paddock.errors import RunnerError, TimedOut, Unreachable
from paddock.shell import LocalRunner, SshRunner


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshRunner]:
    """The runner of a throw-away sshd."""
    with sshd.serving(tmp_path_factory.mktemp("ssh")) as runner:
        yield runner


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=60)


def stable(host: Host) -> Host:
    """What does not change from one look to the next, nor with the way to the machine."""
    return replace(
        host,
        target="",
        clock=replace(host.clock, host=None, reader=None, skew=None, uncertainty=None),
        system=replace(host.system, uptime_s=None),
        memory=replace(host.memory, available=None, swap_free=None),
        filesystems=tuple(replace(f, free=None) for f in host.filesystems),
        shared_memory=None,
        ports=(),
        environment={},
        pythons=(),
        tools=(),
        libraries=(),
        limits={},
        proxies=(),
        indexes=(),
        model_files=(),
        model_configs=(),
        locale=replace(host.locale, lang=None),
        containers=(),
        engines=(),
        notes=(),
    )


def test_the_same_machine_over_ssh_gives_the_same_facts(server: SshRunner) -> None:
    far = probe.read(server)
    assert far.target == server.target
    assert stable(far) == stable(probe.read(LocalRunner()))
    assert not [note for note in far.notes if note.where == "probe"]
    assert Host.from_json(far.to_json()) == far


def test_the_clocks_agree(server: SshRunner) -> None:
    clock = probe.read(server).clock
    assert clock.skew is not None
    assert clock.uncertainty is not None
    assert abs(clock.skew) <= clock.uncertainty + 0.2


def test_one_round_trip(server: SshRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.which("ssh")
    wrapper = tmp_path / "ssh"
    wrapper.write_text(f'#!/bin/sh\necho x >> {tmp_path}/calls\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    probe.read(server)
    assert (tmp_path / "calls").read_text() == "x\n"


def test_programs_files_and_exit_codes(server: SshRunner, tmp_path: Path) -> None:
    words = ["a b", "$HOME", "*", "'", '"', "\\", "", ";id", "é\n"]
    assert server.run(["printf", "%s|", *words]).stdout == "".join(f"{w}|" for w in words)
    assert server.run(["sh", "-c", "exit 7"]).exit_code == 7
    assert server.run(["no-such-program"]).exit_code == 127
    assert server.run(["cat"], stdin="x" * 300_000).stdout == "x" * 300_000
    assert server.run(["sh", "-c", "echo $LC_ALL"]).stdout == "C\n"
    (tmp_path / "file").write_text("text\n")
    assert server.read(str(tmp_path / "file")) == "text\n"
    assert server.read(str(tmp_path / "none")) is None
    with pytest.raises(RunnerError, match="Is a directory"):
        server.read(str(tmp_path))


def test_a_shared_connection(server: SshRunner, tmp_path: Path) -> None:
    # The name of a socket may have about a hundred bytes.
    folder = Path("/tmp") / f"pd{os.getpid()}"
    folder.mkdir(mode=0o700)
    shared = replace(server, control=folder)
    try:
        assert shared.run(["true"]).ok
        assert len(list(folder.iterdir())) == 1
        assert shared.run(["echo", "again"]).stdout == "again\n"
    finally:
        options = [f"-o{name}={value}" for name, value in shared.options.items()]
        place = [f"-oControlPath={folder}/%C", "-p", str(shared.port), "-l", str(shared.user)]
        _run("ssh", "-O", "exit", *options, *place, "127.0.0.1")
        shutil.rmtree(folder)


def test_an_unknown_host_key_is_refused(server: SshRunner) -> None:
    stranger = replace(server, options={**server.options, "UserKnownHostsFile": "/dev/null"})
    with pytest.raises(Unreachable, match="verification failed") as caught:
        probe.read(stranger)
    assert "accept the host's key" in str(caught.value.hint)


def test_a_key_that_the_host_does_not_know(server: SshRunner, tmp_path: Path) -> None:
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other"))
    options = {**server.options, "IdentityFile": str(tmp_path / "other"), "IdentityAgent": "none"}
    with pytest.raises(Unreachable, match="Permission denied"):
        probe.read(replace(server, options=options))


def test_nothing_listens(server: SshRunner) -> None:
    with pytest.raises(Unreachable, match="Connection refused"):
        probe.read(replace(server, port=sshd.free_port()))


def test_too_slow(server: SshRunner) -> None:
    with pytest.raises(TimedOut, match="sleep on ssh://"):
        server.run(["sleep", "30"], timeout=1.5)


def test_time_budget(server: SshRunner) -> None:
    """Two seconds and the link are the aim on a quiet machine; the margin is for busy ones."""
    began = time.monotonic()
    probe.read(server)
    assert time.monotonic() - began < 25
