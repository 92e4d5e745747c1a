#!/usr/bin/env bash
# Effective permissions as jinwu works them out, against the API server of a running lab (./x lab up): no
# difference is allowed. Makes roles of its own and removes them.
set -euo pipefail
cd "$(dirname "$0")/../.."
kubeconfig="${JINWU_LAB:-$PWD/.jinwu/lab}/pki/admin.kubeconfig"
if [ ! -f "$kubeconfig" ]; then
  echo "permissions: no lab is up (./x lab up): $kubeconfig is missing" >&2
  exit 1
fi
cargo build -q -p jinwu-cluster --example differential
./x lab kubectl apply -f - < lab/cluster/permissions.yaml > /dev/null
status=0
./x lab enter control "${CARGO_TARGET_DIR:-$PWD/target}/debug/examples/differential" "$kubeconfig" || status=$?
./x lab kubectl delete -f - < lab/cluster/permissions.yaml > /dev/null
exit "$status"
