#!/usr/bin/env bash
# The lab itself under test, on this machine: up, an image from Jinwu's registry on two nodes, exec, logs, the pod network,
# a killed kubelet, a crashed machine, and nothing left in the end. `bash lab/cluster/test.sh [--gvisor]`
#
# Uses the running server of `./x up`, or starts it; the lab is one of its own and meets no other.
set -euo pipefail
cd "$(dirname "$0")/../.."
. lab/install.sh
need skopeo
export JINWU_LAB=${JINWU_TEST_LAB:-$PWD/.jinwu/lab-test}
gvisor=
[ "${1:-}" != --gvisor ] || gvisor=1

passed=0 failed=0
lab() { bash lab/cluster/lab.sh "$@"; }
kubectl() { lab kubectl "$@"; }
check() {
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok    $what"
  else
    failed=$((failed + 1))
    echo "FAIL  $what"
  fi
}
is() { [ "$1" = "$2" ] || { echo "      expected '$2', got '$1'"; false; }; }
has() { case $1 in *"$2"*) ;; *) echo "      '$2' is not in '${1:0:300}'"; false ;; esac; }

# What a lab could leave behind on the host.
traces() {
  echo "== processes"
  ps -eo comm= | grep -E '^(etcd|kube|containerd|ctr|socat|runc|runsc|pod$|pause)' | sort || true
  echo "== mounts"
  cat /proc/self/mounts
  echo "== namespaces"
  lsns -n -o TYPE,NS -t net -t mnt -t uts 2>/dev/null | sort || true
  echo "== cgroups"
  find /sys/fs/cgroup -type d -name '*jinwu-lab*' -o -type d -name 'kubepods*' | sort || true
  echo "== host network"
  ip -o link | sed 's/ mtu .*//'
  ip -o addr | awk '{print $2, $3, $4}'
  ip route
  nft list ruleset 2>/dev/null || true
  echo "== kernel tunables"
  cat /proc/sys/vm/overcommit_memory /proc/sys/vm/panic_on_oom /proc/sys/kernel/panic /proc/sys/kernel/panic_on_oops /proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_forward
  echo "== folders"
  ls -d /var/lib/kubelet /var/log/pods /var/log/containers /etc/kubernetes /etc/cni/net.d /run/netns 2>/dev/null || true
}

field() { lab status --json | sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"; }
pod_on() { kubectl -n lab get pod -l app=web --field-selector "spec.nodeName=$1,status.phase=Running" -o jsonpath='{.items[0].metadata.name}'; }
address_of() { kubectl -n lab get pod "$1" -o jsonpath='{.status.podIP}'; }

lab down
before=$(mktemp) after=$(mktemp)
trap 'lab down; rm -f "$before" "$after"' EXIT
traces >"$before"

./x status --json >/dev/null 2>&1 || ./x up >/dev/null
credential=$(./x jinwu --json info | sed -n 's/.*"robot":{"name":"\([^"]*\)","secret":"\([^"]*\)".*/\1 \2/p')
registry=$(./x jinwu --json info | sed -n 's/.*"registry":"\([^"]*\)".*/\1/p')
export REGISTRY_USER=${credential% *} REGISTRY_PASSWORD=${credential#* }

check 'two nodes come up' lab up --nodes 2 ${gvisor:+--gvisor}
check 'its state is running' is "$(field state)" running
check 'a second up changes nothing' lab up --nodes 2 ${gvisor:+--gvisor}
check 'another shape is refused' is "$(lab up --nodes 1 >/dev/null 2>&1 || echo refused)" refused
check "the lab's image goes to project open" lab push open/pod:1

basic=$(printf '%s:%s' "$REGISTRY_USER" "$REGISTRY_PASSWORD" | base64 -w0)
login=$(printf '{"auths":{"%s":{"auth":"%s"}}}' "$registry" "$basic" | base64 -w0)
kubectl apply -f - >/dev/null <<END
apiVersion: v1
kind: Namespace
metadata: {name: lab}
---
apiVersion: v1
kind: Secret
metadata: {name: registry, namespace: lab}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: $login}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: lab}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      imagePullSecrets: [{name: registry}]
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}
      containers:
      - {name: web, image: "$registry/open/pod:1", imagePullPolicy: Always, args: [serve, ":8080"]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: lab}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
END
check 'the Deployment runs' kubectl -n lab rollout status deployment/web --timeout=60s
one=$(pod_on node-1) two=$(pod_on node-2)
check 'one pod on either node' test -n "$one" -a -n "$two"
check "the image came from Jinwu's registry" has "$(kubectl -n lab get pod "$one" -o jsonpath='{.status.containerStatuses[0].imageID}')" "$registry/open/pod@sha256:"
check 'exec' is "$(kubectl -n lab exec "$one" -- /pod hostname)" "$one"
check 'pod to pod across nodes, with its own address' is "$(kubectl -n lab exec "$one" -- /pod fetch "http://$(address_of "$two"):8080/")" "$two saw $(address_of "$one")"
check 'and back' is "$(kubectl -n lab exec "$two" -- /pod fetch "http://$(address_of "$one"):8080/")" "$one saw $(address_of "$two")"
check 'logs' has "$(kubectl -n lab logs "$two")" "GET / from $(address_of "$one")"
cluster=$(kubectl -n lab get service web -o jsonpath='{.spec.clusterIP}')
for _ in 1 2 3 4 5 6 7 8; do answers+=$(kubectl -n lab exec "$one" -- /pod fetch "http://$cluster/" || true)$'\n'; done
check 'the service reaches the pod on this node' has "$answers" "$one saw"
check 'the service reaches the pod on the other node' has "$answers" "$two saw"
check 'every request through the service was answered' is "$(grep -c ' saw ' <<<"$answers")" 8
check 'audit: exec is recorded' grep -q '"subresource":"exec"' "$JINWU_LAB/log/audit.jsonl"
check 'audit: no secret is recorded' is "$(grep -c "$login" "$JINWU_LAB/log/audit.jsonl")" 0
check 'RBAC: a node may not read what is not its own' has "$(kubectl --kubeconfig "$JINWU_LAB/pki/node-1.kubeconfig" get secrets -A 2>&1 || true)" forbidden

if [ -n "$gvisor" ]; then
  kubectl apply -f - >/dev/null <<END
apiVersion: v1
kind: Pod
metadata: {name: boxed, namespace: lab}
spec:
  runtimeClassName: gvisor
  terminationGracePeriodSeconds: 1
  containers: [{name: web, image: lab.jinwu/pod:1, imagePullPolicy: Never, args: [serve, ":8080"]}]
END
  check 'gVisor: a pod runs' kubectl -n lab wait --for=condition=Ready pod/boxed --timeout=60s
  check 'gVisor: with its own kernel' has "$(kubectl -n lab exec boxed -- /pod kernel)" gvisor
  check 'gVisor: on the pod network' has "$(kubectl -n lab exec "$one" -- /pod fetch "http://$(address_of boxed):8080/")" 'boxed saw'
fi

killed=$(field kubelet-1)
kill -9 "$killed"
sleep 0.2
check 'a killed kubelet is seen' is "$(field state)" degraded
check 'up mends it' lab up --nodes 2 ${gvisor:+--gvisor}
check 'its pid is new' test "$(field kubelet-1)" != "$killed"
check 'the pod on that node ran on' is "$(pod_on node-1)" "$one"
kubectl -n lab delete pod "$one" --wait=false >/dev/null
check 'a new pod starts on that node' kubectl -n lab rollout status deployment/web --timeout=60s
check 'it answers' has "$(kubectl -n lab exec "$two" -- /pod fetch "http://$(address_of "$(pod_on node-1)"):8080/")" saw

kill -9 "$(field machine-2)" "$(field apiserver)" "$(field containerd-1)"
sleep 0.2
check 'a crash is seen' is "$(field state)" broken
check 'up starts anew after a crash' lab up --nodes 2 ${gvisor:+--gvisor}
check 'with nothing of before' is "$(kubectl get namespace lab -o name 2>/dev/null || echo none)" none

check 'down' lab down
check 'its state is down' is "$(field state)" down
for _ in $(seq 40); do
  traces >"$after"
  cmp -s "$before" "$after" && break
  sleep 0.5
done
check 'nothing is left: processes, mounts, namespaces, cgroups, host network, tunables, folders' diff "$before" "$after"

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
