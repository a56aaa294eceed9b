# The network between simulated hosts: a bridge in a network namespace of its own, so that nothing on
# this machine's interfaces, routes or firewall changes. Ends when it is killed; nothing is left then.
# Usage: hub.sh FOLDER ADDRESS/BITS
set -eu
read -r pid _ </proc/self/stat
ip link set lo up
ip link add name br0 type bridge
ip addr add "$2" dev br0
ip link set br0 up
printf '%s\n' "$pid" >"$1/pid.new"
mv "$1/pid.new" "$1/pid"
while sleep 3600; do :; done
