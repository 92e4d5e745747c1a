//! Who a container really runs as.

use crate::{pod, pod_text};
use jinwu_model::Text;
use jinwu_podsecurity::user::{RunsAs, UserSource};
use jinwu_podsecurity::{EffectiveUser, ImageUser, Paths, effective_user, privileged_user};
use serde_json::{Value, json};

fn users(spec: &Value, image: &ImageUser) -> Vec<EffectiveUser> {
    let text = pod_text(spec);
    effective_user(&pod(&text).spec, |_| image.clone())
}

fn unknown() -> ImageUser {
    ImageUser::Unknown { reason: Text::new("镜像不在本仓库", "the image is not in this registry") }
}

#[test]
fn the_container_decides_then_the_pod_then_the_image() {
    let at = |pod: Value, container: Value, image| {
        let user = users(&json!({"securityContext": pod, "containers": [{"name": "a", "securityContext": container}]}), &image).remove(0);
        (user.runs_as, user.source)
    };
    assert_eq!(at(json!({"runAsUser": 0}), json!({"runAsUser": 7}), ImageUser::Uid(0)), (RunsAs::Uid(7), UserSource::Container));
    assert_eq!(at(json!({"runAsUser": 0}), json!({}), ImageUser::Uid(7)), (RunsAs::Uid(0), UserSource::Pod));
    assert_eq!(at(json!({}), Value::Null, ImageUser::Uid(7)), (RunsAs::Uid(7), UserSource::Image));
    assert_eq!(at(Value::Null, json!({"runAsUser": 0}), ImageUser::Uid(7)), (RunsAs::Uid(0), UserSource::Container));
}

#[test]
fn root_and_unknown_are_found_in_every_list_of_containers() {
    let spec = json!({
        "initContainers": [{"name": "i"}],
        "containers": [{"name": "fine", "securityContext": {"runAsUser": 1000}}, {"name": "root", "securityContext": {"runAsUser": 0}}],
        "ephemeralContainers": [{"name": "e"}]
    });
    let found = privileged_user(&users(&spec, &unknown()), &Paths::template("spec.template"));
    assert_eq!(found.iter().map(|f| f.container.as_str()).collect::<Vec<_>>(), ["i", "root", "e"]);
    assert!(found[0].found.en.contains("unknown and counts as root") && found[0].found.en.contains("the image is not in this registry"));
    assert!(found[0].found.zh.contains("按 root 计") && found[0].found.zh.contains("镜像不在本仓库"));
    assert!(found[0].advice.en.starts_with("set spec.template.spec.securityContext.runAsUser to"));
    assert!(found[1].found.en.contains("user 0 (root), from the container's runAsUser"), "{}", found[1].found.en);
    assert!(found[1].advice.en.contains("spec.template.spec.containers[1].securityContext.runAsUser"));
    assert_eq!(privileged_user(&users(&spec, &ImageUser::Uid(5)), &Paths::pod()).len(), 1);
}

#[test]
fn run_as_non_root_is_no_substitute_and_the_kubelet_is_named() {
    let spec = json!({"securityContext": {"runAsNonRoot": true}, "containers": [{"name": "a"}]});
    for image in [unknown(), ImageUser::Name("app".into()), ImageUser::Uid(0)] {
        let found = privileged_user(&users(&spec, &image), &Paths::pod());
        assert_eq!(found.len(), 1, "{image:?}");
        assert!(found[0].found.en.contains("kubelet") && found[0].found.zh.contains("kubelet"), "{:?}", found[0].found);
    }
    assert_eq!(privileged_user(&users(&spec, &ImageUser::Uid(1)), &Paths::pod()), []);
    let overruled = json!({"securityContext": {"runAsNonRoot": true}, "containers": [{"name": "a", "securityContext": {"runAsNonRoot": false}}]});
    assert_eq!(users(&overruled, &unknown())[0].run_as_non_root, Some(false));
}

#[test]
fn a_number_that_is_no_user_id_counts_as_root() {
    for uid in [-1i64, 2_147_483_648, 4_294_967_296, i64::MAX] {
        let spec = json!({"containers": [{"name": "a", "securityContext": {"runAsUser": uid}}]});
        assert_eq!(privileged_user(&users(&spec, &ImageUser::Uid(1)), &Paths::pod()).len(), 1, "{uid}");
    }
}

#[test]
fn a_user_namespace_is_told_not_forgiven() {
    let spec = json!({"hostUsers": false, "containers": [{"name": "a", "securityContext": {"runAsUser": 0}}]});
    let found = privileged_user(&users(&spec, &unknown()), &Paths::pod());
    assert!(found[0].found.en.contains("user namespace"));
}

#[test]
fn groups_are_information() {
    let spec = json!({"securityContext": {"runAsUser": 1, "runAsGroup": 0, "fsGroup": 0, "supplementalGroups": [5, 0]}, "containers": [{"name": "a"}]});
    let users = users(&spec, &unknown());
    assert_eq!(privileged_user(&users, &Paths::pod()), []);
    assert_eq!(users[0].information().len(), 3);
    let own = json!({"securityContext": {"runAsUser": 1, "runAsGroup": 0}, "containers": [{"name": "a", "securityContext": {"runAsGroup": 9}}]});
    assert_eq!(crate::user::users(&own, &unknown())[0].group, Some(9));
}

#[test]
fn windows_pods_go_by_name() {
    let spec = |pod: Value, container: Value| json!({"os": {"name": "windows"}, "securityContext": {"windowsOptions": pod}, "containers": [{"name": "a", "securityContext": {"windowsOptions": container, "runAsUser": 5}}]});
    let name = |n: &str| json!({"runAsUserName": n});
    let count = |spec: &Value, image: &ImageUser| privileged_user(&users(spec, image), &Paths::pod()).len();
    assert_eq!(count(&spec(name("ContainerAdministrator"), name("ContainerUser")), &unknown()), 0);
    assert_eq!(count(&spec(name("ContainerUser"), name("containeradministrator")), &unknown()), 1);
    assert_eq!(count(&spec(name("NT AUTHORITY\\SYSTEM"), Value::Null), &unknown()), 1);
    assert_eq!(count(&spec(Value::Null, Value::Null), &ImageUser::Name("ContainerUser".into())), 0);
    // A user number means nothing to Windows.
    assert_eq!(count(&spec(Value::Null, Value::Null), &ImageUser::Uid(5)), 1);
    let found = privileged_user(&users(&spec(Value::Null, Value::Null), &unknown()), &Paths::pod());
    assert!(found[0].advice.en.contains("spec.containers[0].securityContext.windowsOptions.runAsUserName"));
}
