# The way from the lab to Jinwu's server. Sourced.
#
# The server listens on the host's loopback, where no machine of the lab can reach, and on a unix socket, which namespaces of
# networks do not separate. On every machine a relay (pod/relay.go) takes connections on the machine's address and on loopback,
# under the server's own port, and hands them on to that socket with the address they are from. So names, certificate and image
# references are the same on both sides, and the server sees who really asks: a pod by its own address, a node by its own.
#
# Relays run in the machine's network and in the host's file system: they find the socket by its path whenever somebody asks, so
# it does not matter which of server and lab was there first, or how often the server starts again. The server's authority comes
# to the machines in a file that one process keeps true (pod/follow.go).

server_port=${JINWU_LISTEN:-127.0.0.1:5443}
server_port=${server_port##*:}
server_data=$(realpath -m "${JINWU_HOME:-$root/.jinwu/data}")

registry() {
  local i
  if ! alive trust; then launch trust "$pod_program" follow "$server_data/tls/ca.crt" "$lab/relay/ca.crt"; fi
  relay control relay "$control_address"
  for i in $(seq "$nodes"); do relay "node-$i" "relay-$i" "$(node_address "$i")"; done
}

# Machine, component, address.
relay() {
  alive "$2" && return
  launch "$2" nsenter -t "$(cat "$lab/run/$(holder "$1").pid")" --net -- "$pod_program" relay "$3:$server_port" "$server_data/run/ingress.sock"
  until_ready 5 "$2" on "$1" sh -c 'ss -Hltn "sport = :$1" | grep -q "$2"' listens "$server_port" "$3"
}

# Where containerd looks for the server's authority, at every pull.
registry_files() {
  local host folder
  for host in localhost 127.0.0.1; do
    folder=$1/containerd/certs.d/$host:$server_port
    mkdir -p "$folder"
    printf 'server = "https://%s"\n\n[host."https://%s"]\n  capabilities = ["pull", "resolve"]\n  ca = "/run/lab/relay/ca.crt"\n' \
      "$host:$server_port" "$host:$server_port" >"$folder/hosts.toml"
  done
}

# What programs in the cluster need to reach the server, as JSON.
registry_status() {
  if [ -n "$bare" ]; then
    printf null
  else
    printf '{"url":"https://localhost:%s","address":"%s:%s","ca":"%s"}' "$server_port" "$control_address" "$server_port" "$server_data/tls/ca.crt"
  fi
}
