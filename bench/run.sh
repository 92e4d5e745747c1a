#!/usr/bin/env bash
# ./x bench [registry|scan|ledger] [options]: installs the peers, builds, measures; tables go to standard output.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=../lab/install.sh
source lab/install.sh
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}

what=${1:-all}
shift || true
case $what in
  registry | scan | ledger) parts=("$what") ;;
  all) parts=(registry scan ledger) ;;
  *)
    say "用法 / usage: ./x bench [registry|scan|ledger] [options]"
    exit 2
    ;;
esac

# The profile of ./x up: what is measured is what runs.
cargo build --quiet --locked -p jinwu -p jinwu-scan-bin -p jinwu-bench
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
  esac
  "$CARGO_TARGET_DIR/debug/jinwu-bench" "$part" "$@"
done
