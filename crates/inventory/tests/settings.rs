//! Settings of the control plane and kubelets: the option lists kubeadm writes, each with one thing weakened.

use jinwu_inventory::component::{Answer, Component, Flags, Port, Settings, kubelet};
use jinwu_inventory::{Facts, Finding, Inventory, Kind, Seen, Severity, inspect};
use jinwu_model::Verdict;
use serde_json::{Value, json};

const API_SERVER: &str = "kube-apiserver --advertise-address=192.168.1.10 --allow-privileged=true --anonymous-auth=false --authorization-mode=Node,RBAC \
--client-ca-file=/etc/kubernetes/pki/ca.crt --enable-admission-plugins=NodeRestriction --enable-bootstrap-token-auth=true \
--encryption-provider-config=/etc/kubernetes/encryption.yaml --audit-policy-file=/etc/kubernetes/audit.yaml --audit-log-path=/var/log/audit.log --audit-log-maxage=180 \
--etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt --etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt --etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key \
--etcd-servers=https://127.0.0.1:2379 --kubelet-client-certificate=/etc/kubernetes/pki/apiserver-kubelet-client.crt --kubelet-certificate-authority=/etc/kubernetes/pki/ca.crt \
--profiling=false --secure-port=6443 --service-account-max-token-expiration=24h --tls-cert-file=/etc/kubernetes/pki/apiserver.crt";
const ETCD: &str = "etcd --advertise-client-urls=https://192.168.1.10:2379 --cert-file=/etc/kubernetes/pki/etcd/server.crt --client-cert-auth=true \
--listen-client-urls=https://127.0.0.1:2379,https://192.168.1.10:2379 --listen-metrics-urls=http://127.0.0.1:2381 --listen-peer-urls=https://192.168.1.10:2380 \
--peer-client-cert-auth=true --peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt";
const CONTROLLER: &str = "kube-controller-manager --bind-address=127.0.0.1 --profiling=false --root-ca-file=/etc/kubernetes/pki/ca.crt \
--service-account-private-key-file=/etc/kubernetes/pki/sa.key --use-service-account-credentials=true";
const SCHEDULER: &str = "kube-scheduler --bind-address=127.0.0.1 --kubeconfig=/etc/kubernetes/scheduler.conf --leader-elect=true --profiling=false";

fn flags(line: &str) -> Flags {
    let mut flags = Flags { words: line.split_whitespace().map(str::to_owned).collect(), ..Flags::default() };
    flags.files.insert("/etc/kubernetes/encryption.yaml".into(), json!({"resources": [{"resources": ["secrets"], "providers": [{"aescbc": {}}, {"identity": {}}]}]}));
    flags
}

fn component(flags: Flags) -> Component {
    let program = flags.words[0].rsplit('/').next().unwrap_or_default().to_owned();
    Component { place: format!("Process/{program}/1"), program, settings: Settings::Flags(flags) }
}

fn judged(seen: &Seen, inventory: &Inventory) -> Vec<Finding> {
    inspect(&Facts { inventory, not_read: &[], seen }, None)
}

/// Faults of one program, worst first: check and severity.
fn faults(flags: Flags) -> Vec<(&'static str, Severity)> {
    let component = component(flags);
    let place = component.place.clone();
    let mut faults: Vec<_> = judged(&Seen { components: vec![component], ..Seen::default() }, &Inventory::default())
        .into_iter()
        .filter(|f| f.asset == place && f.verdict == Verdict::Fails)
        .map(|f| (f.check, f.severity))
        .collect();
    faults.sort_by_key(|(_, s)| std::cmp::Reverse(*s));
    faults
}

#[test]
fn what_is_set_well_has_no_fault() {
    for line in [API_SERVER, ETCD, CONTROLLER, SCHEDULER] {
        assert_eq!(faults(flags(line)), [], "{line}");
    }
}

#[test]
fn each_weakened_option_is_found() {
    use Severity::{High, Low, Medium};
    let cases: &[(&str, &str, &str, &str, Severity)] = &[
        (API_SERVER, "--anonymous-auth=false", "", "apiserver-settings", Low),
        (API_SERVER, "--secure-port=6443", "--insecure-port=8080", "apiserver-settings", High),
        (API_SERVER, "--secure-port=6443", "--tls-min-version=VersionTLS10", "apiserver-settings", High),
        (API_SERVER, "--secure-port=6443", "--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_RSA_WITH_AES_128_CBC_SHA", "apiserver-settings", Medium),
        (API_SERVER, "--secure-port=6443", "--token-auth-file=/tokens.csv", "apiserver-settings", High),
        (API_SERVER, "--secure-port=6443", "--service-account-lookup=false", "apiserver-settings", High),
        (API_SERVER, "--service-account-max-token-expiration=24h", "", "apiserver-settings", Low),
        (API_SERVER, "--etcd-servers=https://127.0.0.1:2379", "--etcd-servers=http://10.0.0.1:2379", "apiserver-settings", High),
        (API_SERVER, "--authorization-mode=Node,RBAC", "--authorization-mode=AlwaysAllow", "apiserver-access", High),
        (API_SERVER, "--authorization-mode=Node,RBAC", "", "apiserver-access", High),
        (API_SERVER, "--enable-admission-plugins=NodeRestriction", "--enable-admission-plugins=NodeRestriction,AlwaysAdmit", "apiserver-access", Medium),
        (API_SERVER, "--encryption-provider-config=/etc/kubernetes/encryption.yaml", "", "apiserver-access", Medium),
        (API_SERVER, "--audit-policy-file=/etc/kubernetes/audit.yaml", "", "apiserver-audit", Medium),
        (API_SERVER, "--audit-log-path=/var/log/audit.log", "", "apiserver-audit", Medium),
        (API_SERVER, "--audit-log-maxage=180", "--audit-log-maxage=30", "apiserver-audit", Low),
        (API_SERVER, "--profiling=false", "", "control-plane-profiling", Low),
        (ETCD, "--client-cert-auth=true", "", "etcd-settings", High),
        (ETCD, "https://127.0.0.1:2379,", "http://127.0.0.1:2379,", "etcd-settings", High),
        (ETCD, "--peer-client-cert-auth=true", "", "etcd-settings", High),
        (ETCD, "--peer-client-cert-auth=true", "--peer-client-cert-auth=true --auto-tls", "etcd-settings", Medium),
        (CONTROLLER, "--use-service-account-credentials=true", "", "controller-manager-access", Medium),
        (CONTROLLER, "--bind-address=127.0.0.1", "--bind-address=0.0.0.0", "controller-manager-settings", Low),
        (CONTROLLER, "--bind-address=127.0.0.1", "--bind-address=127.0.0.1 --port=10252", "controller-manager-settings", High),
        (SCHEDULER, "--profiling=false", "--profiling=true", "control-plane-profiling", Low),
        (SCHEDULER, "--leader-elect=true", "--authorization-always-allow-paths=/healthz,/metrics", "scheduler-settings", Medium),
    ];
    for (line, from, to, check, severity) in cases {
        assert!(line.contains(from), "{from}");
        assert_eq!(faults(flags(&line.replace(from, to))), [(*check, *severity)], "{from} → {to}");
    }
}

#[test]
fn files_decide_where_flags_name_them_and_one_that_is_not_read_is_unconfirmed() {
    let file = |flag: &str, content: Option<Value>| {
        let mut flags = flags(&API_SERVER.replace("--anonymous-auth=false", "").replace("--authorization-mode=Node,RBAC", "--authorization-config=/z"));
        flags.files.insert("/z".into(), json!({"authorizers": [{"type": "Webhook"}, {"type": "Node"}, {"type": "RBAC"}]}));
        flags.words.push(format!("--{flag}=/c"));
        flags.files.extend(content.map(|c| ("/c".to_owned(), c)));
        flags
    };
    let health = json!({"anonymous": {"enabled": true, "conditions": [{"path": "/livez"}, {"path": "/readyz"}]}});
    assert_eq!(faults(file("authentication-config", Some(health))), []);
    assert_eq!(faults(file("authentication-config", Some(json!({"anonymous": {"enabled": true}})))), [("apiserver-settings", Severity::Low)]);
    assert_eq!(faults(file("encryption-provider-config", Some(json!({"resources": [{"resources": ["secrets"], "providers": [{"identity": {}}, {"aescbc": {}}]}]})))), [
        ("apiserver-access", Severity::Medium),
        ("apiserver-settings", Severity::Low)
    ]);
    assert_eq!(faults(file("authorization-config", Some(json!({"authorizers": [{"type": "AlwaysAllow"}, {"type": "RBAC"}]}))))[0], ("apiserver-access", Severity::High));
    let unread = component(file("authentication-config", None));
    let found = judged(&Seen { components: vec![unread], ..Seen::default() }, &Inventory::default());
    assert!(found.iter().any(|f| f.check == "apiserver-settings" && f.asset.starts_with("Process/") && f.verdict == Verdict::Unconfirmed));
}

#[test]
fn a_static_pod_is_seen_as_well_as_a_process() {
    let mut inventory = Inventory::default();
    let command: Vec<_> = ETCD.replace("--client-cert-auth=true", "").split_whitespace().map(str::to_owned).collect();
    let pod = json!({"metadata": {"name": "etcd-a", "namespace": "kube-system", "annotations": {"kubernetes.io/config.mirror": "x"}}, "spec": {"containers": [{"name": "etcd", "command": command}]}, "status": {"phase": "Running"}});
    inventory.add(Kind::Pod, &pod.to_string()).unwrap();
    let found = judged(&Seen::default(), &inventory);
    assert!(found.iter().any(|f| f.asset == "Pod/kube-system/etcd-a" && f.verdict == Verdict::Fails && f.severity == Severity::High));
}

#[test]
fn kubelets_are_judged_by_what_is_in_force_and_one_not_seen_is_unconfirmed() {
    let mut inventory = Inventory::default();
    for node in ["a", "b"] {
        inventory.add(Kind::Node, &json!({"metadata": {"name": node}}).to_string()).unwrap();
    }
    let good = json!({"authentication": {"x509": {"clientCAFile": "/ca"}}, "rotateCertificates": true, "protectKernelDefaults": true});
    let of = |file: &Value, line: &str| {
        let value = kubelet(&flags(line), Some(file));
        let seen = Seen { components: vec![Component { program: "kubelet".into(), place: "Node/a".into(), settings: Settings::Kubelet(value) }], ..Seen::default() };
        judged(&seen, &inventory).into_iter().filter(|f| f.check.starts_with("kubelet-")).map(|f| (f.asset, f.check, f.verdict)).collect::<Vec<_>>()
    };
    let well = of(&good, "kubelet --config /k");
    assert!(well.iter().filter(|f| f.0 == "Node/a").all(|f| f.2 == Verdict::Conforms), "{well:?}");
    assert!(well.iter().filter(|f| f.0 == "Node/b").all(|f| f.2 == Verdict::Unconfirmed) && well.iter().any(|f| f.0 == "Node/b"), "{well:?}");
    for (line, check) in [
        ("kubelet --config /k --anonymous-auth=true", "kubelet-settings"),
        ("kubelet --config /k --read-only-port=10255", "kubelet-settings"),
        ("kubelet --config /k --tls-min-version VersionTLS11", "kubelet-settings"),
        ("kubelet --config /k --tls-cipher-suites=TLS_RSA_WITH_3DES_EDE_CBC_SHA", "kubelet-settings"),
        ("kubelet --config /k --rotate-certificates=false", "kubelet-settings"),
        ("kubelet --config /k --authorization-mode=AlwaysAllow", "kubelet-access"),
        ("kubelet --config /k --protect-kernel-defaults=false", "kubelet-hardening"),
    ] {
        let found = of(&good, line);
        assert!(found.contains(&("Node/a".into(), check, Verdict::Fails)), "{line}: {found:?}");
    }
}

#[test]
fn a_port_that_talks_fails_and_a_silent_one_is_unconfirmed() {
    let port = |answer| Port { place: "Node/a 10.0.0.1:10255".into(), what: "kubelet read-only", answer };
    let of = |ports| judged(&Seen { ports, ..Seen::default() }, &Inventory::default()).into_iter().filter(|f| f.check == "unauthenticated-ports").map(|f| f.verdict).collect::<Vec<_>>();
    assert_eq!(of(vec![port(Answer::Refused("refused".into()))]), [Verdict::Conforms]);
    assert_eq!(of(vec![port(Answer::Served("200".into()))]), [Verdict::Fails]);
    assert_eq!(of(vec![port(Answer::Silent("timeout".into()))]), [Verdict::Unconfirmed]);
    assert_eq!(of(vec![]), [Verdict::Unconfirmed]);
}
