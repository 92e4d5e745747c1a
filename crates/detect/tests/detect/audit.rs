//! Reading audit events, their fields, masking, and outputs.

use jinwu_detect::audit::{AuditError, MAX_EVENT, batch};
use jinwu_detect::field::{Source, audit, resolve};
use jinwu_detect::{AuditEvent, Event, FieldValue};
use serde_json::{Value, json};

/// A complete event: user, addresses, target, both objects.
pub(crate) fn event(changes: Value) -> Value {
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse",
        "auditID": "5e2f1c1e-7c1b-4b0e-9d3a-0b6f3c1f9a01", "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods?fieldManager=kubectl-client-side-apply&x=a%20b", "verb": "create",
        "user": {"username": "alice", "uid": "1", "groups": ["dev", "system:authenticated"]},
        "sourceIPs": ["203.0.113.7", "10.0.0.9"], "userAgent": "kubectl/v1.34.1 (linux/amd64)",
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestReceivedTimestamp": "2026-11-20T08:30:00.123456Z", "stageTimestamp": "2026-11-20T08:30:00.223456Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"dev/shop\""}
    });
    merge(&mut event, changes);
    event
}

/// Merge patch.
pub(crate) fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, changes) => *into = changes,
    }
}

fn pod() -> Value {
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web", "labels": {"a/b": "c"}}, "spec": {
        "hostNetwork": true, "securityContext": {"runAsUser": 1000, "fsGroup": 7, "supplementalGroups": [8, 9]}, "serviceAccountName": "robot",
        "containers": [
            {"name": "a", "image": "registry:5000/shop/web:1.2", "ports": [{"containerPort": 80}, {"containerPort": 443, "hostPort": 8443}],
             "command": ["sh", "-c"], "args": ["sleep 1"],
             "securityContext": {"privileged": true, "runAsUser": 0, "capabilities": {"add": ["SYS_ADMIN", "NET_RAW"]}, "procMount": "Unmasked"}},
            {"name": "b", "image": "nginx@sha256:00"}],
        "initContainers": [{"name": "i", "image": "busybox", "securityContext": {"privileged": false}}],
        "ephemeralContainers": [{"name": "e", "image": "debug"}],
        "volumes": [{"name": "v", "hostPath": {"path": "/proc"}}, {"name": "w", "emptyDir": {}}, {"name": "f", "flexVolume": {"driver": "d/x"}}]}})
}

fn show(event: &AuditEvent<'_>, name: &str) -> String {
    let (plain, argument) = match name.split_once('[') {
        Some((plain, rest)) => (plain, rest.strip_suffix(']')),
        None => (name, None),
    };
    let (definition, argument) = resolve(Source::Audit, plain, argument).unwrap();
    match event.field(definition.id, &argument) {
        FieldValue::Absent => "<NA>".into(),
        FieldValue::Text(t) => t.into_owned(),
        FieldValue::Number(n) => n.to_string(),
        FieldValue::Address(a) => a.to_string(),
        FieldValue::List(l) => format!("({})", l.join(",")),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_field_over_a_pod() {
    let text = event(json!({"requestObject": pod(), "responseObject": {"metadata": {"name": "web-x1"}}, "impersonatedUser": {"username": "bob"}})).to_string();
    let event = AuditEvent::parse(text.as_bytes()).unwrap();
    for (field, expected) in [
        ("ka.auditid", "5e2f1c1e-7c1b-4b0e-9d3a-0b6f3c1f9a01"),
        ("ka.stage", "ResponseComplete"),
        ("ka.auth.decision", "allow"),
        ("ka.auth.reason", "RBAC: allowed by RoleBinding \"dev/shop\""),
        ("ka.user.name", "alice"),
        ("ka.user.groups", "(dev,system:authenticated)"),
        ("ka.impuser.name", "bob"),
        ("ka.verb", "create"),
        ("ka.uri.param[x]", "a b"),
        ("ka.uri.param[y]", "<NA>"),
        ("ka.target.name", "web"),
        ("ka.target.namespace", "shop"),
        ("ka.target.resource", "pods"),
        ("ka.target.subresource", "<NA>"),
        ("ka.resp.name", "web-x1"),
        ("ka.response.code", "201"),
        ("ka.response.reason", "<NA>"),
        ("ka.useragent", "kubectl/v1.34.1 (linux/amd64)"),
        ("ka.sourceips", "(203.0.113.7,10.0.0.9)"),
        ("ka.sourceips[1]", "(10.0.0.9)"),
        ("ka.sourceips[2]", "<NA>"),
        ("jinwu.source.ip", "10.0.0.9"),
        ("ka.req.pod.containers.image", "(registry:5000/shop/web:1.2,nginx@sha256:00)"),
        ("ka.req.pod.containers.image[1]", "(nginx@sha256:00)"),
        ("ka.req.pod.containers.image.repository", "(registry:5000/shop/web,nginx)"),
        ("ka.req.container.image", "registry:5000/shop/web:1.2"),
        ("ka.req.container.image.repository", "registry:5000/shop/web"),
        ("ka.req.pod.initContainers.image", "(busybox)"),
        ("ka.req.pod.ephemeralContainers.name", "(e)"),
        ("ka.req.pod.host_network", "true"),
        ("ka.req.container.host_network", "true"),
        ("ka.req.pod.host_pid", "<NA>"),
        ("ka.req.pod.host_ipc", "<NA>"),
        ("ka.req.pod.containers.host_port", "(80,8443)"),
        ("ka.req.pod.containers.privileged", "(true)"),
        ("ka.req.pod.initContainers.privileged", "(false)"),
        ("ka.req.pod.ephemeralContainers.privileged", "<NA>"),
        ("ka.req.container.privileged", "true"),
        ("ka.req.pod.containers.allow_privilege_escalation", "<NA>"),
        ("ka.req.pod.containers.run_as_user", "(0)"),
        ("ka.req.pod.containers.eff_run_as_user", "(0,1000)"),
        ("ka.req.pod.containers.eff_run_as_group", "(0,0)"),
        ("ka.req.pod.run_as_user", "1000"),
        ("ka.req.pod.fs_group", "7"),
        ("ka.req.pod.supplemental_groups", "(8,9)"),
        ("ka.req.pod.containers.proc_mount", "(Unmasked)"),
        ("ka.req.pod.containers.add_capabilities", "(SYS_ADMIN,NET_RAW)"),
        ("ka.req.pod.containers.add_capabilities[1]", "<NA>"),
        ("ka.req.pod.volumes.hostpath", "(/proc)"),
        ("ka.req.volume.hostpath[/proc]", "true"),
        ("ka.req.volume.hostpath[/pr*]", "true"),
        ("ka.req.volume.hostpath[/etc]", "false"),
        ("ka.req.pod.volumes.flexvolume_driver", "(d/x)"),
        ("ka.req.pod.volumes.volume_type", "(hostPath,emptyDir,flexVolume)"),
        ("jevt.value[/requestObject/spec/containers/1/name]", "b"),
        ("jevt.value[/requestObject/metadata/labels/a~1b]", "c"),
        ("jevt.value[/user/groups/0]", "dev"),
        ("jevt.value[/annotations/authorization.k8s.io~1decision]", "allow"),
        ("jevt.value[/responseStatus/code]", "201"),
        ("jevt.value[/nothing]", "<NA>"),
        ("jevt.rawtime", "1763627400223456000"),
        ("evt.time.iso8601", "2026-11-20T08:30:00.223456000Z"),
        ("evt.source", "k8s_audit"),
        ("jinwu.workload.images", "(registry:5000/shop/web:1.2,nginx@sha256:00,busybox,debug)"),
        ("jinwu.workload.privileged", "(true,false)"),
        ("jinwu.workload.hostpath", "(/proc)"),
        ("jinwu.workload.service_account", "robot"),
        ("jinwu.workload.command", "sh -c sleep 1 \n\n\n\n"),
        ("jinwu.object.label[a/b]", "c"),
        ("ka.cluster.name", "<NA>"),
    ] {
        // Seconds of 2026-11-20T08:30:00Z are computed, not trusted.
        let expected = if field == "jevt.rawtime" {
            "2026-11-20T08:30:00.223456Z".parse::<jiff::Timestamp>().unwrap().as_nanosecond().to_string()
        } else {
            expected.to_owned()
        };
        assert_eq!(show(&event, field), expected, "{field}");
    }
}

#[test]
fn fields_over_other_objects() {
    let shown = |object: Value, field: &str| {
        let text = event(json!({"requestObject": object})).to_string();
        show(&AuditEvent::parse(text.as_bytes()).unwrap(), field)
    };
    let role = json!({"kind": "Role", "rules": [{"apiGroups": [""], "resources": ["pods", "pods/exec"], "verbs": ["get"]}, {"nonResourceURLs": ["/metrics"], "verbs": ["*"]}]});
    assert_eq!(shown(role.clone(), "ka.req.role.rules.resources"), "(pods,pods/exec)");
    assert_eq!(shown(role.clone(), "ka.req.role.rules.verbs"), "(get,*)");
    assert_eq!(shown(role.clone(), "ka.req.role.rules.verbs[1]"), "(*)");
    assert_eq!(shown(role.clone(), "ka.req.role.rules.nonResourceURLs"), "(/metrics)");
    assert_eq!(shown(role.clone(), "ka.req.role.rules.apiGroups"), "()");
    assert!(shown(role, "ka.req.role.rules").starts_with("({\"apiGroups\":[\"\"]"));
    let binding = json!({"kind": "ClusterRoleBinding", "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "User", "name": "eve"}, {"kind": "ServiceAccount", "namespace": "a", "name": "b"}]});
    assert_eq!(shown(binding.clone(), "ka.req.binding.role"), "cluster-admin");
    assert_eq!(shown(binding.clone(), "ka.req.binding.subjects[0]"), "({\"kind\":\"User\",\"name\":\"eve\"})");
    assert_eq!(shown(binding.clone(), "jinwu.binding.subjects"), "(User:eve,ServiceAccount:a/b)");
    assert_eq!(shown(binding, "ka.req.binding.subject.has_name[x]"), "true");
    let service = json!({"kind": "Service", "spec": {"type": "NodePort", "ports": [{"port": 80}], "externalIPs": ["8.8.8.8"]}});
    assert_eq!(shown(service.clone(), "ka.req.service.type"), "NodePort");
    assert_eq!(shown(service.clone(), "ka.req.service.ports"), "({\"port\":80})");
    assert_eq!(shown(service, "jinwu.service.external_addresses"), "(8.8.8.8)");
    let map = json!({"kind": "ConfigMap", "data": {"k": "password=1"}});
    assert_eq!(shown(map.clone(), "ka.req.configmap.obj"), "{\"k\":\"password=1\"}");
    assert_eq!(shown(map, "ka.req.configmap.name"), "web");
    let job = json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {"hostPID": true, "containers": [{"image": "x", "securityContext": {"privileged": true}}]}}}}}});
    assert_eq!((shown(job.clone(), "jinwu.workload.privileged"), shown(job, "jinwu.workload.host_pid")), ("(true)".into(), "true".into()));
    assert_eq!(shown(json!({"spec": {"containers": []}}), "ka.req.pod.containers.image"), "<NA>", "an empty list is absent");
    assert_eq!(shown(json!({"spec": {"tls": null}}), "jevt.value[/requestObject/spec/tls]"), "<NA>", "null is absent");
}

#[test]
fn every_declared_field_answers() {
    let text = event(json!({"requestObject": pod()})).to_string();
    let event = AuditEvent::parse(text.as_bytes()).unwrap();
    let mut answered = 0;
    for name in audit::names() {
        let argument = ["[0]", "[/stage]", "[x]", ""].iter().find_map(|a| {
            let text = a.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
            resolve(Source::Audit, &name, text).ok()
        });
        let (definition, argument) = argument.unwrap_or_else(|| panic!("{name} takes no argument of any kind"));
        answered += usize::from(event.field(definition.id, &argument) != FieldValue::Absent);
    }
    assert!(answered > 50, "{answered}");
}

#[test]
fn batches_and_bad_input() {
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event(json!({})), {"auditID": 7}, event(json!({"verb": "get"}))]});
    let bytes = list.to_string();
    let events = batch(bytes.as_bytes()).unwrap();
    assert_eq!(events.len(), 3);
    assert!(events[0].is_ok() && matches!(events[1], Err(AuditError::Json(_))));
    assert_eq!(events[2].as_ref().unwrap().verb.as_deref(), Some("get"));
    let one = event(json!({})).to_string();
    assert_eq!(batch(one.as_bytes()).unwrap().len(), 1);
    let parse = |value: Value| AuditEvent::parse(value.to_string().as_bytes()).map(|_| ()).unwrap_err();
    assert!(matches!(parse(json!({"kind": "Pod", "apiVersion": "v1"})), AuditError::Version(v) if v == "v1"));
    assert!(matches!(parse(event(json!({"auditID": null}))), AuditError::NoId));
    assert!(matches!(AuditEvent::parse(&vec![b' '; MAX_EVENT + 1]), Err(AuditError::TooLarge(..))));
    assert!(AuditEvent::parse(b"\xff").is_err() && AuditEvent::parse(b"[]").is_err() && batch(b"").is_err());
    let deep = event(json!({})).to_string().replacen('{', &format!("{{\"requestObject\":{}{},", "[".repeat(50_000), "]".repeat(50_000)), 1);
    let event = AuditEvent::parse(deep.as_bytes()).unwrap();
    assert!(event.request_object().is_none(), "too deep to be read");
    assert!(!event.masked().to_string().contains("[["));
}

#[test]
fn secrets_do_not_leave() {
    let secret = |target: Value, request: Value, response: Value| {
        let text = event(json!({"objectRef": target, "requestObject": request, "responseObject": response})).to_string();
        let event = AuditEvent::parse(text.as_bytes()).unwrap();
        let (definition, argument) = resolve(Source::Audit, "jevt.value", Some("/requestObject")).unwrap();
        let (object, none) = resolve(Source::Audit, "jevt.obj", None).unwrap();
        let shown = format!("{:?} {:?}", event.shown(definition.id, &argument), event.shown(object.id, &none));
        (event.masked().to_string(), shown)
    };
    let applied = json!({"kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"k\":\"aHVudGVyMg==\"}}"});
    let own = json!({"kind": "Secret", "metadata": {"name": "s", "annotations": applied}, "type": "Opaque", "data": {"k": "aHVudGVyMg=="}, "stringData": {"k": "hunter2"}});
    let listed = json!({"kind": "SecretList", "items": [{"metadata": {"name": "s"}, "data": {"k": "aHVudGVyMg=="}}]});
    let table = json!({"kind": "Table", "rows": [{"cells": ["s"], "object": {"kind": "PartialObjectMetadata", "metadata": {"annotations": applied}}}]});
    let patch = json!([{"op": "replace", "path": "/data/k", "value": "aHVudGVyMg=="}]);
    let token = json!({"kind": "TokenRequest", "spec": {"audiences": ["a"]}, "status": {"token": "hunter2.eyJ"}});
    let review = json!({"kind": "TokenReview", "spec": {"token": "hunter2.eyJ"}});
    let secrets = json!({"resource": "secrets", "namespace": "a", "name": "s"});
    for (target, request, response) in [
        (secrets.clone(), own.clone(), own.clone()),
        (secrets.clone(), Value::Null, listed),
        (secrets.clone(), Value::Null, table),
        (secrets.clone(), patch, own.clone()),
        (secrets, json!({"data": {"k": "aHVudGVyMg=="}}), own),
        (json!({"resource": "serviceaccounts", "subresource": "token", "name": "x"}), token.clone(), token),
        (json!({"resource": "tokenreviews"}), review.clone(), review),
    ] {
        let (stored, shown) = secret(target.clone(), request, response);
        assert!(!stored.contains("hunter2") && !stored.contains("aHVudGVyMg"), "{target}: {stored}");
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{target}: {shown}");
        assert!(stored.contains("<removed>"), "{target}: {stored}");
    }
    let (pod, _) = secret(json!({"resource": "pods"}), pod(), Value::Null);
    assert!(!pod.contains("<removed>") && pod.contains("sleep 1"));
}

#[test]
fn outputs_are_one_bounded_line() {
    let file = "- rule: r\n  desc: d\n  source: k8s_audit\n  priority: INFO\n  condition: ka.verb=create\n  output: \"u=%ka.user.name ns=%ka.target.namespace n=%ka.impuser.name %% 100% l=%ka.req.pod.containers.image[0] g=%ka.user.groups p=%8ka.verb| t=%evt.time up=%toupper(ka.verb)\"\n";
    let set = crate::fake::load(file);
    let output = |changes: Value| {
        let text = event(changes).to_string();
        let event = AuditEvent::parse(text.as_bytes()).unwrap();
        let mut out = None;
        set.evaluate(&event, |m| out = Some(m.output(&event)));
        out.unwrap()
    };
    assert_eq!(
        output(json!({"requestObject": pod()})),
        "u=alice ns=shop n=<NA> % 100% l=(registry:5000/shop/web:1.2) g=(dev,system:authenticated) p=create  | t=08:30:00.223456000 up=CREATE"
    );
    let hostile = output(json!({"user": {"username": "a\nWarning forged\u{1b}[2J\u{202e}", "groups": null}}));
    assert!(hostile.contains("u=a\\nWarning forged\\u{1b}[2J\\u{202e} "), "{hostile}");
    assert!(!hostile.contains('\n') && hostile.contains("g=<NA>"));
    let long = output(json!({"user": {"username": "é".repeat(50_000), "groups": vec!["g".repeat(3000); 50]}}));
    assert!(long.len() < 17_000 && long.contains('…'), "{}", long.len());
}

#[test]
fn in_asks_for_all_and_intersects_for_one() {
    let text = event(json!({"requestObject": pod()})).to_string();
    let event = AuditEvent::parse(text.as_bytes()).unwrap();
    for (condition, expected) in [
        ("ka.user.groups in (dev)", false),
        ("ka.user.groups in (dev, system:authenticated, more)", true),
        ("ka.user.groups intersects (dev)", true),
        ("ka.user.groups intersects (ops)", false),
        ("ka.user.groups exists", true),
        ("not ka.req.pod.ephemeralContainers.privileged in (true)", true),
        ("ka.req.pod.containers.image.repository in (nginx)", false),
        ("ka.req.pod.containers.image.repository[1] in (nginx)", true),
        ("jinwu.source.net in (\"10.0.0.0/8\") and jinwu.source.ip != 10.0.0.8", true),
        ("jevt.rawtime exists and not jevt.rawtime = 0", true),
        ("ka.response.code startswith 2", true),
        ("ka.target.name = val(jevt.value[/requestObject/metadata/name])", true),
        ("join(\"+\", ka.user.groups) = dev+system:authenticated", true),
        ("len(ka.user.groups) = 2", true),
    ] {
        let set = crate::fake::load(&crate::fake::rule(condition).replace("desc: d", "desc: d\n  source: k8s_audit"));
        assert_eq!(!crate::fake::held(&set, &event).is_empty(), expected, "{condition}");
    }
    let refused = crate::fake::rule("ka.user.groups = dev").replace("desc: d", "desc: d\n  source: k8s_audit");
    assert!(crate::fake::refusal(&refused).contains("many values"));
}
