#!/usr/bin/env bash
# Installing and taking out, as operators do it: by manifests and `jinwu cluster uninstall`, and by Helm: install, upgrade under
# load (another image, another secret), uninstall. What the whole cluster holds before and after is compared, kind by kind.
# `bash lab/cluster/install.sh`
#
# With ./x up and ./x lab up running in JINWU_TEST (its folder; server's address in JINWU_TEST_LISTEN) it uses these and leaves
# them running; else it starts its own and takes them down.
set -euo pipefail
cd "$(dirname "$0")/../.."
. lab/install.sh
. lab/cluster/checks.sh
. lab/image/build.sh
need jq skopeo
work=$(realpath -m "${JINWU_TEST:-$PWD/.jinwu/install-test}")
export JINWU_LAB=$work/lab JINWU_HOME=$work/data JINWU_LISTEN=${JINWU_TEST_LISTEN:-127.0.0.1:5746}
registry=localhost:${JINWU_LISTEN##*:} cluster=install kubeconfig=$JINWU_LAB/pki/admin.kubeconfig

helm() { lab helm "$@" >"$work/helm.log" 2>&1 || { cat "$work/helm.log"; false; }; }
jinwu() { lab enter control "$work/bin/jinwu" --data "$JINWU_HOME" --lang en "$@"; }

# Every object of every kind but events, nodes' leases, and what is only measured.
objects() {
  local kinds
  kinds=$(kubectl api-resources --verbs=list -o name | grep -vE '^events|metrics\.k8s\.io' | paste -sd,)
  kubectl get "$kinds" -A -o jsonpath='{range .items[*]}{.apiVersion} {.kind} {.metadata.namespace}/{.metadata.name}{"\n"}{end}' 2>/dev/null | grep -v ' Lease kube-node-lease/' | sort
}
same_as_before() {
  local differ
  differ=$(diff <(echo "$before") <(objects)) || { echo "$differ" | sed 's/^/      /'; false; }
}
# The gate answers, and refuses what it must: the canary.
refused() { has "$(kubectl run canary --image "$registry/open/x:1" --privileged --dry-run=server 2>&1)" 'jinwu refused pod:default/canary'; }
# The image of the gate's program by another tag is another image.
image() { program_image "$target/jinwu-gate" jinwu-gate "$1" "$work/gate-$1.tar" && image_push "$work/gate-$1.tar" "$registry" "open/jinwu-gate:$1" "$JINWU_HOME/tls/ca.crt" | tail -1; }
# The gate is among the base platform, by two people.
trusted() {
  local id
  id=$(./x jinwu --json cluster base propose $cluster --namespace jinwu --digest "$1" --reason "the gate itself" | jq -r '.component.id // .id')
  ./x jinwu cluster base approve $cluster "$id" >/dev/null
}
options() { printf '%s\n' --server-address "10.200.0.1:${JINWU_LISTEN##*:}" --pull "$work/pull.json"; }

mkdir -p "$work"
target=${CARGO_TARGET_DIR:-$cache/target}/debug
if [ "$(lab status --json | jq -r .state)" = down ]; then
  trap 'lab down; ./x down; rm -rf "$JINWU_HOME"' EXIT
  ./x up --json >"$work/up.json"
  lab up
fi
./x up --json >"$work/up.json"
export REGISTRY_USER REGISTRY_PASSWORD
REGISTRY_USER=$(jq -r .robot.name "$work/up.json") REGISTRY_PASSWORD=$(jq -r .robot.secret "$work/up.json")
(umask 077 && printf '{"auths":{"%s":{"auth":"%s"}}}' "$registry" "$(printf '%s:%s' "$REGISTRY_USER" "$REGISTRY_PASSWORD" | base64 -w0)" >"$work/pull.json")
mapfile -t options < <(options)
before=$(objects)
one=$(image 1) two=$(image 2)
check 'two images of the gate' test "$one" != "$two"
./x jinwu cluster show $cluster >/dev/null 2>&1 || ./x jinwu cluster add $cluster --level 4 >/dev/null
for digest in "$one" "$two"; do ./x jinwu --json cluster show $cluster | grep -q "$digest" || trusted "$digest"; done
./x jinwu cluster enforce $cluster block >/dev/null

echo "== manifests"
(umask 077 && ./x jinwu cluster install $cluster --image "$registry/open/jinwu-gate@$one" "${options[@]}" >"$work/gate.yaml")
kubectl apply -f "$work/gate.yaml" >/dev/null
check 'the gate is ready' kubectl -n jinwu rollout status deployment/jinwu-gate --timeout=60s
check 'it refuses' within 20 refused
# Parameters of users' policies, which the gate was given to read.
cat >"$work/limits.yaml" <<'END'
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: limits}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}
  validations: [{expression: "object.spec.replicas <= int(params.data.most)"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: limits}
spec: {policyName: limits, validationActions: [Deny], paramRef: {name: limits, namespace: default, parameterNotFoundAction: Allow}}
END
./x jinwu cluster policy add $cluster "$work/limits.yaml" >/dev/null
jinwu cluster policy rights $cluster --kubeconfig "$kubeconfig" >"$work/rights.yaml"
check 'it may read the parameters of a policy' kubectl apply -f "$work/rights.yaml"
./x jinwu cluster policy remove $cluster limits.yaml >/dev/null
kubectl -n jinwu create configmap theirs --from-literal=a=b >/dev/null
kubectl create clusterrole jinwu-gate-remove --verb=get --resource=pods >/dev/null
# Ended by force once the first object is gone.
nsenter -t "$(cat "$JINWU_LAB/run/machine.pid")" --net -- "$work/bin/jinwu" --data "$JINWU_HOME" cluster uninstall $cluster --kubeconfig "$kubeconfig" >"$work/interrupted" &
within 10 test -s "$work/interrupted"
kill -9 $!
wait $! 2>/dev/null || true
check 'interrupted half-way' kubectl get namespace jinwu -o name
answer=$(jinwu --json cluster uninstall $cluster --kubeconfig "$kubeconfig")
check 'begun anew it leaves what is not Jinwu'"'"'s, and says so' has "$(jq -c .kept <<<"$answer")" 'ConfigMap/theirs'
check 'nobody is refused' kubectl run canary --image x --dry-run=server
kubectl -n jinwu delete configmap theirs >/dev/null
kubectl delete clusterrole jinwu-gate-remove >/dev/null
jinwu cluster uninstall $cluster --kubeconfig "$kubeconfig" >/dev/null
check 'the cluster holds what it held before' same_as_before
check 'it is in the ledger' has "$(./x jinwu ledger search --since 5m)" uninstall

echo "== helm"
chart=$work/chart/jinwu-gate
./x jinwu cluster chart $cluster --output "$work/chart" --image "$registry/open/jinwu-gate@$one" "${options[@]}" >/dev/null
check 'the chart is sound' helm lint "$chart" --values "$work/chart/secret.yaml"
render() { lab helm template jinwu-gate "$chart" --kube-version 1.34 "$@"; }
plain() { kubectl create --dry-run=client -o json -f - | jq -s 'map(if .kind == "List" then .items[] else . end) | map(select(.metadata.annotations["helm.sh/hook"] == null) | del(.stringData.secret)) | sort_by(.kind + .metadata.name)'; }
check 'its defaults render to the manifests' is "$(render --values "$work/chart/secret.yaml" | plain)" "$(plain <"$work/gate.yaml")"
check 'a tag is no digest' has "$(render --values "$work/chart/secret.yaml" --set image.digest=latest 2>&1)" image
check 'without a secret it says what is missing' has "$(render 2>&1)" secret.existing
check 'places and failure policy are values' is "$(render --values "$work/chart/secret.yaml" --set nodeSelector.disk=ssd --set 'tolerations[0].operator=Exists' --set failurePolicy=Ignore --set resources.limits.memory=1Gi --set replicas=3 | kubectl create --dry-run=client -o json -f - |
  jq -r 'select(.kind == "Deployment").spec | .replicas, .template.spec.nodeSelector.disk, .template.spec.tolerations[0].operator, .template.spec.containers[0].resources.limits.memory' | paste -sd' ')" '3 ssd Exists 1Gi'
check 'install' helm install jinwu-gate "$chart" --namespace kube-system --values "$work/chart/secret.yaml" --wait --timeout 60s
check 'the gate refuses' within 20 refused
check 'jinwu cluster uninstall leaves a release to Helm' has "$(jinwu cluster uninstall $cluster --kubeconfig "$kubeconfig" 2>&1)" 'helm uninstall jinwu-gate'

# Requests all the while: each must be answered by a gate.
(while [ ! -f "$work/stop" ]; do kubectl run canary --image "$registry/open/x:1" --privileged --dry-run=server 2>&1 | tr '\n' ' ' | cut -c1-400 || true; echo; done) >"$work/answers" &
load=$!
./x jinwu --json cluster secret $cluster >"$work/new.json"
uid=$(kubectl get validatingwebhookconfiguration jinwu-gate -o jsonpath='{.metadata.uid}')
check 'upgrade: another image, another secret' helm upgrade jinwu-gate "$chart" --namespace kube-system --values "$work/chart/secret.yaml" --set image.digest="$two" --set secret.value="$(jq -r .secret "$work/new.json")" --wait --timeout 60s
# Gates of before have ended.
kubectl -n jinwu wait --for=delete pod -l "pod-template-hash!=$(kubectl -n jinwu get rs -l app.kubernetes.io/name=jinwu-gate -o json | jq -r --arg d "$two" '.items[] | select(.spec.template.spec.containers[0].image | contains($d)).metadata.labels["pod-template-hash"]'),app.kubernetes.io/name=jinwu-gate" --timeout=60s >/dev/null 2>&1 || true
touch "$work/stop"
wait $load
rm "$work/stop"
check 'gates run by the new image' is "$(kubectl -n jinwu get pods -o jsonpath='{.items[*].spec.containers[0].image}' | tr ' ' '\n' | sort -u)" "$registry/open/jinwu-gate@$two"
check 'their certificate and bundle outlived the upgrade' is "$(kubectl -n jinwu get secret jinwu-gate-bundle jinwu-gate-tls -o json | jq -r '[.items[].data | length > 1] | all')" true
check 'requests were made meanwhile' test "$(wc -l <"$work/answers")" -gt 5
check "every one of $(wc -l <"$work/answers") was refused by a gate" is "$(grep -v 'jinwu refused pod:default/canary' "$work/answers" | head -3)" ''
./x jinwu cluster secret $cluster --now >/dev/null
check 'with the old secret ended the gates are heard' within 30 sh -c "./x jinwu --json cluster show $cluster | jq -e '[.gates[] | select(.seen > (now - 12) * 1000)] | length == 2'"

check 'open on failure' helm upgrade jinwu-gate "$chart" --namespace kube-system --reuse-values --set failurePolicy=Ignore --wait
policy() { is "$(kubectl get validatingwebhookconfiguration jinwu-gate -o jsonpath='{.webhooks[0].failurePolicy}')" Ignore; }
check 'and the webhooks follow' within 30 policy
check 'they are the same objects' is "$(kubectl get validatingwebhookconfiguration jinwu-gate -o jsonpath='{.metadata.uid}')" "$uid"
check 'without an alarm' is "$(./x jinwu --json ledger search --since 2m --kind alarm | grep -c gate-tampered)" 0
check 'uninstall' helm uninstall jinwu-gate --namespace kube-system --wait --timeout 90s
check 'nobody is refused' kubectl run canary --image x --dry-run=server
check 'the cluster holds what it held before' within 20 same_as_before

finish
