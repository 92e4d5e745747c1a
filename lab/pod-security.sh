#!/usr/bin/env bash
# What the tests of Pod Security compare with: the fixtures of the Go module `k8s.io/pod-security-admission` in two versions and
# the module's own evaluator, built from lab/podsecurity. Prints the folder; tests read it from JINWU_POD_SECURITY.
#
#   v0.34.4/  v0.37.2/    test/testdata of these versions
#   oracle                the evaluator of the newer one
set -euo pipefail
cd "$(dirname "$0")/.."
. lab/install.sh

pod_security_versions=(v0.34.4 v0.37.2)
pod_security=$cache/pod-security

pod_security() {
  command -v go >/dev/null || {
    say "需要 Go 1.26 或更新版本 / this needs Go 1.26 or later"
    exit 2
  }
  export GOMODCACHE=$cache/go/mod GOFLAGS=-mod=mod CGO_ENABLED=0
  mkdir -p "$pod_security" "$cache/go" || return
  # One at a time; the one that waited finds everything made.
  exec 8>"$pod_security/lock"
  flock 8 || return
  # Called where errors do not end the program by themselves: each step says so.
  local version folder
  for version in "${pod_security_versions[@]}"; do
    [ -d "$pod_security/$version/restricted" ] && continue
    folder=$(cd "$pod_security" && go mod download -json "k8s.io/pod-security-admission@$version" | sed -n 's/^.*"Dir": "\(.*\)",*$/\1/p')
    [ -d "$folder/test/testdata/restricted" ] || return
    ln -sfn "$folder/test/testdata" "$pod_security/$version" || return
  done
  local work=$pod_security/build
  if [ ! -x "$pod_security/oracle" ] || ! cmp -s lab/podsecurity/main.go "$work/main.go" || ! cmp -s lab/podsecurity/go.mod "$work/go.mod"; then
    say "编译 Pod Security 判定程序 / building the evaluator of Pod Security"
    mkdir -p "$work"
    (
      cp lab/podsecurity/go.mod lab/podsecurity/go.sum lab/podsecurity/main.go "$work/" &&
        cd "$work" &&
        GOFLAGS=-mod=readonly go build -trimpath -ldflags '-s -w' -o "$pod_security/oracle.new" . &&
        mv "$pod_security/oracle.new" "$pod_security/oracle"
    ) || return
  fi
}

pod_security >"$cache/pod-security.log" 2>&1 || {
  tail -20 "$cache/pod-security.log" >&2
  say "失败,日志 $cache/pod-security.log / failed, log in $cache/pod-security.log"
  exit 2
}
printf '%s\n' "$pod_security"
