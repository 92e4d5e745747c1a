#!/usr/bin/env bash
# The control plane's settings on a running lab (./x up, ./x lab up): nothing unknown on its own machine, and programs with weak
# options beside the real ones are found. `bash lab/cluster/settings.sh`
set -euo pipefail
cd "$(dirname "$0")/../.."
. lab/install.sh
. lab/cluster/checks.sh
need jq
state=$(realpath -m "${JINWU_LAB:-$PWD/.jinwu/lab}")
program=${CARGO_TARGET_DIR:-$cache/target}/debug/jinwu
kubernetes=$(dirname "$(readlink "/proc/$(cat "$state/run/apiserver.pid")/exe")")
etcd=$(readlink "/proc/$(cat "$state/run/etcd.pid")/exe")
work=$(mktemp -d)
started=()
trap 'for pid in "${started[@]}"; do kill -9 "$pid" 2>/dev/null || true; done; bash lab/cluster/lab.sh kubectl -n kube-system delete lease weak weaker --ignore-not-found >/dev/null; rm -rf "$work"' EXIT

# On the machine `control`: its network is where processes are looked for.
on_control() { nsenter -t "$(cat "$state/run/machine.pid")" --net -- "$@"; }
inspect() { on_control "$program" --data "$work" --json cluster inspect --kubeconfig "$state/pki/admin.kubeconfig" "$@"; }
settings='.findings[] | select(.check | test("settings|-access$|apiserver-audit|profiling|hardening|ports"))'
of() { jq -r "[$settings | select(.verdict == \"$1\" and (.asset | test(\"$2\"))) | .check] | unique | join(\" \")"; }
weak() {
  nsenter -t "$(cat "$state/run/machine.pid")" --net -- "$@" >"$work/log" 2>&1 &
  started+=($!)
  disown
}

here=$(inspect --node-files)
check 'on its own machine nothing of the control plane is unknown' is "$(of 待确认 . <<<"$here")" ''
check 'nothing of it is worse than low' is "$(jq -r "[$settings | select(.verdict == \"不符合\" and .severity != \"低\")] | length" <<<"$here")" 0
check 'every kubelet shows its settings' is "$(jq -r "[$settings | select(.check == \"kubelet-access\" and .verdict == \"符合\") | .asset] | sort | join(\" \")" <<<"$here")" 'Node/node-1 Node/node-2'
check 'elsewhere the control plane is 待确认, not well' is "$(inspect | of 待确认 '^(kube-apiserver|etcd)$')" 'apiserver-access apiserver-audit apiserver-settings control-plane-profiling etcd-settings'

weak "$etcd" --name weak --data-dir "$work/etcd" --listen-client-urls http://10.200.0.1:2379 --advertise-client-urls http://10.200.0.1:2379 \
  --listen-peer-urls http://10.200.0.1:12380 --initial-advertise-peer-urls http://10.200.0.1:12380 --initial-cluster weak=http://10.200.0.1:12380
weak "$kubernetes/kube-scheduler" --kubeconfig "$state/pki/scheduler.kubeconfig" --leader-elect=true --bind-address 0.0.0.0 --secure-port 20259 \
  --authorization-always-allow-paths=/healthz,/metrics --authentication-kubeconfig "$state/pki/scheduler.kubeconfig" --authorization-kubeconfig "$state/pki/scheduler.kubeconfig" --leader-elect-resource-name weak
weak "$kubernetes/kube-controller-manager" --kubeconfig "$state/pki/controller-manager.kubeconfig" --leader-elect=true --leader-elect-resource-name weaker --controllers=ttl-after-finished-controller --secure-port 20257 --tls-min-version VersionTLS10
for _ in $(seq 50); do
  on_control curl -fs http://10.200.0.1:2379/version >/dev/null && break
  sleep 0.2
done
here=$(inspect --node-files)
check 'an etcd without certificates is found by its options' is "$(jq -r "[$settings | select(.check == \"etcd-settings\" and .verdict == \"不符合\" and .severity == \"高\")] | length" <<<"$here")" 3
check 'and by asking its port' is "$(jq -r "[$settings | select(.check == \"unauthenticated-ports\" and .verdict == \"不符合\") | .asset] | join(\" \")" <<<"$here")" 'API server 10.200.0.1:2379'
check 'a scheduler open to the network, its metrics to anybody, is found' is "$(of 不符合 '^Process/kube-scheduler' <<<"$here")" 'control-plane-profiling scheduler-settings'
check 'a controller manager with an old TLS and one identity for all is found' is "$(of 不符合 '^Process/kube-controller-manager' <<<"$here")" 'control-plane-profiling controller-manager-access controller-manager-settings'

finish
