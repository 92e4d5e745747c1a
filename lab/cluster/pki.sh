# Certificates and kubeconfigs of one lab: made at start, gone with it. Sourced.
#
# One authority for clients and servers, one for the aggregation layer, one key for service accounts. Subjects are what the
# authorisers know: Node authorisation takes `system:node:NAME` in `system:nodes`, RBAC the names of its bootstrap bindings.

pki() {
  [ -f "$lab/pki/done" ] && return
  mkdir -p "$lab/pki"
  chmod 700 "$lab/pki"
  authority ca jinwu-lab
  authority front-proxy-ca jinwu-lab-front-proxy
  # apiserver: by its address, by the names pods use and by its service's address.
  certificate apiserver ca /CN=kube-apiserver serverAuth \
    "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$control_address,IP:$service_first"
  certificate etcd ca /CN=etcd serverAuth,clientAuth DNS:localhost,IP:127.0.0.1
  certificate apiserver-etcd-client ca /CN=kube-apiserver-etcd-client clientAuth
  certificate apiserver-kubelet-client ca /CN=kube-apiserver-kubelet-client clientAuth
  certificate front-proxy-client front-proxy-ca /CN=front-proxy-client clientAuth
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$lab/pki/sa.key" 2>>"$lab/log/pki.log"
  openssl pkey -in "$lab/pki/sa.key" -pubout -out "$lab/pki/sa.pub"
  # Secrets are encrypted in etcd.
  (umask 077 && printf 'apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - secretbox: {keys: [{name: lab, secret: %s}]}\n  - identity: {}\n' \
    "$(openssl rand -base64 32)" >"$lab/pki/encryption.yaml")
  identity admin /O=system:masters/CN=admin
  identity controller-manager /CN=system:kube-controller-manager
  identity scheduler /CN=system:kube-scheduler
  identity proxy /CN=system:kube-proxy
  local i
  for i in $(seq "$nodes"); do
    identity "node-$i" "/O=system:nodes/CN=system:node:node-$i"
    certificate "node-$i-server" ca "/O=system:nodes/CN=system:node:node-$i" serverAuth "DNS:node-$i,IP:$(node_address "$i")"
  done
  touch "$lab/pki/done"
}

authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$2" \
    -addext 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature' \
    -keyout "$lab/pki/$1.key" -out "$lab/pki/$1.crt" 2>>"$lab/log/pki.log"
}

# Name, authority, subject, extended key usage, [subject alternative names].
certificate() {
  local name=$1 by=$2 subject=$3 usage=$4 names=${5:-}
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "$subject" \
    -CA "$lab/pki/$by.crt" -CAkey "$lab/pki/$by.key" \
    -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
    -addext "extendedKeyUsage=$usage" ${names:+-addext "subjectAltName=$names"} \
    -keyout "$lab/pki/$name.key" -out "$lab/pki/$name.crt" 2>>"$lab/log/pki.log"
}

# A client certificate and the kubeconfig that carries it.
identity() {
  certificate "$1" ca "$2" clientAuth
  cat >"$lab/pki/$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters:
- name: lab
  cluster:
    server: https://$control_address:6443
    certificate-authority-data: $(base64 -w0 "$lab/pki/ca.crt")
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 "$lab/pki/$1.crt")
    client-key-data: $(base64 -w0 "$lab/pki/$1.key")
contexts:
- name: lab
  context: {cluster: lab, user: $1}
current-context: lab
END
  chmod 600 "$lab/pki/$1.kubeconfig"
}
