"""The repositories of dnf and yum at a mirror: the system's own files, led there line by line."""

from __future__ import annotations

# What a .repo file says of releases, parts and processors stays as it is: only the server changes.
# CentOS 7 and 8 are archived, so that mirrors have them under their full number, and 7 for Arm in a
# tree of its own. Source: https://docs.infra.centos.org/buildsys/mirror-network/
# A key that the system has on its disk goes before one from the network.
MOVED = r"""
distributions() { # FILE: whether it leads to servers of a distribution that mirrors are known for
  grep -Eq '//(repo\.openeuler\.org|mirror(list)?\.centos\.org)[:/]|//vault\.centos\.org/[^/]+/\$' \
    "$1" 2>/dev/null
}
moved() { # MIRROR OS_RELEASE ARCHITECTURE FILE...: what stands in these files, at the mirror
  ( . "$2"
  mirror=$1 release=$2 arch=$3 system=${ID:-}
  shift 3
  case $system:${VERSION_ID:-} in
    openEuler:*)
      key=/etc/pki/rpm-gpg/RPM-GPG-KEY-openEuler
      if [ -e "$key" ]; then key=file://$key; else key="$mirror/openeuler/\\2"; fi
      led() {
        sed -E -e 's/^(metalink|mirrorlist)[[:space:]]*=/#&/' \
          -e "s@^(baseurl *= *)https?://repo\.openeuler\.org/@\1$mirror/openeuler/@" \
          -e "s@^(gpgkey *= *)https?://repo\.openeuler\.org/(.*)@\1$key@" "$1"
      } ;;
    centos:7 | centos:8)
      full=$(sed -nE 's/.* release ([0-9.]*[0-9]).*/\1/p' "${release%os-release}centos-release")
      tree=centos-vault
      if [ "$VERSION_ID" = 7 ] && [ "$arch" != x86_64 ]; then tree=centos-vault/altarch; fi
      own='^#?(baseurl *= *)https?://(mirror|vault)\.centos\.org/[^/]+'
      led() {
        sed -E -e 's/^(metalink|mirrorlist)[[:space:]]*=/#&/' \
          -e "s@$own/(\\\$releasever|$VERSION_ID)/@\1$mirror/$tree/$full/@" \
          -e "s@$own/\\\$stream/@\1$mirror/$tree/\$stream/@" "$1"
      } ;;
    *)
      echo "ID=$system ${VERSION_ID:-} in $release: mirrors are known for Ubuntu, Debian," \
        "openEuler and CentOS 7 and 8; without mirrors.apt the system's own lists stay" >&2
      exit 2 ;;
  esac
  if [ $# -eq 0 ]; then
    echo "no file in /etc/yum.repos.d leads to a server of $system: no list can be chosen" >&2
    exit 2
  fi
  printf '# Written by Paddock: %s %s for %s.\n' "$system" "${VERSION_ID:-}" "$arch"
  for file; do
    if [ ! -e "$file" ]; then file=$file.paddock.disabled; fi
    led "$file"
  done )
}
"""
