# The first process of a simulated host, in namespaces of its own (mount, pid, uts, ipc, net): puts its
# file system together, enters it, waits for its network, starts its services, reaps their children.
# Usage: host.sh FOLDER NAME ADDRESS/BITS GATEWAY OVERLAYS SERVICES
#   FOLDER/tree     what it has for itself: /root, /opt, /var, /tmp, ...
#   FOLDER/upper    what differs from this machine in the OVERLAYS (usr etc ...); FOLDER/work beside it
#   FOLDER/nodes    lines "PATH MAJOR MINOR MODE GID", FOLDER/pci  what /sys/bus/pci/devices shows
set -eu
folder=$1 name=$2 address=$3 gateway=$4 overlays=$5 services=$6
# Before /proc is its own: the pid that the outside knows.
read -r pid _ </proc/self/stat
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

hostname "$name"
mount --make-rprivate /
root=$folder/tree
mount --bind "$root" "$root"
for part in $overlays; do
  mount -t overlay overlay \
    -o "lowerdir=/$part,upperdir=$folder/upper/$part,workdir=$folder/work/$part" "$root/$part"
done

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
if [ -d "$folder/pci" ] && [ -d "$root/sys/bus/pci/devices" ]; then
  mount --bind "$folder/pci" "$root/sys/bus/pci/devices"
fi
mount -t tmpfs -o mode=755,size=64m run "$root/run"
mkdir -p "$root/run/sshd" "$root/run/lock"

mount -t tmpfs -o mode=755,size=4m dev "$root/dev"
while read -r path major minor mode group; do
  mknod -m "$mode" "$root$path" c "$major" "$minor"
  chown "0:$group" "$root$path"
done <"$folder/nodes"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for stream in stdin:0 stdout:1 stderr:2; do
  ln -s "/proc/self/fd/${stream#*:}" "$root/dev/${stream%:*}"
done

printf '%s\n' "$pid" >"$folder/pid.new"
mv "$folder/pid.new" "$folder/pid"

cd "$root"
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old

ip link set lo up
waited=0
until ip link show eth0 >/dev/null 2>&1; do
  waited=$((waited + 1))
  [ "$waited" -lt 1200 ] || { echo "no network came" >&2; exit 1; }
  sleep 0.05
done
ip addr add "$address" dev eth0
ip link set eth0 up
ip route add default via "$gateway"

# The loader's cache is this machine's until now.
ldconfig
for service in $services; do
  env -i PATH="$PATH:/usr/local/bin" HOME=/root LANG=C.UTF-8 "/usr/local/sbin/service-$service" start
done
echo ready >/run/simulated-host
# A shell that waits for one child reaps all others too.
while sleep 1; do :; done
