#!/usr/bin/env bash
# What the admission threat model of SIG Security lists (docs/en/threats.md), tried on a real cluster by its administrator: the
# webhooks weakened and deleted, traffic led elsewhere, exempt namespaces, forgotten fields, the gate's own node; then gates,
# certificate and API server lost. `bash lab/cluster/threats.sh` on a running lab with its gate (`./x up`, `./x lab up`,
# `./x lab gate`) where everything blocks (`./x jinwu cluster enforce lab block`); nothing is left behind.
set -euo pipefail
cd "$(dirname "$0")/../.."
. lab/install.sh
. lab/cluster/checks.sh
need jq openssl
jinwu() { ./x jinwu --lang en "$@"; }
registry=localhost:${JINWU_LISTEN:-127.0.0.1:5443}
registry=localhost:${registry##*:}
gate_pods() { kubectl -n jinwu get pods -l app.kubernetes.io/name=jinwu-gate "$@"; }
begun=$(date -u +%Y-%m-%dT%H:%M:%SZ)
replicas=$(kubectl -n jinwu get deployment jinwu-gate -o jsonpath='{.spec.replicas}')
work=$(mktemp -d)

# A pod: namespace, and what is merged into it. Dry-run: nothing starts.
pod() {
  local namespace=$1 more=$2
  jq -n --argjson more "$more" --arg namespace "$namespace" '{apiVersion: "v1", kind: "Pod", metadata: {name: "attack", namespace: $namespace},
    spec: {containers: [{name: "c", image: "'"$registry"'/open/none:1"}]}} * $more'
}
try() { pod "$1" "$2" | kubectl create --dry-run=server -f - 2>&1; }
refused() { has "$(try "$@" || true)" 'jinwu refused'; }
privileged='{"spec":{"containers":[{"name":"c","image":"x","securityContext":{"privileged":true}}]}}'
# Alarms about an object since this began.
alarms() { jinwu --json ledger search --kind alarm --object "$1" --since "$begun" --limit 1000 | jq 'if type == "array" then . else .records end | length'; }

kubectl create namespace threats --dry-run=client -o yaml | kubectl apply -f - >/dev/null
leave() {
  kubectl -n jinwu scale deployment/jinwu-gate --replicas="$replicas" >/dev/null 2>&1 || true
  kubectl delete namespace threats --wait=false >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap leave EXIT
within 30 kubectl -n threats get serviceaccount default
check 'a privileged pod of the administrator is refused' refused threats "$privileged"

# 3, 4: the webhook misconfigured, weakened, deleted.
policy() { kubectl get validatingwebhookconfiguration jinwu-gate -o json | jq -r '.webhooks[] | select(.name == "admit.jinwu.io") | '"$1"; }
weaken() { kubectl patch validatingwebhookconfiguration jinwu-gate --type=json -p "$1" >/dev/null; }
is_again() { is "$(policy "$1")" "$2"; }
weaken '[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]'
check 'failurePolicy Ignore is put right' within 20 is_again .failurePolicy Fail
weaken '[{"op":"add","path":"/webhooks/0/objectSelector","value":{"matchLabels":{"guarded":"yes"}}}]'
check 'a selector that spares everything is put right' within 20 is_again '.objectSelector.matchLabels // {} | length' 0
weaken '[{"op":"add","path":"/webhooks/0/matchConditions","value":[{"name":"never","expression":"false"}]}]'
check 'a condition that is never true is put right' within 20 is_again '.matchConditions // [] | length' 0
weaken '[{"op":"replace","path":"/webhooks/0/rules","value":[{"operations":["DELETE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"]}]}]'
check 'rules that leave out creation are put right' within 20 is_again '[.rules[].operations[]] | index("CREATE") != null' true
kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration jinwu-gate >/dev/null
check 'deleted webhooks are made again' within 20 policy .failurePolicy
check 'and refuse again' within 20 refused threats "$privileged"
tampered() { [ "$(alarms webhook:jinwu-gate)" -ge 5 ]; }
check 'each of that is an alarm' within 30 tampered

# 7, 8, 9: another program in the place of the gate: nothing passes, for its certificate is not of the cluster's authority.
other=$work/other
mkdir "$other"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=jinwu-gate.jinwu.svc -addext subjectAltName=DNS:jinwu-gate.jinwu.svc \
  -keyout "$other/key" -out "$other/crt" 2>/dev/null
control=$(kubectl get endpointslices kubernetes -o jsonpath='{.endpoints[0].addresses[0]}')
lab enter control bash -c 'echo $$ >"$1/pid"; exec openssl s_server -www -accept 9443 -cert "$1/crt" -key "$1/key"' impostor "$other" >/dev/null 2>&1 </dev/null &
selector=$(kubectl -n jinwu get service jinwu-gate -o jsonpath='{.spec.selector}')
kubectl -n jinwu patch service jinwu-gate --type=json -p '[{"op":"remove","path":"/spec/selector"}]' >/dev/null
slices=$(kubectl -n jinwu get endpointslices -l kubernetes.io/service-name=jinwu-gate -o name)
redirect() {
  # shellcheck disable=SC2086
  kubectl -n jinwu delete $slices >/dev/null 2>&1 || true
  kubectl apply -f - >/dev/null <<END
{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4","metadata":{"name":"impostor","namespace":"jinwu","labels":{"kubernetes.io/service-name":"jinwu-gate"}},
 "endpoints":[{"addresses":["$control"],"conditions":{"ready":true}}],"ports":[{"name":"https","port":9443,"protocol":"TCP"}]}
END
}
redirect
# Connections to the gates of before would be used on.
lose_gates() { gate_pods -o name | xargs -r bash lab/cluster/lab.sh kubectl -n jinwu delete --force --grace-period=0 >/dev/null 2>&1; }
lose_gates
closed() { has "$(try threats '{}' || true)" 'failed calling webhook'; }
check 'led to another program, the API server believes nobody and nothing passes' within 20 closed
kubectl -n jinwu delete endpointslice impostor >/dev/null
kubectl -n jinwu patch service jinwu-gate --type=merge -p "{\"spec\":{\"selector\":$selector}}" >/dev/null
lab enter control kill "$(cat "$other/pid")"
check 'led back, the gate answers' within 60 refused threats "$privileged"

# 11: exempt namespaces. The platform's and our own are judged; a label that lowers the level needs whoever may set it.
check 'kube-system is no refuge' refused kube-system "$privileged"
check 'nor is our own namespace' has "$(try jinwu "$privileged" || true)" 'violates PodSecurity "restricted'

lower() { kubectl --as mallory --as-group system:masters label namespace threats jinwu.io/level=1 --overwrite 2>&1; }
check 'a lower level is not for everyone' has "$(lower || true)" 'jinwu refused'
for label in pod-security.kubernetes.io/enforce=privileged admission.gatekeeper.sh/ignore=yes control-plane=true; do
  kubectl label namespace threats "$label" --overwrite >/dev/null 2>&1 || true
done
check "labels that spare a namespace elsewhere spare none here" refused threats "$privileged"

# 12, 14: fields a rule could forget.
check 'an init container' refused threats '{"spec":{"initContainers":[{"name":"i","image":"x","securityContext":{"privileged":true}}]}}'
check 'a side-car' refused threats '{"spec":{"initContainers":[{"name":"i","image":"x","restartPolicy":"Always","securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}}'
check 'a template of a kind that is seldom used' has "$(jq -n '{apiVersion: "v1", kind: "PodTemplate", metadata: {name: "t", namespace: "threats"}, template: {spec: {containers: [{name: "c", image: "x", securityContext: {privileged: true}}]}}}' | kubectl create --dry-run=server -f - 2>&1 || true)" 'jinwu refused'
image=$(kubectl -n jinwu get deployment jinwu-gate -o jsonpath='{.spec.template.spec.containers[0].image}')
# It waits for a scheduler's leave, and never runs.
kubectl apply -f - >/dev/null <<END
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"victim","namespace":"threats"},"spec":{"schedulingGates":[{"name":"threats/hold"}],
 "securityContext":{"runAsNonRoot":true,"runAsUser":65532,"seccompProfile":{"type":"RuntimeDefault"}},
 "containers":[{"name":"c","image":"$image","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}
END
debug() { kubectl -n threats get pod victim -o json | jq '.spec.ephemeralContainers = [{name: "e", image: "x", securityContext: {privileged: true}}]' | kubectl replace --raw /api/v1/namespaces/threats/pods/victim/ephemeralcontainers -f - 2>&1; }
check 'an ephemeral container, straight at the subresource' has "$(debug || true)" 'jinwu refused'

# 15, 16: the node of the gate, and its files.
node=$(gate_pods -o jsonpath='{.items[0].spec.nodeName}')
check "a privileged pod on the gate's node" refused threats "{\"spec\":{\"nodeName\":\"$node\",\"hostPID\":true,\"containers\":[{\"name\":\"c\",\"image\":\"x\",\"securityContext\":{\"privileged\":true}}]}}"
check "the gate's files by hostPath" refused threats "{\"spec\":{\"nodeName\":\"$node\",\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/var/lib/kubelet/pods\"}}]}}"
check "the gate's secrets are for nobody else" has "$(kubectl --as system:serviceaccount:threats:default -n jinwu get secret jinwu-gate-tls 2>&1 || true)" forbidden

# All gates lost at once: nothing gets in meanwhile, and they come back by themselves.
lose_gates
let_in=0
for _ in $(seq 10); do
  if try threats "$privileged" >/dev/null 2>&1; then let_in=1; fi
done
check 'all gates lost at once: nothing privileged gets in' is $let_in 0
check 'they come back' within 90 kubectl -n jinwu rollout status deployment/jinwu-gate --timeout=5s
check 'and refuse again' within 30 refused threats "$privileged"

# All gates stopped: in the platform's namespaces the API server itself refuses, and what it refused is recorded later, once.
kubectl -n jinwu scale deployment/jinwu-gate --replicas=0 >/dev/null
kubectl -n jinwu wait --for=delete pod -l app.kubernetes.io/name=jinwu-gate --timeout=60s >/dev/null
make() { pod "$1" "$2" | kubectl create -f - 2>&1; }
native="ValidatingAdmissionPolicy 'jinwu-pod-security'"
natively() { has "$(make "$1" "$privileged" || true)" "$native"; }
check 'no gate at all: kube-system is held by the API server itself' within 20 natively kube-system
check 'and elsewhere nothing passes' closed
# Webhooks taken away by hand with no gate to make them again: open, unless the native policy was bound everywhere before.
kubectl get validatingwebhookconfiguration jinwu-gate -o json >"$work/validating"
kubectl get mutatingwebhookconfiguration jinwu-gate -o json >"$work/mutating"
kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration jinwu-gate >/dev/null
passes() { try threats "$privileged" >/dev/null; }
check 'known to be open: no gate, webhooks deleted by hand' within 20 passes
jq 'del(.metadata.resourceVersion, .metadata.uid)' "$work/validating" "$work/mutating" | kubectl create -f - >/dev/null
check 'closed again' within 20 closed
home=$(realpath -m "${JINWU_HOME:-.jinwu/data}")
lab enter control "$(dirname "$home")/bin/jinwu" --data "$home" cluster standby --kubeconfig "$(realpath -m "${JINWU_LAB:-.jinwu/lab}")/pki/admin.kubeconfig" | kubectl apply -f - >/dev/null 2>&1
stands() { has "$(try threats "$privileged" || true)" "$native"; }
kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration jinwu-gate >/dev/null
check 'bound everywhere before: the API server itself refuses' within 20 stands
harmless='{"spec":{"securityContext":{"runAsNonRoot":true,"runAsUser":65532,"seccompProfile":{"type":"RuntimeDefault"}},"containers":[{"name":"c","image":"x","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}'
check 'and lets others pass' has "$(try threats "$harmless" || true)" created
kubectl -n jinwu scale deployment/jinwu-gate --replicas="$replicas" >/dev/null
kubectl -n jinwu rollout status deployment/jinwu-gate --timeout=90s >/dev/null
check 'gates back, their webhooks are made again' within 30 refused threats "$privileged"
unbound() { is "$(kubectl get validatingadmissionpolicybinding jinwu-pod-security -o jsonpath='{.spec.matchResources.namespaceSelector.matchExpressions[0].operator}')" DoesNotExist; }
check 'and the native policy is left to the platform' within 30 unbound
linked() { jinwu --json ledger search --object pod:kube-system/attack --since "$begun" --limit 1000 | jq -r 'if type == "array" then . else .records end | map(select(.detail.by == "kube-apiserver")) | group_by(.decision) | map("\(map(select(.kind == "interception")) | length) \(map(select(.kind == "alarm" and .detail.policy == "privileged-container")) | length)") | unique | join(",")'; }
once() { is "$(linked)" '1 1'; }
check 'what was refused natively is one alarm and one interception of one decision' within 60 once

# What becomes of requests while no gate answers, set anew: gates follow within five seconds.
set_failure() { kubectl -n jinwu patch secret jinwu-gate-bundle --type=merge -p "{\"stringData\":{\"failure-policy\":\"$1\"}}" >/dev/null; }
open() { is "$(policy .failurePolicy)" Ignore && ! unbound >/dev/null; }
shut() { is "$(policy .failurePolicy)" Fail && unbound; }
set_failure Ignore
check 'webhooks are opened where the native policy holds' within 6 open
set_failure Fail
check 'and closed again, and the native policy left to the platform' within 6 shut

# The certificate lost: another one, under the same authority.
serial() { kubectl -n jinwu get secret jinwu-gate-tls -o jsonpath='{.data.server\.crt}' | base64 -d | openssl x509 -noout -serial; }
before=$(serial)
kubectl -n jinwu patch secret jinwu-gate-tls --type=json -p '[{"op":"remove","path":"/data"}]' >/dev/null
kubectl -n jinwu rollout restart deployment/jinwu-gate >/dev/null
kubectl -n jinwu rollout status deployment/jinwu-gate --timeout=90s >/dev/null
check 'a lost certificate is made anew' test "$(serial)" != "$before"
check 'with which the gate refuses' within 30 refused threats "$privileged"

# The API server gone and back: watches begin anew, and what was judged before is judged again.
kill -9 "$(cat "${JINWU_LAB:-.jinwu/lab}/run/apiserver.pid")"
read -ra shape <"$(realpath -m "${JINWU_LAB:-.jinwu/lab}")/shape"
options=(--nodes "${shape[0]#nodes=}")
[ "${shape[1]}" = gvisor= ] || options+=(--gvisor)
[ "${shape[2]}" = metrics= ] || options+=(--metrics)
lab up "${options[@]}" >/dev/null
check 'the API server is back' within 60 kubectl get --raw /readyz
check 'and the gate refuses' within 30 refused threats "$privileged"
kubectl create namespace threats-later >/dev/null
check 'also in a namespace it has heard of since' within 60 refused threats-later "$privileged"
kubectl delete namespace threats-later --wait=false >/dev/null
heard() { [ "$(jinwu --json cluster show lab | grep -oE '"canary_ok": *true' | wc -l)" -ge 2 ]; }
check 'both ways are heard again' within 120 heard

finish
