#!/usr/bin/env bash
# OCI images of programs: `bash lab/image/build.sh PROGRAM…` makes one of each program of the target folder and prints, a line
# each, program, archive and digest. Sourced, after lab/install.sh, it gives `program_image`, `image_digest` and `image_push`.
#
# An image holds the program, the shared libraries it loads, a user and two folders, and nothing else: no shell, no package
# manager. Made again from the same program and commit it is the same image, byte for byte.

# Program file, name, version, archive to write, further programs that lie beside the first.
program_image() {
  local program=$1 name=$2 version=$3 archive=$4 work container
  local -a beside=("${@:5}")
  need buildah skopeo binutils
  if [ ! -x "$program" ]; then
    say "没有程序 $program;请先编译 / there is no program $program: build it first"
    return 2
  fi
  mkdir -p "$(dirname "$archive")"
  work=$(mktemp -d "$cache/image.XXXXXX")
  if program_tree "$program" "$name" "$work/tree" "${beside[@]}" && image_of_tree "$work" "$name" "$version" >"$work/log" 2>&1; then
    mv "$work/image.tar" "$archive"
    rm -rf "$work"
    return
  fi
  [ ! -f "$work/log" ] || tail -20 "$work/log" >&2
  rm -rf "$work"
  say "$name 的镜像制作失败 / making the image of $name failed"
  return 2
}

# What the image holds.
program_tree() {
  local program=$1 name=$2 tree=$3 library other
  install -D -m 0755 "$program" "$tree/usr/bin/$name" && strip "$tree/usr/bin/$name" || return
  for other in "${@:4}"; do
    install -D -m 0755 "$other" "$tree/usr/bin/${other##*/}" && strip "$tree/usr/bin/${other##*/}" || return
  done
  while read -r library; do
    install -D -m 0755 "$library" "$tree$library" || return
  done < <(for other in "$program" "${@:4}"; do libraries "$other"; done | sort -u)
  install -D -m 0644 /dev/stdin "$tree/etc/passwd" <<<'jinwu:x:65532:65532::/data:/usr/sbin/nologin'
  install -D -m 0644 /dev/stdin "$tree/etc/group" <<<'jinwu:x:65532:'
  install -d -m 1777 "$tree/tmp"
  install -d -m 0700 -o 65532 -g 65532 "$tree/data"
}

# The shared libraries a program loads, its loader among them; none if it is static. One that is missing stays in the list, and
# copying it fails.
libraries() {
  ldd "$1" 2>/dev/null | sed -n 's/^.* => not found$/missing library/p; s/^\t\(.* => \)\{0,1\}\(\/[^ ]*\) (0x[0-9a-f]*)$/\2/p' | sort -u
}

# Tree → archive, both in the folder given. The store is of this build only.
image_of_tree() {
  local work=$1 name=$2 version=$3 container mounted
  local builder=(buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs)
  container=$("${builder[@]}" from --name "$name" scratch) &&
    mounted=$("${builder[@]}" mount "$container") &&
    cp -a "$work/tree/." "$mounted/" &&
    "${builder[@]}" umount "$container" &&
    "${builder[@]}" config --user 65532:65532 --workingdir /data --entrypoint "[\"/usr/bin/$name\"]" --cmd '' \
      --label "org.opencontainers.image.title=$name" --label "org.opencontainers.image.version=$version" \
      --label "org.opencontainers.image.revision=${IMAGE_REVISION:-unknown}" --label org.opencontainers.image.licenses=Apache-2.0 "$container" &&
    "${builder[@]}" commit --quiet --format oci --timestamp 0 --disable-compression=false "$container" "oci-archive:$work/image.tar:$version"
}

# The digest of the manifest in an archive.
image_digest() { tar -xOf "$1" index.json | sed -n 's/.*"digest":"\(sha256:[0-9a-f]*\)".*/\1/p'; }

# Archive, registry (HOST:PORT), REPOSITORY:TAG, file with the registry's CA. The credential is in REGISTRY_USER and
# REGISTRY_PASSWORD. Prints the digest under which the registry has it.
image_push() {
  local archive=$1 registry=$2 reference=$3 authority=$4 work status=0
  need skopeo
  work=$(mktemp -d)
  cp "$authority" "$work/ca.crt" || { rm -r "$work"; return 1; }
  # Not on a command line, where everybody could read it.
  (
    umask 077
    printf '{"auths":{"%s":{"auth":"%s"}}}' "$registry" "$(printf '%s:%s' "${REGISTRY_USER:?}" "${REGISTRY_PASSWORD:?}" | base64 -w0)" >"$work/auth.json"
  )
  skopeo --insecure-policy copy --quiet --preserve-digests --dest-cert-dir "$work" --dest-authfile "$work/auth.json" --digestfile "$work/digest" \
    "oci-archive:$archive" "docker://$registry/$reference" && cat "$work/digest" && echo || status=1
  rm -r "$work"
  return $status
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  root=$(cd "$(dirname "$0")/../.." && pwd)
  . "$root/lab/install.sh"
  if [ $# -eq 0 ]; then
    say "用法:bash lab/image/build.sh 程序 … / usage: bash lab/image/build.sh PROGRAM…"
    exit 2
  fi
  target=${CARGO_TARGET_DIR:-$cache/target}/debug
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -1)
  IMAGE_REVISION=$(git -C "$root" rev-parse HEAD)
  [ -z "$(git -C "$root" status --porcelain)" ] || IMAGE_REVISION+=-modified
  for program in "$@"; do
    program_image "$target/$program" "$program" "$version" "$cache/images/$program-$version.tar"
    printf '%s %s %s\n' "$program" "$cache/images/$program-$version.tar" "$(image_digest "$cache/images/$program-$version.tar")"
  done
fi
