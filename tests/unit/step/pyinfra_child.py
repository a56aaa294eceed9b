"""Does a job by pyinfra's API, which wants a process of its own, and prints how much it changed.

python pyinfra_child.py FOLDER
"""

from __future__ import annotations

import io
import sys

from gevent import monkey

monkey.patch_all()

from pyinfra.api import Config, Inventory, State  # noqa: E402
from pyinfra.api.connect import connect_all, disconnect_all  # noqa: E402
from pyinfra.api.operation import add_op  # noqa: E402
from pyinfra.api.operations import run_ops  # noqa: E402
from pyinfra.operations import files  # noqa: E402


def main() -> None:
    """The job of ``test_steps_beside_pyinfra``."""
    folder = sys.argv[1]
    inventory = Inventory((["@local"], {}))
    state = State(inventory, Config())
    connect_all(state)
    text = io.StringIO("port = 223\nuser = root\n")
    add_op(state, files.put, src=text, dest=f"{folder}/new/file", mode="640")
    add_op(state, files.line, path=f"{folder}/lines", line="a line")
    add_op(state, files.directory, path=f"{folder}/made", mode="750")
    run_ops(state)
    disconnect_all(state)
    (host,) = inventory
    done = state.ops[host].values()
    print(sum(each.operation_meta.did_change() for each in done))


if __name__ == "__main__":
    main()
