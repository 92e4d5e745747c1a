# metrics-server: what pods and nodes use, for `kubectl top` and HorizontalPodAutoscalers. Sourced.

metrics_version=0.9.0
metrics_name=lab.jinwu/metrics-server
metrics_archive=$cache/images/metrics-server-$metrics_version.tar

metrics_image() {
  [ ! -f "$metrics_archive" ] || return 0
  lab_program metrics-server >/dev/null
  program_image "$cache/bin/metrics-server-v$metrics_version" metrics-server "$metrics_version" "$metrics_archive"
}

metrics() {
  local i p=$lab/pki
  [ ! -f "$lab/run/metrics" ] || return 0
  for i in $(seq "$nodes"); do import "$i" "$metrics_archive" --base-name "$metrics_name"; done
  certificate metrics-server ca /CN=metrics-server serverAuth DNS:metrics-server.kube-system.svc
  kubectl -n kube-system create secret tls metrics-server --cert "$p/metrics-server.crt" --key "$p/metrics-server.key" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  # With a kernel of its own where there is one to be had.
  sed -e "${gvisor:+s|RUNTIME|gvisor|}" -e '/RUNTIME/d' -e "s|IMAGE|$metrics_name:$metrics_version|; s|AUTHORITY|$(base64 -w0 "$p/ca.crt")|" "$here/metrics.yaml" | kubectl apply -f - >/dev/null
  kubectl wait --for=condition=Available apiservice/v1beta1.metrics.k8s.io --timeout=120s >/dev/null || {
    kubectl -n kube-system logs deployment/metrics-server --tail 5 >&2 || true
    say "metrics-server 未就绪 / metrics-server did not become ready"
    exit 1
  }
  touch "$lab/run/metrics"
}
