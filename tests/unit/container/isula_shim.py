"""A stand-in for isula: takes the options of the real one and no others, and remembers.

The options are those of ``isula create`` (src/cmd/isula/base/create.h of iSulad); its messages for
what is not there are worded as iSulad's. It starts nothing.
"""

import json
import os
import sys
from pathlib import Path

OPTIONS = """
accel add-host annotation cap-add cap-drop cgroup-parent cpu-period cpu-quota cpu-shares
cpuset-cpus cpuset-mems device device-read-bps device-write-bps dns dns-opt dns-search
entrypoint env env-file env-target-file external-rootfs files-limit group-add health-cmd
health-interval health-retries health-start-period health-timeout hook-spec host-channel
hostname hugetlb-limit ipc kernel-memory label label-file log-driver log-opt memory memory-
reservation memory-swap memory-swappiness mount name net oom-score-adj pid pids-limit restart
runtime security-opt shm-size storage-opt sysctl ulimit user user-remap uts volume workdir
"""
WITH_VALUE = set(OPTIONS.split())
WITHOUT = {"read-only", "privileged", "tty", "interactive", "system-container", "no-healthcheck"}
SHORT = {"e": "env", "h": "hostname", "l": "label", "m": "memory", "n": "name", "R": "runtime"}
SHORT |= {"u": "user", "v": "volume"}
RESTART = ("no", "always", "on-reboot", "on-failure")
MOUNT_KEYS = {"type", "src", "source", "dst", "destination", "target", "ro", "readonly"}

HOME = Path(os.environ["ISULA_SHIM"])
STATE = HOME / "containers.json"


def fail(text: str) -> None:
    print(text, file=sys.stderr)
    sys.exit(1)


def load() -> dict:
    return json.loads(STATE.read_text()) if STATE.exists() else {}


def save(state: dict) -> None:
    STATE.write_text(json.dumps(state))


def images() -> list:
    return (HOME / "images").read_text().split()


def parse(words: list) -> tuple:
    options: dict = {}
    while words and words[0].startswith("-"):
        word = words.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        name = SHORT.get(name, name) if not word.startswith("--") else name
        if name in WITHOUT:
            options[name] = True
        elif name in WITH_VALUE:
            options.setdefault(name, []).append(value if equals else words.pop(0))
        else:
            fail(f"unknown flag: '{word}'")
    return options, words


def variable(word: str) -> list:
    name, equals, value = word.partition("=")
    return (
        [f"{name}={value if equals else os.environ[name]}"] if equals or name in os.environ else []
    )


def create(words: list) -> None:
    options, rest = parse(words)
    if not rest:
        fail('"isula create" requires at least 1 argument.')
    if rest[0] not in images():
        fail(f"Error response from daemon: No such image:{rest[0]}")
    state, name = load(), options["name"][0]
    if name in state:
        fail(
            f'Error response from daemon: Conflict. The name "{name}" is already in use by '
            f"container {state[name]['Id']}."
        )
    if options.get("restart", ["no"])[0].partition(":")[0] not in RESTART:
        fail(f"Invalid restart policy '{options['restart'][0]}'")
    for text in options.get("mount", []):
        pairs = [part.partition("=") for part in text.split(",")]
        if unknown := {key for key, _, _ in pairs} - MOUNT_KEYS:
            fail(f"Invalid mount specification '{text}'.Unsupported item:{unknown.pop()}")
        source = next(value for key, _, value in pairs if key in ("src", "source"))
        if not Path(source).exists():
            fail(f"Error response from daemon: Invalid mount specification: {source} not exist")
    for path in options.get("device", []):
        if not Path(path).exists():
            fail(f"Error response from daemon: device path {path} No such device")
    labels = dict(text.split("=", 1) for text in options.get("label", []))
    state[name] = {
        "Id": name.encode().hex().ljust(64, "0"),
        "Name": name,
        "Image": rest[0],
        "RestartCount": 0,
        "State": {"Status": "inited"},
        "Config": {
            "Labels": labels,
            "Env": [pair for word in options.get("env", []) for pair in variable(word)],
            "Cmd": rest[1:],
        },
        "Options": options,
    }
    save(state)
    print(state[name]["Id"])


def of(state: dict, name: str) -> dict:
    for each in state.values():
        if name in (each["Name"], each["Id"]):
            return each
    fail(f"Error response from daemon: No such container:{name}")
    raise AssertionError


def main(verb: str, *words: str) -> None:
    state = load()
    if verb == "create":
        create(list(words))
    elif verb == "ps":
        print("\n".join(each["Id"] for each in state.values()))
    elif verb == "images":
        print("\n".join(images()))
    elif verb == "inspect":
        for each in state.values():
            if words[0] in (each["Name"], each["Id"]):
                print(json.dumps([each]))
                return
        if words[0] in images():
            print(json.dumps([{"image": {"id": "i", "repo_tags": [words[0]]}}]))
            return
        fail(f"Inspect error: No such image or container or accelerator:{words[0]}")
    elif verb in ("start", "stop"):
        if verb == "stop" and words[0] == "-t":
            words = words[2:]
        of(state, words[0])["State"]["Status"] = "running" if verb == "start" else "exited"
        save(state)
    elif verb == "rename":
        each = of(state, words[0])
        del state[each["Name"]]
        state[words[1]] = each | {"Name": words[1]}
        save(state)
    elif verb == "rm":
        force = words[0] == "-f"
        each = of(state, words[-1])
        if each["State"]["Status"] == "running" and not force:
            fail("Error response from daemon: You cannot remove a running container")
        del state[each["Name"]]
        save(state)
    elif verb == "load" and words[0] == "-i":
        (HOME / "images").write_text((HOME / "images").read_text() + Path(words[1]).read_text())
    elif verb == "rmi":
        (HOME / "images").write_text("\n".join(name for name in images() if name != words[0]))
    else:
        fail(f"isula: '{verb}' is not an isula command. See 'isula --help'")


main(*sys.argv[1:])
