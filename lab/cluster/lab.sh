#!/usr/bin/env bash
# A real Kubernetes on one machine, in seconds: `./x lab up`. docs/en/lab.md says what it is and what it is not.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$root/lab/install.sh"
. "$root/lab/image/build.sh"

lab=$(realpath -m "${JINWU_LAB:-$root/.jinwu/lab}")
# Two labs, in two folders, do not meet.
name=jinwu-lab-$(printf %s "$lab" | sha256sum | cut -c1-8)
programs=$cache/k8s/bin
nodes=2 gvisor='' bare='' metrics=''

# say, need, next_debian, go_present come from install.sh.
# A build must not slow down what else is measured or served here.
quietly='nice -n 19'

for part in kubernetes gvisor image pki machine control node registry metrics gate agent; do
  . "$here/$part.sh"
done
group=$(cgroup2)/$name

usage() {
  cat <<'END'
./x lab up [--nodes 1|2] [--gvisor] [--metrics] [--bare]
                                               启动;已启动则补齐缺失的进程 / start; if it runs, start what is missing
./x lab kubectl …                              对该集群执行 kubectl / kubectl against it
./x lab helm …                                 对该集群执行 helm / helm against it
./x lab program helm|coredns|metrics-server|kubernetes
                                                 编译该程序(已有则不再编译),打印其路径 / build the program unless it is there, print its path
./x lab status [--json]                        状态 / state
./x lab enter control|node-1|node-2 [命令 …]    在某台机器上执行命令 / run a command on one of its machines
./x lab push 仓库:标签                          把实验镜像推送到金吾仓库 / push the lab's image to Jinwu's registry
./x lab agent                                  在每个节点上安装(或更新)金吾传感器 / install (or renew) Jinwu's sensor on every node
./x lab gate                                   在集群中安装(或更新)金吾关口 / install (or renew) Jinwu's gate in the cluster
./x lab down                                   停止并清除 / stop and clear away
  --gvisor  另备 gVisor 与其 RuntimeClass / gVisor and its RuntimeClass
  --metrics 部署 metrics-server,供 kubectl top 与 HPA / metrics-server, for kubectl top and HPA
  --bare    不接金吾,只有 Kubernetes / Kubernetes alone, without Jinwu
END
}

programs() {
  need iproute2 util-linux procps openssl nftables conntrack runc containernetworking-plugins ca-certificates
  # containerd 1.7 and etcd 3.5 of the next release, unpacked beside the system, where they start no service.
  (
    cache=$cache/k8s
    mkdir -p "$cache/bin"
    for file in containerd containerd-shim-runc-v2 ctr; do next_debian containerd "usr/bin/$file"; done
    next_debian etcd-server usr/bin/etcd
  )
  kubernetes
  pod_image
  [ -z "$gvisor" ] || gvisor
  [ -z "$metrics" ] || metrics_image
}

# What components a lab of this shape has.
components() {
  local i
  echo machine etcd apiserver controller-manager scheduler proxy-control
  [ -n "$bare" ] || echo trust relay
  for i in $(seq "$nodes"); do
    echo "machine-$i" "containerd-$i" "kubelet-$i" "proxy-$i"
    [ -n "$bare" ] || echo "relay-$i"
  done
}

# down, running, degraded (up again mends it) or broken (up again starts anew). Takes the shape from the running lab.
state() {
  [ -d "$group" ] && [ -f "$lab/shape" ] || { [ -d "$group" ] && echo broken || echo down; return; }
  local component found=running
  # An interrupted start may have left half a network.
  [ -f "$lab/run/network" ] || { echo broken; return; }
  for component in $(components); do
    alive "$component" && continue
    case $component in
      machine*) echo broken; return ;;
      *) found=degraded ;;
    esac
  done
  [ -f "$lab/complete" ] || found=degraded
  echo $found
}

# What cannot be changed while it runs, and what later commands must know.
shape() {
  printf 'nodes=%s gvisor=%s metrics=%s bare=%s' "$nodes" "$gvisor" "$metrics" "$bare"
  if [ -n "$bare" ]; then echo; else printf ' server_port=%q server_data=%q\n' "$server_port" "$server_data"; fi
}

running_shape() { [ -f "$lab/shape" ] && eval "$(cat "$lab/shape")"; }

up() {
  while [ $# -gt 0 ]; do
    case $1 in
      --nodes)
        nodes=${2:-}
        shift
        ;;
      --nodes=*) nodes=${1#*=} ;;
      --gvisor) gvisor=1 ;;
      --metrics) metrics=1 ;;
      --bare) bare=1 ;;
      *) usage >&2; exit 2 ;;
    esac
    shift
  done
  case $nodes in 1 | 2) ;; *) say "--nodes 须为 1 或 2 / --nodes takes 1 or 2"; exit 2 ;; esac
  if [ "$(id -u)" -ne 0 ]; then
    say "实验集群须 root:它要建立命名空间与 cgroup / the lab needs root: it makes namespaces and cgroups"
    exit 2
  fi
  case $lab/ in
    /etc/* | /var/lib/* | /var/log/* | /run/*)
      say "JINWU_LAB=$lab:不能在 /etc /var/lib /var/log /run 之下,机器在那里各有自己的一份 / must not lie below /etc, /var/lib, /var/log or /run, of which every machine has its own"
      exit 2
      ;;
  esac
  programs
  mkdir -p "$lab"
  exec 9>"$lab.lock"
  flock 9
  local begun=${EPOCHREALTIME/./} i
  case $(running_shape || true; state) in
    broken | down) clear_away ;;
    *)
      if [ "$(shape)" != "$(cat "$lab/shape")" ]; then
        say "正在运行的是另一种配置($(cat "$lab/shape"));先执行 ./x lab down / what runs has another shape ($(cat "$lab/shape")): ./x lab down first"
        exit 2
      fi
      ;;
  esac
  mkdir -p "$lab/run" "$lab/log" "$lab/relay"
  rm -f "$lab/complete"
  shape >"$lab/shape"
  make_groups
  pki
  machine control
  for i in $(seq "$nodes"); do machine "node-$i"; done
  network
  control_store
  for i in $(seq "$nodes"); do runtime "$i"; done
  control
  control_proxy
  objects
  for i in $(seq "$nodes"); do kubelet "$i"; done
  [ -n "$bare" ] || registry
  for i in $(seq "$nodes"); do until_ready 120 "kubelet-$i" node_ready "$i"; done
  until_ready 30 controller-manager kubectl get serviceaccount default
  [ -z "$metrics" ] || metrics
  touch "$lab/complete"
  local took=$(((${EPOCHREALTIME/./} - begun) / 10000))
  printf 'Kubernetes v%s,%s 个节点就绪,用时 %d.%02d s / %s nodes Ready in %d.%02d s\n' "$kubernetes_version" "$nodes" $((took / 100)) $((took % 100)) "$nodes" $((took / 100)) $((took % 100))
}

# Ready by the API server, which believes a dead kubelet for a minute; so the kubelet is asked too, and services must work.
node_ready() {
  [ "$(kubectl get node "node-$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" = True ] &&
    [ "$(on "node-$1" "$pod_program" fetch http://127.0.0.1:10248/healthz)" = ok ] &&
    on "node-$1" nft list table ip kube-proxy
}

# Ends and removes everything but logs; works on any remains.
clear_away() {
  local events=$group/cgroup.events
  if [ -d "$group" ]; then
    echo 1 >"$group/cgroup.kill"
    for _ in $(seq 200); do
      grep -q '^populated 0' "$events" && break
      sleep 0.05
    done
  fi
  remove_groups
  if [ -d "$lab" ]; then
    if grep -q " $lab/" /proc/self/mounts; then
      say "主机上有挂载在 $lab 之下,请先卸载 / something is mounted below $lab on the host: unmount it first"
      exit 1
    fi
    find "$lab" -mindepth 1 -maxdepth 1 ! -name log -exec rm -rf --one-file-system {} +
    if [ "${1:-}" != keep ]; then rm -rf "$lab/log"; fi
  fi
}

down() {
  mkdir -p "$(dirname "$lab")"
  exec 9>"$lab.lock"
  flock 9
  clear_away keep
  rm -f "$lab.lock"
}

status() {
  running_shape || true
  local is component list='' node ready
  is=$(state)
  if [ "${1:-}" != --json ]; then
    echo "$is  $lab"
    [ "$is" = down ] && return
    for component in $(components); do
      printf '%-20s %s\n' "$component" "$(alive "$component" && cat "$lab/run/$component.pid" || echo '-')"
    done
    kubectl get nodes -o wide 2>/dev/null || true
    return
  fi
  if [ "$is" = down ]; then
    printf '{"state":"down"}\n'
    return
  fi
  for component in $(components); do
    list+=${list:+,}$(printf '"%s":%s' "$component" "$(alive "$component" && cat "$lab/run/$component.pid" || echo null)")
  done
  ready=$(kubectl get nodes -o jsonpath='{range .items[*]}{"\""}{.metadata.name}{"\":{\"ready\":\""}{.status.conditions[?(@.type=="Ready")].status}{"\",\"address\":\""}{.status.addresses[?(@.type=="InternalIP")].address}{"\"}\n"}{end}' 2>/dev/null | paste -sd, -) || ready=
  printf '{"state":"%s","kubernetes":"v%s","gvisor":%s,"metrics":%s,"bare":%s,"api":"https://%s:6443","kubeconfig":"%s","audit":"%s","server":%s,"cgroup":"%s","components":{%s},"nodes":{%s}}\n' \
    "$is" "$kubernetes_version" "$(boolean "$gvisor")" "$(boolean "$metrics")" "$(boolean "$bare")" \
    "$control_address" "$lab/pki/admin.kubeconfig" "$lab/log/audit.jsonl" "$(registry_status)" "/$name" "$list" "$ready"
}

boolean() { [ -n "$1" ] && echo true || echo false; }

running() {
  running_shape || true
  case $(state) in
    running | degraded) ;;
    *) say "实验集群未运行:./x lab up / the lab does not run: ./x lab up"; exit 1 ;;
  esac
}

enter() {
  running
  case ${1:-} in
    control | node-1 | node-2) ;;
    *) usage >&2; exit 2 ;;
  esac
  local machine=$1
  shift
  [ $# -gt 0 ] || set -- bash
  on "$machine" env PATH="$programs:$PATH" "$@"
}

# With the credential in REGISTRY_USER and REGISTRY_PASSWORD, or else with that of the installation's first robot.
push() {
  running_shape || true
  pod_image
  robot
  if [ $# -ne 1 ] || [ -z "$REGISTRY_USER" ]; then
    say "用法:./x lab push 仓库:标签;凭据取自 REGISTRY_USER 与 REGISTRY_PASSWORD / usage: ./x lab push REPOSITORY:TAG, credential in REGISTRY_USER and REGISTRY_PASSWORD"
    exit 2
  fi
  image_push "$pod_image" "localhost:$server_port" "$1" "$server_data/tls/ca.crt"
}

command=${1:-help}
shift || true
case $command in
  up) up "$@" ;;
  down) down ;;
  status) status "$@" ;;
  kubectl)
    running
    kubectl "$@"
    ;;
  helm)
    running
    lab_program helm >/dev/null
    nsenter -t "$(cat "$lab/run/machine.pid")" --net -- "$cache/bin/helm" --kubeconfig "$lab/pki/admin.kubeconfig" "$@"
    ;;
  program)
    case ${1:-} in
      # Folders, as in PATH.
      kubernetes) programs >&2 && printf '%s:%s\n' "$kubernetes" "$programs" ;;
      *) lab_program "$@" || exit 2 ;;
    esac
    ;;
  enter) enter "$@" ;;
  push) push "$@" ;;
  gate) gate ;;
  agent) agent ;;
  help | -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
