#!/usr/bin/env bash
# ValidatingAdmissionPolicies by the API server itself and by Jinwu's gate: the same policies (lab/cluster/vap/policies.yaml) in two
# sets of namespaces, the same requests, and every answer compared: permitted or not, status, message, warnings, audit annotations.
# `bash lab/cluster/vap.sh` on a running lab with its gate (`./x up`, `./x lab up`, `./x lab gate`); nothing is left behind.
set -euo pipefail
cd "$(dirname "$0")/../.."
. lab/install.sh
need jq curl
name=lab
work=$(mktemp -d)
lab=$(realpath -m "${JINWU_LAB:-$PWD/.jinwu/lab}")
kubectl() { bash lab/cluster/lab.sh kubectl "$@"; }
jinwu() { ./x jinwu "$@"; }

passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() {
  failed=$((failed + 1))
  printf 'FAIL  %s\n' "$1"
  shift
  [ $# -eq 0 ] || printf '      %s\n' "$@"
}

# A request, as the administrator or as another user: set, file for the answer, method, path, body, user. Straight to the API
# server: kubectl would take a second of processor for every dozen.
machine=$(cat "$lab/run/machine.pid")
request() {
  local set=$1 file=$2 method=$3 path=${4//SET/$1} body=${5//SET/$1} user=${6:-}
  local options=(-sS --max-time 20 --cacert "$lab/pki/ca.crt" --cert "$lab/pki/admin.crt" --key "$lab/pki/admin.key" -X "$method" -D "$file.head" -o "$file")
  [ -z "$user" ] || options+=(-H "Impersonate-User: $user" -H 'Impersonate-Group: vap-people')
  case $body in
    '') ;;
    patch:*) options+=(-H 'Content-Type: application/merge-patch+json' -d "${body#patch:}") ;;
    *) options+=(-H 'Content-Type: application/json' -d "$body") ;;
  esac
  : >"$file"
  nsenter -t "$machine" --net -- curl "${options[@]}" "https://127.0.0.1:6443$path"
}

# What an answer comes to: `code`, and for every policy that denied or warned `policy|binding|message`, names of sets apart.
# An answer that no policy denied is known by its code alone.
native_said() {
  jq -r 'if .kind == "Status" and .status == "Failure" then "code \(.code) \(.reason // "")" else "code ok" end' "$1"
  jq -r '.message // "" | capture("ValidatingAdmissionPolicy .(?<p>[^\u0027]+).( with binding .(?<b>[^\u0027]+).)? denied request: (?<m>(.|\n)*)$") | "deny \(.p)|\(.b // "")|\(.m)"' "$1"
  sed -n 's/\r$//; s/^[Ww]arning: 299 - "Validation failed for ValidatingAdmissionPolicy '\''\([^'\'']*\)'\'' with binding '\''\([^'\'']*\)'\'': \(.*\)"$/warn \1|\2|\3/p' "$1.head"
}
gate_said() {
  jq -r 'if .kind == "Status" and .status == "Failure" then "code \(.code) \(.reason // "")" else "code ok" end' "$1"
  jq -r '.message // "" | select(contains("jinwu refused")) | split("\n")[] | capture("^ +ValidatingAdmissionPolicy .(?<p>[^\u0027]+).( with binding .(?<b>[^\u0027]+).)?: (?<m>.*) → correct the object") | "deny \(.p)|\(.b // "")|\(.m)"' "$1"
  sed -n 's/\r$//; s/^[Ww]arning: 299 - "jinwu\/.* \/ ValidatingAdmissionPolicy '\''\([^'\'']*\)'\'' with binding '\''\([^'\'']*\)'\'': \(.*\)"$/warn \1|\2|\3/p' "$1.head"
}
# Names of the sets apart. Why a text is no quantity, address or version the gate says in its own words: with `wording=own` what
# went wrong is compared, not how it is said.
wording=
neutral() { sed "s/vap-native/vap-SET/g; s/vap-gate/vap-SET/g${wording:+; s/resulted in error: .*/resulted in error/}"; }

# The same asked of both: what, wanted (permitted or refused), method, path, body, user.
same() {
  local what=$1 wanted=$2 native gate found
  shift 2
  request native "$work/native.json" "$@"
  request gate "$work/gate.json" "$@"
  native=$(native_said "$work/native.json" | neutral) gate=$(gate_said "$work/gate.json" | neutral)
  # The API server tells of one denial, the gate of all: the one must be among them.
  if [ "$(grep -c '^deny' <<<"$gate")" -gt 1 ]; then
    gate=$(grep -vE '^deny' <<<"$gate"; grep -Fx -e "$(grep '^deny' <<<"$native")" <<<"$gate" || grep '^deny' <<<"$gate")
  fi
  # A missing expectation would let both be wrong together.
  found=permitted
  ! grep -q '^deny' <<<"$native" || found=refused
  if [ "$found" != "$wanted" ]; then
    bad "$what: the API server itself $found it, expected $wanted" "$(jq -c '.message // .' "$work/native.json" | cut -c1-600)"
  elif [ "$(sort <<<"$native")" != "$(sort <<<"$gate")" ]; then
    bad "$what" "native: ${native//$'\n'/$'\n'              }" "gate:   ${gate//$'\n'/$'\n'              }" "$(jq -r '.message // ""' "$work/gate.json" | head -c 800)"
  else
    ok
  fi
}
# A ConfigMap of a case, made dry: case, wanted, data, name, user, further labels.
make() {
  same "$1 $3" "$2" POST "/api/v1/namespaces/vap-SET/configmaps?dryRun=All" \
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"${4:-made}\",\"labels\":{\"case\":\"$1\"${6:+,$6}}},\"data\":$3}" "${5:-}"
}
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || { bad "not within the time: $*"; return 1; }
    sleep 0.3
  done
}

# Other runs may have been here in the last minutes.
refusals() { jinwu --json ledger search --kind interception --since 30m | jq '[.. | objects | select(.action? == "admission-refused") | select(tostring | contains("admission:vap-message"))] | length'; }
enforced=$(jinwu --json cluster show $name | jq -r '.enforcement["*"]')
clear_up() {
  local set
  jinwu cluster switch $name admission:vap-message default --namespace vap-gate >/dev/null 2>&1 || true
  jinwu cluster policy remove $name vap.yaml >/dev/null 2>&1 || true
  jinwu cluster policy remove $name vap-running.yaml >/dev/null 2>&1 || true
  jinwu cluster enforce $name "$enforced" >/dev/null || true
  for set in native gate; do
    jinwu cluster enforce $name default --namespace vap-$set >/dev/null 2>&1 || true
    jinwu cluster switch $name container-entry default --namespace vap-$set >/dev/null 2>&1 || true
  done
  sed 's/SET/native/g' lab/cluster/vap/policies.yaml | kubectl delete --ignore-not-found --wait=false -f - >/dev/null 2>&1 || true
  kubectl delete --ignore-not-found --wait=false -f "$work/base.yaml" -f "$work/rights.yaml" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clear_up EXIT

# Namespaces, parameters and a user who may break glass.
cat >"$work/base.yaml" <<'END'
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: vap-native, labels: {vap: native, tier: gold}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: vap-gate, labels: {vap: gate, tier: gold}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: vap-params}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: limits, namespace: vap-params}, data: {most: "3"}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: red, namespace: vap-params, labels: {kind: colour}}, data: {colour: red}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: blue, namespace: vap-params, labels: {kind: colour}}, data: {colour: blue}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: own-limit, namespace: vap-native}, data: {most: "2"}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: own-limit, namespace: vap-gate}, data: {most: "2"}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: kept, namespace: vap-native, labels: {case: deleted}}, data: {keep: "yes"}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: kept, namespace: vap-gate, labels: {case: deleted}}, data: {keep: "yes"}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: loose, namespace: vap-native, labels: {case: deleted}}, data: {keep: "no"}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: loose, namespace: vap-gate, labels: {case: deleted}}, data: {keep: "no"}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: fixed, namespace: vap-native, labels: {case: unchanged}}, data: {fixed: "one"}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: fixed, namespace: vap-gate, labels: {case: unchanged}}, data: {fixed: "one"}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: none, namespace: vap-native}, spec: &none {replicas: 0, selector: {matchLabels: {app: none}}, template: {metadata: {labels: {app: none}}, spec: {containers: [{name: none, image: lab.jinwu/pod:1}]}}}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: none, namespace: vap-gate}, spec: *none}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {name: vap-people}
  rules: [{apiGroups: [""], resources: [configmaps], verbs: [create]}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: vap-people}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: vap-people}
  subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: vap-people}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {name: vap-breakglass}
  rules: [{apiGroups: [""], resources: [configmaps], verbs: [breakglass]}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: vap-breakglass}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: vap-breakglass}
  subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: vap-rescuer}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {name: vap-reader, namespace: vap-params}
  rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: vap-reader, namespace: vap-params}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: vap-reader}
  subjects: [{kind: ServiceAccount, name: default, namespace: vap-params}]
END

echo "== a set for the API server, the same for the gate"
# What a run before left ends first; what is only there to be asked about need not please the built-in policies.
kubectl wait --for=delete namespace/vap-native namespace/vap-gate namespace/vap-params --timeout=60s >/dev/null 2>&1 || true
for set in native gate; do jinwu cluster enforce $name alert --namespace vap-$set >/dev/null; done
kubectl apply -f "$work/base.yaml" >"$work/applied.log" 2>&1 || { cat "$work/applied.log" >&2; exit 1; }
sed 's/SET/native/g' lab/cluster/vap/policies.yaml | kubectl apply -f - 2>"$work/applied.log" >/dev/null || { cat "$work/applied.log" >&2; exit 1; }
sed 's/SET/gate/g' lab/cluster/vap/policies.yaml >"$work/vap.yaml"
for set in native gate; do jinwu cluster enforce $name default --namespace vap-$set >/dev/null; done
jinwu cluster enforce $name block >/dev/null
# What the API server's own set is not asked must not speak here either.
for set in native gate; do jinwu cluster switch $name container-entry allow --namespace vap-$set >/dev/null; done
jinwu cluster policy add $name "$work/vap.yaml" >"$work/added"
# From a machine that reaches the API server, as an operator's does.
home=$(realpath -m "${JINWU_HOME:-$PWD/.jinwu/data}")
bash lab/cluster/lab.sh enter control "$(dirname "$home")/bin/jinwu" --data "$home" cluster policy rights $name --kubeconfig "$lab/pki/admin.kubeconfig" >"$work/rights.yaml" 2>"$work/rights.log"
kubectl apply -f "$work/rights.yaml" >/dev/null
webhooks() { kubectl get validatingwebhookconfiguration jinwu-gate -o jsonpath='{.webhooks[*].name}'; }
probe() {
  request "$1" "$work/probe.json" POST '/api/v1/namespaces/vap-SET/configmaps?dryRun=All' '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"probe","labels":{"case":"probe"}}}'
  grep -q 'it is there' "$work/probe.json"
}
# Parameters are read once the rights reach the gate; a kind nobody has stays unreadable.
params_read() { jinwu --json cluster policy list $name | jq -e '[.unreadable[][] | select(contains("Absent") | not)] == []' >/dev/null; }
within 30 probe native
within 30 probe gate
within 30 params_read
grep -q "policies.admit.jinwu.io" <<<"$(webhooks)" || bad 'the webhooks are not wider' "$(webhooks)"

earlier=$(refusals)
echo "== the same requests"
make message permitted '{"size":"small"}'
make message refused '{"size":"large"}'
make computed refused '{"size":"7"}'
make computed permitted '{"size":"3"}'
make wordless refused '{"size":"large"}'
make too-large refused '{"size":"large"}'
make fallback refused '{"size":"large"}'
make two-lines refused '{"size":"large"}'
make several refused '{"size":"large","colour":"red"}'
make several refused '{"size":"small","colour":"blue"}'
make several permitted '{"size":"small","colour":"red"}'
make conditions refused '{"skip":"no"}'
make conditions permitted '{"skip":"yes"}'
make condition-error refused '{"size":"many"}'
make condition-error permitted '{"size":"2"}'
make condition-error-open permitted '{"size":"many"}'
make condition-decides permitted '{"size":"many"}'
make variables refused '{"names":"anna,leonora,ottokar"}'
make variables permitted '{"names":"anna,leo"}'
make param refused '{"size":"4"}'
make param permitted '{"size":"3"}'
make param-own refused '{"size":"3"}'
make param-own permitted '{"size":"2"}'
make param-selected refused '{"colour":"red"}'
make param-selected refused '{"colour":"blue"}'
make param-selected permitted '{"colour":"green"}'
make param-absent refused '{}'
make param-absent-allowed permitted '{}'
make param-kind refused '{}'
make quantity refused '{"memory":"1536Mi"}'
wording=own
make quantity refused '{"memory":"much"}'
wording=
make quantity permitted '{"memory":"512Mi"}'
make network refused '{"address":"192.168.1.1"}'
make network refused '{"address":"fd00::1"}'
make network permitted '{"address":"10.1.2.3"}'
make url refused '{"link":"https://other.example:8443/x"}'
make url permitted '{"link":"https://registry.example/x"}'
make pattern refused '{"text":"abc-41 9"}'
make pattern permitted '{"text":"abc-42"}'
make format refused '{"label":"Not_A.Label"}'
make format permitted '{"label":"a-label"}'
make semver refused '{"version":"1.2.3-rc.1"}'
make semver refused '{"version":"one"}'
make semver permitted '{"version":"2.0.0"}'
make lists refused '{"names":"b,a"}'
make lists permitted '{"names":"a,b"}'
make optional refused '{"a":"x"}'
make optional refused '{"c":"x"}'
make optional permitted '{"a":"y"}'
make authorizer refused '{}' made vap-anna
make authorizer permitted '{}' made vap-rescuer
make authorizer permitted '{}'
make authorizer-others refused '{"verb":"update"}' made vap-anna
make authorizer-others permitted '{"verb":"update"}'
make authorizer-path permitted '{}' made vap-anna
make authorizer-path refused '{}'
make authorizer-reason permitted '{}' made vap-anna
make authorizer-costs refused '{}'
make error refused '{"size":"x"}'
make error refused '{}'
make error-open permitted '{"size":"x"}'
names=$(seq -s , 150)
make costly refused "{\"names\":\"$names\"}"
make costly permitted '{"names":"a,b"}'
make costly-open permitted "{\"names\":\"$names\"}"
make warning permitted '{"size":"large"}'
make warning permitted '{"size":"small"}'
make both permitted '{"size":"large"}'
make annotation-error refused '{}'
for version in 1 2; do
  spec='"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"none"},"maxReplicas":2'
  [ $version = 2 ] && spec="$spec,\"metrics\":[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\",\"averageUtilization\":70}}}]" || spec="$spec,\"targetCPUUtilizationPercentage\":60"
  [ $version = 1 ] && wanted=refused || wanted=permitted
  for case in exact equivalent; do
    [ $case = exact ] || wanted=refused
    same "$case v$version" $wanted POST "/apis/autoscaling/v$version/namespaces/vap-SET/horizontalpodautoscalers?dryRun=All" \
      "{\"apiVersion\":\"autoscaling/v$version\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"made\",\"labels\":{\"case\":\"$case\"}},\"spec\":{$spec}}"
  done
done
make excluded permitted '{}'
same 'excluded: a secret' refused POST '/api/v1/namespaces/vap-SET/secrets?dryRun=All' '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"made","labels":{"case":"excluded"}}}'
make named permitted '{}'
make named refused '{}' special
make selected refused '{}'
make selected permitted '{}' made '' '"colour":"red"'
make unselected permitted '{}'
for object in kept:refused loose:permitted; do
  same "deleted ${object%:*}" "${object#*:}" DELETE "/api/v1/namespaces/vap-SET/configmaps/${object%:*}?dryRun=All" ''
done
same 'unchanged' refused PATCH '/api/v1/namespaces/vap-SET/configmaps/fixed?dryRun=All' 'patch:{"data":{"fixed":"two"}}'
same 'unchanged otherwise' permitted PATCH '/api/v1/namespaces/vap-SET/configmaps/fixed?dryRun=All' 'patch:{"data":{"other":"two"}}'
same 'entered by rm' refused POST '/api/v1/namespaces/vap-SET/pods/none/exec?command=rm&command=-r&container=c&stdout=true' ''
same 'entered by ls' permitted POST '/api/v1/namespaces/vap-SET/pods/none/exec?command=ls&container=c&stdout=true' ''
same 'scaled to 9' refused PATCH '/apis/apps/v1/namespaces/vap-SET/deployments/none/scale?dryRun=All' 'patch:{"spec":{"replicas":9}}'
same 'scaled to 2' permitted PATCH '/apis/apps/v1/namespaces/vap-SET/deployments/none/scale?dryRun=All' 'patch:{"spec":{"replicas":2}}'
token() { same "token $1" "$2" POST '/api/v1/namespaces/vap-SET/serviceaccounts/default/token?dryRun=All' "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\",\"spec\":{\"audiences\":[\"$1\"],\"expirationSeconds\":600}}"; }
token elsewhere refused
make namespace-read refused '{}'
make request-read permitted '{}'
make request-read refused '{}' made vap-anna
wide() { same "$1 $2" "$3" POST '/apis/scheduling.k8s.io/v1/priorityclasses?dryRun=All' "{\"apiVersion\":\"scheduling.k8s.io/v1\",\"kind\":\"PriorityClass\",\"metadata\":{\"name\":\"vap-made\",\"labels\":{\"case\":\"$1\",\"vap\":\"SET\"}},\"value\":$2}"; }
wide wide 2000 refused
wide wide 10 permitted
wide wide-error 10 refused
same 'about-namespaces' refused POST '/api/v1/namespaces?dryRun=All' '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"vap-made","labels":{"case":"about-namespaces","vap":"SET"}}}'
same 'about-namespaces with owner' permitted POST '/api/v1/namespaces?dryRun=All' '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"vap-made","labels":{"case":"about-namespaces","vap":"SET","owner":"me"}}}'

echo "== what is not stored"
# Documents the API server refuses the gate's side refuses, too.
refused() {
  local what=$1 spec=$2 native=refused gate=refused
  printf '{"apiVersion":"admissionregistration.k8s.io/v1","kind":"%s","metadata":{"name":"vap-bad"},"spec":%s}\n' "${3:-ValidatingAdmissionPolicy}" "$spec" >"$work/bad.json"
  ! kubectl create --dry-run=server -f "$work/bad.json" >/dev/null 2>&1 || native=taken
  ! jinwu cluster policy add $name "$work/bad.json" >/dev/null 2>&1 || gate=taken
  [ "$native $gate" = 'refused refused' ] && ok || bad "$what" "native: $native" "gate:   $gate"
}
rules='"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["pods"]}]}'
refused 'a reason nobody knows' "{$rules,\"validations\":[{\"expression\":\"true\",\"reason\":\"Unauthorized\"}]}"
refused 'an expression of another type' "{$rules,\"validations\":[{\"expression\":\"object.metadata.name\"}]}"
refused 'an annotation of any type' "{$rules,\"auditAnnotations\":[{\"key\":\"k\",\"valueExpression\":\"object.metadata.name\"}]}"
refused 'params without paramKind' "{$rules,\"validations\":[{\"expression\":\"params.a == 1\"}]}"
refused 'a field a request does not have' "{$rules,\"validations\":[{\"expression\":\"request.colour == 1\"}]}"
refused 'wildcards beside names' '{"matchConstraints":{"resourceRules":[{"apiGroups":["*","apps"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["pods"]}]},"validations":[{"expression":"true"}]}'
refused 'Deny and Warn' '{"policyName":"p","validationActions":["Deny","Warn"]}' ValidatingAdmissionPolicyBinding
refused 'a paramRef without action' '{"policyName":"p","validationActions":["Deny"],"paramRef":{"name":"x"}}' ValidatingAdmissionPolicyBinding

echo "== the audit log"
# What a policy records, in the API server's own event of the request; the gate's are below its webhook's name.
make audited permitted '{"size":"large"}'
annotations() {
  local id
  id=$(sed -n 's/\r$//; s/^[Aa]udit-[Ii]d: //p' "$work/$1.json.head")
  for _ in $(seq 50); do
    ! grep -qF "$id" "$lab/log/audit.jsonl" || break
    sleep 0.1
  done
  grep -hF "$id" "$lab/log/audit.jsonl" | jq -c '.annotations // {}' | tail -1
}
native=$(annotations native | jq -c '[(."validation.policy.admission.k8s.io/validation_failure" | fromjson[] | "\(.policy)|\(.binding)|\(.message)"), ."vap-audited/size"]')
gate=$(annotations gate | jq -c '[(."policies.admit.jinwu.io/validation_failure" | fromjson[] | "\(.policy)|\(.binding)|\(.message)"), (."policies.admit.jinwu.io/audit_annotations" | fromjson."vap-audited/size")]')
[ "$native" = "$gate" ] && [ "$native" = '["vap-audited|vap-audited-bound|it should be small","size large"]' ] && ok || bad 'audit annotations' "native: $native" "gate:   $gate"

echo "== what runs"
# A policy that comes later: the deployment that is there is told of, once, though there are several gates; nothing of it stops.
began=$(date -u +%Y-%m-%dT%H:%M:%SZ)
cat >"$work/vap-running.yaml" <<'END'
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: vap-running}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]}
  validations: [{expression: "has(object.metadata.labels) && has(object.metadata.labels.owner)", message: it has an owner}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: vap-running}
spec: {policyName: vap-running, validationActions: [Deny], matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: vap-gate}}}}
END
jinwu cluster policy add $name "$work/vap-running.yaml" >/dev/null
told() { jinwu --json ledger search --kind alarm --since "$began" --limit 1000 | jq -c '[.. | objects | select(.action? == "verdict-changed" and .detail.policy == "admission:vap-running") | [.object, .detail.workload, .detail.mode]]'; }
heard() { [ "$(told)" != '[]' ]; }
within 30 heard && ok || true
sleep 5
[ "$(told)" = '[["deployment:vap-gate/none","deployment/none","block"]]' ] && ok || bad 'what runs is told of once' "$(told)"
jinwu cluster policy remove $name vap-running.yaml >/dev/null

echo "== modes, records, removal"
[ "$(refusals)" = "$earlier" ] && ok || bad 'dry runs left records'
request gate "$work/real.json" POST '/api/v1/namespaces/vap-SET/configmaps' '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"real","labels":{"case":"message"}},"data":{"size":"large"}}'
grep -q 'jinwu/admission:vap-message' "$work/real.json" && ok || bad 'the refusal names jinwu and the policy' "$(cat "$work/real.json")"
recorded() { [ "$(refusals)" = $((earlier + 1)) ]; }
within 15 recorded && ok || true
# An exception lifts it where it is asked for; a mode switches it.
jinwu cluster switch $name admission:vap-message alert --namespace vap-gate >/dev/null
softened() {
  request gate "$work/soft.json" POST '/api/v1/namespaces/vap-SET/configmaps?dryRun=All' '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"soft","labels":{"case":"message"}},"data":{"size":"large"}}'
  jq -e '.kind == "ConfigMap"' "$work/soft.json" >/dev/null && grep -qi '^warning:.*vap-message' "$work/soft.json.head"
}
within 10 softened && ok || true
jinwu cluster switch $name admission:vap-message default --namespace vap-gate >/dev/null
jinwu cluster policy remove $name vap.yaml >/dev/null
narrow() { ! grep -q policies <<<"$(webhooks)"; }
within 15 narrow && ok || true

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
