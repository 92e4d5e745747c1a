#!/usr/bin/env bash
# The tests, all or by suite; called by `./x test`. Installs what a suite needs; what cannot run
# fails and says why.
set -euo pipefail
cd "$(dirname "$0")/.."
. lab/install.sh
export JINWU_DATA=${JINWU_DATA:-$PWD/../shared/data}
export RUST_BACKTRACE=${RUST_BACKTRACE:-0}
suites=("$@")
[ ${#suites[@]} -eq 0 ] && suites=(tidy unit registry gate node scan clients kill assess vm sensor cluster)

failed=()
passed=0
suite() {
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  if "$@"; then passed=$((passed + 1)); else failed+=("$name"); fi
}

# Everything is built once, with one selection, so that nothing is compiled a second time with
# other features.
build_all() {
  need clang llvm libelf-dev zlib1g-dev linux-libc-dev
  cargo build --quiet --locked --workspace --all-targets
}

lab() {
  cargo test --quiet --locked --workspace --test "lab_$1"
}

case " ${suites[*]} " in *" tidy "*) suite tidy cargo xtask tidy ;; esac
for name in "${suites[@]}"; do
  case $name in
    tidy) ;;
    unit | registry | gate | node | scan | clients | kill | assess | vm | sensor | cluster) want=1 ;;
    *)
      printf '没有套件 %s / no suite %s; tidy unit registry gate node scan clients kill assess vm sensor cluster\n' "$name" "$name" >&2
      exit 2
      ;;
  esac
done
if [ -n "${want:-}" ]; then
  begun=$(date +%s)
  suite build build_all
  printf 'built in %s s\n' $(($(date +%s) - begun))
fi
for name in "${suites[@]}"; do
  case $name in
    unit)
      corpora
      JINWU_POD_SECURITY=$(bash lab/pod-security.sh)
      export JINWU_POD_SECURITY
      vectors
      suite unit cargo test --quiet --locked --workspace --exclude jinwu-lab
      ;;
    registry)
      need openssl
      suite registry lab registry
      ;;
    scan)
      need openssh-client mmdebstrap
      suite scan lab scan
      ;;
    clients)
      corpora
      clients
      suite clients lab clients
      ;;
    gate) suite gate lab gate ;;
    node) suite node lab node ;;
    kill) suite kill lab kill ;;
    assess)
      need skopeo
      suite assess lab assess
      ;;
    sensor)
      corpora
      suite sensor bash lab/node/test.sh
      ;;
    vm) suite vm env JINWU_BUILT=1 bash lab/vm/test.sh ;;
    cluster)
      suite cluster bash lab/cluster/assess.sh
      ;;
  esac
done
printf '\n%s passed, %s failed\n' "$passed" "${#failed[@]}"
[ ${#failed[@]} -eq 0 ] || { printf 'failed: %s\n' "${failed[*]}"; exit 1; }
