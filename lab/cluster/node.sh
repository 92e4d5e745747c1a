# Nodes: containerd, kubelet, kube-proxy and the way to the registry. Sourced.

runtime() {
  local i=$1
  if ! alive "containerd-$i"; then
    node_files "$i"
    launch_on "node-$i" "containerd-$i" env PATH="$programs:$PATH" "$programs/containerd" --config /etc/containerd/config.toml
  fi
  [ ! -f "$lab/run/image-$i" ] || return 0
  until_ready 20 "containerd-$i" on "node-$i" "$programs/ctr" version
  on "node-$i" "$programs/ctr" -n k8s.io images import "$pod_image" >>"$lab/log/containerd-$i.log" 2>&1
  touch "$lab/run/image-$i"
}

kubelet() {
  local i=$1
  if ! alive "kubelet-$i"; then
    launch_on "node-$i" "kubelet-$i" "$kubernetes/kubelet" --config /etc/kubernetes/kubelet.yaml --kubeconfig /etc/kubernetes/kubelet.conf \
      --hostname-override "node-$i" --node-ip "$(node_address "$i")"
  fi
  if ! alive "proxy-$i"; then
    launch_on "node-$i" "proxy-$i" "$kubernetes/kube-proxy" --config /etc/kubernetes/proxy.yaml --hostname-override "node-$i"
  fi
}

# What an administrator would lay down on a node, in the places where inspectors look.
node_files() {
  local i=$1 p=$lab/pki staged
  staged=$lab/node-$i/staged
  mkdir -p "$staged/kubernetes/pki" "$staged/containerd" "$staged/cni/net.d"
  cp "$p/ca.crt" "$staged/kubernetes/pki/"
  cp "$p/node-$i-server.crt" "$staged/kubernetes/pki/kubelet.crt"
  cp "$p/node-$i-server.key" "$staged/kubernetes/pki/kubelet.key"
  cp "$p/node-$i.kubeconfig" "$staged/kubernetes/kubelet.conf"
  cp "$p/proxy.kubeconfig" "$staged/kubernetes/proxy.conf"
  cat >"$staged/kubernetes/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: /etc/kubernetes/pki/kubelet.crt
tlsPrivateKeyFile: /etc/kubernetes/pki/kubelet.key
readOnlyPort: 0
clusterDomain: cluster.local
clusterDNS: [10.96.0.10]
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
# cgroups may be of either version here, and this is one of two kubelets on one kernel.
cgroupDriver: cgroupfs
cgroupRoot: /$name/node-$i
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
# Both need a capability that a container or a small virtual machine may not have.
oomScoreAdj: 0
maxOpenFiles: 20000
# The disk is the developer's.
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
END
  cat >"$staged/kubernetes/proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $pods.0.0/16
clientConnection: {kubeconfig: /etc/kubernetes/proxy.conf}
# The limit is the host's.
conntrack: {maxPerCore: 0, min: 0}
END
  # A route per pod and no bridge: every packet passes the node's forwarding, so answers of a service on the same node are
  # translated back without br_netfilter.
  cat >"$staged/cni/net.d/10-lab.conflist" <<END
{"cniVersion": "1.0.0", "name": "lab", "plugins": [
  {"type": "ptp", "ipMasq": false,
   "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "$pods.$i.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
]}
END
  cat >"$staged/containerd/config.toml" <<END
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pod_name"
  # Without CAP_SYS_RESOURCE a score cannot be lowered.
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = false
END
  [ -z "$gvisor" ] || gvisor_files "$staged"
  on "node-$i" sh -c 'cp -r "$1"/. /etc/ && chmod 700 /etc/kubernetes/pki && chmod 600 /etc/kubernetes/pki/*.key /etc/kubernetes/*.conf /etc/kubernetes/*.yaml' copy "$staged"
  rm -r "$staged"
}

# === the way to the registry ===

# The registry listens on the host's loopback, where no node can reach. A unix socket crosses: the host's end hands on to the
# registry, the node's end listens under the registry's own address, so that names, certificate and image references are the same
# on both sides. The registry sees every pull come from 127.0.0.1.
relay() {
  local i authority=$lab/relay/ca.crt
  if ! alive relay; then
    (cd "$lab/relay" && launch relay socat UNIX-LISTEN:registry.sock,fork,unlink-early,mode=600 "TCP:127.0.0.1:$registry_port")
    until_ready 5 relay test -S "$lab/relay/registry.sock"
  fi
  if ! cp "${JINWU_HOME:-$root/.jinwu/data}/tls/ca.crt" "$authority" 2>/dev/null; then
    say "还没有仓库(./x up);节点暂不能拉取镜像,启动后再执行一次 ./x lab up / no registry yet (./x up): nodes cannot pull until it runs and ./x lab up is given once more"
    return
  fi
  for i in $(seq "$nodes"); do
    alive "relay-$i" || launch_on "node-$i" "relay-$i" socat "TCP-LISTEN:$registry_port,bind=127.0.0.1,fork,reuseaddr" UNIX-CONNECT:/run/lab/relay/registry.sock
    # Asked at every pull: containerd needs no restart.
    on "node-$i" sh -s "$registry_port" <<'END'
for host in localhost 127.0.0.1; do
  folder=/etc/containerd/certs.d/$host:$1
  mkdir -p "$folder"
  cp /run/lab/relay/ca.crt "$folder/ca.crt"
  printf 'server = "https://%s:%s"\n\n[host."https://%s:%s"]\n  capabilities = ["pull", "resolve"]\n  ca = "%s/ca.crt"\n' "$host" "$1" "$host" "$1" "$folder" >"$folder/hosts.toml"
done
END
  done
}
