#!/bin/sh
# Run by mmdebstrap in the finished image: certificates that this machine trusts beyond the usual ones
# (without them pip fails behind a company's proxy), and no SSH host keys, which would be everybody's.
set -eu
root=$1
for file in /usr/local/share/ca-certificates/*.crt; do
  [ -e "$file" ] || continue
  cp "$file" "$root/usr/local/share/ca-certificates/"
done
chroot "$root" update-ca-certificates >/dev/null 2>&1
rm -f "$root"/etc/ssh/ssh_host_*
