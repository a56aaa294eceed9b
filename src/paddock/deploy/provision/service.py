"""A program that runs on in the background: started detached, restarted when it dies, stopped.

For containers, which have no service manager, and hosts alike. The first process of Paddock's
containers starts what lies in /etc/paddock/start.d, so that services come back with the container.
"""

from __future__ import annotations

import shlex

from paddock.deploy.provision.context import Context
from paddock.deploy.provision.job import JobStep
from paddock.deploy.step import CONTAINER, Step

READY_S = 120
"""Seconds until a service listens on its port."""

STOP_S = 10
"""Seconds that a service has to end by itself before it is killed."""

START = "/etc/paddock/start.d"
"""Programs that a container of Paddock's starts with itself."""

# Restarts what ended, after 1, 2, 4, ... 60 seconds; what ran for a minute begins again at 1.
# The child gets a session of its own, so that stopping ends all that it started.
SUPERVISOR = r"""#!/bin/sh
# Written by Paddock: keeps the program "run" of a folder running.
cd "$1" || exit 1
umask 077
if [ "$(wc -c <log 2>/dev/null || echo 0)" -gt 10000000 ]; then mv log log.1; fi
started_at() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
echo "$$ $(started_at $$)" >pid
child=
end() {
  trap - TERM INT
  if [ -n "$child" ]; then
    kill -TERM "-$child" 2>/dev/null || kill -TERM "$child" 2>/dev/null
    wait "$child"
  fi
  rm -f pid
  exit 0
}
trap end TERM INT
delay=1
while :; do
  began=$(date +%s)
  setsid sh ./run >>log 2>&1 </dev/null &
  child=$!
  wait "$child"
  code=$?
  child=
  [ $(($(date +%s) - began)) -lt 60 ] || delay=1
  echo "$(date -u +%FT%TZ) ended with $code, again in $delay s" >>log
  sleep "$delay" &
  wait $!
  delay=$((delay * 2))
  [ "$delay" -le 60 ] || delay=60
done
"""

OURS = r"""
started_at() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
ours() { # a pid may be used again: its start is compared too
  [ -r "$folder/pid" ] || return 1
  read -r pid since <"$folder/pid" || return 1
  [ -n "$pid" ] && [ "$(started_at "$pid")" = "$since" ]
}
"""
"""sh: whether the supervisor whose pid lies in ``$folder`` runs; leaves it in ``$pid``."""

STOP = r"""
of_proc() { # WHICH NUMBER...: processes whose parent or session is one of these, dead ones apart
  which=$1
  shift
  wanted=" $* "
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue # it ended meanwhile
    # shellcheck disable=SC2086 # after the name: state, parent, group, session
    set -- ${line##*) }
    if [ "$which" = parent ]; then one=$2; else one=$4; fi
    case $wanted in *" $one "*) ;; *) continue ;; esac
    [ "$1" = Z ] || { stat=${stat%/stat}; echo "${stat#/proc/}"; }
  done
}
end_all() { # SECONDS: the supervisor $pid, and all that is in the sessions that it started
  supervisor=$pid
  sessions=$(of_proc parent "$supervisor" | tr '\n' ' ')
  kill -TERM "$supervisor"
  waited=0
  # shellcheck disable=SC2086,SC2046 # several words
  while ours || [ -n "$(of_proc session $sessions)" ]; do
    waited=$((waited + 1))
    if [ "$waited" -ge $(($1 * 5)) ]; then
      kill -KILL $(of_proc session $sessions $(of_proc parent "$supervisor")) 2>/dev/null || :
    fi
    if [ "$waited" -ge $(($1 * 5 + 25)) ]; then kill -KILL "$supervisor" 2>/dev/null || :; fi
    if [ "$waited" -gt $(($1 * 5 + 50)) ]; then
      echo "process $supervisor does not end" >&2
      return 1
    fi
    sleep 0.2 2>/dev/null || sleep 1
  done
}
"""
"""sh, after OURS: ends a supervisor and what it keeps running, which may ignore TERM."""

_COMMON = (
    OURS
    + STOP
    + r"""listens() { # the kernel's tables: no tool is needed. 0A is LISTEN.
  grep -q "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$port") [0-9A-F:]* 0A " \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}
stop() {
  if ours; then end_all "$patience"; fi
  rm -f "$folder/pid"
}
wanted() {
  cat <<'PADDOCK_RUN'
@RUN@
PADDOCK_RUN
}
"""
)

_CHECK = r"""
if ! ours; then echo "not running"; exit 1; fi
if [ "$(wanted)" != "$(cat "$folder/started" 2>/dev/null)" ]; then
  echo "runs with other settings"
  exit 1
fi
if ! listens; then echo "runs and does not listen on $port"; exit 1; fi
echo running
"""

_START = r"""
umask 077
mkdir -p "$folder"
stop
if listens; then
  echo "$name: port $port: address already in use" >&2
  exit 1
fi
@BEFORE@
wanted >"$folder/run"
cat >"$folder/supervise" <<'PADDOCK_SUPERVISOR'
@SUPERVISOR@
PADDOCK_SUPERVISOR
if [ -n "$start" ]; then
  mkdir -p "$start"
  printf '#!/bin/sh\nexec sh %s/supervise %s\n' "$folder" "$folder" >"$start/50-$name"
  chmod 755 "$start" "$start/50-$name"
fi
: >>"$folder/log" # a redirection from a file that is not there is the shell's own complaint
before=$(wc -c <"$folder/log")
away=$(command -v setsid || command -v nohup)
"$away" sh "$folder/supervise" "$folder" >/dev/null 2>&1 </dev/null &
waited=0
until listens; do
  waited=$((waited + 1))
  ended=$(tail -c +$((before + 1)) "$folder/log" 2>/dev/null |
    grep -c 'ended with [0-9]*, again in') || :
  if [ "$ended" -ge 2 ] || [ "$waited" -gt $((seconds * 4)) ]; then
    tail -c +$((before + 1)) "$folder/log" | tail -n 30 >&2
    echo "$name does not listen on port $port" >&2
    stop
    exit 1
  fi
  sleep 0.25 2>/dev/null || sleep 1
done
wanted >"$folder/started"
echo "$name listens on port $port"
"""

_STOP = r"""
stop
[ -z "$start" ] || rm -f "$start/50-$name"
rm -rf "$folder"
rmdir "${folder%/*}" 2>/dev/null || :
"""


def service(
    context: Context,
    name: str,
    run: str,
    *,
    port: int,
    title: str,
    why: str,
    step: str,
    before: str = "",
) -> Step:
    """The step that keeps the sh program ``run`` running; it is there when ``port`` listens.

    ``before`` is sh that is run ahead of each start, in a private folder ``$folder``. No secret
    stands in either: what is secret is read from a file there.
    """
    words = {
        "name": name,
        "folder": f"{context.folder}/services/{name}",
        "port": str(port),
        "seconds": str(READY_S),
        "patience": str(STOP_S),
        "start": START if context.place == CONTAINER else "",
    }
    head = "\n".join(f"{key}={shlex.quote(value)}" for key, value in words.items())
    head += _COMMON.replace("@RUN@", run)
    start = _START.replace("@BEFORE@", before).replace("@SUPERVISOR@", SUPERVISOR.rstrip("\n"))
    return JobStep(
        id=step,
        title=title,
        why=why,
        on=context.place,
        what=f"service {name}",
        after=f"listens on port {port}",
        checks=head + _CHECK,
        applies=head + start,
        undoes=head + _STOP,
        timeout=READY_S + 60,
    )
