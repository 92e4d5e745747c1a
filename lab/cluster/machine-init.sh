#!/usr/bin/env bash
# Runs first in the namespaces of a machine: lays out its file system, then sleeps for as long as the machine lives.
#
# /etc, /var/lib and /var/log are the host's with a layer of their own on top, /run is empty: programs find the paths they know
# (/etc/kubernetes, /var/lib/kubelet, /run/containerd) and the host has none of it.
set -euo pipefail
machine=$1
lab=$2
shift 2
own=$lab/$machine

mount --make-rprivate /
mount -t tmpfs -o mode=755 lab-run /run
mkdir /run/lab
for of in etc var/lib var/log; do
  mkdir -p "$own/layer/$of" "$own/work/$of"
  mount -t overlay -o "lowerdir=/$of,upperdir=$own/layer/$of,workdir=$own/work/$of" overlay "/$of"
done
# Images and volumes lie on the disk itself: an overlay cannot carry overlays.
for of in /var/lib/containerd /var/lib/kubelet /var/lib/etcd /var/log/pods; do
  mkdir -p "$own/disk$of" "$of"
  mount --bind "$own/disk$of" "$of"
done
mkdir -p "$lab/relay" /run/lab/relay
mount --bind "$lab/relay" /run/lab/relay
for of in "$@"; do
  file=$own/tunables/${of//\//.}
  mkdir -p "$own/tunables"
  cat "/proc/sys/$of" >"$file"
  mount --bind "$file" "/proc/sys/$of"
done
# Volumes mounted by kubelet must reach containers.
mount --make-rshared /
hostname "$machine"
printf '127.0.0.1 localhost\n::1 localhost\n' >/etc/hosts
printf 'nameserver 10.96.0.10\n' >"$own/resolv.conf"
rm -f /etc/resolv.conf
cp "$own/resolv.conf" /etc/resolv.conf
ip link set lo up
touch "$own/up"
exec sleep infinity
