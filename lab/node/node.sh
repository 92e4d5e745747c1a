# A sensor of the test's own, containers and checks. Sourced by lab/node/test.sh and bench/sensor.sh; expects lab/install.sh.
bin=${JINWU_BIN:-${CARGO_TARGET_DIR:-$cache/target}/debug}
work=$(mktemp -d "${TMPDIR:-/tmp}/jinwu-node.XXXXXX")
label=jinwu-node-test
checks=0 failures=0
agents=()

need podman runc jq gcc libc6-dev zstd perl iproute2
[ "$(id -u)" -eq 0 ] || {
  say "须 root:传感器要把程序载入内核 / needs root: the sensor loads programs into the kernel"
  exit 2
}

# What an earlier run left after a crash goes first.
pod() { podman --cgroup-manager cgroupfs --runtime runc "$@"; }
clear_containers() {
  local left
  left=$(pod ps -aq --filter "label=$label")
  # shellcheck disable=SC2086
  [ -z "$left" ] || pod rm -f -t 0 $left >/dev/null 2>&1 || true
}
clean() {
  local status=$? pid
  for pid in ${agents[@]+"${agents[@]}"}; do
    kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
  done
  clear_containers
  umount "$work"/disk 2>/dev/null || true
  if [ "$status" -eq 0 ] || [ -z "${JINWU_KEEP:-}" ]; then rm -rf "$work"; else say "保留 / kept: $work"; fi
}
# Sensors of a run that was killed: their script is gone, and somebody else is their parent.
clear_sensors() {
  local folder
  for folder in /proc/[0-9]*; do
    tr '\0' ' ' 2>/dev/null <"$folder/cmdline" | grep -qF -- "--data ${TMPDIR:-/tmp}/jinwu-node." || continue
    [ "$(awk '/^PPid:/ { print $2 }' "$folder/status" 2>/dev/null)" != 1 ] || kill "${folder#/proc/}" 2>/dev/null || true
  done
}
trap clean EXIT
trap 'exit 1' INT TERM
clear_containers
clear_sensors

# check WHAT COMMAND…: a line each; a failure is counted, and what the command said is shown.
check() {
  local what=$1 said
  shift
  checks=$((checks + 1))
  if said=$("$@" 2>&1); then
    printf 'ok      %s\n' "$what"
  else
    failures=$((failures + 1))
    printf 'FAILED  %s\n' "$what"
    [ -z "$said" ] || printf '%s\n' "$said" | tail -5 | sed 's/^/        /'
  fi
}
not() { ! "$@"; }
# Until it holds, 10 s at most, or a minute.
within_minute() { times=600 within "$@"; }
within() {
  local times=${times:-100}
  until "$@" >/dev/null 2>&1; do
    times=$((times - 1))
    [ $times -gt 0 ] || return 1
    sleep 0.1
  done
}

# The image: Alpine, the stimulus under the names of tools, and what it does by number.
image=localhost/jinwu-stimulus:1
build_image() {
  local tree=$cache/node-image sum number
  gcc -O1 -static -Wall -Wextra -Werror -o "$work/stimulus" lab/node/stimulus.c
  sum=$(cat lab/node/actions.tsv "$work/stimulus" lab/node/node.sh | sha256sum | cut -c1-16)
  [ "$(pod image inspect -f '{{index .Labels "sum"}}' "$image" 2>/dev/null)" = "$sum" ] && return
  corpora
  rm -rf "$tree" && mkdir -p "$tree"
  tar -xzf "$JINWU_DATA/images/alpine-minirootfs-3.20.3-x86_64.tar.gz" -C "$tree"
  install -m 0755 "$work/stimulus" "$tree/usr/bin/stimulus"
  cp lab/node/actions.tsv "$tree/opt/actions.tsv"
  for name in app nmap ssh scp kubectl curl xmrig debugfs pkexec sudoedit mysqld vipw npm lua java httpd nginx sha1sum sshd nc login make mount whoami; do
    rm -f "$tree/usr/bin/$name" "$tree/bin/$name" "$tree/usr/sbin/$name" "$tree/sbin/$name"
    ln "$tree/usr/bin/stimulus" "$tree/usr/bin/$name"
  done
  # Whom tools would ask for.
  printf 'x\n' >"$tree/opt/a"
  printf 'image\n' >"$tree/etc/hostname-of-image"
  mkdir -p "$tree/opt/act" "$tree/home/g"
  number=$(wc -l <lab/node/actions.tsv)
  while [ "$number" -gt 0 ]; do
    ln -s /usr/bin/stimulus "$tree/opt/act/p$number"
    ln -s /usr/bin/stimulus "$tree/opt/act/n$number"
    number=$((number - 1))
  done
  tar -C "$tree" -cf - . | pod import --change "LABEL sum=$sum" - "$image" >/dev/null 2>&1
}

# container NAME [podman options] -- words: detached, of this test.
container() {
  local name=$1 options=()
  shift
  while [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  shift
  pod run -d --name "jinwu-$name" --label "$label=1" --ulimit nofile=20000:20000 --ulimit nproc=10000:10000 ${options[@]+"${options[@]}"} "$image" "$@" >"$work/$name.id"
}
inside() {
  local name=$1
  shift
  pod exec "jinwu-$name" "$@"
}
id_of() { cat "$work/$1.id"; }
gone() { pod rm -f -t 0 "$@" >/dev/null 2>&1 || true; }

# sensor NAME [options of run]: starts one with data of its own and waits until it sees.
sensor() {
  local name=$1
  shift
  data=$work/$name
  mkdir -p "$data"
  setsid "$bin/jinwu-agent" --data "$data" run --node lab "$@" >>"$data.log" 2>&1 </dev/null &
  agent=$!
  agents+=("$agent")
  # It answers once everything is attached.
  within ask status || {
    tail -5 "$data.log" >&2
    say "传感器没有启动 / the sensor did not start"
    exit 1
  }
}
sensor_ends() {
  kill "${1:--TERM}" "$agent" 2>/dev/null || true
  wait "$agent" 2>/dev/null || true
}
ask() { "$bin/jinwu-agent" --data "$data" "$@"; }
lost_nothing() { ask status | jq -e '.lost == 0 and .unreadable == 0 and .dropped == 0'; }

# Records of the ledger of a sensor, one JSON document a line: read by the published format, not by our own code.
ledger() { perl lab/node/ledger.pl "$data/ledger" | jq -c "$@"; }
