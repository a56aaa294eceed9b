#!/bin/sh
# A STAND-IN of Paddock's rehearsal for @FILE@: not the vendor's package, and nothing of it inside.
# It behaves as those do as far as a deployment can see: it checks its own SHA-256, unpacks, takes the
# same options, refuses others, wants the user HwHiAiUser, and leaves the files that tell versions.
part='@PART@' version='@VERSION@' inner='@INNER@' compatible='@COMPATIBLE@' chip='@CHIP@'
sha256='@SHA256@' lines=@LINES@
file=$(basename "$0")
root=/usr/local/Ascend
action='' quiet=no for_all=no extract=''

say() { echo "[Toolkit] [$(date '+%Y-%m-%d %H:%M:%S')] [$1]: $2"; }
fail() {
  say ERROR "$1"
  exit "${2:-1}"
}

usage() {
  cat <<END
Usage: ./$file [options]
Options:
  --help | -h                       Print this message
  --check                           Check integrity of the archive
  --extract=<path>                  Unpack into that folder and do nothing else
  --install | --full | --devel | --run   Install
  --upgrade                         Install over an older version
  --uninstall                       Uninstall this version
  --install-path=<path>             Install below that folder
  --install-for-all                 For all users
  --quiet                           Ask nothing
  --version                         Print the version
This is a stand-in made by paddock rehearse.
END
}

for word; do
  case $word in
  --help | -h) usage && exit 0 ;;
  --version) echo "$version" && exit 0 ;;
  --check) action=check ;;
  --install | --full | --devel | --run | --upgrade) action=install ;;
  --uninstall) action=uninstall ;;
  --extract=*) action=extract extract=${word#*=} ;;
  --install-path=*) root=${word#*=} ;;
  --install-for-all) for_all=yes ;;
  --quiet) quiet=yes ;;
  *)
    echo "[ERROR]Unrecognized parameters: $word. Try './$file --help' for more information."
    exit 1
    ;;
  esac
done
[ -n "$action" ] || { usage && exit 1; }

printf 'Verifying archive integrity... '
found=$(tail -n +"$lines" "$0" | sha256sum | cut -d' ' -f1)
if [ "$found" != "$sha256" ]; then
  echo "Error in SHA256 checksums: $found is different from $sha256" >&2
  exit 2
fi
echo ' 100%   SHA256 checksums are OK. All good.'
[ "$action" != check ] || exit 0

unpack() {
  echo 'Uncompressing ASCEND RUN PACKAGE  100%'
  mkdir -p "$1" && tail -n +"$lines" "$0" | tar -xz --no-same-owner -C "$1"
}
if [ "$action" = extract ]; then
  unpack "$extract"
  exit
fi

arch=$(uname -m)
case $part in
nnal) home=$root/nnal/atb/$version latest=$root/nnal/atb/latest ;;
*)
  case $version in
  [1-7].* | 8.[0-4].*) home=$root/ascend-toolkit/$version latest=$root/ascend-toolkit/latest ;;
  *) home=$root/cann-$version latest=$root/cann ;;
  esac
  ;;
esac

uninstall() {
  case $part in
  kernels)
    rm -rf "$home/opp_kernel" "$home"/share/info/ops* "$home/opp/built-in"
    rmdir "$home/opp" "$home/share/info" "$home/share" 2>/dev/null
    ;;
  *)
    rm -rf "$home"
    if [ "$(readlink "$latest")" = "$home" ]; then rm -f "$latest"; fi
    case $part in
    nnal)
      rm -f "$root/nnal/atb/set_env.sh"
      rmdir "$root/nnal/atb" "$root/nnal" 2>/dev/null
      ;;
    *)
      rm -f "$root/ascend-toolkit/set_env.sh"
      rmdir "$root/ascend-toolkit" 2>/dev/null
      ;;
    esac
    ;;
  esac
  rmdir "$root" 2>/dev/null
  say INFO "$file uninstalled successfully!"
}
if [ "$action" = uninstall ]; then
  uninstall
  exit 0
fi

id HwHiAiUser >/dev/null 2>&1 ||
  fail 'ERR_NO:0x0091;ERR_DES:HwHiAiUser not exists! Please add HwHiAiUser user' 1
if [ "$part" != cann ] && [ ! -d "$home" ] && [ "$part" != nnal ]; then
  fail "the toolkit $version is not installed at $home"
fi
[ "$quiet" = yes ] || say INFO 'the license was accepted by calling a stand-in'

set -e
unpack "$home"
put() { # FILE, text on stdin
  mkdir -p "$(dirname "$1")"
  cat >"$1"
}
uninstaller() { # FILE: what the real ones leave to be called
  put "$1" <<END
#!/bin/bash
exec sh '$home/script-$part/$file' --uninstall --install-path='$root'
END
  chmod 550 "$1"
  mkdir -p "$home/script-$part"
  cp "$0" "$home/script-$part/$file"
}
case $part in
cann)
  put "$home/$arch-linux/ascend_toolkit_install.info" <<END
package_name=Ascend-cann-toolkit
version=$version
innerversion=$inner
compatible_version=$compatible
arch=$arch
os=linux
path=$home/$arch-linux
END
  put "$home/toolkit/version.info" <<END
Version=$version
version_dir=$version
END
  put "$home/version.cfg" <<END
# version: 1.0
runtime_running_version=[$version:$version]
END
  mkdir -p "$home/$arch-linux/lib64"
  [ -e "$home/lib64" ] || ln -s "$arch-linux/lib64" "$home/lib64"
  mv "$home"/wheels/*.whl "$home/$arch-linux/lib64/"
  rmdir "$home/wheels"
  ln -sfn "$home" "$latest"
  setter=$root/ascend-toolkit/set_env.sh
  case $home in "$root"/cann-*) setter=$home/set_env.sh ;; esac
  put "$setter" <<END
export ASCEND_TOOLKIT_HOME=$latest
export ASCEND_HOME_PATH=\${ASCEND_TOOLKIT_HOME}
export ASCEND_AICPU_PATH=\${ASCEND_TOOLKIT_HOME}
export ASCEND_OPP_PATH=\${ASCEND_TOOLKIT_HOME}/opp
export TOOLCHAIN_HOME=\${ASCEND_TOOLKIT_HOME}/toolkit
export LD_LIBRARY_PATH=\${ASCEND_TOOLKIT_HOME}/lib64:\$LD_LIBRARY_PATH
export PATH=\${ASCEND_TOOLKIT_HOME}/bin:\$PATH
END
  uninstaller "$home/cann_uninstall.sh"
  ;;
kernels)
  info=$home/opp_kernel
  case $home in "$root"/cann-*) info=$home/share/info/ops_$chip ;; esac
  put "$info/version.info" <<END
Version=$version
version_dir=$version
END
  put "$home/opp/built-in/op_impl/ai_core/tbe/kernel/ascend$chip/binary_info_config.json" <<END
{}
END
  uninstaller "$info/script/uninstall.sh"
  ;;
nnal)
  put "$home/version.info" <<END
    Ascend-cann-atb : $version
    Ascend-cann-atb Version : $version.STAND-IN
    Platform : $arch
END
  put "$home/atb/set_env.sh" <<END
export ATB_HOME_PATH=$latest/atb
END
  ln -sfn "$home" "$latest"
  put "$root/nnal/atb/set_env.sh" <<END
. $latest/atb/set_env.sh
END
  uninstaller "$home/scripts/uninstall.sh"
  ;;
esac
put "$home/STAND-IN-$part" <<END
Made by paddock rehearse in place of $file.
END
[ "$for_all" = no ] || chmod -R go+rX "$home"
say INFO "Ascend-$part package installed successfully! The new version takes effect immediately."
exit 0
