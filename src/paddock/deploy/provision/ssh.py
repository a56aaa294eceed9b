"""An SSH server in the container, for IDEs: by key only, with host keys that outlive the container.

It has a configuration of its own and does not change the image's: one that is there keeps its
meaning, and taking ours back is removing a folder.
"""

from __future__ import annotations

import shlex

from paddock.deploy.provision.authorized import AuthorizedKeysStep, RootPasswordStep
from paddock.deploy.provision.context import Context
from paddock.deploy.provision.job import AS_ROOT, JobStep
from paddock.deploy.provision.packages import PackagesStep
from paddock.deploy.provision.service import service
from paddock.deploy.step import CONTAINER, HOST, FileStep, Step
from paddock.errors import UsageError

FOLDER = "/etc/ssh/paddock"
"""The server's configuration, host keys and authorized keys."""

CONFIG = f"{FOLDER}/sshd_config"


def steps(context: Context) -> list[Step]:
    """The steps; empty where no server is wished for."""
    wish = context.file.ssh
    if wish is None:
        return []
    if not wish.keys and not wish.root_password:
        raise UsageError(
            "ssh has no keys, and nobody could log in",
            hint="name a public key or a file of them under ssh.keys: ~/.ssh/id_ed25519.pub",
        )
    found: list[Step] = [
        PackagesStep(
            id="ssh.packages",
            title="an SSH server",
            why="IDEs (VS Code, MindStudio) enter the container through it",
            apt=("openssh-server",),
            dnf=("openssh-server",),
            folder=context.folder,
            on=context.place,
            artifacts=context.artifacts,
        ),
        _host_keys(context),
    ]
    for user in wish.users:
        if user != "root":
            found.append(_user(context, user))
        if wish.keys:
            found.append(
                AuthorizedKeysStep(
                    id=f"ssh.keys.{user}",
                    title=f"the public keys that may log in as {user}",
                    why="a file of the server's own: a mounted ~/.ssh stays the host's",
                    path=f"{FOLDER}/keys/{user}",
                    keys=wish.keys,
                    # The server reads it as that user.
                    mode=0o600 if user == "root" else 0o644,
                    on=context.place,
                )
            )
    if wish.root_password:
        found.append(RootPasswordStep(on=context.place))
    found.append(
        FileStep(
            id="ssh.config",
            title=f"the server's settings, on port {wish.port}",
            why="keys only, a heartbeat, nothing that the image's own configuration decides",
            path=CONFIG,
            text=config(context),
            mode=0o600,
            owner="root:root",
            on=context.place,
        )
    )
    found.append(
        service(
            context,
            "ssh",
            # sshd wants its absolute path to start itself again, and /run/sshd, which a tmpfs
            # on /run has lost at every start.
            "mkdir -p /run/sshd\nchmod 755 /run/sshd\n"
            f'sshd=$(command -v sshd || echo /usr/sbin/sshd)\n"$sshd" -t -f {CONFIG} || exit 1\n'
            f'exec "$sshd" -D -e -f {CONFIG}\n'
            # Another text of the settings is another service: that is what restarts it.
            f"# {_digest(config(context))}",
            port=wish.port,
            title=f"the SSH server listens on port {wish.port}",
            why="it is started with the container, and again when it dies",
            step="ssh.server",
            before="mkdir -p /run/sshd\n"
            f'"$(command -v sshd || echo /usr/sbin/sshd)" -t -f {CONFIG}',
        )
    )
    return found


def config(context: Context) -> str:
    """The text of sshd_config. Raises UsageError without an ssh section."""
    wish = context.file.ssh
    if wish is None:
        raise UsageError("the stack file has no ssh section")
    password = "yes" if wish.root_password else "no"
    return f"""\
# Written by Paddock: the SSH server of the deployment {context.file.name}.
Port {wish.port}
HostKey {FOLDER}/ssh_host_ed25519_key
HostKey {FOLDER}/ssh_host_rsa_key
PidFile /run/paddock-sshd.pid

# Keys only. Those in ~/.ssh/authorized_keys count too.
PubkeyAuthentication yes
AuthorizedKeysFile {FOLDER}/keys/%u .ssh/authorized_keys
PasswordAuthentication {password}
KbdInteractiveAuthentication no
ChallengeResponseAuthentication no
PermitRootLogin {"yes" if wish.root_password else "prohibit-password"}
PermitEmptyPasswords no
AllowUsers {" ".join(wish.users)}
MaxAuthTries 3
LoginGraceTime 30
StrictModes yes

# PAM lets accounts without a password in by key, and reads /etc/environment for every session.
UsePAM yes
AcceptEnv LANG LC_*
PrintMotd no
X11Forwarding no

# A connection that says nothing is asked {wish.alive_count} times before it is given up.
ClientAliveInterval {wish.alive_interval}
ClientAliveCountMax {wish.alive_count}

Subsystem sftp internal-sftp
"""


def _digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:16]


_MAKE = """
umask 077
mkdir -p FOLDER
chmod 755 FOLDER
for kind in ed25519 rsa; do
  [ -e FOLDER/ssh_host_${kind}_key ] ||
    ssh-keygen -q -t $kind -N '' -f FOLDER/ssh_host_${kind}_key
done
""".replace("FOLDER", FOLDER)

# The keys are kept in Paddock's folder on the host, for the next container of this deployment.
# What is there goes in; what is not is made inside, where ssh-keygen surely is, and comes out.
_KEPT = rf"""
names='ssh_host_ed25519_key ssh_host_ed25519_key.pub ssh_host_rsa_key ssh_host_rsa_key.pub'
inside() {{ "$engine" exec -i "$container" sh -c "$@"; }}
here() {{ for one in $names; do cat "$store/$one"; done 2>/dev/null | sha256sum; }}
there() {{
  inside 'for one in $1; do cat "{FOLDER}/$one"; done 2>/dev/null' sh "$names" </dev/null |
    sha256sum
}}
"""


def _host_keys(context: Context) -> Step:
    if context.place != CONTAINER:
        return JobStep(
            id="ssh.host-keys",
            title="host keys of the server's own",
            why="clients know the server by them",
            on=context.place,
            checks=f"ls {FOLDER}/ssh_host_rsa_key.pub 2>/dev/null || {{ echo none; exit 1; }}",
            applies=f"{AS_ROOT}as_root sh -c {shlex.quote(_MAKE)}",
            undoes=f"{AS_ROOT}as_root rm -rf {FOLDER}",
        )
    words = {
        "engine": context.file.container.engine,
        "container": context.file.container_name,
        "store": f"{context.folder}/containers/{context.file.container_name}/ssh",
    }
    head = "\n".join(f"{key}={shlex.quote(value)}" for key, value in words.items()) + _KEPT
    return JobStep(
        id="ssh.host-keys",
        title="the container has the host keys that this deployment always had",
        why="clients would warn of a changed key at every new container",
        on=HOST,
        what="host keys",
        after="kept on the host",
        checks=head + '[ -e "$store/ssh_host_ed25519_key" ] && echo kept || echo none\n'
        '[ -e "$store/ssh_host_ed25519_key" ] && [ "$(here)" = "$(there)" ] || exit 1',
        applies=head
        + f"""umask 077
mkdir -p "$store"
if [ ! -e "$store/ssh_host_rsa_key.pub" ]; then
  inside {shlex.quote(_MAKE)} </dev/null
  for one in $names; do
    inside 'cat "{FOLDER}/$1"' sh "$one" </dev/null >"$store/$one.new"
    mv "$store/$one.new" "$store/$one"
  done
else
  inside 'mkdir -p {FOLDER}; chmod 755 {FOLDER}' </dev/null
  for one in $names; do
    inside 'umask 077; cat >"{FOLDER}/$1"' sh "$one" <"$store/$one"
  done
fi
""",
        # A container that is gone has taken its copy along.
        undoes=head + f"inside 'rm -rf {FOLDER}' </dev/null 2>/dev/null || :\n"
        'if [ "$(cat)" = none ]; then rm -rf "$store"; rmdir "${store%/*}" "${store%/*/*}"'
        " 2>/dev/null || :; fi",
    )


def _user(context: Context, user: str) -> Step:
    quoted = shlex.quote(user)
    return JobStep(
        id=f"ssh.user.{user}",
        title=f"the user {user}, who may use the chips",
        why="device nodes belong to the group HwHiAiUser",
        on=context.place,
        what=f"user {user}",
        after="with the group HwHiAiUser where there is one",
        checks=f"id {quoted} 2>/dev/null || {{ echo none; exit 1; }}\n"
        f"if getent group HwHiAiUser >/dev/null && ! id -nG {quoted} | grep -qw HwHiAiUser; then"
        " exit 1; fi",
        applies=f"{AS_ROOT}id {quoted} >/dev/null 2>&1 ||"
        f" as_root useradd -m -s /bin/bash {quoted}\n"
        f"if getent group HwHiAiUser >/dev/null; then as_root usermod -aG HwHiAiUser {quoted}; fi",
        # His home may hold work by now: it stays.
        undoes=f'{AS_ROOT}if [ "$(cat)" = none ] && id {quoted} >/dev/null 2>&1; then'
        f" as_root userdel {quoted}; fi",
    )
