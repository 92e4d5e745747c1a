//! What a container is: read from its runtime's bundle, which is there before the container's first instruction. No
//! runtime is asked, so nothing waits for one and none is loaded.

use jinwu_event::{Container, Mount, Pod, Process, Runtime};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest configuration read, bytes.
const LARGEST: u64 = 4 << 20;

/// Where runtimes keep bundles; `{}` is the container's id.
const PLACES: [&str; 6] = [
    "/run/containerd/io.containerd.runtime.v2.task/k8s.io/{}",
    "/run/containerd/io.containerd.runtime.v2.task/moby/{}",
    "/run/containerd/io.containerd.runtime.v2.task/default/{}",
    "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/{}",
    "/run/containers/storage/overlay-containers/{}/userdata",
    "/var/lib/containers/storage/overlay-containers/{}/userdata",
];

/// The members of an OCI runtime configuration that are used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    process: ProcessConfig,
    mounts: Vec<MountConfig>,
    annotations: BTreeMap<String, String>,
    linux: Linux,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProcessConfig {
    capabilities: Capabilities,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Capabilities {
    bounding: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MountConfig {
    destination: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    options: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Linux {
    namespaces: Vec<Namespace>,
    masked_paths: Vec<String>,
    readonly_paths: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
}

/// Where else than in the usual places a bundle may lie: beside that of the process that started the container.
pub fn near<'a>(id: &str, ancestors: impl Iterator<Item = &'a Process>) -> Vec<PathBuf> {
    let mut places = Vec::new();
    for process in ancestors {
        match process.name.as_str() {
            // A shim runs in the bundle of the pod's sandbox; the other bundles of the pod lie beside it.
            name if name.starts_with("containerd-shim") => {
                if let Some(tasks) = Path::new(&process.cwd).parent() {
                    // As the shim sees it: its mounts may be others than the sensor's.
                    places.push(PathBuf::from(format!("/proc/{}/root{}", process.pid, tasks.join(id).display())));
                    places.push(tasks.join(id));
                }
            }
            "conmon" => {
                let mut args = process.args.iter();
                while let Some(arg) = args.next() {
                    if arg == "-b" || arg == "--bundle" {
                        places.extend(args.next().map(PathBuf::from));
                    }
                }
            }
            _ => {}
        }
    }
    places
}

/// The container `id`, if its bundle is found in one of `places` or of the usual ones. `root` is where the node's own
/// file system is (`/`, or where it is mounted in the sensor's container).
pub fn find(root: &Path, id: &str, places: &[PathBuf]) -> Option<Container> {
    let usual = PLACES.iter().map(|p| PathBuf::from(p.replace("{}", id)));
    for place in places.iter().cloned().chain(usual) {
        let place = if place.starts_with("/proc") { place } else { root.join(place.strip_prefix("/").unwrap_or(&place)) };
        if let Some(config) = read(&place.join("config.json")) {
            return Some(container(root, id, &place, config));
        }
    }
    None
}

fn read(path: &Path) -> Option<Config> {
    let size = std::fs::metadata(path).ok()?.len();
    if size > LARGEST {
        tracing::warn!(path = %path.display(), size, "a container's configuration is larger than is read");
        return None;
    }
    let bytes = std::fs::read(path).ok()?;
    serde_json::from_slice(&bytes).inspect_err(|error| tracing::debug!(path = %path.display(), %error, "not a runtime configuration")).ok()
}

fn container(root: &Path, id: &str, bundle: &Path, config: Config) -> Container {
    let annotation = |key: &str| config.annotations.get(key).cloned().unwrap_or_default();
    let namespace = |kind: &str| config.linux.namespaces.iter().any(|n| n.kind == kind);
    // Privileged containers have every capability and nothing hidden from them.
    let privileged = config.process.capabilities.bounding.len() >= 37 && config.linux.masked_paths.is_empty() && config.linux.readonly_paths.is_empty();
    let mut container = Container {
        id: id.to_owned(),
        privileged: Some(privileged),
        host_pid: Some(!namespace("pid")),
        host_network: Some(!namespace("network")),
        mounts: config
            .mounts
            .iter()
            .filter(|m| m.source.starts_with('/') && (m.kind == "bind" || m.options.iter().any(|o| o == "bind" || o == "rbind")))
            .map(|m| Mount { source: m.source.clone(), destination: m.destination.clone(), writable: !m.options.iter().any(|o| o == "ro") })
            .collect(),
        resolved: true,
        ..Container::default()
    };
    let pod = |prefix: &str, name: &str, namespace: &str, uid: &str, sandbox: &str| {
        let of = |key: &str| annotation(&format!("{prefix}{key}"));
        (!of(name).is_empty()).then(|| Pod { name: of(name), namespace: of(namespace), uid: of(uid), sandbox: of(sandbox), labels: BTreeMap::new() })
    };
    if config.annotations.contains_key("io.kubernetes.cri.container-type") {
        container.runtime = Runtime::Containerd;
        container.name = annotation("io.kubernetes.cri.container-name");
        container.image = annotation("io.kubernetes.cri.image-name");
        container.pod = pod("io.kubernetes.cri.", "sandbox-name", "sandbox-namespace", "sandbox-uid", "sandbox-id");
        if annotation("io.kubernetes.cri.container-type") == "sandbox" {
            container.name = "POD".into();
        }
    } else if config.annotations.contains_key("io.kubernetes.cri-o.ContainerType") {
        container.runtime = Runtime::CriO;
        container.name = annotation("io.kubernetes.container.name");
        container.image = annotation("io.kubernetes.cri-o.ImageName");
        container.image_id = annotation("io.kubernetes.cri-o.ImageRef");
        container.pod = pod("io.kubernetes.", "pod.name", "pod.namespace", "pod.uid", "cri-o.SandboxID");
    } else if bundle.components().any(|c| c.as_os_str() == "moby") {
        container.runtime = Runtime::Docker;
        docker(root, &mut container);
    } else if bundle.components().any(|c| c.as_os_str() == "overlay-containers") {
        container.runtime = Runtime::Podman;
        podman(bundle, &mut container);
    }
    container.image_digest = container.image.split_once('@').map(|(_, digest)| digest.to_owned()).or(container.image_digest);
    container
}

/// containers/storage names its containers in one file beside their folders.
fn podman(bundle: &Path, container: &mut Container) {
    #[derive(Deserialize)]
    struct Stored {
        id: String,
        #[serde(default)]
        image: String,
        #[serde(default)]
        metadata: String,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Metadata {
        #[serde(rename = "image-name")]
        image: String,
        name: String,
    }
    let here = bundle.ancestors().nth(2).map(|p| p.join("containers.json"));
    let store = Some(PathBuf::from("/var/lib/containers/storage/overlay-containers/containers.json"));
    for path in [here, store].into_iter().flatten() {
        let Some(stored) = std::fs::read(&path).ok().and_then(|b| serde_json::from_slice::<Vec<Stored>>(&b).ok()) else { continue };
        if let Some(found) = stored.into_iter().find(|s| s.id == container.id) {
            let metadata: Metadata = serde_json::from_str(&found.metadata).unwrap_or_default();
            container.name = metadata.name;
            container.image = metadata.image;
            container.image_id = found.image;
            return;
        }
    }
}

fn docker(root: &Path, container: &mut Container) {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct State {
        name: String,
        image: String,
        config: StateConfig,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct StateConfig {
        image: String,
        labels: Option<BTreeMap<String, String>>,
    }
    let path = root.join(format!("var/lib/docker/containers/{}/config.v2.json", container.id));
    if let Some(state) = std::fs::read(path).ok().and_then(|b| serde_json::from_slice::<State>(&b).ok()) {
        container.name = state.name.trim_start_matches('/').to_owned();
        container.image = state.config.image;
        container.image_id = state.image;
        container.labels = state.config.labels.unwrap_or_default();
    }
}
