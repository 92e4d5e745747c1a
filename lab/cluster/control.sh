# The control plane: etcd, API server, controller manager and scheduler on the machine `control`. Sourced.

# etcd and the API server, launched; they come up while nodes get ready.
control_store() {
  local p=$lab/pki
  if ! alive etcd; then
    # No fsync: the lab is thrown away; never use it for a test of durability.
    launch_on control etcd "$programs/etcd" --name lab --data-dir /var/lib/etcd/data --unsafe-no-fsync --log-level warn \
      --listen-client-urls https://127.0.0.1:2379 --advertise-client-urls https://127.0.0.1:2379 \
      --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster lab=http://127.0.0.1:2380 \
      --cert-file "$p/etcd.crt" --key-file "$p/etcd.key" --client-cert-auth --trusted-ca-file "$p/ca.crt"
  fi
  if ! alive apiserver; then
    local side=(--authorization-mode Node,RBAC --audit-policy-file "$here/audit-policy.yaml")
    # Once the gate is there the API server tells it what happens and asks it who may (`./x lab gate`).
    [ ! -f "$lab/apiserver/flags" ] || mapfile -t side <"$lab/apiserver/flags"
    launch_on control apiserver "$kubernetes/kube-apiserver" \
      --etcd-servers https://127.0.0.1:2379 --etcd-cafile "$p/ca.crt" \
      --etcd-certfile "$p/apiserver-etcd-client.crt" --etcd-keyfile "$p/apiserver-etcd-client.key" \
      --advertise-address "$control_address" --secure-port 6443 --service-cluster-ip-range "$services" \
      --tls-cert-file "$p/apiserver.crt" --tls-private-key-file "$p/apiserver.key" --client-ca-file "$p/ca.crt" \
      --enable-admission-plugins NodeRestriction --allow-privileged --profiling=false --encryption-provider-config "$p/encryption.yaml" \
      --kubelet-client-certificate "$p/apiserver-kubelet-client.crt" --kubelet-client-key "$p/apiserver-kubelet-client.key" \
      --kubelet-certificate-authority "$p/ca.crt" --kubelet-preferred-address-types InternalIP \
      --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$p/sa.pub" --service-account-signing-key-file "$p/sa.key" \
      --requestheader-client-ca-file "$p/front-proxy-ca.crt" --requestheader-allowed-names front-proxy-client \
      --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group --requestheader-extra-headers-prefix X-Remote-Extra- \
      --proxy-client-cert-file "$p/front-proxy-client.crt" --proxy-client-key-file "$p/front-proxy-client.key" \
      --enable-aggregator-routing \
      "${side[@]}" --audit-log-path "$lab/log/audit.jsonl" --audit-log-maxsize 100 --audit-log-maxbackup 3
  fi
}

control() {
  local p=$lab/pki
  until_ready 60 apiserver kubectl get --raw /readyz
  if ! alive controller-manager; then
    launch_on control controller-manager "$kubernetes/kube-controller-manager" --leader-elect=false --bind-address 127.0.0.1 --profiling=false \
      --kubeconfig "$p/controller-manager.kubeconfig" --authentication-kubeconfig "$p/controller-manager.kubeconfig" \
      --authorization-kubeconfig "$p/controller-manager.kubeconfig" --use-service-account-credentials --kube-api-qps 500 --kube-api-burst 500 \
      --service-account-private-key-file "$p/sa.key" --root-ca-file "$p/ca.crt" \
      --cluster-signing-cert-file "$p/ca.crt" --cluster-signing-key-file "$p/ca.key" \
      --cluster-cidr "$pods.0.0/16" --service-cluster-ip-range "$services"
  fi
  if ! alive scheduler; then
    launch_on control scheduler "$kubernetes/kube-scheduler" --leader-elect=false --bind-address 127.0.0.1 --profiling=false \
      --kubeconfig "$p/scheduler.kubeconfig" --authentication-kubeconfig "$p/scheduler.kubeconfig" --authorization-kubeconfig "$p/scheduler.kubeconfig"
  fi
}

# kube-proxy beside the API server, as kubeadm has it: the API server reaches services by their address.
control_proxy() {
  alive proxy-control && return
  cat >"$lab/pki/proxy-control.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $pods.0.0/16
clientConnection: {kubeconfig: $lab/pki/proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0}
END
  launch_on control proxy-control "$kubernetes/kube-proxy" --config "$lab/pki/proxy-control.yaml" --hostname-override control
}

# On the machine's network but in the host's file system, so that files on the command line are the caller's.
kubectl() {
  nsenter -t "$(cat "$lab/run/machine.pid")" --net -- "$kubernetes/kubectl" --kubeconfig "$lab/pki/admin.kubeconfig" "$@"
}

# What the cluster itself must hold.
objects() {
  [ -f "$lab/run/objects" ] && return
  kubectl apply -f "$here/objects.yaml" ${gvisor:+-f "$here/gvisor.yaml"} >/dev/null
  touch "$lab/run/objects"
}
