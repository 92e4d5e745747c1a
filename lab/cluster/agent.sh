# Jinwu's sensor on the lab's nodes, as an operator installs it: its image built, pushed to Jinwu's registry, counted among the
# base platform by two people, its DaemonSet applied. Sourced.

agent() {
  local jinwu=("$root/x" jinwu) target=${CARGO_TARGET_DIR:-$cache/target}/debug archive version digest work id
  running
  if [ -n "$bare" ]; then
    say "该实验集群不接金吾(--bare) / this lab is without Jinwu (--bare)"
    exit 2
  fi
  need clang llvm libelf-dev zlib1g-dev linux-libc-dev
  (cd "$root" && CARGO_TARGET_DIR=${target%/debug} cargo build --quiet --locked -p jinwu -p jinwu-scan-bin -p jinwu-gate -p jinwu-agent)
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -1)
  archive=$lab/agent.tar
  program_image "$target/jinwu-agent" jinwu-agent "$version" "$archive" "$target/jinwu-scan"
  robot
  digest=$(image_push "$archive" "localhost:$server_port" open/jinwu-agent:"$version" "$server_data/tls/ca.crt" | tail -1)
  "${jinwu[@]}" cluster show $gate_name >/dev/null 2>&1 || "${jinwu[@]}" cluster add $gate_name --level 4 >/dev/null
  if ! "${jinwu[@]}" --json cluster show $gate_name | grep -q "$digest"; then
    id=$("${jinwu[@]}" --json cluster base propose $gate_name --namespace jinwu-sensor --digest "$digest" --reason "the sensor itself" | sed -n 's/.*"id":[ ]*"\([^"]*\)".*/\1/p' | head -1)
    "${jinwu[@]}" cluster base approve $gate_name "$id" >/dev/null
  fi
  work=$(mktemp -d)
  (
    umask 077
    printf '{"auths":{"localhost:%s":{"auth":"%s"}}}' "$server_port" "$(printf '%s:%s' "$REGISTRY_USER" "$REGISTRY_PASSWORD" | base64 -w0)" >"$work/pull.json"
    "${jinwu[@]}" cluster sensor $gate_name --image "localhost:$server_port/open/jinwu-agent@$digest" --server-address "$control_address:$server_port" \
      --pull "$work/pull.json" >"$work/agent.yaml"
  )
  # The gate hears of the base platform within seconds.
  until_ready 30 apiserver kubectl apply -f "$work/agent.yaml"
  rm -r "$work"
  kubectl -n jinwu-sensor rollout status daemonset/jinwu-agent --timeout=120s >/dev/null
  printf '传感器已就绪 / the sensor is ready: %s\n' "$digest"
}
