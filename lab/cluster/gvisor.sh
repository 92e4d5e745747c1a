# gVisor: runsc and its containerd shim, built from the Go module `gvisor.dev/gvisor`. Sourced.
#
# Debian's runsc of 2024 refuses pod networks on present kernels, so it is built here, this once, about three minutes.
#
# The shim lowers its own OOM score and gives up where that is refused. On a machine without CAP_SYS_RESOURCE it is therefore
# built against a copy of its containerd module in which a refusal is tolerated; the copy lies in the cache and goes nowhere else.

gvisor_version=v0.0.0-20260905035102-160fafc42237

gvisor() {
  local work=$cache/k8s/build-gvisor shim=containerd-shim-runsc-v1-$gvisor_version
  may_lower_oom_score || shim+=-tolerant
  [ -x "$programs/runsc-$gvisor_version" ] && [ -x "$programs/$shim" ] || {
    go_present gVisor
    say "编译 gVisor,只此一次,约三分钟 / building gVisor, this once, about three minutes"
    mkdir -p "$work/out"
    (
      exec 8>"$cache/k8s/lock"
      flock 8
      cd "$work"
      export GOFLAGS=-mod=mod CGO_ENABLED=0
      printf 'module lab\n\ngo 1.26.3\n\nrequire gvisor.dev/gvisor %s\n' "$gvisor_version" >go.mod
      may_lower_oom_score || tolerant || exit 1
      $quietly go build -trimpath -ldflags '-s -w' -o out/ gvisor.dev/gvisor/runsc gvisor.dev/gvisor/shim || exit 1
      mv out/shim "$programs/$shim" &&
        mv out/runsc "$programs/runsc-$gvisor_version"
    ) >"$cache/k8s/build-gvisor.log" 2>&1 || {
      tail -20 "$cache/k8s/build-gvisor.log" >&2
      say "编译失败,日志 $cache/k8s/build-gvisor.log / the build failed, log in $cache/k8s/build-gvisor.log"
      exit 2
    }
  }
  ln -sfn "runsc-$gvisor_version" "$programs/runsc"
  ln -sfn "$shim" "$programs/containerd-shim-runsc-v1"
}

# CAP_SYS_RESOURCE is bit 24.
may_lower_oom_score() {
  local held
  held=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
  [ $((16#$held >> 24 & 1)) -eq 1 ]
}

# Puts the tolerant copy in place of the containerd module; expects to be in the module that builds.
tolerant() {
  local module=github.com/containerd/containerd/v2 version original at=pkg/sys/oom_linux.go
  version=$(go list -m -f '{{.Version}}' "$module")
  original=$(go mod download -json "$module@$version" | sed -n 's/^.*"Dir": "\(.*\)",*$/\1/p')
  rm -rf containerd
  cp -r "$original" containerd
  chmod -R u+w containerd
  sed -i 's/IsPermission(err) && (!runningPrivileged() ||/IsPermission(err) \&\& (true ||/' "containerd/$at"
  ! cmp -s "$original/$at" "containerd/$at" || {
    echo "$module $version: no place to tolerate a refused OOM score in $at"
    return 1
  }
  go mod edit -replace "$module=./containerd"
}

# Adds the handler `runsc` to a node's containerd.
gvisor_files() {
  cat >>"$1/containerd/config.toml" <<'END'
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc]
  runtime_type = "io.containerd.runsc.v1"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc.options]
    TypeUrl = "io.containerd.runsc.v1.options"
    ConfigPath = "/etc/containerd/runsc.toml"
END
  printf '[runsc_config]\n  platform = "systrap"\n  ignore-cgroups = "true"\n' >"$1/containerd/runsc.toml"
}
