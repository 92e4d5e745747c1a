//! Reading: lenient to what is unknown, strict to what matters, bounded.

use crate::{pod, pod_text};
use jinwu_podsecurity::PodTemplate;
use jinwu_podsecurity::pod::{MAX_CONTAINERS, MAX_ITEMS};
use proptest::prelude::*;
use serde_json::json;

fn place(text: &str) -> String {
    PodTemplate::from_json(text).unwrap_err().place
}

#[test]
fn a_wrong_type_is_an_error_that_names_the_member() {
    for (spec, at) in [
        (json!({"containers": [{"name": "a"}, {"securityContext": {"privileged": "true"}}]}), "spec.containers[1].securityContext.privileged"),
        (json!({"initContainers": {}}), "spec.initContainers"),
        (json!({"hostNetwork": 1}), "spec.hostNetwork"),
        (json!({"securityContext": {"runAsUser": "0"}}), "spec.securityContext.runAsUser"),
        (json!({"securityContext": {"runAsUser": 1.5}}), "spec.securityContext.runAsUser"),
        (json!({"containers": [{"securityContext": [true]}]}), "spec.containers[0].securityContext"),
        (json!({"containers": [{"ports": [{"hostPort": 3_000_000_000u32}]}]}), "spec.containers[0].ports[0].hostPort"),
        (json!({"volumes": [{"hostPath": "/"}]}), "spec.volumes[0].hostPath"),
        (json!({"volumes": [{"emptyDir": 1}]}), "spec.volumes[0].emptyDir"),
    ] {
        assert_eq!(place(&pod_text(&spec)), at);
    }
    assert_eq!(place(r#"{"metadata":{"annotations":{"container.apparmor.security.beta.kubernetes.io/a":1}}}"#), "metadata.annotations.container.apparmor.security.beta.kubernetes.io/a");
    assert_eq!(place("[]"), ".");
    assert_eq!(place("{} x"), ".");
}

#[test]
fn a_member_given_twice_is_refused() {
    for text in [
        r#"{"spec":{"hostNetwork":true,"hostNetwork":false}}"#,
        r#"{"spec":{"containers":[{"securityContext":{"privileged":true},"securityContext":{}}]}}"#,
        r#"{"spec":{"volumes":[{"hostPath":{"path":"/"},"hostPath":null}]}}"#,
        r#"{"spec":{"volumes":[{"secret":{},"secret":null}]}}"#,
        r#"{"metadata":{"annotations":{"container.apparmor.security.beta.kubernetes.io/a":"unconfined","container.apparmor.security.beta.kubernetes.io/a":""}}}"#,
    ] {
        assert!(PodTemplate::from_json(text).is_err(), "{text}");
    }
}

#[test]
fn null_is_absent_and_escapes_are_read() {
    let text = r#"{"spec":{"containers":null,"initContainers":[null,{"name":"\u0061\"","securityContext":null,"ports":[null]}],"volumes":null,"hostPID":null,"os":null}}"#;
    let pod = pod(text);
    assert!(pod.spec.containers.is_empty() && !pod.spec.host_pid);
    assert_eq!(pod.spec.init_containers.len(), 2);
    assert_eq!(pod.spec.init_containers[1].name.as_str(), "a\"");
    assert_eq!(pod.spec.init_containers[1].ports[0].host_port, 0);
    // Escapes in keys do not hide a member.
    let hidden = r#"{"sp\u0065c":{"host\u004eetwork":true}}"#;
    assert!(PodTemplate::from_json(hidden).unwrap().spec.host_network);
}

#[test]
fn lists_and_depth_are_bounded() {
    let many = |n: usize, item: &str| vec![item; n].join(",");
    let containers = |n| format!(r#"{{"spec":{{"containers":[{}]}}}}"#, many(n, "null"));
    assert!(PodTemplate::from_json(&containers(MAX_CONTAINERS)).is_ok());
    assert_eq!(place(&containers(MAX_CONTAINERS + 1)), "spec.containers");
    let ports = format!(r#"{{"spec":{{"containers":[{{"ports":[{}]}}]}}}}"#, many(MAX_ITEMS + 1, "{}"));
    assert_eq!(place(&ports), "spec.containers[0].ports");
    // Skipped members may be deep: they are passed over without recursion.
    let deep = format!(r#"{{"status":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(PodTemplate::from_json(&deep).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// A pod cut off or changed anywhere is read or refused, never a crash.
    #[test]
    fn damaged_text_is_read_or_refused(cut in 0usize..400, at in 0usize..400, byte in any::<u8>()) {
        let whole = pod_text(&json!({"hostUsers": false, "containers": [{"name": "名", "securityContext": {"runAsUser": 0, "capabilities": {"add": ["ALL"]}},
            "ports": [{"hostPort": 80}], "volumeMounts": [{"name": "v"}]}], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}));
        let mut bytes = whole.into_bytes();
        if let Some(b) = bytes.get_mut(at) {
            *b = byte;
        }
        bytes.truncate(cut.max(1));
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(pod) = PodTemplate::from_json(&text) {
            jinwu_podsecurity::evaluate(jinwu_podsecurity::Level::Restricted, jinwu_podsecurity::Version::LATEST, &pod.metadata, &pod.spec);
            jinwu_podsecurity::privileged_mode(&pod.spec, &jinwu_podsecurity::Paths::pod());
        }
    }
}
