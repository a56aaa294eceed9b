# Reads a machine and changes nothing on it. Sent to "sh -s" here, over SSH or into a container; needs
# a POSIX shell and what every system has beside it, no Python. All of it is functions, so that a
# transfer cut short is a syntax error and runs nothing.
#
# Usage: sh -s -- quick|thorough [FOLDER...]    folders to look into for models, beside the usual
#
# The answer on stdout is frames, read by frames.py:
#     @@ EXIT BYTES MTIME NAME       the command's exit code, the length of what follows, when the
#     ...body...                     file was changed (or -), and what was asked
# NAME is a command line, or "file PATH", or "file PATH => REAL". Nothing of a secret's kind leaves the
# machine: environment variables are chosen by name, addresses lose their credentials.

umask 077
lang=$LANG
LC_ALL=C
export LC_ALL

# 1. Frames

frame() { # EXIT MTIME NAME, body in $body
  printf '@@ %s %s %s %s\n%s\n' "$1" "${#body}" "$2" "$3" "$body"
}

done_with() { # ends a group: proof that it ran to its end
  body=.
  frame 0 - "end $1"
}

newline='
'
if timeout 5 true; then limit='timeout 10'; else limit=; fi

run() { # NAME COMMAND...: what it prints on both streams
  name=$1
  shift
  body=$($limit "$@" 2>&1)
  code=$?
  frame $code - "$name"
}

say() { # NAME FUNCTION...: what a function of ours prints
  name=$1
  shift
  body=$("$@")
  frame $? - "$name"
}

small() { # PATH...: files of the kernel's or of a line or two
  for path; do
    [ -e "$path" ] || continue
    body=$(head -c 65536 "$path" 2>&1)
    frame $? - "file $path"
  done
}

seen=' '
show() { # PATH...: files that are asked when they were changed; each real file once
  for path; do
    [ -e "$path" ] || continue
    real=$(readlink -f "$path") || real=$path
    to=
    [ "$real" = "$path" ] || to=" => $real"
    case $seen in
    *" $real "*) body= && frame 0 - "file $path$to" && continue ;;
    esac
    seen="$seen$real "
    stamp=$(stat -c %Y "$path") || stamp=-
    body=$(head -c 65536 "$path" 2>&1 | hide)
    [ -r "$path" ] || body=${body:-Permission denied}
    [ -r "$path" ]
    frame $? "$stamp" "file $path$to"
  done
}

hide() { # addresses without user:password@ and without keys in their queries
  sed -e 's#://[^/@[:space:]"]*@#://***@#g' \
    -e 's#\([?&][A-Za-z_]*\(token\|key\|secret\|password\|sig\)[A-Za-z_]*=\)[^&[:space:]"]*#\1***#g'
}

# 2. The machine itself

variables='PATH|LD_LIBRARY_PATH|LD_PRELOAD|LANG|TZ|SHELL|VIRTUAL_ENV|CONDA_PREFIX|CONDA_DEFAULT_ENV'
variables="$variables|PYTHONPATH|PYTHONHOME|PYTHONNOUSERSITE|OMP_NUM_THREADS|CHECKPOINT_DOWNLOAD_FOLDER"
variables="$variables|SOC_VERSION|RANK_TABLE_FILE|RANK_ID|RANK_SIZE|DEVICE_ID|ASCEND_[A-Z_]*|ATB_[A-Z_]*"
variables="$variables|HCCL_[A-Z_]*|GLOO_SOCKET_IFNAME|TP_SOCKET_IFNAME|NCCL_[A-Z_]*|MS_[A-Z_]*|GLOG_v"
variables="$variables|PYTORCH_NPU_ALLOC_CONF|PYTORCH_CUDA_ALLOC_CONF|TASK_QUEUE_ENABLE|VLLM_[A-Z_]*"
variables="$variables|XDG_STATE_HOME|TOOLCHAIN_HOME|CUDA_HOME|CUDA_VISIBLE_DEVICES|NVIDIA_[A-Z_]*|KUBERNETES_SERVICE_HOST"
variables="$variables|PIP_INDEX_URL|PIP_EXTRA_INDEX_URL|PIP_TRUSTED_HOST|UV_INDEX_URL|UV_DEFAULT_INDEX"
variables="$variables|UV_EXTRA_INDEX_URL|UV_INDEX|HF_ENDPOINT|HF_HOME|HF_HUB_OFFLINE|DOCKER_HOST"
variables="$variables|[Hh][Tt][Tt][Pp]_[Pp][Rr][Oo][Xx][Yy]|[Hh][Tt][Tt][Pp][Ss]_[Pp][Rr][Oo][Xx][Yy]"
variables="$variables|[Aa][Ll][Ll]_[Pp][Rr][Oo][Xx][Yy]|[Nn][Oo]_[Pp][Rr][Oo][Xx][Yy]"

chosen() { grep -aE "^($variables)=" | grep -avE '^[A-Z_]*(TOKEN|API_KEY|SECRET|PASSWORD)[A-Z_]*=' | hide; }
environment() { env | chosen; }
first_environment() { tr '\0' '\n' </proc/1/environ | chosen; }

libc() {
  getconf GNU_LIBC_VERSION && return
  # musl's ldd tells on stderr, and with an error, what it is.
  ! command -v ldd >/dev/null || ldd --version 2>&1 | head -n 2
}

modules() { cut -d' ' -f1 /proc/modules | grep -E '^(drv_|davinci|ascend|asdrv|hi_|hisi_|nvidia)'; }

security() {
  ! command -v getenforce >/dev/null || printf 'selinux=%s\n' "$(getenforce)"
  read -r enabled </sys/module/apparmor/parameters/enabled && printf 'apparmor=%s\n' "$enabled"
  grep -E '^(Seccomp|CapEff|Cpus_allowed_list):' /proc/self/status
}

cpu() {
  sed '/^$/q' /proc/cpuinfo
  # Arm's kernels print no model name.
  grep -q '^model name' /proc/cpuinfo || lscpu | grep -E '^(Model name|Vendor ID|BIOS Model name):'
  printf 'sockets=%s\n' "$(cat /sys/devices/system/cpu/cpu[0-9]*/topology/physical_package_id | sort -u | wc -l)"
  printf 'cores=%s\n' "$(cat /sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list | sort -u | wc -l)"
  read -r online </sys/devices/system/cpu/online && printf 'online=%s\n' "$online"
  read -r nodes </sys/devices/system/node/online && printf 'nodes=%s\n' "$nodes"
}

memory_limit() {
  while IFS=: read -r id kind path; do
    case $id:$kind in
    0:) cat "/sys/fs/cgroup$path/memory.max" || cat /sys/fs/cgroup/memory.max ;;
    *:memory)
      cat "/sys/fs/cgroup/memory$path/memory.limit_in_bytes" ||
        cat /sys/fs/cgroup/memory/memory.limit_in_bytes
      ;;
    esac
  done </proc/self/cgroup
}

cpu_limit() { # microseconds of time and of the period in which they are granted
  while IFS=: read -r id kind path; do
    case $id:$kind in
    0:) cat "/sys/fs/cgroup$path/cpu.max" || cat /sys/fs/cgroup/cpu.max ;;
    *:*cpu,* | *:cpu | *,cpu)
      for group in "/sys/fs/cgroup/cpu$path" /sys/fs/cgroup/cpu; do
        [ -r "$group/cpu.cfs_quota_us" ] || continue
        printf '%s %s\n' "$(cat "$group/cpu.cfs_quota_us")" "$(cat "$group/cpu.cfs_period_us")"
        break
      done
      ;;
    esac
  done </proc/self/cgroup
}

mounts() {
  while read -r device mount kind options _; do
    case ,$options, in *,ro,*) mode=ro ;; *) mode=rw ;; esac
    printf '%s %s %s %s\n' "$device" "$mount" "$kind" "$mode"
  done </proc/mounts
}

user() {
  uid=$(id -u)
  printf 'uid=%s\ngid=%s\nname=%s\n' "$uid" "$(id -g)" "$(id -un)"
  # the login shell by the user database: $SHELL is whatever started us, and bash makes one up where it is unset
  entry=$(getent passwd "$uid" || grep "^[^:]*:[^:]*:$uid:" /etc/passwd) && named=yes || named=no
  printf 'home=%s\nshell=%s\ngroups=%s\nnamed=%s\n' "$HOME" "${entry##*:}" "$(id -G)" "$named"
  for group in $(id -G); do
    printf 'group=%s\n' "$(getent group "$group" || grep "^[^:]*:[^:]*:$group:" /etc/group)"
  done
  grep -E '^(HwHiAiUser|docker|podman|isula|render|video):' /etc/group | sed 's/^/other=/'
}

confinement() {
  [ -e /.dockerenv ] && echo 'docker /.dockerenv'
  [ -e /run/.containerenv ] && echo 'podman /run/.containerenv'
  [ -n "$KUBERNETES_SERVICE_HOST" ] && echo 'kubernetes KUBERNETES_SERVICE_HOST'
  grep -qE '/(docker|kubepods|isulad|libpod)' /proc/1/cgroup && echo 'container /proc/1/cgroup'
  tr '\0' '\n' </proc/1/environ | sed -n 's/^container=\(.*\)/\1 \/proc\/1\/environ/p'
}

timezone() {
  cat /etc/timezone || readlink /etc/localtime | sed 's#.*/zoneinfo/##'
}

clock_source() {
  if [ -e /run/systemd/timesync/synchronized ]; then
    echo yes
  elif command -v chronyc >/dev/null; then
    $limit chronyc -n tracking | grep -q '^Leap status *: Normal' && echo yes || echo no
  fi
}

utf8() { locale -a | grep -qiE 'utf-?8' && echo yes || echo no; }

startup() {
  grep -HE 'Ascend|ASCEND|set_env|LD_LIBRARY_PATH|LD_PRELOAD|CANN' /etc/environment /etc/profile \
    /etc/profile.d/*.sh /etc/bash.bashrc /etc/bashrc "$HOME/.bashrc" "$HOME/.bash_profile" \
    "$HOME/.profile" "$HOME/.zshrc" | hide
  grep -HE '^/' /etc/ld.so.conf /etc/ld.so.conf.d/*.conf
}

sshd() {
  grep -HiE '^[[:space:]]*(Port|ListenAddress|PermitRootLogin|PasswordAuthentication|AllowUsers)[[:space:]]' \
    /etc/ssh/sshd_config.d/*.conf /etc/ssh/sshd_config
}

# 3. Network, packages, tools

interfaces() {
  # ip leaves out those that have no address.
  for path in /sys/class/net/*; do [ -d "$path" ] && printf '0: %s\n' "${path##*/}"; done
  ip -o addr show
}

listening() { grep -hE '^ *[0-9]+: [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:0+ 0A ' /proc/net/tcp /proc/net/tcp6; }

pip_files() {
  grep -HE '^[[:space:]]*(index-url|extra-index-url|find-links|proxy)[[:space:]]*=' \
    /etc/pip.conf "$HOME/.pip/pip.conf" "$HOME/.config/pip/pip.conf" "$VIRTUAL_ENV/pip.conf" | hide
  grep -HE '^[[:space:]]*(url|index-url|extra-index-url|default-index)[[:space:]]*=' \
    /etc/uv/uv.toml "$HOME/.config/uv/uv.toml" | hide
  grep -HE '^[[:space:]]*(-[[:space:]]*[a-z]+|[a-z_]+:.*://.*)' /etc/conda/.condarc "$HOME/.condarc" | hide
}

apt_sources() {
  grep -HE '^[[:space:]]*(deb |URIs:|Suites:|Enabled:|Types:|$)' /etc/apt/sources.list \
    /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources | hide
}

yum_sources() {
  grep -HE '^[[:space:]]*(\[|baseurl|mirrorlist|metalink|enabled)' /etc/yum.repos.d/*.repo | hide
}

proxy_files() {
  grep -HiE '(http|https|ftp|no|all)_?proxy' /etc/environment /etc/apt/apt.conf /etc/apt/apt.conf.d/* \
    /etc/yum.conf /etc/dnf/dnf.conf /etc/systemd/system/docker.service.d/*.conf \
    "$HOME/.docker/config.json" /etc/docker/daemon.json | hide
  grep -HiE 'Acquire::https?::Proxy' /etc/apt/apt.conf /etc/apt/apt.conf.d/* | hide
}

tool() { # NAME PATH [VERSION]; what is built into the shell (busybox) has no path
  case $2 in /*) ;; *) return ;; esac
  printf '%s\t%s\t%s\n' "$1" "$2" "$3"
}

tools() {
  for name in gcc g++; do
    path=$(command -v $name) && tool $name "$path" "$($limit "$path" -dumpfullversion -dumpversion)"
  done
  for name in uv micromamba; do
    path=$(command -v $name) || path=$HOME/.local/bin/$name
    [ -x "$path" ] && tool $name "$path" "$($limit "$path" --version | sed 's/^[a-z]* //; s/ .*//')"
  done
  for name in make cmake git curl wget pip pip3 lspci ssh sshd numactl apt-get dnf yum; do
    path=$(command -v $name) && tool $name "$path" ''
  done
  # conda is a Python program and slow to ask; its version is in the name of its metadata.
  for root in "${CONDA_EXE%/bin/conda}" "$CONDA_PREFIX" "$HOME"/miniconda3 "$HOME"/anaconda3 \
    "$HOME"/miniforge3 "$HOME"/mambaforge /opt/conda /opt/miniconda3 /opt/miniforge3 /usr/local/miniconda3; do
    for name in conda mamba; do
      for meta in "$root/conda-meta/$name"-[0-9]*.json; do
        if [ ! -e "$meta" ] || [ ! -x "$root/bin/$name" ]; then continue; fi
        version=${meta##*/"$name"-}
        tool $name "$root/bin/$name" "${version%%-*}"
      done
    done
  done
}

# Directories where Ascend's and NVIDIA's libraries are put by their own installers.
library_folders() {
  printf '%s\n' /usr/local/Ascend/driver/lib64 /usr/local/Ascend/driver/lib64/driver \
    /usr/local/Ascend/driver/lib64/common /usr/local/dcmi /usr/lib/wsl/lib \
    "$ASCEND_HOME_PATH/lib64" /usr/local/Ascend/ascend-toolkit/latest/lib64 \
    /usr/local/Ascend/cann/lib64 /usr/local/Ascend/nnal/atb/latest/atb/cxx_abi_0/lib \
    /usr/local/Ascend/nnal/atb/latest/atb/cxx_abi_1/lib /usr/lib /usr/lib64 \
    "/usr/lib/$(uname -m)-linux-gnu"
}

libraries() {
  names='libdrvdsmi_host.so libascend_hal.so libdcmi.so libc_sec.so libascendcl.so libhccl.so libatb.so'
  names="$names libgomp.so.1 libcuda.so.1 libnvidia-ml.so.1"
  cache=$(ldconfig -p | grep -E "^[[:space:]]*($(echo "$names" | tr ' ' '|')) ")
  folders=$(library_folders)
  for name in $names; do
    from=
    IFS=:
    for folder in $LD_LIBRARY_PATH; do
      [ -z "$from" ] && [ -e "${folder:-.}/$name" ] && from=${folder:-.}/$name
    done
    unset IFS
    if [ -z "$from" ]; then # the cache's first, by the shell itself: programs for ten names cost more
      line=${cache#*"$name "}
      line=${line%%"$newline"*}
      case $line in '('*' /'*) from=/${line#* /} ;; esac
    fi
    printf 'loads\t%s\t%s\n' "$name" "$from"
    for folder in $folders; do
      [ -e "$folder/$name" ] && printf 'disk\t%s\t%s\n' "$name" "$folder/$name"
    done
  done
}

# 4. Models that a program started here would load

model_folders() {
  printf '%s\n' "$PWD" "$HOME" "$@" | sort -u
}

model_files() { # stat and not wc, which in busybox reads all of a file
  model_folders "$@" | while read -r folder; do
    for file in "$folder"/*.ckpt "$folder"/*.ckpt.error "$folder"/*.safetensors "$folder"/tokenizer.model \
      "$folder"/checkpoint_download/*/*; do
      [ -f "$file" ] && printf '%s\t%s\n' "$(stat -c %s "$file")" "$file"
    done
  done
  for file in "${CHECKPOINT_DOWNLOAD_FOLDER:-/nonexistent}"/*/*; do
    [ -f "$file" ] && printf '%s\t%s\n' "$(stat -c %s "$file")" "$file"
  done
}

model_configs() {
  keys='use_past|seq_length|max_device_memory|is_dynamic|use_flash_attention|use_rope_slice'
  keys="$keys|use_paged_attention|use_kvcache_op|use_parallel|batch_size|num_layers|hidden_size|num_heads"
  keys="$keys|n_kv_heads|vocab_size|max_decode_length|checkpoint_name_or_path|load_checkpoint|run_mode"
  keys="$keys|compute_dtype|param_init_type|device_target|device_num|model_parallel|data_parallel|type"
  model_folders "$@" | while read -r folder; do
    for file in "$folder"/*.yaml "$folder"/checkpoint_download/*/*.yaml \
      "${CHECKPOINT_DOWNLOAD_FOLDER:-/nonexistent}"/*/*.yaml; do
      [ -f "$file" ] && grep -qE '^[[:space:]]*(use_past|max_device_memory):' "$file" &&
        grep -HE "^[[:space:]]*($keys):[[:space:]]*[^[:space:]#]" "$file"
    done
  done
}

rank_tables() {
  model_folders "$@" | while read -r folder; do
    printf '%s\n' "$folder"/hccl_*.json "$folder"/rank_table*.json
  done
  printf '%s\n' "$RANK_TABLE_FILE" /user/serverid/devindex/config/hccl.json
}

# 5. Accelerators: the bus first, then the nodes, then what the vendors' tools say

pci() {
  for folder in /sys/bus/pci/devices/*; do
    read -r vendor <"$folder/vendor" || continue
    read -r class <"$folder/class"
    case $vendor:$class in
    *:0x12????) ;;                       # processing accelerators
    0x10de:0x03????|0x1002:0x03????) ;;  # NVIDIA's and AMD's graphics and 3D controllers
    *) continue ;;
    esac
    read -r device <"$folder/device"
    numa=- sub_vendor=- sub_device=- driver=-
    read -r numa <"$folder/numa_node"
    read -r sub_vendor <"$folder/subsystem_vendor"
    read -r sub_device <"$folder/subsystem_device"
    [ -e "$folder/driver" ] && driver=$(readlink "$folder/driver")
    printf '%s %s %s %s %s %s %s %s\n' "${folder##*/}" "$vendor" "$device" "$class" "${driver##*/}" \
      "$numa" "$sub_vendor" "$sub_device"
  done
}

nodes() {
  for node in /dev/davinci* /dev/devmm_svm /dev/hisi_hdc /dev/dvpp_cmdlist /dev/svm0 /dev/ts_aisle \
    /dev/upgrade /dev/ummu /dev/uburma /dev/xsmem_dev /dev/event_sched /dev/log_drv /dev/nvidia* \
    /dev/infiniband /dev/kfd; do
    [ -e "$node" ] || continue
    access=
    [ -r "$node" ] && access=r
    [ -w "$node" ] && access=${access}w
    printf '%s %s\n' "${access:--}" "$(stat -c '%a %u %g %U %G %F|%n' "$node")"
  done
}

ascend_roots() {
  printf '%s\n' /usr/local/Ascend "$HOME/Ascend"
  sed -n 's/^[A-Za-z]*_Install_Path_Param=//p' /etc/ascend_install.info
}

toolkits() { # folders that may hold a toolkit, the one in use first
  printf '%s\n' "$ASCEND_HOME_PATH" "$ASCEND_TOOLKIT_HOME"
  ascend_roots | sort -u | while read -r root; do
    printf '%s\n' "$root"/ascend-toolkit/latest "$root"/cann "$root"/latest "$root"/ascend-toolkit/[0-9]* \
      "$root"/cann-* "$root"/nnae/* "$root"/nnrt/*
  done
}

kernels() {
  toolkits | while read -r folder; do
    for soc in "$folder"/opp/built-in/op_impl/ai_core/tbe/kernel/ascend*; do
      [ -d "$soc" ] && printf '%s\t%s\n' "$(readlink -f "$folder/opp")" "${soc##*/}"
    done
  done | sort -u
}

platform() { # of the first toolkit that has it
  toolkits | while read -r folder; do
    for data in "$folder"/*-linux/data/platform_config "$folder"/compiler/data/platform_config \
      "$folder"/*-linux/platform_config "$folder"/acllib/data/platform_config "$folder"/atc/data/platform_config; do
      [ -d "$data" ] || continue
      grep -HE '^(ai_core_cnt|vector_core_cnt|cube_freq|memory_size|ddr_rate|l2_size)=' "$data"/Ascend*.ini
      return
    done
  done
}

ascend_files() {
  show /etc/ascend_install.info /etc/hccn.conf /etc/ascend-docker-runtime.d/base.list
  say 'install log' grep -hE 'set username|install type|installed successfully|upgraded' \
    /var/log/ascend_seclog/ascend_install.log
  ascend_roots | sort -u | {
    while read -r root; do
      show "$root"/driver/version.info "$root"/firmware/version.info \
        "$root"/nnal/atb/latest/version.info "$root"/nnal/atb/[0-9]*/version.info \
        "$root"/nnal/asdsip/latest/version.info "$root"/mindie/latest/version.info
      for script in "$root"/*/set_env.sh "$root"/nnal/*/set_env.sh "$root"/*/latest/set_env.sh; do
        [ -f "$script" ] && body= && frame 0 - "script $script"
      done
      hook=$root/Ascend-Docker-Runtime/ascend-docker-runtime
      [ -e "$hook" ] && body= && frame 0 - "docker runtime $hook"
    done
  }
  toolkits | {
    while read -r folder; do
      [ -d "$folder" ] || continue
      show "$folder"/*-linux/ascend_*_install.info "$folder"/toolkit/version.info \
        "$folder"/opp_kernel/version.info "$folder"/version.cfg "$folder"/share/info/*/version.info
    done
  }
  say kernels kernels
  say platform platform
  say 'ascend paths' ascend_paths
}

ascend_paths() { # what a container of a driver's may be given, as far as it is there
  printf '%s\n' /usr/local/dcmi /etc/ascend_install.info /etc/hccn.conf /etc/vnpu.cfg /var/queue_schedule \
    /var/log/npu /var/log/npu/conf/slog/slog.conf /var/log/npu/slog /var/log/npu/profiling /var/log/npu/dump |
    while read -r path; do [ -e "$path" ] && printf '%s\n' "$path"; done
  ascend_roots | sort -u | while read -r root; do
    for path in "$root"/driver "$root"/firmware "$root"/add-ons; do
      [ -e "$path" ] && printf '%s\n' "$path"
    done
  done
  return 0
}

find_tool() { # NAME: also where installers put it and a plain PATH does not look
  command -v "$1" && return
  for path in /usr/local/bin/"$1" /usr/local/sbin/"$1" /usr/bin/"$1" /usr/sbin/"$1" \
    /usr/local/Ascend/driver/tools/"$1"; do
    [ -x "$path" ] && printf '%s\n' "$path" && return
  done
  return 1
}

npu() { # WORDS...: one question to npu-smi; after one that hung, none
  [ "$hung" = no ] || return
  body=$($limit "$smi" "$@" 2>&1)
  code=$?
  frame $code - "npu-smi $*"
  [ $code -ne 124 ] || hung=yes
}

ascend() { # quick|thorough
  smi=$(find_tool npu-smi) || smi=
  hung=no
  if [ -n "$smi" ]; then
    body=$smi && frame 0 - 'npu-smi path'
    npu info
    case $body in
    *-8020*) small /proc/uda/namespace_node ;;  # reading it has an effect; see devices.Ascend
    esac
    if [ "$code" -eq 0 ]; then
      npu info -l
      ids=$(printf '%s\n' "$body" | sed -n 's/^[[:space:]]*NPU ID[[:space:]]*:[[:space:]]*\([0-9][0-9]*\).*/\1/p')
      npu info -m
      chips=$(printf '%s\n' "$body" | grep -v Mcu | sed -n 's/^[[:space:]]*\([0-9][0-9]*\)[[:space:]][[:space:]]*\([0-9][0-9]*\)[[:space:]].*/\1:\2/p')
      npu info -t topo
      for id in $ids; do
        npu info -t board -i "$id"
        npu info -t ecc -i "$id"
        if [ "$1" = thorough ]; then
          npu info -t usages -i "$id"
          npu info -t temp -i "$id"
          npu info -t power -i "$id"
        fi
      done
      for chip in $chips; do npu info -t health -i "${chip%:*}" -c "${chip#*:}"; done
    fi
  fi
  if [ "$1" = thorough ] && hccn=$(find_tool hccn_tool); then
    for node in /dev/davinci[0-9]*; do
      n=${node#/dev/davinci}
      for what in -ip -link -net_health; do
        [ -e "$node" ] && run "hccn_tool -i $n $what -g" "$hccn" -i "$n" $what -g
      done
    done
  fi
  ascend_files
}

cdi() {
  grep -HE '^[[:space:]]*-?[[:space:]]*"?(name|kind)"?:' /etc/cdi/*.yaml /etc/cdi/*.json \
    /var/run/cdi/*.yaml /var/run/cdi/*.json
}

nvidia() {
  small /proc/driver/nvidia/version
  say cdi cdi
  path=$(command -v nvidia-ctk) && run 'nvidia-ctk --version' "$path" --version
  smi=$(find_tool nvidia-smi) || return
  body=$smi && frame 0 - 'nvidia-smi path'
  fields=index,name,uuid,pci.bus_id,memory.total,memory.used,memory.free,utilization.gpu,temperature.gpu
  fields=$fields,power.draw,power.limit,driver_version,persistence_mode,mig.mode.current
  more=$fields,compute_cap,ecc.errors.uncorrected.volatile.total
  body=$($limit "$smi" --query-gpu=$more --format=csv,noheader,nounits 2>&1)
  code=$?
  frame $code - "nvidia-smi --query-gpu=$more --format=csv,noheader,nounits"
  # Older drivers refuse the whole question for a field that they do not know.
  case $body in
  *'not a valid field'*)
    run "nvidia-smi --query-gpu=$fields --format=csv,noheader,nounits" \
      "$smi" --query-gpu=$fields --format=csv,noheader,nounits
    ;;
  esac
  [ $code -eq 124 ] || run 'nvidia-smi -q -d COMPUTE' "$smi" -q -d COMPUTE
}

accelerators() {
  say pci pci
  say nodes nodes
  ascend "$1"
  nvidia
  done_with accelerators
}

# 6. Containers

# shellcheck disable=SC2016 # the variables are the template's
holders='container {{.Name}}
id {{.Id}}
image {{.Config.Image}}
privileged {{.HostConfig.Privileged}}
runtime {{.HostConfig.Runtime}}
network {{.HostConfig.NetworkMode}}
{{range .HostConfig.Devices}}device {{.PathOnHost}}
{{end}}{{range $port, $to := .HostConfig.PortBindings}}publish {{$port}}
{{end}}{{range .Config.Env}}env {{.}}
{{end}}'

containers() { # ENGINE: only two variables of each container's environment, which holds secrets
  ids=$($limit "$1" ps -q)
  # shellcheck disable=SC2086 # one word for each container
  [ -z "$ids" ] || $limit "$1" inspect --format "$holders" $ids |
    grep -E '^(container|id|image|privileged|runtime|network|device|publish|env (ASCEND|NVIDIA)_VISIBLE_DEVICES=)'
}

engines() {
  for engine in docker podman isula nerdctl containerd; do
    path=$(command -v $engine) || continue
    body=$path && frame 0 - "engine $engine"
    run "$engine --version" "$path" --version
    case $engine in
    docker) run 'docker info' "$path" info --format '{{json .}}' ;;
    podman)
      # Asking makes its storage where there is none yet.
      [ -e /var/lib/containers/storage ] || [ -e "$HOME/.local/share/containers/storage" ] || continue
      run 'podman info' "$path" info --format json
      ;;
    isula) run 'isula info' "$path" info ;;
    *) continue ;;
    esac
    case $engine:$code in docker:0 | podman:0) say "$engine containers" containers "$path" ;; esac
  done
  show /etc/docker/daemon.json /etc/isulad/daemon.json /etc/containers/containers.conf
  done_with engines
}

# 7. Pythons

look='
import os, sys
p = os.path
exe = p.join(p.realpath(p.dirname(sys.executable)), p.basename(sys.executable))
home = p.dirname(p.dirname(exe))
venv = p.exists(p.join(home, "pyvenv.cfg"))
prefix = home if venv else sys.prefix
base = getattr(sys, "base_prefix", sys.prefix)
short = "python%d.%d" % sys.version_info[:2]
out = [("executable", sys.executable), ("version", "%d.%d.%d" % sys.version_info[:3]),
       ("stage", sys.version_info[3]), ("prefix", prefix), ("base", base),
       ("implementation", sys.implementation.name if sys.version_info > (3, 3) else "cpython")]
try:
    for line in open("/proc/self/maps"):
        if "libpython" in line:
            out.append(("libpython", line.split()[-1]))
            break
except IOError:
    pass
if p.exists(p.join(p.dirname(os.__file__), "EXTERNALLY-MANAGED")) and not venv:
    out.append(("managed", "yes"))
folders = [p.join(prefix, lib, short, kind) for lib in ("lib", "lib64")
           for kind in ("site-packages", "dist-packages")]
shared = not venv
if venv:
    shared = "include-system-site-packages = true" in open(p.join(home, "pyvenv.cfg")).read().lower()
if shared:
    folders += [p.join(base, "lib", short, "site-packages"), p.join(base, "lib/python3/dist-packages"),
                p.join("/usr/local/lib", short, "dist-packages") if base == "/usr" else "",
                p.join(p.expanduser("~/.local/lib"), short, "site-packages")]
done = set()
for folder in folders:
    real = p.realpath(folder)
    if not folder or real in done or not p.isdir(real):
        continue
    done.add(real)
    out.append(("folder", folder))
    out += [("dist", n) for n in sorted(os.listdir(real)) if n.endswith((".dist-info", ".egg-info"))]
print("\n".join("%s=%s" % pair for pair in out))
'

python_paths() { # the one in use first
  command -v python3
  IFS=:
  for folder in $PATH; do
    printf '%s\n' "$folder"/python3 "$folder"/python3.[0-9] "$folder"/python3.[0-9][0-9]
  done
  unset IFS
  printf '%s\n' "$VIRTUAL_ENV"/bin/python3 "$CONDA_PREFIX"/bin/python3 "$PWD"/.venv/bin/python3 \
    "$PWD"/venv/bin/python3 /usr/bin/python3* /usr/local/bin/python3* /opt/*/bin/python3 \
    /usr/local/python3*/bin/python3 "$HOME"/.pyenv/versions/*/bin/python3 "$HOME"/*conda3/bin/python3 \
    "$HOME"/*conda3/envs/*/bin/python3 "$HOME"/*forge*/bin/python3 "$HOME"/*forge*/envs/*/bin/python3 \
    /opt/*conda*/envs/*/bin/python3 "$HOME"/.local/share/uv/python/*/bin/python3
  [ -r "$HOME/.conda/environments.txt" ] && sed 's#$#/bin/python3#' "$HOME/.conda/environments.txt"
}

pythons() {
  first=$(command -v python3)
  known=' '
  count=0
  python_paths | grep -v -e '-config$' | {
    while read -r path; do
      if [ ! -x "$path" ] || [ -d "$path" ]; then continue; fi
      # A shim asks its manager and costs a tenth of a second; what it would start is asked anyway.
      case $path in */shims/*) [ "$path" = "$first" ] || continue ;; esac
      # Two names of one file in one folder are one interpreter; a venv's link is another one.
      folder=$(readlink -f "${path%/*}")
      key="$folder=$(readlink -f "$path")"
      case $known in *" $key "*) continue ;; esac
      known="$known$key "
      count=$((count + 1))
      [ $count -le 24 ] || break
      run "python $path" "$path" -E -s -S -B -c "$look"
    done
    body=$count && frame 0 - 'python count'
  }
  done_with pythons
}

# 8. All of it

machine() {
  small /etc/os-release /proc/uptime /proc/meminfo /proc/self/limits
  run 'uname -snrm' uname -snrm
  say 'first environment' first_environment
  for name in libc modules security cpu; do say $name $name; done
  say 'memory limit' memory_limit
  say 'cpu limit' cpu_limit
  run 'df -P -k' df -P -k
  run 'df -P -k /dev/shm' df -P -k /dev/shm
  for name in mounts user confinement timezone startup sshd interfaces listening tools libraries; do say $name $name; done
  say 'clock source' clock_source
  say utf8 utf8
  ! command -v ss >/dev/null || run 'ss -Hltnp' ss -Hltnp
  say 'pip files' pip_files
  say 'apt sources' apt_sources
  say 'yum sources' yum_sources
  say 'proxy files' proxy_files
  say 'model files' model_files "$@"
  say 'model configs' model_configs "$@"
  rank_tables "$@" | { while read -r path; do [ -f "$path" ] && show "$path"; done; }
  done_with machine
}

main() {
  depth=${1:-quick}
  [ $# -eq 0 ] || shift
  body=1 && frame 0 - 'paddock probe'
  body=$(date '+%s.%N %z') && frame 0 - clock
  body=$lang && frame 0 - lang
  say environment environment
  # The stages of a pipeline run at the same time: each but the first keeps its answer until those
  # before it have spoken. That way the slow ones (drivers, daemons, interpreters) wait together.
  accelerators "$depth" |
    { x=$(engines) && cat && printf '%s\n' "$x"; } |
    { x=$(pythons) && cat && printf '%s\n' "$x"; } |
    { x=$(PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin && machine "$@") && cat && printf '%s\n' "$x"; }
  body=$(date '+%s.%N %z') && frame 0 - 'clock end'
  done_with probe
}

main "$@" 2>/dev/null </dev/null
