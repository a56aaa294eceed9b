#!/bin/sh
# Starts, stops or restarts one daemon of a simulated host, which has no systemd.
# Installed as service-sshd and service-docker. Usage: service-NAME start|stop|restart
set -eu
name=${0##*service-}
case $name in
sshd) pid=/run/sshd.pid ready=/run/sshd.pid command='/usr/sbin/sshd -D -e' ;;
docker) pid=/run/docker.pid ready=/run/docker.sock command="dockerd --cgroup-parent=/$(cat /etc/simulated-site)" ;;
*) echo "unknown service $name" >&2; exit 2 ;;
esac

running() { [ -e "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null; }

wait_until() {
  waited=0
  until "$@"; do
    waited=$((waited + 1))
    [ "$waited" -lt 1200 ] || { tail -n 5 "/var/log/$name.log" >&2; exit 1; }
    sleep 0.1
  done
}

stopped() { ! running; }
started() { running && [ -e "$ready" ]; }

start() {
  running && return
  rm -f "$pid" "$ready"
  setsid $command >>"/var/log/$name.log" 2>&1 </dev/null &
  wait_until started
}

stop() {
  running || return 0
  kill "$(cat "$pid")"
  wait_until stopped
}

case ${1:-} in
start) start ;;
stop) stop ;;
restart) stop; start ;;
*) echo "usage: $0 start|stop|restart" >&2; exit 2 ;;
esac
