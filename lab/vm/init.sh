#!/bin/sh
# First process of the virtual machine: a root that can be left, what a node has, then the checks.
if [ "${1:-}" != node ]; then
  /bin/busybox mkdir /new
  /bin/busybox mount -t tmpfs tmpfs /new
  for name in /*; do
    [ "$name" = /new ] || /bin/busybox cp -a "$name" /new/
  done
  exec /bin/busybox switch_root /new /init node
fi
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
mount -t bpf bpf /sys/fs/bpf
mkdir -p /sys/fs/cgroup/agent
insmod /overlay.ko
ip link set lo up
# The console is for results alone.
dmesg -n 1
/suite suite
echo "suite ended: $?"
poweroff -f
