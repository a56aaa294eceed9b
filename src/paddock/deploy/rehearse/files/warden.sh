# Ends a site of simulated hosts when whoever made it has gone without doing so.
# Usage: warden.sh FOLDER PID
folder=$1 owner=$2
started() { sed 's/.*) //' "/proc/$owner/stat" 2>/dev/null | cut -d' ' -f20; }
first=$(started)
while [ -d "$folder" ]; do
  if [ -z "$first" ] || [ "$(started)" != "$first" ]; then
    for file in "$folder"/host-*/pid "$folder"/hub/pid; do
      [ -e "$file" ] || continue
      pid=$(cat "$file")
      # The number may have gone to another process since.
      tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "$folder" && kill -9 "$pid"
    done
    sleep 1
    for top in /sys/fs/cgroup/"paddock-${folder##*/}" /sys/fs/cgroup/*/"paddock-${folder##*/}"; do
      [ -d "$top" ] && find "$top" -depth -type d -exec rmdir {} \;
    done
    [ ! -L "$folder/sockets" ] || rm -rf "$(readlink "$folder/sockets")"
    rm -rf --one-file-system "$folder"
  fi
  sleep 1
done
