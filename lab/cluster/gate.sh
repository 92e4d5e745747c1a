# Jinwu's gate in the lab, as an operator installs it: its image built, pushed to Jinwu's registry, its manifests applied, and
# counted among the base platform by two people. Sourced.

gate_name=lab

gate() {
  local jinwu=("$root/x" jinwu) target=${CARGO_TARGET_DIR:-$cache/target}/debug archive version digest work replicas=2 id
  running
  if [ -n "$bare" ]; then
    say "该实验集群不接金吾(--bare) / this lab is without Jinwu (--bare)"
    exit 2
  fi
  [ "$nodes" = 2 ] || replicas=1
  # The same selection as `./x up`, so that nothing is compiled twice.
  (cd "$root" && CARGO_TARGET_DIR=${target%/debug} cargo build --quiet --locked -p jinwu -p jinwu-scan-bin -p jinwu-gate -p jinwu-agent)
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -1)
  archive=$lab/gate.tar
  program_image "$target/jinwu-gate" jinwu-gate "$version" "$archive"
  robot
  digest=$(image_push "$archive" "localhost:$server_port" open/jinwu-gate:"$version" "$server_data/tls/ca.crt" | tail -1)
  "${jinwu[@]}" cluster show $gate_name >/dev/null 2>&1 || "${jinwu[@]}" cluster add $gate_name --level 4 >/dev/null
  work=$(mktemp -d)
  (
    umask 077
    printf '{"auths":{"localhost:%s":{"auth":"%s"}}}' "$server_port" "$(printf '%s:%s' "$REGISTRY_USER" "$REGISTRY_PASSWORD" | base64 -w0)" >"$work/pull.json"
    "${jinwu[@]}" cluster install $gate_name --image "localhost:$server_port/open/jinwu-gate@$digest" --server-address "$control_address:$server_port" \
      --address "$gate_address" --replicas $replicas --pull "$work/pull.json" >"$work/gate.yaml"
  )
  kubectl apply -f "$work/gate.yaml" >/dev/null
  rm -r "$work"
  if ! "${jinwu[@]}" --json cluster show $gate_name | grep -q "$digest"; then
    id=$("${jinwu[@]}" --json cluster base propose $gate_name --namespace jinwu --digest "$digest" --reason "the gate itself" | sed -n 's/.*"id":[ ]*"\([^"]*\)".*/\1/p' | head -1)
    "${jinwu[@]}" cluster base approve $gate_name "$id" >/dev/null
  fi
  kubectl -n jinwu rollout status deployment/jinwu-gate --timeout=120s >/dev/null
  until_ready 60 apiserver kubectl get validatingwebhookconfiguration jinwu-gate
  attach
  printf '关口已就绪 / the gate is ready: %s\n' "$digest"
}

# Has the API server hand its audit events to the gate and ask it who may: the options of `jinwu cluster apiserver`, and one
# restart, as on any cluster.
attach() {
  [ ! -f "$lab/apiserver/flags" ] || return 0
  (umask 077 && "$root/x" jinwu --json cluster apiserver $gate_name --out "$lab/apiserver" --folder "$lab/apiserver" --address "$gate_address" >"$lab/apiserver.json")
  grep -o '"flag": *"[^"]*"' "$lab/apiserver.json" | sed 's/.*: *"//; s/"$//' >"$lab/apiserver/flags"
  # At once: it would wait a minute for whoever watches, and take itself out of its service.
  kill -9 "$(cat "$lab/run/apiserver.pid")"
  while alive apiserver; do sleep 0.05; done
  control_store
  until_ready 60 apiserver kubectl get --raw /readyz
  # Both ways are proved by requests the gates make of themselves.
  until_ready 90 apiserver heard
}

heard() { [ "$("$root/x" jinwu --json cluster show $gate_name | grep -oE '"canary_ok": *true' | wc -l)" = 2 ]; }

# Service address of the gate: the API server's files name it.
gate_address=10.96.0.77

# The installation's first robot, unless REGISTRY_USER and REGISTRY_PASSWORD are set.
robot() {
  [ -z "${REGISTRY_USER:-}" ] || return 0
  local robot
  robot=$("$root/x" jinwu --json info | sed -n 's/.*"robot":{"name":"\([^"]*\)","secret":"\([^"]*\)".*/\1 \2/p')
  REGISTRY_USER=${robot% *} REGISTRY_PASSWORD=${robot#* }
}
