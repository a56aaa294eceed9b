"""The server as a service of the machine: its model, its command, its process."""

from __future__ import annotations

import re
import shlex

from paddock.deploy.provision import environment, install
from paddock.deploy.provision.context import Context
from paddock.deploy.provision.keys import KeyFileStep
from paddock.deploy.provision.service import OURS, START, STOP, SUPERVISOR
from paddock.deploy.stackfile.check import port_of
from paddock.deploy.step import CONTAINER, FileStep, ScriptStep, Step

READY_S = 900
"""Seconds until /ready answers: a 70B model is read from a slow disk in that time."""

STOP_S = 30
"""Seconds that the server has to answer what it has begun before it is killed."""

PULL_S = 24 * 3600
"""Seconds that a model may take to come over a slow line."""


def steps(context: Context) -> list[Step]:
    """Nothing if no server is wanted."""
    if not context.file.serve.enabled:
        return []
    found: list[Step] = [*install.steps(context)]
    if context.file.serve.api_key_file is not None:
        found.append(KeyFileStep(context.file.serve.api_key_file, key_file(context), context.place))
    if stored(context.file.model):
        found.append(_model(context))
    return [*found, _command(context), _process(context)]


def stored(model: str | None) -> bool:
    """Whether a model is named as the store names it, not by its path."""
    return model is not None and not model.startswith(("/", "~", "./", "../"))


def key_file(context: Context) -> str:
    """Where the digests of the API keys lie on the target."""
    return f"{context.folder}/serve/keys"


def command(context: Context) -> list[str]:
    """The server's command line."""
    wish = context.file.serve
    words = [context.server, "-m", "paddock", "serve"]
    if context.file.model is not None:
        words.append(context.file.model)
    if "--runtime" not in wish.options:
        words += computes(context)
    words += ["--host", listens(context), "--port", str(wish.port)]
    if wish.api_key_file is not None:
        words += ["--api-key-file", key_file(context)]
    elif listens(context) != wish.host and "--insecure" not in wish.options:
        # Without a key serve.host is loopback, and so is where the port is published.
        words.append("--insecure")
    return [*words, *wish.options]


def computes(context: Context) -> list[str]:
    """The options that name the runtime of the stack; none where the server finds it by itself."""
    framework = context.stack.framework if context.stack is not None else None
    if framework == "mindspore":
        return ["--runtime", "mindspore", "--mindspore-python", context.interpreter]
    if framework == "vllm":
        return ["--runtime", "vllm", "--vllm", f"{context.environment}/bin/vllm"]
    return []


def listens(context: Context) -> str:
    """The address it listens on: ``serve.host``, but in a container with a network of its own all
    of that, where only the port leads that is published on ``serve.host`` of the machine.
    """
    own = context.place == CONTAINER and context.file.container.network != "host"
    return "0.0.0.0" if own else context.file.serve.host  # noqa: S104 - the container's own


def outside(context: Context) -> str:
    """The base URL under which the machine reaches the server, whatever it runs in."""
    wish = context.file.serve
    if listens(context) == wish.host:
        return _url(wish.host, wish.port)
    for text in context.file.container.ports:
        host, outer, inner = port_of(text)
        if inner == wish.port:
            return _url(host or "127.0.0.1", outer)
    return _url(wish.host, wish.port)


def address(context: Context) -> str:
    """The base URL under which the place of the software reaches the server."""
    return _url(listens(context), context.file.serve.port)


def _url(host: str, port: int) -> str:
    reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - not bound here
    if ":" in reached and not reached.startswith("["):
        reached = f"[{reached}]"
    return f"http://{reached}:{port}"


def _model(context: Context) -> Step:
    name = shlex.quote(context.file.model or "")
    paddock = f"{shlex.quote(context.server)} -m paddock"
    endpoint = context.file.mirrors.hub
    source = f" --endpoint {shlex.quote(endpoint)}" if endpoint else ""
    find = (
        "import json,sys; rows=json.load(sys.stdin)['models']; "
        "sys.exit(not any(r['name']==sys.argv[1] and r['path'] for r in rows))"
    )
    python = shlex.quote(context.server)
    return ScriptStep(
        id="serve.model",
        title=f"the model {context.file.model} in the store",
        why="model",
        on=context.place,
        what=f"model {context.file.model}",
        before=None,
        after="stored, its checksums compared",
        checks=f"{paddock} models --json | {python} -c {shlex.quote(find)} {name} || exit 1",
        applies=f"{paddock} pull {name}{source}",
        undoes=f"{paddock} models rm {name} --yes",
        timeout=PULL_S,
        hint="a gated model needs its licence accepted and HF_TOKEN set on the target",
    )


def _command(context: Context) -> Step:
    lines = ["#!/bin/sh", f"# The server of the deployment {context.file.name}; see: paddock up"]
    if context.stack is not None:
        file = shlex.quote(environment.path(context))
        lines.append(f"if [ -r {file} ]; then . {file}; fi")
    lines.append(f"exec {shlex.join(command(context))}")
    return FileStep(
        id="serve.command",
        title="the server's command line",
        why="serve",
        path=f"{context.folder}/serve/run",
        text="\n".join(lines) + "\n",
        mode=0o755,
        on=context.place,
    )


def _process(context: Context) -> Step:
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", context.file.name)
    values = {
        "folder": f"{context.folder}/serve",
        "unit": f"paddock-{name}",
        "python": context.server,
        "url": address(context),
        "seconds": str(READY_S),
        "patience": str(STOP_S),
        "start": START if context.place == CONTAINER else "",
    }
    head = "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items()) + _COMMON
    return ScriptStep(
        id="serve.process",
        title=f"the server at {address(context)}",
        why="serve",
        on=context.place,
        what=f"server on port {context.file.serve.port}",
        after=f"ready at {address(context)}",
        checks=head + _CHECK,
        applies=head + _START.replace("@SUPERVISOR@", SUPERVISOR.rstrip("\n")),
        undoes=head + _STOP,
        timeout=READY_S + 60,
        hint="its log: paddock logs",
    )


# A service of systemd where that runs the machine and we may ask it; else under a supervisor of its
# own session, whose pid and start time (a pid may be used again) lie in a file. What it was started
# with is compared, so that a changed command line restarts it.
_COMMON = (
    OURS
    + STOP
    + r"""
by_systemd() { [ -d /run/systemd/system ] && [ "$(id -u)" = 0 ]; }
running() { if by_systemd; then systemctl -q is-active "$unit"; else ours; fi; }
ready() {
  "$python" -I -S -c 'import sys, urllib.request as u
u.build_opener(u.ProxyHandler({})).open(sys.argv[1] + "/ready", timeout=5)' "$url" 2>/dev/null
}
stop() {
  if by_systemd; then
    if [ -e "/etc/systemd/system/$unit.service" ]; then systemctl -q disable --now "$unit"; fi
    return 0
  fi
  if ours; then end_all "$patience"; fi
  rm -f "$folder/pid"
}
"""
)

_CHECK = r"""
if ! running; then echo "not running"; exit 1; fi
if ! cmp -s "$folder/run" "$folder/started"; then echo "runs with another command"; exit 1; fi
if ! ready; then echo "runs, and is not ready"; exit 1; fi
echo running
"""

_START = r"""
umask 077
stop
if by_systemd; then
  # Signs that systemd reads in a unit: systemd.unit(5), systemd.syntax(7), systemd.service(5).
  # The name of a program itself may hold none, so that sh is named.
  plain() { printf '%s\n' "$1" | sed 's/%/%%/g'; }
  quoted() { plain "$1" | sed 's/["\\]/\\&/g'; }
  log=$(plain "$folder/log") run=$(quoted "$folder/run" | sed 's/\$/$$/g')
  # What says where the models and the settings are: a service has none of who starts it.
  settings=$(for name in PADDOCK_HOME PADDOCK_CONFIG PADDOCK_THREADS PADDOCK_MINDSPORE_PYTHON \
    XDG_CACHE_HOME XDG_CONFIG_HOME; do
    eval "value=\${$name-}"
    [ -z "$value" ] || printf 'Environment="%s=%s"\n' "$name" "$(quoted "$value")"
  done)
  cat >"/etc/systemd/system/$unit.service" <<END
[Unit]
Description=Paddock's server, deployment ${unit#paddock-}
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
User=$(id -un)
$settings
ExecStart=/bin/sh "$run"
StandardOutput=append:$log
StandardError=append:$log
Restart=on-failure
RestartSec=5
TimeoutStopSec=330
KillMode=mixed
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
END
  chmod 644 "/etc/systemd/system/$unit.service"
  systemctl daemon-reload
  systemctl -q enable "$unit"
  systemctl restart "$unit"
else
  cat >"$folder/supervise" <<'PADDOCK_SUPERVISOR'
@SUPERVISOR@
PADDOCK_SUPERVISOR
  if [ -n "$start" ]; then
    mkdir -p "$start"
    printf '#!/bin/sh\nexec sh %s/supervise %s\n' "$folder" "$folder" >"$start/90-serve"
    chmod 755 "$start" "$start/90-serve"
  fi
  : >>"$folder/log"
  before=$(wc -c <"$folder/log")
  away=$(command -v setsid || command -v nohup)
  "$away" sh "$folder/supervise" "$folder" >/dev/null 2>&1 </dev/null &
  waited=0
  until [ -s "$folder/pid" ] || [ "$waited" -ge 50 ]; do waited=$((waited + 1)); sleep 0.1; done
fi
cp "$folder/run" "$folder/started"
ended() {
  ! running || tail -c "+$((${before:-0} + 1))" "$folder/log" 2>/dev/null |
    grep -q 'ended with [0-9]*, again in'
}
waited=0
until ready; do
  waited=$((waited + 1))
  if ended || [ "$waited" -gt $((seconds * 4)) ]; then
    echo "the server is not ready after $((waited / 4)) s; its log:"
    tail -n 30 "$folder/log"
    stop
    exit 1
  fi
  sleep 0.25 2>/dev/null || sleep 1
done
echo "ready at $url"
"""

_STOP = r"""
stop
if by_systemd && [ -e "/etc/systemd/system/$unit.service" ]; then
  rm -f "/etc/systemd/system/$unit.service"
  systemctl daemon-reload
fi
if [ -n "$start" ]; then rm -f "$start/90-serve"; fi
rm -f "$folder/started" "$folder/supervise" "$folder/log" "$folder/log.1"
rmdir "$folder" 2>/dev/null || :
echo "stopped"
"""
