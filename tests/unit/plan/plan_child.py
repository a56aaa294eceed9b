"""A deployment of a few small steps, as a process of its own that can be killed at any point.

    python plan_child.py WHAT ROOT [KILL_AT HOW]

WHAT is up or down. The process kills itself (SIGKILL) at the KILL_AT-th event of the journal, HOW
being before, torn (half the line is written) or after it. Steps are given by ``steps``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from paddock.deploy import plan as room
from paddock.deploy.host import Host
from paddock.deploy.plan import journal, prepare
from paddock.deploy.provision import Context
from paddock.deploy.stackfile import HostEntry, Stackfile
from paddock.deploy.step import FileStep, ScriptStep, Step


def steps(context: Context) -> list[Step]:
    """Every kind: a new file in new folders, one that is there already, a program with a state, one
    that takes long enough to be followed."""
    root = f"{Path(context.folder).parents[2]}/host"
    return [
        FileStep("a.new", "a new file", "test", f"{root}/made/here/new", "new\n", mode=0o600),
        FileStep("b.changed", "a changed file", "test", f"{root}/old", "changed\n"),
        ScriptStep(
            "c.script",
            "a link",
            "test",
            checks=f'now=$(readlink {root}/link); echo $now; [ "$now" = two ]',
            applies=f"ln -sfn two {root}/link",
            undoes=f"read was; ln -sfn $was {root}/link",
        ),
        ScriptStep(
            "d.long",
            "a long one",
            "test",
            checks=f"[ -e {root}/long ]",
            applies=f"echo working; echo x >>{root}/runs; touch {root}/long",
            undoes=f"rm -f {root}/long {root}/runs",
            timeout=100,
        ),
    ]


def deployment(root: Path, **options: Any) -> room.Deployment:
    """The deployment of ``steps`` on this machine, remembered below ``root``."""
    prepare.steps = steps
    prepare.probe.read = lambda *_, **__: HOST
    file = Stackfile(hosts=(HostEntry(name="here"),))
    return room.Deployment(file, root / "state", **options)


HOST = Host.from_json(Path(__file__).with_name("small_host.json").read_text())


def kill_at(number: int, how: str) -> None:
    """Arms the journal."""
    real, count = journal.Journal._append, [0]

    def append(self: journal.Journal, event: Any) -> None:
        count[0] += 1
        if count[0] != number:
            real(self, event)
            return
        if how == "after":
            real(self, event)
        elif how == "torn":
            real(self, event)
            data = self.path.read_bytes()
            self.path.write_bytes(data[: -len(data.splitlines()[-1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    journal.Journal._append = append  # type: ignore[method-assign]


def main() -> None:
    """Does what the command line says and prints the results as JSON."""
    what, root = sys.argv[1], Path(sys.argv[2])
    if len(sys.argv) > 3:
        kill_at(int(sys.argv[3]), sys.argv[4])
    found = deployment(root)
    results: Any = found.up(found.plan()) if what == "up" else found.down()
    failed = [r.failure.message for r in results if r.failure]
    print(json.dumps({"failed": failed, "empty": found.plan().empty}))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
