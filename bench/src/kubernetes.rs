//! etcd and an API server, alone on a network of their own: no nodes, no controllers, nothing that
//! competes with what is measured.

use crate::machine;
use crate::process::Process;
use anyhow::Context as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) struct Cluster {
    pub(crate) folder: PathBuf,
    pub(crate) apiserver: Process,
    _etcd: Process,
}

/// Where the API server listens; also the token of its administrator, who exists on this network only.
pub(crate) const URL: &str = "https://127.0.0.1:6443";
pub(crate) const TOKEN: &str = "bench-administrator";

impl Cluster {
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Cluster> {
        std::fs::create_dir_all(folder)?;
        let at = |name: &str| folder.join(name);
        let names = ["localhost", "127.0.0.1", "kubernetes.default.svc"].map(str::to_owned);
        let certificates = jinwu_trust::tls::ensure_certificates(&at("tls"), &names)?;
        std::fs::write(at("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n"))?;
        let key = Command::new("openssl").args(["genrsa", "-out"]).arg(at("sa.key")).arg("2048").stderr(Stdio::null()).status().context("openssl")?;
        anyhow::ensure!(key.success(), "openssl genrsa: {key}");
        let mut etcd = Process::start(
            "etcd",
            // No fsync: what is measured is not the disk, and nothing of it is kept.
            Command::new(program("etcd")?).arg("--data-dir").arg(at("etcd")).args(["--unsafe-no-fsync", "--log-level", "error"]).args([
                "--listen-client-urls=http://127.0.0.1:2379",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--initial-advertise-peer-urls=http://127.0.0.1:2380",
                "--initial-cluster=default=http://127.0.0.1:2380",
            ]),
            &at("etcd.log"),
        )?;
        etcd.wait_for(20, || std::net::TcpStream::connect("127.0.0.1:2379").is_ok())?;
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let apiserver = Process::start(
            "kube-apiserver",
            Command::new(program("kube-apiserver")?)
                .args(["--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443", "--bind-address=127.0.0.1", "--advertise-address=10.255.0.1"])
                .args(["--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc"])
                .args(["--profiling=false", "--allow-privileged"])
                .arg(flag("token-auth-file", &at("tokens.csv")))
                .arg(flag("tls-cert-file", &certificates.chain))
                .arg(flag("tls-private-key-file", &certificates.key))
                .arg(flag("service-account-key-file", &at("sa.key")))
                .arg(flag("service-account-signing-key-file", &at("sa.key"))),
            &at("apiserver.log"),
        )?;
        let mut cluster = Cluster { folder: folder.to_owned(), apiserver, _etcd: etcd };
        cluster.kubeconfig("admin", TOKEN)?;
        let kubectl = cluster.kubectl_command()?;
        let ready = || Command::new(&kubectl.0).args(&kubectl.1).args(["get", "--raw", "/readyz"]).output().is_ok_and(|o| o.status.success());
        cluster.apiserver.wait_for(60, ready)?;
        cluster.apply(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"bench": "pods"}}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}},
        ]}))?;
        Ok(cluster)
    }

    /// PEM.
    pub(crate) fn authority(&self) -> anyhow::Result<Vec<u8>> {
        Ok(std::fs::read(self.folder.join("tls").join("ca.crt"))?)
    }

    /// A file by which programs reach the API server as the bearer of this token.
    pub(crate) fn kubeconfig(&self, name: &str, token: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(format!("{name}.kubeconfig"));
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": URL, "certificate-authority": self.folder.join("tls").join("ca.crt")}}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": name}}],
        });
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }

    fn kubectl_command(&self) -> anyhow::Result<(PathBuf, [PathBuf; 2])> {
        Ok((program("kubectl")?, ["--kubeconfig".into(), self.folder.join("admin.kubeconfig")]))
    }

    /// What kubectl prints.
    pub(crate) fn kubectl(&self, arguments: &[&str], input: &[u8]) -> anyhow::Result<String> {
        let (program, options) = self.kubectl_command()?;
        let mut child = Command::new(program).args(options).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("no input")?.write_all(input)?;
        let out = child.wait_with_output()?;
        anyhow::ensure!(out.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8(out.stdout)?)
    }

    pub(crate) fn apply(&self, objects: &serde_json::Value) -> anyhow::Result<()> {
        self.kubectl(&["apply", "--server-side", "-f", "-"], objects.to_string().as_bytes()).map(drop)
    }
}

/// The namespace pods are made in.
pub(crate) const NAMESPACE: &str = "pods";

/// A program of Kubernetes, as the lab keeps them, or one of this bench.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    match std::env::var_os("JINWU_KUBERNETES") {
        Some(folders) => match std::env::split_paths(&folders).map(|f| f.join(name)).find(|p| p.exists()) {
            Some(path) => Ok(path),
            None => machine::program(name),
        },
        None => machine::program(name),
    }
}
