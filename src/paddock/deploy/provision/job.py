"""Steps that take long or fail in known ways: followed, and their logs read by the doctor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paddock.deploy.doctor import Finding, read_log
from paddock.deploy.step import Log, Machine, ScriptStep, State
from paddock.errors import StepFailed
from paddock.shell import TIMEOUT, Output, Runner

CHECK_S = 180.0
"""Seconds that a check may take: on a busy machine an interpreter alone starts for many."""

AS_ROOT = """\
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
"""
"""sh: runs a program as root; who is not root needs sudo without a question."""

FETCH = """\
fetch() { # ADDRESS FILE: goes on where it stopped; the name is there when the file is whole
  [ ! -e "$2" ] || return 0
  mkdir -p "$(dirname "$2")"
  echo "fetching $1"
  # Huawei's server of CANN answers only who comes from its download page.
  from=https://www.hiascend.com/
  if command -v curl >/dev/null; then
    curl -fLsS --retry 3 --connect-timeout 20 -C - -e "$from" -o "$2.part" "$1"
  else
    wget -c -nv --referer="$from" -O "$2.part" "$1"
  fi
  mv "$2.part" "$2"
}
"""
"""sh: a download that can be broken off. Needs curl or wget."""

CERTIFICATES = """\
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
  [ -r "$bundle" ] || continue
  # conda's and uv's Pythons bring authorities of their own and do not know this machine's.
  export PIP_CERT="${PIP_CERT:-$bundle}" SSL_CERT_FILE="${SSL_CERT_FILE:-$bundle}"
  export REQUESTS_CA_BUNDLE="${REQUESTS_CA_BUNDLE:-$bundle}"
  break
done
"""
"""sh: makes Python programs trust the authorities that the machine trusts."""


@dataclass(frozen=True, slots=True)
class JobStep(ScriptStep):
    """A ScriptStep of whose failure the doctor says what it means, where he knows its words."""

    def check(self, machine: Machine) -> State:
        """See Step. A slow or busy machine gets minutes: interpreters are started here."""
        return ScriptStep.check(self, patient(machine))

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step."""
        try:
            ScriptStep.apply(self, machine, log)
        except StepFailed as error:
            raise explained(error) from error


@dataclass(frozen=True, slots=True)
class _Patient:
    """A Runner that gives every program CHECK_S."""

    inner: Runner

    @property
    def target(self) -> str:
        return self.inner.target

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        return self.inner.run(argv, timeout=max(timeout, CHECK_S), stdin=stdin)

    def read(self, path: str) -> str | None:
        return self.inner.read(path)


def patient(machine: Machine) -> Machine:
    """The same machine with CHECK_S for every program."""
    return Machine(_Patient(machine.runner), machine.folder)


def follow(machine: Machine, step: str, script: str, *, timeout: float, log: Log) -> None:
    """``Machine.follow`` with failures explained."""
    try:
        machine.follow(f"{step}.apply", script, step=step, timeout=timeout, log=log)
    except StepFailed as error:
        raise explained(error) from error


def explained(error: StepFailed) -> StepFailed:
    """The failure with what the doctor reads in its log; the same where he reads nothing sure.

    The line that says it most surely becomes the reason, the rule's first step the
    hint: it knows more of this failure than what a step says of any of its own.
    """
    finding = next((f for f in read_log(error.log, "its log") if f.sure), None)
    if finding is None:
        return error
    reason = f"{finding.rule.title}: {finding.evidence[0].fact}"
    return StepFailed(error.step, error.target, reason, log=error.log, hint=advice(finding))


def advice(finding: Finding) -> str:
    """What to do about a finding, on one line."""
    fixes = [fix.run or fix.do for fix in finding.fixes if not fix.safe] or [
        fix.run or fix.do for fix in finding.fixes
    ]
    return fixes[0]
