#!/usr/bin/env bash
# ./x bench [registry|scan|ledger|admission|audit|sensor] [options]: installs the peers, builds, measures; tables go to standard output.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=../lab/install.sh
source lab/install.sh
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}

what=${1:-all}
shift || true
case $what in
  registry | scan | ledger | admission | audit | sensor) parts=("$what") ;;
  all) parts=(registry scan ledger admission audit sensor) ;;
  *)
    say "用法 / usage: ./x bench [registry|scan|ledger|admission|audit|sensor] [options]"
    exit 2
    ;;
esac

# The profile of ./x up: what is measured is what runs.
cargo build --quiet --locked -p jinwu -p jinwu-scan-bin -p jinwu-gate -p jinwu-agent -p jinwu-bench

# Kubernetes, the peers, and an image of a program for the pods that are made.
cluster_peers() {
  export JINWU_KUBERNETES
  JINWU_KUBERNETES=$(bash lab/cluster/lab.sh program kubernetes)
  kyverno
  go_program gatekeeper github.com/open-policy-agent/gatekeeper/v3 v3.23.1
  JINWU_BENCH_KYVERNO=$(go_module_file github.com/kyverno/kyverno v1.19.1 config/install-latest-testing.yaml)
  JINWU_BENCH_GATEKEEPER=$(go_module_file github.com/open-policy-agent/gatekeeper/v3 v3.23.1 deploy/gatekeeper.yaml)
  export JINWU_BENCH_KYVERNO JINWU_BENCH_GATEKEEPER
}

gate_image() {
  # shellcheck source=../lab/image/build.sh
  source lab/image/build.sh
  export JINWU_BENCH_IMAGE=$cache/images/bench.tar
  program_image "$CARGO_TARGET_DIR/debug/jinwu-gate" jinwu-gate bench "$JINWU_BENCH_IMAGE"
}

# A network of its own: fixed ports, and services' addresses on its loopback.
alone() { unshare --net bash -c 'ip link set lo up && ip address add 10.255.0.1/32 dev lo && exec "$@"' alone "$@"; }
for part in "${parts[@]}"; do
  case $part in
    registry)
      need docker-registry mmdebstrap
      go_program registry github.com/distribution/distribution/v3/cmd/registry v3.1.2
      ;;
    scan)
      need mmdebstrap
      go_program syft github.com/anchore/syft/cmd/syft v1.57.0
      ;;
    sensor)
      bash bench/sensor.sh "$@"
      continue
      ;;
    admission | audit)
      need iproute2 util-linux openssl skopeo
      [ "$part" = audit ] || cluster_peers
      gate_image
      alone "$CARGO_TARGET_DIR/debug/jinwu-bench" "$part" "$@"
      continue
      ;;
  esac
  "$CARGO_TARGET_DIR/debug/jinwu-bench" "$part" "$@"
done
