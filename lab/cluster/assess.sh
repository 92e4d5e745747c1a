#!/usr/bin/env bash
# The guarded cluster under assessment, as an operator does it: server, lab, gate, `jinwu assess --kubeconfig`; then with a guard
# off, where the attack must be seen to succeed. `bash lab/cluster/assess.sh`
#
# Lab and server are of its own and meet no other: JINWU_TEST is their folder, JINWU_TEST_LISTEN the server's address.
set -euo pipefail
cd "$(dirname "$0")/../.."
. lab/install.sh
. lab/cluster/checks.sh
need jq
work=$(realpath -m "${JINWU_TEST:-$PWD/.jinwu/assess-test}")
export JINWU_LAB=$work/lab JINWU_HOME=$work/data JINWU_LISTEN=${JINWU_TEST_LISTEN:-127.0.0.1:5745}


# Output file, further arguments.
assess() {
  local file=$1
  shift
  lab enter control "$(dirname "$JINWU_HOME")/bin/jinwu" --data "$JINWU_HOME" assess --level 4 --format json --cluster lab --node-files --kubeconfig "$JINWU_LAB/pki/admin.kubeconfig" "$@" >"$file"
}
verdict() { jq -r --arg id "$2" '.clauses[] | select(.id == $id) | .verdict' "$1"; }
# What a clause lacks, for whoever reads the failure.
faults() { jq -r --arg id "$2" '.clauses[] | select(.id == $id) | .steps[] | .id as $s | .evidence[] | select(.answer != "affirmative") | "      \($s) \(.role) \(.answer): \(.expected.en) | \(.actual.en[0:300])"' "$1"; }
step() { jq -r --arg id "$2" '.clauses[].steps[] | select(.id == $id) | .verdict' "$1"; }
holds() {
  is "$(verdict "$1" "$2")" 符合 || { faults "$1" "$2"; false; }
}

rm -rf "$JINWU_HOME"
mkdir -p "$work"
trap 'lab down; ./x down; rm -rf "$JINWU_HOME"' EXIT
./x up --json >"$work/up.json"
lab up --gvisor --metrics
# Before the gate that stays: one that comes and goes.
check 'install, upgrade, uninstall' env JINWU_TEST="$work" JINWU_TEST_LISTEN="$JINWU_LISTEN" bash lab/cluster/install.sh
lab gate
lab agent
# What an operator of a cluster at level 4 has: everything blocks, and a workload scales.
./x jinwu cluster enforce lab block >/dev/null
kubectl -n kube-system apply -f - >/dev/null <<'END'
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: metrics-server, namespace: kube-system}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: metrics-server}
  minReplicas: 2
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 90}}}]
END

check 'settings of the control plane' bash lab/cluster/settings.sh

before=$(kubectl get namespaces -o name | sort)
assess "$work/all.json"
for clause in IA-1 IA-2 IA-3 AC-1 AC-2 AC-4 AC-5 AU-1 AU-2 IP-3 IP-4 IP-6 IP-9 MC-1 IM-2 CC-1 CC-4; do
  check "$clause 符合" holds "$work/all.json" "$clause"
done
# The inside of sandboxed pods (the metrics server here) is not seen: these clauses say so by the pods' names, and hold for the rest.
for clause in AU-3 IP-7 MC-2; do
  check "$clause 部分符合" is "$(verdict "$work/all.json" "$clause")" 部分符合
  check "$clause: only sandboxed pods are missing" is "$(jq -r --arg id "$clause" '[.clauses[] | select(.id == $id) | .steps[].evidence[] | select(.answer != "affirmative") | .expected.en] | unique | join("; ")' "$work/all.json")" 'events inside sandboxed pods are seen too'
done
check 'IP-7: a stolen token is stopped' is "$(step "$work/all.json" IP-7.C2)" 符合
check 'nothing is left behind' is "$(jq -c .left_behind "$work/all.json")" '[]'
for _ in $(seq 60); do
  [ "$(kubectl get namespaces -o name | sort)" != "$before" ] || break
  sleep 1
done
check 'the namespace of the drills is gone' is "$(kubectl get namespaces -o name | sort)" "$before"
secrets=$(jq -r '.accounts[].password, .robot.secret' "$work/up.json")
leaked=0
for secret in $secrets; do ! grep -qF -e "$secret" "$work/all.json" || leaked=1; done
check 'no credential stands in the evidence' is $leaked 0

# With a guard off its drill must succeed as an attack, and the clause fall.
assess "$work/off.json" --clause IP-6 --clause IA-3 --guard-off privileged-container --guard-off restricted-profile --guard-off container-entry
check 'guard off: the privileged pod is let in' is "$(jq -r '[.clauses[].steps[] | select(.id == "IP-6.C2") | .evidence[] | select(.role == "attack" and .answer == "negative")] | length > 0' "$work/off.json")" true
check 'guard off: IP-6 does not hold' test "$(verdict "$work/off.json" IP-6)" != 符合
check 'guard off: a person enters without leave' is "$(jq -r '[.clauses[].steps[] | select(.id == "IA-3.S1") | .evidence[] | select(.role == "attack" and .answer == "negative")] | length > 0' "$work/off.json")" true
check 'guard off: IA-3 does not hold' test "$(verdict "$work/off.json" IA-3)" != 符合

check "users' admission policies: the gate answers as the API server does" bash lab/cluster/vap.sh
check 'the threats of admission' bash lab/cluster/threats.sh

finish
