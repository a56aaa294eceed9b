"""The container's first process: starts what is to run in it, and waits."""

from __future__ import annotations

START = "/etc/paddock/start.d"
"""Programs in this folder of the container are started with it, in the order of their names."""

# An ash, dash or bash with number 1 reaps whatever is left to it while it waits, so that no --init
# is needed, which iSula has not and podman only with another package. -1 is everybody but itself.
MAIN = f"""\
trap 'kill -TERM -1; wait; exit 0' TERM INT
for each in {START}/*; do
  if [ -x "$each" ]; then "$each" & fi
done
while :; do sleep 86400 & wait $!; done
"""


def command() -> tuple[str, ...]:
    """What a container of Paddock's runs, in any image that has ``sh``."""
    return ("sh", "-c", MAIN)
