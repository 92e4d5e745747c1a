//! Which pods an object carries, and what change in it matters.

use jinwu_podsecurity::workload::{MAX_PODS, PodIn, Resource};
use jinwu_podsecurity::{Workload, relevant_change};
use serde_json::{Value, json};

fn of(group: &str, resource: &str, subresource: &str) -> Option<Workload> {
    Workload::of(&Resource { group, resource, subresource })
}

#[test]
fn only_objects_that_carry_pods_are_read() {
    for subresource in ["", "ephemeralcontainers", "resize"] {
        assert!(of("", "pods", subresource).is_some(), "{subresource}");
    }
    for subresource in ["status", "exec", "attach", "portforward", "binding", "eviction", "log", "proxy"] {
        assert!(of("", "pods", subresource).is_none(), "{subresource}");
    }
    for (group, resource, subresource) in [("apps", "deployments", "scale"), ("apps", "deployments", "status"), ("", "deployments", ""), ("apps", "pods", ""), ("", "services", "")] {
        assert!(of(group, resource, subresource).is_none(), "{group}/{resource}/{subresource}");
    }
    assert!(Workload::of_kind("batch", "CronJob").is_some());
    assert!(Workload::of_kind("", "Service").is_none());
}

#[test]
fn an_ephemeral_container_is_seen_in_its_subresource() {
    let object = json!({"spec": {"containers": [{"name": "a"}], "ephemeralContainers": [{"name": "debug"}]}}).to_string();
    let pods = of("", "pods", "ephemeralcontainers").unwrap().pods(&object).unwrap();
    assert_eq!(pods[0].pod.spec.ephemeral_containers[0].name.as_str(), "debug");
}

#[test]
fn absent_templates_are_no_pods_and_wrong_ones_are_errors() {
    let controller = of("", "replicationcontrollers", "").unwrap();
    for object in [json!({}), json!({"spec": null}), json!({"spec": {"replicas": 1}}), json!({"spec": {"template": null}})] {
        assert_eq!(controller.pods(&object.to_string()).unwrap(), []);
    }
    for (object, at) in [
        (json!({"spec": []}), "spec"),
        (json!({"spec": {"template": "x"}}), "spec.template"),
        (json!({"spec": {"template": {"spec": {"containers": [{"name": 1}]}}}}), "spec.template.spec.containers[0].name"),
    ] {
        assert_eq!(controller.pods(&object.to_string()).unwrap_err().place, at);
    }
    let twice = r#"{"spec":{"template":{"spec":{"hostPID":true}},"template":{}}}"#;
    assert!(controller.pods(twice).is_err());
}

#[test]
fn custom_kinds_are_read_along_their_path() {
    let object = json!({"spec": {
        "jobs": [{"template": {"spec": {"hostPID": true}}}, {"name": "none"}, {"template": {"spec": {}}}],
        "sets": {"Master": {"template": {"spec": {"hostIPC": true}}}, "Worker": {"template": {"spec": {}}}},
        "pod": {"hostNetwork": true}
    }})
    .to_string();
    let paths = |workload: Workload| workload.pods(&object).unwrap().into_iter().map(|p| p.paths.spec).collect::<Vec<_>>();
    let templates = |path: &str| paths(Workload::templates_at(path.parse().unwrap()));
    assert_eq!(templates("spec.jobs[*].template"), ["spec.jobs[0].template.spec", "spec.jobs[2].template.spec"]);
    assert_eq!(templates("spec.jobs[2].template"), ["spec.jobs[2].template.spec"]);
    assert_eq!(templates("spec.jobs[9].template"), [""; 0]);
    assert_eq!(templates("spec.sets.*.template"), ["spec.sets.Master.template.spec", "spec.sets.Worker.template.spec"]);
    let bare = Workload::specs_at("spec.pod".parse().unwrap());
    assert!(bare.pods(&object).unwrap()[0].pod.spec.host_network);
    assert_eq!(paths(bare), ["spec.pod"]);
}

#[test]
fn an_object_may_not_hold_endless_pods() {
    let workload = Workload::templates_at("spec[*]".parse().unwrap());
    let object = |n: usize| json!({"spec": vec![json!({}); n]}).to_string();
    assert_eq!(workload.pods(&object(MAX_PODS)).unwrap().len(), MAX_PODS);
    assert!(workload.pods(&object(MAX_PODS + 1)).is_err());
    let heavy = json!({"spec": vec![json!({"spec": {"containers": vec![Value::Null; 900]}}); 12]}).to_string();
    assert!(workload.pods(&heavy).unwrap_err().detail.contains("containers and volumes"));
}

#[test]
fn only_what_is_judged_is_a_relevant_change() {
    let pod = json!({"metadata": {"labels": {}}, "spec": {"containers": [{"name": "a", "image": "i"}]}, "status": {"phase": "Pending"}});
    let changed = |group: &str, resource: &str, old: &Value, new: &Value| {
        let workload = of(group, resource, "").unwrap();
        let (old, new) = (old.to_string(), new.to_string());
        let (old, new): (Vec<PodIn<'_>>, Vec<PodIn<'_>>) = (workload.pods(&old).unwrap(), workload.pods(&new).unwrap());
        relevant_change(&old, &new)
    };
    let with = |pointer: &str, value: Value| {
        let mut new = pod.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        new.pointer_mut(parent).unwrap()[name] = value;
        new
    };
    for (pointer, value) in [
        ("/metadata/labels", json!({"a": "b"})),
        ("/metadata/finalizers", json!([])),
        ("/metadata/annotations", json!({"container.apparmor.security.beta.kubernetes.io/a": "unconfined"})),
        ("/status/phase", json!("Running")),
        ("/spec/tolerations", json!([{}])),
        ("/spec/nodeName", json!("n")),
    ] {
        assert!(!changed("", "pods", &pod, &with(pointer, value)), "{pointer}");
    }
    for (pointer, value) in [
        ("/spec/containers", json!([{"name": "a", "image": "other"}])),
        ("/spec/ephemeralContainers", json!([{"name": "e"}])),
        ("/spec/hostPID", json!(true)),
    ] {
        assert!(changed("", "pods", &pod, &with(pointer, value)), "{pointer}");
    }
    // In a template the annotation still decides.
    let deployment = |annotation: &str| json!({"spec": {"template": {"metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/a": annotation}}, "spec": {}}}});
    assert!(changed("apps", "deployments", &deployment(""), &deployment("unconfined")));
    assert!(!changed("apps", "deployments", &deployment(""), &deployment("")));
}
