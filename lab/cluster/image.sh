# The lab's own program (pod/*.go) and its image: one static program in one layer, as an OCI archive. Sourced.

pod_sources=("$here"/pod/main.go "$here"/pod/relay.go "$here"/pod/follow.go)
# By content: checkouts that share the cache need not agree.
pod=$cache/k8s/pod-$(cat "${pod_sources[@]}" | sha256sum | cut -c1-12)
pod_image=$pod/image.tar
# The same program for the host: relays run there.
pod_program=$pod/pod
# A name under which nodes have it before any registry is there; it is imported, never pulled.
pod_name=lab.jinwu/pod:1

pod_image() {
  [ -f "$pod_image" ] && [ -x "$pod_program" ] && return
  go_present "$pod_name"
  local work
  mkdir -p "$pod"
  work=$(mktemp -d "$pod/work.XXXXXX")
  mkdir -p "$work/root" "$work/image/blobs/sha256"
  CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$work/root/pod" "${pod_sources[@]}"
  tar -C "$work/root" --owner=0 --group=0 --mtime=@0 -cf "$work/layer.tar" pod
  local plain layer config manifest
  plain=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  gzip -n "$work/layer.tar"
  layer=$(blob "$work/layer.tar.gz")
  printf '{"architecture":"%s","os":"linux","config":{"User":"65534:65534","Entrypoint":["/pod"],"WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(go env GOARCH)" "$plain" >"$work/config"
  config=$(blob "$work/config")
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",%s}]}' \
    "$config" "$layer" >"$work/manifest"
  manifest=$(blob "$work/manifest")
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",%s,"annotations":{"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"%s"}}]}' \
    "$manifest" "$pod_name" "${pod_name##*:}" >"$work/image/index.json"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$work/image/oci-layout"
  tar -C "$work/image" -cf "$work/image.tar" oci-layout index.json blobs
  mv "$work/root/pod" "$pod_program"
  mv "$work/image.tar" "$pod_image"
  rm -rf "$work"
}

# Moves a file among the blobs and prints the members that describe it.
blob() {
  local digest size
  digest=$(sha256sum "$1" | cut -d' ' -f1)
  size=$(stat -c %s "$1")
  mv "$1" "$work/image/blobs/sha256/$digest"
  printf '"digest":"sha256:%s","size":%s' "$digest" "$size"
}
