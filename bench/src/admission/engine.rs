//! What stands between a request and etcd: nothing, the API server's own admission, or somebody's webhook.

use super::checks;
use crate::kubernetes::{Cluster, NAMESPACE, TOKEN};
use crate::machine;
use crate::process::Process;
use anyhow::Context as _;
use base64::Engine as _;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    None,
    PodSecurity,
    OnePolicy,
    SixteenPolicies,
    Allow,
    Jinwu,
    Kyverno,
    Gatekeeper,
}

/// In the order in which they are measured within a round.
pub(super) const ENGINES: [Engine; 8] =
    [Engine::None, Engine::Allow, Engine::Jinwu, Engine::PodSecurity, Engine::OnePolicy, Engine::SixteenPolicies, Engine::Kyverno, Engine::Gatekeeper];

/// Jinwu's server, which all rounds share, and what its gates need.
pub(super) struct Jinwu {
    _server: crate::jinwu::Server,
    /// Manifests as `jinwu cluster install` prints them.
    manifest: Vec<Value>,
    /// Image of the pods that are made, by digest.
    pub(super) image: String,
}

/// An engine at work.
pub(super) struct Running {
    pub(super) process: Option<Process>,
    /// Where its webhook is: host name, address, path, PEM of its authority.
    pub(super) webhook: Option<(String, String, String, Vec<u8>)>,
}

const CLUSTER: &str = "bench";
const GATE_ADDRESS: &str = "10.96.0.77";
/// How long an engine may take until it refuses what it must.
const PATIENCE: Duration = Duration::from_secs(120);

impl Engine {
    pub(super) fn name(self) -> &'static str {
        match self {
            Engine::None => "none",
            Engine::PodSecurity => "Pod Security admission",
            Engine::OnePolicy => "one ValidatingAdmissionPolicy, 16 checks",
            Engine::SixteenPolicies => "16 ValidatingAdmissionPolicies",
            Engine::Allow => "always-allow webhook",
            Engine::Jinwu => "Jinwu, 16 checks and image verdict",
            Engine::Kyverno => "Kyverno 1.19.1, 16 ValidatingPolicies",
            Engine::Gatekeeper => "Gatekeeper 3.23.1, 16 constraints",
        }
    }

    pub(super) fn refuses(self) -> bool {
        !matches!(self, Engine::None | Engine::Allow)
    }

    /// Starts it in a cluster that has nothing else, and waits until it does what it is for.
    pub(super) fn start(self, cluster: &Cluster, jinwu: &Jinwu) -> anyhow::Result<Running> {
        self.try_start(cluster, jinwu).with_context(|| {
            let log = std::fs::read_to_string(cluster.folder.join("engine.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            format!("{}; the end of its log, last line first:\n{}", self.name(), tail.join("\n"))
        })
    }

    fn try_start(self, cluster: &Cluster, jinwu: &Jinwu) -> anyhow::Result<Running> {
        let mut running = Running { process: None, webhook: None };
        match self {
            Engine::None => {}
            Engine::PodSecurity => {
                cluster.kubectl(&["label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted"], &[])?;
            }
            Engine::OnePolicy => cluster.apply(&checks::native(true))?,
            Engine::SixteenPolicies => cluster.apply(&checks::native(false))?,
            Engine::Allow => running.process = Some(allow(cluster)?),
            Engine::Jinwu => running.process = Some(jinwu.gate(cluster)?),
            Engine::Kyverno => running.process = Some(kyverno(cluster)?),
            Engine::Gatekeeper => running.process = Some(gatekeeper(cluster)?),
        }
        self.prove(cluster, &mut running, &jinwu.image)?;
        if running.process.is_some() {
            running.webhook = Some(webhook(cluster)?);
        }
        Ok(running)
    }

    /// A good pod passes and, if anything is enforced, a bad one does not, three times in a row.
    fn prove(self, cluster: &Cluster, running: &mut Running, image: &str) -> anyhow::Result<()> {
        let (good, bad) = (checks::good_pod(image).to_string(), checks::bad_pod(image).to_string());
        let create = |pod: &str| cluster.kubectl(&["create", "-n", NAMESPACE, "--dry-run=server", "-f", "-"], pod.as_bytes());
        let until = Instant::now() + PATIENCE;
        let mut right = 0;
        while right < 3 {
            let (good, bad) = (create(&good), create(&bad));
            right = if good.is_ok() && bad.is_err() == self.refuses() { right + 1 } else { 0 };
            if let Some(process) = &mut running.process {
                anyhow::ensure!(process.is_alive(), "it has ended");
            }
            anyhow::ensure!(Instant::now() < until, "a good pod: {good:?}; a bad pod: {bad:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

/// The first validating webhook that asks about pods.
fn webhook(cluster: &Cluster) -> anyhow::Result<(String, String, String, Vec<u8>)> {
    let all: Value = serde_json::from_str(&cluster.kubectl(&["get", "validatingwebhookconfigurations", "-o", "json"], &[])?)?;
    let hooks = all["items"].as_array().into_iter().flatten().flat_map(|c| c["webhooks"].as_array().into_iter().flatten());
    let of_pods = |h: &&Value| {
        h["rules"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|r| r["resources"].as_array().into_iter().flatten().any(|r| r == "pods" || r == "*") && r["scope"] != "Cluster")
    };
    let config = &hooks.into_iter().find(of_pods).context("no webhook asks about pods")?["clientConfig"];
    let (name, namespace) = (config["service"]["name"].as_str().context("service")?, config["service"]["namespace"].as_str().context("namespace")?);
    let path = config["service"]["path"].as_str().unwrap_or("/").to_owned();
    let authority = base64::engine::general_purpose::STANDARD.decode(config["caBundle"].as_str().context("caBundle")?)?;
    Ok((format!("{name}.{namespace}.svc"), service_address(cluster, namespace, name)?, path, authority))
}

fn service_address(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<String> {
    cluster.kubectl(&["get", "service", "-n", namespace, name, "-o", "jsonpath={.spec.clusterIP}"], &[])
}

/// No kube-proxy: the service's address is put on this network's loopback, where the engine listens.
fn at_home(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<()> {
    let address = format!("{}/32", service_address(cluster, namespace, name)?);
    let status = Command::new("ip").args(["address", "replace", &address, "dev", "lo"]).status().context("ip")?;
    anyhow::ensure!(status.success(), "ip address replace {address} dev lo");
    Ok(())
}

/// A webhook that says yes: the least any webhook costs.
fn allow(cluster: &Cluster) -> anyhow::Result<Process> {
    let folder = cluster.folder.join("allow");
    let certificates = jinwu_trust::tls::ensure_certificates(&folder, &["allow.allow.svc".to_owned()])?;
    let process = Process::start("always-allow", Command::new(std::env::current_exe()?).arg("always-allow").arg(&folder), &cluster.folder.join("engine.log"))?;
    let authority = base64::engine::general_purpose::STANDARD.encode(std::fs::read(&certificates.ca)?);
    cluster.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "allow"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "allow", "namespace": "allow"}, "spec": {"ports": [{"port": 443}]}},
    ]}))?;
    at_home(cluster, "allow", "allow")?;
    cluster.apply(
        &json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "allow"}, "webhooks": [{
            "name": "allow.bench.io", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 5,
            "clientConfig": {"caBundle": authority, "service": {"name": "allow", "namespace": "allow", "path": "/admit"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}],
        }]}),
    )?;
    Ok(process)
}

/// Their own installation manifest, without what would need a node.
fn peer(cluster: &Cluster, variable: &str) -> anyhow::Result<()> {
    let manifest = std::env::var_os(variable).with_context(|| format!("{variable} names no manifest; ./x bench admission sets it"))?;
    cluster.kubectl(&["apply", "--server-side", "-f", &PathBuf::from(manifest).display().to_string()], &[])?;
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], &[])?;
    Ok(())
}

fn kyverno(cluster: &Cluster) -> anyhow::Result<Process> {
    peer(cluster, "JINWU_BENCH_KYVERNO")?;
    at_home(cluster, "kyverno", "kyverno-svc")?;
    let mut command = Command::new(machine::program("kyverno")?);
    command
        .arg(format!("--kubeconfig={}", cluster.kubeconfig("kyverno", TOKEN)?.display()))
        .args(["--caSecretName=kyverno-svc.kyverno.svc.kyverno-tls-ca", "--tlsSecretName=kyverno-svc.kyverno.svc.kyverno-tls-pair"])
        .args(["--backgroundServiceAccountName=system:serviceaccount:kyverno:kyverno-background-controller"])
        .args(["--reportsServiceAccountName=system:serviceaccount:kyverno:kyverno-reports-controller"])
        .args(["--servicePort=443", "--webhookServerPort=443", "--disableMetrics=true", "--admissionReports=false", "--enableReporting="])
        .args(["--generateValidatingAdmissionPolicy=false", "--omitEvents=PolicyApplied,PolicySkipped,PolicyViolation,PolicyError", "--v=1"])
        .envs([("KYVERNO_NAMESPACE", "kyverno"), ("KYVERNO_POD_NAME", "kyverno-bench"), ("KYVERNO_SERVICEACCOUNT_NAME", "kyverno-admission-controller")])
        .envs([("KYVERNO_ROLE_NAME", "kyverno:admission-controller"), ("KYVERNO_SVC", "kyverno-svc"), ("KYVERNO_DEPLOYMENT", "kyverno-admission-controller")])
        .envs([("INIT_CONFIG", "kyverno"), ("METRICS_CONFIG", "kyverno-metrics"), ("TUF_ROOT", "/tmp")]);
    let process = Process::start("kyverno", &mut command, &cluster.folder.join("engine.log"))?;
    cluster.apply(&checks::kyverno())?;
    Ok(process)
}

fn gatekeeper(cluster: &Cluster) -> anyhow::Result<Process> {
    peer(cluster, "JINWU_BENCH_GATEKEEPER")?;
    at_home(cluster, "gatekeeper-system", "gatekeeper-webhook-service")?;
    let folder = cluster.folder.join("gatekeeper");
    let certificates = jinwu_trust::tls::ensure_certificates(&folder, &["gatekeeper-webhook-service.gatekeeper-system.svc".to_owned()])?;
    std::fs::copy(&certificates.chain, folder.join("tls.crt"))?;
    std::fs::copy(&certificates.key, folder.join("tls.key"))?;
    let mut command = Command::new(machine::program("gatekeeper")?);
    command
        .arg(format!("--kubeconfig={}", cluster.kubeconfig("gatekeeper", TOKEN)?.display()))
        .arg(format!("--cert-dir={}", folder.display()))
        .args(["--port=443", "--disable-cert-rotation", "--debug-use-fake-pod", "--operation=webhook", "--operation=generate", "--log-level=WARNING"])
        .args(["--exempt-namespace=gatekeeper-system", "--metrics-addr=0"])
        .envs([("POD_NAMESPACE", "gatekeeper-system"), ("POD_NAME", "no-pod"), ("NAMESPACE", "gatekeeper-system"), ("CONTAINER_NAME", "manager")]);
    let process = Process::start("gatekeeper", &mut command, &cluster.folder.join("engine.log"))?;
    let [templates, constraints] = checks::gatekeeper();
    cluster.apply(&templates)?;
    // The kinds of the constraints are made by it.
    let until = Instant::now() + PATIENCE;
    while let Err(error) = cluster.apply(&constraints) {
        anyhow::ensure!(Instant::now() < until, "{error:#}");
        std::thread::sleep(Duration::from_millis(500));
    }
    // Nothing is mutated here, and nobody should ask.
    cluster.kubectl(&["delete", "mutatingwebhookconfiguration", "gatekeeper-mutating-webhook-configuration", "--ignore-not-found"], &[])?;
    let authority = base64::engine::general_purpose::STANDARD.encode(std::fs::read(&certificates.ca)?);
    let patch: Vec<Value> = (0..2).map(|n| json!({"op": "add", "path": format!("/webhooks/{n}/clientConfig/caBundle"), "value": authority})).collect();
    let name = "gatekeeper-validating-webhook-configuration";
    cluster.kubectl(&["patch", "validatingwebhookconfiguration", name, "--type=json", "-p", &json!(patch).to_string()], &[])?;
    Ok(process)
}

impl Jinwu {
    /// A server with a cluster that blocks at level 4, and an image in its registry.
    pub(super) fn start(folder: &Path, archive: &Path) -> anyhow::Result<Jinwu> {
        let server = crate::jinwu::Server::start(folder)?;
        let image = server.push(archive, "open/bench:1")?;
        server.jinwu(&["cluster", "add", CLUSTER, "--level", "4"])?;
        server.jinwu(&["cluster", "enforce", CLUSTER, "block"])?;
        // The seventeenth check, which the others have not.
        server.jinwu(&["cluster", "switch", CLUSTER, "sandboxed-runtime", "allow"])?;
        let manifest = server.install(CLUSTER, &image, &["--replicas", "1", "--address", GATE_ADDRESS])?;
        Ok(Jinwu { _server: server, manifest, image })
    }

    /// A gate with the rights and the way to the server that an installation gives it.
    fn gate(&self, cluster: &Cluster) -> anyhow::Result<Process> {
        for object in &self.manifest {
            cluster.apply(object)?;
        }
        // What the controller manager would say of a gate that runs.
        cluster.apply(&json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "jinwu-gate", "namespace": "jinwu", "labels": {"kubernetes.io/service-name": "jinwu-gate"}},
            "endpoints": [{"addresses": ["10.255.0.1"], "conditions": {"ready": true}}], "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]}))?;
        at_home(cluster, "jinwu", "jinwu-gate")?;
        let token = cluster.kubectl(&["create", "token", "-n", "jinwu", "jinwu-gate", "--duration=1h"], &[])?;
        let way = cluster.folder.join("way");
        crate::jinwu::write_way(&self.manifest, &way)?;
        let mut command = Command::new(machine::program("jinwu-gate")?);
        command.args(["serve", "--listen", &format!("{GATE_ADDRESS}:443")]).arg("--data").arg(cluster.folder.join("gate")).arg("--server").arg(&way);
        command.arg("--kubeconfig").arg(cluster.kubeconfig("gate", token.trim())?).args(["--image", &self.image]);
        Process::start("jinwu-gate", &mut command, &cluster.folder.join("engine.log"))
    }
}
