//! Which container a cgroup is.

use jinwu_event::Runtime;

/// What a cgroup's path says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Whole id of the container; none for the node's own cgroups.
    pub container: Option<String>,
    pub runtime: Runtime,
    /// Uid of the pod, with dashes.
    pub pod: Option<String>,
}

/// Reads a path such as `/kubepods.slice/kubepods-pod1_2.slice/cri-containerd-0f….scope/child`. A container's own
/// children are the container.
pub fn place(path: &str) -> Place {
    let mut place = Place::default();
    for part in path.split('/') {
        if let Some(pod) = pod(part) {
            place.pod = Some(pod);
        }
        let name = part.strip_suffix(".scope").unwrap_or(part);
        // `prefix-id`, or `slice:prefix:id` where a CRI plugin manages cgroups itself.
        let (prefix, id) = name.rfind(['-', ':']).and_then(|at| Some((name.get(..at)?, name.get(at + 1..)?))).unwrap_or(("", name));
        if id.len() != 64 || !id.bytes().all(|b| b.is_ascii_hexdigit()) || prefix.ends_with("conmon") {
            continue;
        }
        place.container = Some(id.to_owned());
        place.runtime = match prefix {
            _ if prefix.ends_with("cri-containerd") => Runtime::Containerd,
            "crio" => Runtime::CriO,
            "docker" => Runtime::Docker,
            "libpod" => Runtime::Podman,
            _ if path.starts_with("/docker/") => Runtime::Docker,
            _ => Runtime::Unknown,
        };
    }
    place
}

fn pod(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let uid = name.rsplit_once("pod").filter(|(before, _)| before.is_empty() || before.ends_with('-'))?.1;
    let uid = uid.replace('_', "-");
    (uid.len() == 36 || uid.len() == 32).then_some(uid).filter(|u| u.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_every_runtime() {
        let id = "0f".repeat(32);
        let uid = "0f3c5d1e-0000-4000-8000-00000000abcd";
        let cases = [
            (format!("/kubepods/besteffort/pod{uid}/{id}"), Some(&id), Runtime::Unknown, Some(uid)),
            (format!("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{}.slice/cri-containerd-{id}.scope", uid.replace('-', "_")), Some(&id), Runtime::Containerd, Some(uid)),
            (format!("/kubepods.slice/kubepods-pod{}.slice/crio-{id}.scope/inner", uid.replace('-', "_")), Some(&id), Runtime::CriO, Some(uid)),
            (format!("/system.slice/docker-{id}.scope"), Some(&id), Runtime::Docker, None),
            (format!("/docker/{id}"), Some(&id), Runtime::Docker, None),
            (format!("/libpod_parent/libpod-{id}/container"), Some(&id), Runtime::Podman, None),
            (format!("/machine.slice/libpod-conmon-{id}.scope"), None, Runtime::Unknown, None),
            (format!("/x/system.slice:cri-containerd:{id}"), Some(&id), Runtime::Containerd, None),
            ("/system.slice/ssh.service".into(), None, Runtime::Unknown, None),
            ("/".into(), None, Runtime::Unknown, None),
        ];
        for (path, container, runtime, pod) in cases {
            let place = place(&path);
            assert_eq!((place.container.as_ref(), place.runtime, place.pod.as_deref()), (container, runtime, pod), "{path}");
        }
    }
}
