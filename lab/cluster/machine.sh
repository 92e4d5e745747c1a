# Machines of the lab: `control` and `node-N`. Sourced.
#
# A machine is a network, mount and host name namespace, held by one sleeping process and nothing else: no name below
# /run/netns, no mount on the host. When its processes are gone the kernel takes the rest away. Every process of the lab, and
# what it starts, is in one cgroup2 subtree, so the lab is ended by one write to its `cgroup.kill`, whatever state it is in,
# and a process counts as alive only while it is in there: a pid that the system gave away again cannot be mistaken for it.
#
# The pid namespace is the host's: an agent on the host sees the pids that the kernel reports.

lan=10.200.0
control_address=$lan.1
pods=10.244
services=10.96.0.0/16
service_first=10.96.0.1
# Kernel tunables that a kubelet sets. They belong to the whole host, so a node sees copies.
tunables=(vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes)

node_address() { echo "$lan.$((10 + $1))"; }

# === cgroups ===

# Where cgroup2 is mounted: alone, or beside the v1 hierarchies.
cgroup2() {
  local at
  at=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/self/mounts)
  if [ -z "$at" ]; then
    say "须挂载 cgroup2(/sys/fs/cgroup 或 /sys/fs/cgroup/unified) / cgroup2 must be mounted, at /sys/fs/cgroup or /sys/fs/cgroup/unified"
    exit 2
  fi
  echo "$at"
}

hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/self/mounts; }

# Folders for processes (cgroup2) and, in every hierarchy, the roots under which kubelets put pods.
make_groups() {
  local leaf hierarchy i
  for leaf in control $(seq -f 'system-%.0f' "$nodes"); do mkdir -p "$group/$leaf"; done
  for i in $(seq "$nodes"); do
    for hierarchy in $(hierarchies); do
      mkdir -p "$hierarchy/$name/node-$i"
      copy_cpuset "$hierarchy" "$name"
      copy_cpuset "$hierarchy" "$name/node-$i"
    done
  done
}

# A new v1 cpuset is empty and takes no process.
copy_cpuset() {
  local of=$1/$2 file
  for file in cpuset.cpus cpuset.mems; do
    [ -f "$1/cgroup.procs" ] && [ -f "$of/$file" ] && [ -z "$(cat "$of/$file")" ] || continue
    cat "$(dirname "$of")/$file" >"$of/$file" 2>/dev/null || true
  done
}

remove_groups() {
  local hierarchy folder
  for hierarchy in $(hierarchies); do
    [ -d "$hierarchy/$name" ] || continue
    # What v1 hierarchies still hold was killed by way of cgroup2; they empty a moment later.
    find "$hierarchy/$name" -depth -type d | while read -r folder; do
      for _ in $(seq 50); do
        rmdir "$folder" 2>/dev/null && break
        [ -d "$folder" ] || break
        sleep 0.05
      done
    done
  done
}

# === processes ===

# Is the component alive, by the kernel's own list?
alive() {
  local pid
  pid=$(cat "$lab/run/$1.pid" 2>/dev/null) && [ -n "$pid" ] && grep -qx "$pid" "$group/$(leaf "$1")/cgroup.procs" 2>/dev/null
}

# The cgroup of a component: those of a node end in its number.
leaf() {
  case $1 in
    *-[0-9]) echo "system-${1##*-}" ;;
    *) echo control ;;
  esac
}

# Starts a component in the background: name, then the command. Logs go to log/NAME.log.
launch() {
  local component=$1
  shift
  setsid bash -c 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"' launch "$group/$(leaf "$component")" "$@" \
    >>"$lab/log/$component.log" 2>&1 </dev/null 9>&- &
  echo $! >"$lab/run/$component.pid"
  # It moves itself before it starts anything; moved here as well, it is in there when this returns.
  echo $! 2>/dev/null >"$group/$(leaf "$component")/cgroup.procs" || true
}

# Runs a command on a machine, in all its namespaces.
on() {
  local machine=$1
  shift
  nsenter -t "$(cat "$lab/run/$(holder "$machine").pid")" --net --mount --uts -- "$@"
}

# Launches a component on a machine.
launch_on() {
  local machine=$1 component=$2
  shift 2
  launch "$component" nsenter -t "$(cat "$lab/run/$(holder "$machine").pid")" --net --mount --uts -- "$@"
}

# Waits until a condition holds or the component dies: seconds, component, command.
until_ready() {
  local end=$((SECONDS + $1)) component=$2
  shift 2
  until "$@" >"$lab/log/wait.log" 2>&1; do
    if [ $SECONDS -ge $end ] || ! alive "$component"; then
      tail -n 10 "$lab/log/$component.log" "$lab/log/wait.log" >&2
      say "$component 未就绪,日志 $lab/log/$component.log / $component did not become ready, log in $lab/log/$component.log"
      exit 1
    fi
    sleep 0.05
  done
}

# === machines ===

holder() {
  case $1 in
    control) echo machine ;;
    *) echo "machine-${1##*-}" ;;
  esac
}

# Namespaces of a machine, its file system and its loopback.
machine() {
  local machine=$1 component
  component=$(holder "$machine")
  alive "$component" && return
  mkdir -p "$lab/$machine"
  rm -f "$lab/$machine/up"
  launch "$component" unshare --net --mount --uts -- bash "$here/machine-init.sh" "$machine" "$lab" "${tunables[@]}"
  until_ready 10 "$component" test -f "$lab/$machine/up"
}

# A switch on `control`, a port for every node.
network() {
  local i pid
  [ -f "$lab/run/network" ] && return
  on control ip link add switch type bridge
  on control ip addr add "$control_address/24" dev switch
  on control ip link set switch up
  # kube-proxy translates these; an address without a route would be refused before.
  on control ip route add "$services" dev switch
  for i in $(seq "$nodes"); do
    pid=$(cat "$lab/run/machine-$i.pid")
    on control ip link add "port$i" type veth peer name eth0 netns "$pid"
    on control ip link set "port$i" master switch up
    on "node-$i" ip addr add "$(node_address "$i")/24" dev eth0
    on "node-$i" ip link set eth0 up
    # Nothing lies behind it; but an address without a route is refused before kube-proxy can translate it.
    on "node-$i" ip route add default via "$control_address"
    on "node-$i" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  done
  local from to
  for to in $(seq "$nodes"); do
    for from in control $(seq -f 'node-%.0f' "$nodes"); do
      [ "$from" = "node-$to" ] || on "$from" ip route add "$pods.$to.0/24" via "$(node_address "$to")"
    done
  done
  touch "$lab/run/network"
}
