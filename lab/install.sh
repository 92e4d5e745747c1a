# What tests and benches need of others. Sourced; expects JINWU_CACHE.
cache=${JINWU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/jinwu}
mkdir -p "$cache/bin"
export JINWU_CACHE=$cache

say() { printf '%s\n' "$*" >&2; }

# Debian packages that are missing.
need() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  say "安装 / installing: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    say "须 root:apt-get install ${missing[*]} / needs root"
    exit 2
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || true
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$cache/apt.log" 2>&1 || {
    tail -20 "$cache/apt.log" >&2
    say "安装失败,日志 $cache/apt.log / installing failed, log in $cache/apt.log"
    exit 2
  }
}

corpora() {
  if [ ! -d "${JINWU_DATA:-/nowhere}/images" ]; then
    say "没有测试语料:JINWU_DATA=${JINWU_DATA:-} 应指向含 images/ advisories/ rules/ 的目录 / no test corpora: JINWU_DATA must name the folder with images/, advisories/, rules/"
    exit 2
  fi
}

# Go is never installed unasked: what is built with it, and from which version on.
go_present() {
  command -v go >/dev/null && return
  say "编译 $1 需要 Go ${2:-1.24} 或更新版本 / building $1 needs Go ${2:-1.24} or later"
  exit 2
}

# CEL's conformance vectors, where JINWU_CEL_VECTORS does not name them already.
vectors() {
  [ -n "${JINWU_CEL_VECTORS:-}" ] && return
  command -v go >/dev/null || {
    say "CEL 一致性用例需要 Go 1.24 或更新版本,或由 JINWU_CEL_VECTORS 指定 / CEL's conformance vectors need Go 1.24 or later, or JINWU_CEL_VECTORS"
    exit 2
  }
  JINWU_CEL_VECTORS=$(JINWU_CACHE=$cache lab/cel-vectors.sh) || exit 2
  export JINWU_CEL_VECTORS
}

# A program built from its Go module, kept by version.
go_program() {
  local name=$1 module=$2 version=$3
  [ -x "$cache/bin/$name-$version" ] || {
    go_present "$name"
    say "编译 / building $name $version"
    GOBIN=$cache/go-$name CGO_ENABLED=0 GOFLAGS=-mod=mod go install -ldflags '-s -w' "$module@$version" >"$cache/go.log" 2>&1 || {
      tail -20 "$cache/go.log" >&2
      exit 2
    }
    mv "$cache/go-$name/${module##*/}" "$cache/bin/$name-$version"
    rmdir "$cache/go-$name"
  }
  ln -sfn "$name-$version" "$cache/bin/$name"
}

# Kyverno's admission controller. Its module replaces another one, which holds in the main module only: here is one.
kyverno() {
  local version=v1.19.1 work=$cache/go-kyverno listed
  [ -x "$cache/bin/kyverno-$version" ] || {
    go_present kyverno 1.26
    say "编译 / building kyverno $version"
    mkdir -p "$work"
    (
      cd "$work"
      export CGO_ENABLED=0 GOFLAGS=-mod=mod
      listed=$(cd / && go mod download -json "github.com/kyverno/kyverno@$version" | sed -n 's/^.*"GoMod": "\(.*\)",*$/\1/p')
      {
        printf 'module bench\n\nrequire github.com/kyverno/kyverno %s\n' "$version"
        grep -E '^go ' "$listed"
        sed -n '/^replace (/,/^)/p; /^replace [^(]/p' "$listed"
      } >go.mod
      go build -ldflags '-s -w' -o kyverno github.com/kyverno/kyverno/cmd/kyverno
    ) >"$cache/go.log" 2>&1 || {
      tail -20 "$cache/go.log" >&2
      exit 2
    }
    mv "$work/kyverno" "$cache/bin/kyverno-$version"
    rm -r "$work"
  }
  ln -sfn "kyverno-$version" "$cache/bin/kyverno"
}

# A file out of a Go module.
go_module_file() { printf '%s/%s\n' "$(GOFLAGS=-mod=mod go mod download -json "$1@$2" | sed -n 's/^.*"Dir": "\(.*\)",*$/\1/p')" "$3"; }

# What belongs around a cluster, built when asked for; prints where it is.
lab_program() {
  case ${1:-} in
    metrics-server) go_program metrics-server sigs.k8s.io/metrics-server/cmd/metrics-server v0.9.0 ;;
    helm) go_program helm helm.sh/helm/v3/cmd/helm v3.22.0 ;;
    coredns) go_program coredns github.com/coredns/coredns v1.15.0 ;;
    *)
      say "没有程序 '${1:-}':helm coredns metrics-server / no program '${1:-}': helm, coredns, metrics-server"
      return 2
      ;;
  esac
  printf '%s\n' "$cache/bin/$1"
}

# A program out of a package of the next Debian release, from the mirrors apt has, beside the system.
next_debian() {
  local package=$1 file=$2 name
  name=$(basename "$file")
  [ -x "$cache/bin/$name" ] && return
  local dir=$cache/next
  mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/unpacked"
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | grep '^deb .*bookworm' | sed 's/bookworm/trixie/g' >"$dir/sources.list" || true
  local parts=/dev/null
  if compgen -G '/etc/apt/sources.list.d/*.sources' >/dev/null; then
    mkdir -p "$dir/parts"
    sed 's/bookworm/trixie/g' /etc/apt/sources.list.d/debian*.sources >"$dir/parts/next.sources"
    parts=$dir/parts
  fi
  local options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o "Dir::Etc::sourceparts=$parts" -o "Dir::State::lists=$dir/lists" -o "Dir::Cache::archives=$dir/archives")
  say "取用 / fetching $package"
  (cd "$dir/archives" && apt-get -qq "${options[@]}" update && apt-get -qq "${options[@]}" download "$package") >"$cache/apt.log" 2>&1 || {
    tail -20 "$cache/apt.log" >&2
    exit 2
  }
  dpkg -x "$dir"/archives/"$package"_*.deb "$dir/unpacked"
  install -m 0755 "$dir/unpacked/$file" "$cache/bin/$name"
}

# Every client of the `clients` suite.
clients() {
  need skopeo podman buildah runc containerd openssl zstd
  go_program crane github.com/google/go-containerregistry/cmd/crane v0.20.3
  next_debian cosign usr/bin/cosign
}
