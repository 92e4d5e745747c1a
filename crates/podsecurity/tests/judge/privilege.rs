//! Extra rights to the host's devices, network or files.

use crate::{pod, pod_text};
use jinwu_podsecurity::{Paths, Right, RightFinding, privileged_mode};
use serde_json::{Value, json};

fn rights(spec: &Value) -> Vec<RightFinding> {
    let text = pod_text(spec);
    privileged_mode(&pod(&text).spec, &Paths::pod())
}

fn kinds(spec: &Value) -> Vec<Right> {
    rights(spec).iter().map(|r| r.right).collect()
}

fn container(security: Value) -> Value {
    json!({"name": "a", "securityContext": security})
}

#[test]
fn a_pod_without_extra_rights_has_no_finding() {
    let spec = json!({"hostNetwork": false, "containers": [{"name": "a", "ports": [{"containerPort": 80, "hostPort": 0}],
        "securityContext": {"allowPrivilegeEscalation": false, "privileged": false, "procMount": "Default", "capabilities": {"add": ["NET_BIND_SERVICE", "CHOWN"]}}}],
        "volumes": [{"name": "v", "emptyDir": {}}]});
    assert_eq!(rights(&spec), []);
}

#[test]
fn each_right_is_one_finding() {
    for (spec, right) in [
        (json!({"hostNetwork": true}), Right::HostNetwork),
        (json!({"hostPID": true}), Right::HostPid),
        (json!({"hostIPC": true}), Right::HostIpc),
        (json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}), Right::HostProcess),
        (json!({"containers": [container(json!({"privileged": true, "allowPrivilegeEscalation": false}))]}), Right::Privileged),
        (json!({"containers": [container(json!({"windowsOptions": {"hostProcess": true}, "allowPrivilegeEscalation": false}))]}), Right::HostProcess),
        (json!({"initContainers": [container(json!({"procMount": "Unmasked", "allowPrivilegeEscalation": false}))]}), Right::ProcMount),
        (json!({"ephemeralContainers": [container(json!({"allowPrivilegeEscalation": true}))]}), Right::PrivilegeEscalation),
        (json!({"containers": [{"name": "a"}]}), Right::PrivilegeEscalationByDefault),
        (json!({"os": {"name": "windows"}, "containers": [{"name": "a", "ports": [{"hostPort": 80}, {"hostPort": 81}]}]}), Right::HostPort),
        (json!({"os": {"name": "windows"}, "containers": [{"name": "a", "volumeDevices": [{"name": "v", "devicePath": "/dev/xvda"}]}]}), Right::Device),
    ] {
        assert_eq!(kinds(&spec), [right], "{spec}");
        let found = rights(&spec).remove(0);
        assert!(found.advice.en.contains("spec.") && found.advice.zh.contains("spec."), "{:?}", found.advice);
    }
}

#[test]
fn capabilities_that_equal_root_are_found_however_written() {
    for name in ["ALL", "all", "SYS_ADMIN", "CAP_SYS_ADMIN", "cap_sys_ptrace", "SYS_MODULE", "NET_ADMIN", "DAC_READ_SEARCH", "BPF"] {
        let spec = json!({"containers": [container(json!({"allowPrivilegeEscalation": false, "capabilities": {"add": [name]}}))]});
        assert_eq!(kinds(&spec), [Right::Capability], "{name}");
    }
    let several = json!({"containers": [container(json!({"allowPrivilegeEscalation": false, "capabilities": {"add": ["SYS_ADMIN", "cap_sys_admin", "BPF", "KILL"]}}))]});
    assert_eq!(kinds(&several), [Right::Capability, Right::Capability]);
}

#[test]
fn host_paths_are_writable_if_any_container_may_write() {
    let spec = |path: &str, mounts: Value| {
        json!({"os": {"name": "windows"}, "volumes": [{"name": "v", "hostPath": {"path": path}}],
            "containers": [{"name": "a", "volumeMounts": mounts}], "initContainers": [{"name": "i", "volumeMounts": [{"name": "v", "readOnly": true}]}]})
    };
    let writable = rights(&spec("/etc", json!([{"name": "v", "readOnly": true}, {"name": "v"}])));
    assert_eq!(writable.iter().map(|r| r.right).collect::<Vec<_>>(), [Right::HostPathWritable]);
    assert!(writable[0].found.en.contains("container \"a\" can write it"), "{}", writable[0].found.en);
    let readable = rights(&spec("/etc", json!([{"name": "v", "readOnly": true}, {"name": "other"}])));
    assert_eq!(readable[0].right, Right::HostPathReadable);
    assert!(readable[0].found.en.contains("\"i\", \"a\" can read it"));
    let unused = json!({"volumes": [{"name": "v", "hostPath": {"path": "/etc"}}]});
    assert!(rights(&unused)[0].found.en.contains("no container mounts it"));
    for path in ["/dev/mem", "//dev//fuse", "/var/../dev/sda"] {
        assert_eq!(kinds(&spec(path, json!([]))), [Right::Device], "{path}");
    }
    for (path, word) in [("/", "whole file system"), ("/etc/..", "whole file system"), ("/run/containerd/containerd.sock", "socket")] {
        assert!(rights(&spec(path, json!([])))[0].found.en.contains(word), "{path}");
    }
}
