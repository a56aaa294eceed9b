"""CANN's installers are checked, run and read back. The installer here is a stand-in by its name:
it knows the words of the vendor's and leaves the files that the vendor's leave."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from provision_contexts import context

import simhost
from paddock.deploy.provision import cann
from paddock.deploy.step import Machine, Step
from paddock.errors import StepFailed

VERSION = "7.0.0"
NAME = f"Ascend-cann-toolkit_{VERSION}_linux-aarch64.run"

STAND_IN = f"""\
#!/bin/sh
# A stand-in for the vendor's installer, for tests.
root=/usr/local/Ascend/ascend-toolkit
for word; do
  case $word in --check | --install | --quiet) ;; *) echo "unknown option $word"; exit 2 ;; esac
done
case " $* " in
  *' --check '*) tail -n 1 "$0" | grep -qx '# whole' ; exit $? ;;
  *' --install '*)
    mkdir -p "$root/{VERSION}/aarch64-linux/script"
    ln -sfn "{VERSION}" "$root/latest"
    echo 'version={VERSION}' >"$root/{VERSION}/aarch64-linux/ascend_toolkit_install.info"
    echo 'export ASCEND_HOME_PATH='"$root/latest" >"$root/set_env.sh"
    printf 'rm -rf %s/{VERSION} %s/latest %s/set_env.sh\\n' "$root" "$root" "$root" \\
      >"$root/{VERSION}/aarch64-linux/script/uninstall.sh" ;;
esac
# whole
"""


@pytest.fixture
def host(tmp_path: Path) -> simhost.SimulatedHost:
    # bash is asked for by name, and busybox's shell serves for it.
    files = {f"/srv/artifacts/{NAME}": STAND_IN}
    return simhost.build(tmp_path / "host", files, {"/bin/bash": 'exec sh "$@"\n'})


def toolkit(artifacts: str | None = "/srv/artifacts") -> Step:
    of = context(engine="none", artifacts=artifacts)
    return next(step for step in cann.steps(of) if step.id == "cann.toolkit")


def test_it_is_installed_read_back_and_taken_away(host: simhost.SimulatedHost) -> None:
    machine, step = Machine(host, "/var/lib/paddock"), toolkit()
    before = step.check(machine)
    assert before.changes[0].after == VERSION and before.before == {"state": "none"}
    said: list[str] = []
    step.apply(machine, said.append)
    assert said[-1] == f"cann {VERSION}"
    assert step.check(machine).right
    assert (host.root / "srv/artifacts" / NAME).exists()
    step.undo(machine, before.before, print)
    assert not step.check(machine).right
    assert not (host.root / "usr/local/Ascend/ascend-toolkit/latest").exists()
    step.undo(machine, before.before, print)


def test_the_runbook_installs_once(host: simhost.SimulatedHost) -> None:
    machine, step = Machine(host, "/var/lib/paddock"), toolkit()
    for _ in range(2):
        done = machine.sh(f"set -eu\n{step.script()}", timeout=120)
        assert done.ok, done.stderr
    assert step.check(machine).right


def test_another_version_that_was_there_is_not_put_back(host: simhost.SimulatedHost) -> None:
    machine, step = Machine(host, "/var/lib/paddock"), toolkit()
    step.apply(machine, print)
    said: list[str] = []
    step.undo(machine, {"state": "6.3.RC2"}, said.append)
    assert "cannot be put back" in said[0]
    assert step.check(machine).right


def test_a_damaged_installer_is_not_run(host: simhost.SimulatedHost) -> None:
    package = host.root / "srv/artifacts" / NAME
    package.write_text(STAND_IN.removesuffix("# whole\n"))  # the end was cut off
    with pytest.raises(StepFailed) as caught:
        toolkit().apply(Machine(host, "/var/lib/paddock"), lambda _: None)
    assert "is damaged" in str(caught.value) + caught.value.log
    assert not (host.root / "usr/local/Ascend").exists()


def test_a_wrong_checksum_is_found_first(host: simhost.SimulatedHost) -> None:
    machine, folder = Machine(host, "/var/lib/paddock"), host.root / "srv/artifacts"
    right = hashlib.sha256(STAND_IN.encode()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  {NAME}\n")
    with pytest.raises(StepFailed) as caught:
        toolkit().apply(machine, lambda _: None)
    assert "SHA-256" in str(caught.value) + caught.value.log
    (folder / "SHA256SUMS").write_text(f"{right}  {NAME}\n")
    toolkit().apply(machine, print)


def test_a_bundle_without_the_installer_fetches_nothing(host: simhost.SimulatedHost) -> None:
    (host.root / "srv/artifacts" / NAME).unlink()
    (host.root / "srv/artifacts/paddock-bundle.json").write_text("{}")
    with pytest.raises(StepFailed) as caught:
        toolkit().apply(Machine(host, "/var/lib/paddock"), lambda _: None)
    assert f"{NAME} is not in /srv/artifacts" in caught.value.log


def test_a_download_that_fails_is_a_failure(host: simhost.SimulatedHost) -> None:
    (host.root / "bin/curl").unlink(missing_ok=True)
    curl = "#!/bin/sh\necho 'curl: (6) Could not resolve host: x' >&2\nexit 6\n"
    (host.root / "bin/curl").write_text(curl)
    (host.root / "bin/curl").chmod(0o755)
    with pytest.raises(StepFailed, match="name of a server is not known"):
        toolkit(None).apply(Machine(host, "/var/lib/paddock"), lambda _: None)
