#!/usr/bin/env bash
# Prevention in the kernel, tried in a virtual machine: Debian 12's own kernel, the newest one there is, and once
# without BPF among the security modules. A line for each check; fails if one fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
. lab/install.sh
. lab/vm/kernels.sh
need qemu-system-x86 seabios cpio busybox-static clang libelf-dev zlib1g-dev linux-libc-dev pkg-config gcc libc6-dev xz-utils
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
mkdir -p "$cache/vm"
if [ "$(uname -m)" != x86_64 ]; then
  say "虚拟机套件只在 x86_64 上运行 / the virtual machine's suite runs on x86_64 only"
  exit 2
fi

[ -n "${JINWU_BUILT:-}" ] || cargo build --quiet --locked -p jinwu-vm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A program with what it is linked to.
with_libraries() {
  local program=$1 root=$2 library
  for library in $(ldd "$program" | grep -o '/[^ ]*'); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
}

image() {
  local at=$1 name
  mkdir -p "$at"/{bin,lib,lib64,etc,tmp,mnt,dev/shm,usr,data}
  gcc -O1 -Wall -Werror -static -o "$at/bin/act" lab/vm/act.c
  gcc -O1 -Wall -Werror -o "$at/bin/dynamic" lab/vm/act.c
  gcc -O1 -Wall -Werror -shared -fPIC -o "$at/lib/evil.so" lab/vm/evil.c
  cp "$at/lib/evil.so" "$at/lib/late.so"
  with_libraries "$at/bin/dynamic" "$at"
  cp /bin/busybox "$at/bin/busybox"
  ln -s busybox "$at/bin/sh"
  for name in changed owned linkable movable written mapped replaced hidden forbidden; do cp "$at/bin/act" "$at/bin/$name"; done
  printf '#!/bin/sh\necho hello\n' >"$at/bin/script"
  printf '#!/bin/sh\nread -r line <"$1" && echo "hello $line"\n' >"$at/bin/reads"
  chmod 755 "$at/bin/script" "$at/bin/reads"
  printf 'root:x:0:0::/:/\n' >"$at/etc/passwd"
  chmod 644 "$at/etc/passwd"
  printf 'vm\n' >"$at/etc/hostname"
}

node() {
  local at=$1
  mkdir -p "$at"/{bin,proc,sys,dev,containers,tmp,image}
  cp /bin/busybox "$at/bin/busybox"
  ln -s busybox "$at/bin/sh"
  cp lab/vm/init.sh "$at/init"
  chmod 755 "$at/init"
  cp "$CARGO_TARGET_DIR/debug/jinwu-vm" "$at/suite"
  strip "$at/suite"
  cp "$at/suite" "$at/agent"
  with_libraries "$at/suite" "$at"
  image "$at/image"
  cp "$at/image/bin/act" "$at/act"
}

# Boots a kernel with these security modules; what the machine says is in its log.
boot() {
  local name=$1 dir=$2 lsm=$3 log=$cache/vm/$1.log begun
  begun=$(date +%s)
  timeout "${JINWU_VM_SECONDS:-240}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1024 -nographic -no-reboot -nic none \
    -kernel "$dir/vmlinuz" -initrd "$work/$name.initramfs" -append "console=ttyS0 panic=-1 quiet rdinit=/init lsm=$lsm" </dev/null 2>&1 | tr -d '\r' >"$log" || true
  echo $(($(date +%s) - begun)) >"$work/$name.seconds"
}

pack() {
  cp "$2/overlay.ko" "$work/node/overlay.ko"
  (cd "$work/node" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/$1.initramfs"
}

# Prints what a machine said, and counts.
tell() {
  local name=$1 log=$cache/vm/$1.log
  printf '\n-- %s\n' "$name"
  grep -aE '^(PASS|FAIL|kernel|hooks|[0-9]+ passed)' "$log" || true
  printf '%s s, console in %s\n' "$(cat "$work/$name.seconds")" "$log"
  if ! grep -aq '^suite ended: 0$' "$log"; then
    grep -aq '^suite ended' "$log" || { say "虚拟机未跑完 / the machine did not come to an end:"; tail -40 "$log" >&2; }
    failed+=("$name")
  fi
  passed=$((passed + $(grep -ac '^PASS' "$log" || true)))
}

node "$work/node"
failed=()
passed=0
apt-cache search --names-only '^linux-image-6.1.*cloud-amd64$' | grep -q . || apt-get update -qq || true
old=$(kernel "$(newest '^linux-image-6\.1\.0-[0-9]+-cloud-amd64$')")
new=$(kernel "$(newest '^linux-image-[0-9.]+.*\+deb[0-9]+-cloud-amd64$')")
names=("${old##*linux-image-}" "${new##*linux-image-}" "${new##*linux-image-}-without-bpf")
pack "${names[0]}" "$old"
pack "${names[1]}" "$new"
cp "$work/${names[1]}.initramfs" "$work/${names[2]}.initramfs"
# Emulation takes a core for each machine that works.
boot "${names[0]}" "$old" landlock,lockdown,yama,bpf &
boot "${names[1]}" "$new" landlock,lockdown,yama,bpf &
wait
boot "${names[2]}" "$new" landlock,lockdown,yama
for name in "${names[@]}"; do tell "$name"; done
printf '\n%s passed, %s failed\n' "$passed" "${#failed[@]}"
[ ${#failed[@]} -eq 0 ] || { printf 'failed: %s\n' "${failed[*]}"; exit 1; }
