#!/usr/bin/env bash
# The lab itself under test, on this machine: up before the server and after it, images from Jinwu's registry on two nodes with
# the nodes' own addresses in the ledger, a pod at the server, a restarted server and a changed authority, exec, logs, the pod
# network, metrics and a HorizontalPodAutoscaler, a killed kubelet, a crashed machine, and nothing left in the end.
# `bash lab/cluster/test.sh [--gvisor]`
#
# Lab and server are of its own and meet no other: JINWU_TEST is their folder, JINWU_TEST_LISTEN the server's address.
set -euo pipefail
cd "$(dirname "$0")/../.."
. lab/install.sh
. lab/cluster/checks.sh
. lab/image/build.sh
here=$PWD/lab/cluster
. lab/cluster/image.sh
need skopeo curl
work=$(realpath -m "${JINWU_TEST:-$PWD/.jinwu/lab-test}")
export JINWU_LAB=$work/lab JINWU_HOME=$work/data JINWU_LISTEN=${JINWU_TEST_LISTEN:-127.0.0.1:5744}
registry=localhost:${JINWU_LISTEN##*:}
gvisor=
[ "${1:-}" != --gvisor ] || gvisor=1


# What a lab could leave behind on the host.
traces() {
  echo "== processes"
  ps -eo comm= | grep -E '^(etcd|kube|containerd|ctr|runc|runsc|pod$|pause|metrics-server)' | sort || true
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

# How many pulls of manifests the ledger has from an address.
pulled_by() { ./x jinwu --json ledger search --kind pull --since 1h | grep -o '"action":"pull","object":"[^"]*","source":"[^"]*"' | grep -c "\"source\":\"$1\"" || true; }
top_nodes() { [ "$(kubectl top nodes --no-headers | grep -c ' [0-9]*m ')" -eq 2 ]; }
replicas() { [ "$(kubectl -n lab get deployment burner -o jsonpath='{.spec.replicas}')" "$@" ]; }
# A new image in project open, of which no node has the manifest: version. What a node has it does not pull.
fresh() {
  program_image "$pod_program" once "$1" "$work/once.tar"
  image_push "$work/once.tar" "$registry" "open/once:$1" "$JINWU_HOME/tls/ca.crt" >/dev/null
}
# A pod on a node that pulls such an image, done when it ran to its end: node, version.
pull_on() {
  kubectl -n lab delete pod "pull-$1" --ignore-not-found >/dev/null
  kubectl apply -f - >/dev/null <<END
apiVersion: v1
kind: Pod
metadata: {name: pull-$1, namespace: lab}
spec:
  nodeName: $1
  restartPolicy: Never
  imagePullSecrets: [{name: registry}]
  containers: [{name: once, image: "$registry/open/once:$2", imagePullPolicy: Always, args: [hostname]}]
END
  kubectl -n lab wait --for=jsonpath='{.status.phase}'=Succeeded "pod/pull-$1" --timeout=60s >/dev/null
}
# Namespace and credential that everything below needs.
prepare() {
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
END
}

lab down
./x down
rm -rf "$JINWU_HOME"
before=$(mktemp) after=$(mktemp)
trap 'lab down; ./x down; rm -rf "$before" "$after" "$work/once.tar" "$JINWU_HOME"' EXIT
mkdir -p "$work"
traces >"$before"

check 'the relay: header, half-close, many connections; a followed file' go test -count=1 lab/cluster/pod/{main,relay,follow,relay_test}.go

echo "== the lab before the server"
options=(--nodes 2 --metrics ${gvisor:+--gvisor})
check 'two nodes come up' lab up "${options[@]}"
check 'its state is running' is "$(field state)" running
check 'a second up changes nothing' lab up "${options[@]}"
check 'another shape is refused' is "$(lab up --nodes 1 >/dev/null 2>&1 || echo refused)" refused
status=$(lab status --json)
check 'it says where the server will be' has "$status" "\"server\":{\"url\":\"https://$registry\",\"address\":\"10.200.0.1:${registry#*:}\",\"ca\":\"$JINWU_HOME/tls/ca.crt\"}"
check 'nobody asks a kubelet through the API server' is "$(grep -c '"subresource":"proxy"' "$JINWU_LAB/log/audit.jsonl")" 0
check 'nobody there answers yet' is "$(lab enter node-1 curl -sS --max-time 5 "https://$registry/v2/" 2>/dev/null || echo nothing)" nothing
./x up >/dev/null
credential=$(./x jinwu --json info | sed -n 's/.*"robot":{"name":"\([^"]*\)","secret":"\([^"]*\)".*/\1 \2/p')
export REGISTRY_USER=${credential% *} REGISTRY_PASSWORD=${credential#* }
check "the lab's image goes to project open" has "$(lab push open/pod:1)" sha256:

basic=$(printf '%s:%s' "$REGISTRY_USER" "$REGISTRY_PASSWORD" | base64 -w0)
login=$(printf '{"auths":{"%s":{"auth":"%s"}}}' "$registry" "$basic" | base64 -w0)
prepare
kubectl apply -f - >/dev/null <<END
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
fresh 1
check 'node-1 pulls' pull_on node-1 1
check 'the ledger has it with the address of node-1' is "$(pulled_by 10.200.0.11) $(pulled_by 10.200.0.12)" "1 0"
check 'node-2 pulls' pull_on node-2 1
check 'the ledger has it with the address of node-2' is "$(pulled_by 10.200.0.11) $(pulled_by 10.200.0.12)" "1 1"
check 'and no pull from a loopback address' is "$(pulled_by '127[^"]*') $(pulled_by ::1)" "0 0"

echo "== pods at the server"
kubectl -n lab create configmap authority --from-file=ca.crt="$JINWU_HOME/tls/ca.crt" >/dev/null
kubectl apply -f - >/dev/null <<END
apiVersion: v1
kind: Pod
metadata: {name: asker, namespace: lab}
spec:
  nodeName: node-2
  terminationGracePeriodSeconds: 1
  containers:
  - {name: asker, image: lab.jinwu/pod:1, imagePullPolicy: Never, volumeMounts: [{name: authority, mountPath: /authority}]}
  volumes: [{name: authority, configMap: {name: authority}}]
END
check 'a pod that will ask runs' kubectl -n lab wait --for=condition=Ready pod/asker --timeout=60s
ask() { kubectl -n lab exec asker -- /pod fetch "https://$REGISTRY_USER:$REGISTRY_PASSWORD@$registry/v2/open/pod/manifests/1" /authority/ca.crt "$1:${registry#*:}"; }
for address in 10.200.0.1 10.200.0.11 10.200.0.12; do
  asked=$(pulled_by "$(address_of asker)")
  check "a pod reaches the server at $address" has "$(ask "$address")" application/vnd.oci.image.manifest
  check 'and stands in the ledger with its own address' is "$(pulled_by "$(address_of asker)")" $((asked + 1))
done
lab enter control curl -sS --max-time 10 --cacert /run/lab/relay/ca.crt -u "$REGISTRY_USER:$REGISTRY_PASSWORD" "https://$registry/v2/open/pod/manifests/1" >/dev/null || true
check 'a program on control stands there with the address of control' is "$(pulled_by 10.200.0.1)" 1

echo "== a restarted server, a changed authority"
./x down
./x up >/dev/null
fresh 2
check 'a pull after a restart of the server' pull_on node-1 2
check 'has its true address too' is "$(pulled_by 10.200.0.11)" 2
./x down
old=$(cat "$JINWU_HOME/tls/ca.crt")
rm -r "$JINWU_HOME/tls"
./x up >/dev/null
check 'the authority is another one' test "$old" != "$(cat "$JINWU_HOME/tls/ca.crt")"
fresh 3
check 'a pull with the changed authority, node-1' pull_on node-1 3
check 'a pull with the changed authority, node-2' pull_on node-2 3

echo "== images of our own programs"
first=$(bash lab/image/build.sh jinwu-scan) second=$(bash lab/image/build.sh jinwu-scan)
check 'the same program twice is the same image' is "$first" "$second"
read -r _ archive digest <<<"$first"
pushed=$(image_push "$archive" "$registry" open/jinwu-scan:1 "$JINWU_HOME/tls/ca.crt")
check 'it is pushed under that digest' is "$pushed" "$digest"
kubectl apply -f - >/dev/null <<END
apiVersion: v1
kind: Pod
metadata: {name: scan, namespace: lab}
spec:
  restartPolicy: Never
  imagePullSecrets: [{name: registry}]
  containers:
  - name: scan
    image: $registry/open/jinwu-scan@$digest
    args: [--version]
    securityContext: {runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
END
check 'it runs in the cluster, by digest and not as root' kubectl -n lab wait --for=jsonpath='{.status.phase}'=Succeeded pod/scan --timeout=60s
check 'with everything it loads' has "$(kubectl -n lab logs scan)" jinwu-scan

echo "== metrics"
kubectl apply -f - >/dev/null <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: burner, namespace: lab}
spec:
  replicas: 1
  selector: {matchLabels: {app: burner}}
  template:
    metadata: {labels: {app: burner}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: burner, image: lab.jinwu/pod:1, imagePullPolicy: Never, args: [burn, "75"], resources: {requests: {cpu: 100m}, limits: {cpu: 200m}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: burner, namespace: lab}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: burner}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
END
check 'kubectl top knows both nodes' within 60 top_nodes
check 'a busy Deployment is scaled up' within 120 replicas -gt 1
check 'kubectl top knows its pods' has "$(kubectl -n lab top pod -l app=burner --no-headers 2>&1)" burner-
check 'an idle Deployment is scaled down' within 240 replicas -eq 1
kubectl -n lab delete hpa,deployment burner --wait=false >/dev/null

echo "== the cluster"
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

echo "== failures"
killed=$(field kubelet-1)
kill -9 "$killed"
sleep 0.2
check 'a killed kubelet is seen' is "$(field state)" degraded
check 'up mends it' lab up "${options[@]}"
check 'its pid is new' test "$(field kubelet-1)" != "$killed"
check 'the pod on that node ran on' is "$(pod_on node-1)" "$one"
kubectl -n lab delete pod "$one" --wait=false >/dev/null
check 'a new pod starts on that node' kubectl -n lab rollout status deployment/web --timeout=60s
check 'it answers' has "$(kubectl -n lab exec "$two" -- /pod fetch "http://$(address_of "$(pod_on node-1)"):8080/")" saw

kill -9 "$(field machine-2)" "$(field apiserver)" "$(field containerd-1)"
sleep 0.2
check 'a crash is seen' is "$(field state)" broken
check 'up starts anew after a crash' lab up "${options[@]}"
check 'with nothing of before' is "$(kubectl get namespace lab -o name 2>/dev/null || echo none)" none

echo "== the lab after the server"
prepare
asked="$(pulled_by 10.200.0.11) $(pulled_by 10.200.0.12)"
check 'a pull on node-1' pull_on node-1 3
check 'a pull on node-2' pull_on node-2 3
check 'each with its true address' is "$(pulled_by 10.200.0.11) $(pulled_by 10.200.0.12)" "$((${asked% *} + 1)) $((${asked#* } + 1))"

check 'down' lab down
./x down
check 'its state is down' is "$(field state)" down
echo "== without Jinwu"
check 'a bare lab comes up' lab up --nodes 1 --bare
status=$(lab status --json)
check 'it knows of no server' has "$status" '"server":null'
check 'it has no relay' is "$(grep -c 'relay\|trust' <<<"$status")" 0
check 'nothing listens under the port of the server' is "$(lab enter node-1 ss -Hltn "sport = :${registry#*:}")" ''
check 'containerd is told of no registry' is "$(lab enter node-1 ls /etc/containerd/certs.d 2>/dev/null | grep -c ":${registry#*:}\$")" 0
check 'the bare lab goes' lab down

# What is there now and was not before; what others took away meanwhile is no trace of the lab.
for _ in $(seq 40); do
  traces >"$after"
  left=$(comm -13 <(sort "$before") <(sort "$after"))
  [ -n "$left" ] || break
  sleep 0.5
done
check 'nothing is left: processes, mounts, namespaces, cgroups, host network, tunables, folders' is "$left" ''

finish
