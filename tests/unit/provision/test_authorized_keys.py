"""Who may log in: keys as texts and files, and nothing that must not leave this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from provision_contexts import KEY

from paddock import settings
from paddock.deploy.provision.authorized import AuthorizedKeysStep, RootPasswordStep, public_keys
from paddock.deploy.step import Machine
from paddock.errors import StepFailed, UsageError
from paddock.shell import Output, RecordedRunner


def test_texts_and_files_each_key_once(tmp_path: Path) -> None:
    file = tmp_path / "keys.pub"
    file.write_text(f"# of the team\n{KEY}\n\n{KEY.replace('ada', 'bob')}\n")
    assert public_keys((KEY, str(file))) == (KEY, KEY.replace("ada", "bob"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "is a private key"),
        ("hello\n", "holds no public keys"),
        ("", "holds no public keys"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACBAP ada\n", "holds no public keys"),
    ],
)
def test_files_that_hold_something_else(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "id"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        public_keys((str(file),))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a public key nor a file"):
        public_keys((str(tmp_path / "none.pub"),))


def test_options_before_a_key_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f'from="10.0.0.0/8" {KEY}\n')
    assert public_keys((str(file),)) == (f'from="10.0.0.0/8" {KEY}',)


def test_undoing_needs_no_file_here(tmp_path: Path) -> None:
    step = AuthorizedKeysStep("k", "t", "w", "/keys/root", (str(tmp_path / "gone.pub"),))
    runner = RecordedRunner({("rm", "-f", "/keys/root"): Output(0)})
    step.undo(Machine(runner, "/x"), {"text": None, "folders": []}, print)


class Passwords:
    """A machine that keeps what it is told on stdin."""

    target = "recording"

    def __init__(self) -> None:
        self.given: list[tuple[tuple[str, ...], str | bytes]] = []

    def run(self, argv: list[str], *, timeout: float = 30, stdin: str | bytes = "") -> Output:
        self.given.append((tuple(argv), stdin))
        return Output(0, "root L 01/01/2026 0 99999 7 -1\n" if argv[0] == "passwd" else "")

    def read(self, path: str) -> str | None:
        return None


def test_a_root_password_goes_through_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Passwords()
    step = RootPasswordStep()
    assert not step.check(Machine(machine, "/x")).right
    monkeypatch.delenv("PADDOCK_ROOT_PASSWORD", raising=False)
    with pytest.raises(StepFailed, match="no password was given"):
        step.apply(Machine(machine, "/x"), print)
    monkeypatch.setenv("PADDOCK_ROOT_PASSWORD", "s3cret words")
    said: list[str] = []
    step.apply(Machine(machine, "/x"), said.append)
    assert machine.given[-1] == (("chpasswd",), "root:s3cret words\n")
    assert "s3cret" not in str([argv for argv, _ in machine.given]) + str(said) + step.script()


def test_a_password_of_two_lines_is_refused() -> None:
    with pytest.raises(UsageError, match="not one line"):
        settings.root_password({"PADDOCK_ROOT_PASSWORD": "a\nroot2:b"})
