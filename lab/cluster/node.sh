# Nodes: containerd, kubelet, kube-proxy. Sourced.

runtime() {
  local i=$1
  if ! alive "containerd-$i"; then
    node_files "$i"
    launch_on "node-$i" "containerd-$i" env PATH="$programs:$PATH" "$programs/containerd" --config /etc/containerd/config.toml
  fi
  [ ! -f "$lab/run/image-$i" ] || return 0
  until_ready 20 "containerd-$i" on "node-$i" "$programs/ctr" version
  import "$i" "$pod_image"
  touch "$lab/run/image-$i"
}

# Puts an image among those of a node: number, archive, options.
import() {
  local i=$1 archive=$2
  shift 2
  on "node-$i" "$programs/ctr" -n k8s.io images import "$@" "$archive" >>"$lab/log/containerd-$i.log" 2>&1
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
  [ -n "$bare" ] || registry_files "$staged"
  on "node-$i" sh -c 'cp -r "$1"/. /etc/ && chmod 700 /etc/kubernetes/pki && chmod 600 /etc/kubernetes/pki/*.key /etc/kubernetes/*.conf /etc/kubernetes/*.yaml' copy "$staged"
  rm -r "$staged"
}
