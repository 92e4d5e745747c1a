# The programs of Kubernetes, built from the Go module `k8s.io/kubernetes` and kept by version. Sourced after lab/install.sh.
#
# The module replaces its staging modules by folders that a module download does not carry, so nobody can depend on it as it
# is. A module of one's own puts the published versions in their place; it is made here, from the names the module itself lists.

kubernetes_version=1.34.4
kubernetes_programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
kubernetes=$cache/k8s/v$kubernetes_version

kubernetes_built() {
  local program
  for program in "${kubernetes_programs[@]}"; do
    [ -x "$kubernetes/$program" ] || return 1
  done
}

kubernetes() {
  ! kubernetes_built || return 0
  go_present "Kubernetes $kubernetes_version"
  say "编译 Kubernetes $kubernetes_version,只此一次,约十分钟 / building Kubernetes $kubernetes_version, this once, about ten minutes"
  local work=$cache/k8s/build-$kubernetes_version
  mkdir -p "$work/out" "$kubernetes"
  (
    # One build at a time; the one that waited finds everything built.
    exec 8>"$cache/k8s/lock"
    flock 8
    ! kubernetes_built || exit 0
    cd "$work"
    export GOFLAGS=-mod=mod CGO_ENABLED=0
    (cd / && kubernetes_module) >"$work.mod" && mv "$work.mod" go.mod || exit 1
    local version=k8s.io/component-base/version client=k8s.io/client-go/pkg/version flags='-s -w' at
    # Without these the programs call themselves v0.0.0 and refuse each other.
    for at in $version $client; do
      flags+=" -X $at.gitVersion=v$kubernetes_version -X $at.gitMajor=1 -X $at.gitMinor=${kubernetes_version:2:2} -X $at.gitTreeState=clean"
    done
    $quietly go build -trimpath -ldflags "$flags" -o out/ "${kubernetes_programs[@]/#/k8s.io/kubernetes/cmd/}" || exit 1
    mv out/* "$kubernetes/"
  ) >"$cache/k8s/build.log" 2>&1 || {
    tail -20 "$cache/k8s/build.log" >&2
    say "编译失败,日志 $cache/k8s/build.log / the build failed, log in $cache/k8s/build.log"
    exit 2
  }
}

# go.mod of a module that can build the programs.
kubernetes_module() {
  local listed name
  listed=$(GOFLAGS=-mod=mod go mod download -json "k8s.io/kubernetes@v$kubernetes_version" | sed -n 's/^.*"GoMod": "\(.*\)",*$/\1/p')
  printf 'module lab\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' "$kubernetes_version"
  sed -n 's/^.*\(k8s\.io\/[a-z0-9-]*\) => \.\/staging.*$/\1/p' "$listed" | sort -u | while read -r name; do
    printf '\t%s => %s v0.%s\n' "$name" "$name" "${kubernetes_version#1.}"
  done
  printf ')\n'
}
