//! Findings say who, what and which member to set.

use crate::{pod, pod_text};
use jinwu_podsecurity::{Control, Level, Paths, Version, evaluate, evaluate_at};
use serde_json::json;

#[test]
fn a_finding_names_containers_and_members() {
    let text = pod_text(&json!({
        "initContainers": [{"name": "i", "securityContext": {"privileged": true}}],
        "containers": [{"name": "good"}, {"name": "bad", "securityContext": {"privileged": true}}],
        "ephemeralContainers": [{"name": "e", "securityContext": {"privileged": true}}]
    }));
    let pod = pod(&text);
    let findings = evaluate(Level::Baseline, Version::LATEST, &pod.metadata, &pod.spec);
    assert_eq!(findings.len(), 1);
    let finding = &findings[0];
    assert_eq!((finding.control, finding.pod), (Control::Privileged, false));
    assert_eq!(finding.containers, ["i", "bad", "e"]);
    for path in ["spec.initContainers[0]", "spec.containers[1]", "spec.ephemeralContainers[0]"] {
        let advice = format!("set {path}.securityContext.privileged to false");
        assert!(finding.advice.en.contains(&advice), "{}", finding.advice.en);
        assert!(finding.advice.zh.contains(&format!("将 {path}.securityContext.privileged 设为 false")));
    }
    let elsewhere = evaluate_at(Level::Baseline, Version::LATEST, &pod.metadata, &pod.spec, &Paths::template("spec.jobs[2]"));
    assert!(elsewhere[0].advice.en.contains("set spec.jobs[2].spec.initContainers[0].securityContext.privileged to false"));
}

#[test]
fn following_all_advice_makes_a_pod_pass() {
    // The pod below is what the advice for the first one makes of it.
    let bad = pod_text(&json!({"containers": [{"name": "a"}]}));
    let bad = pod(&bad);
    let findings = evaluate(Level::Restricted, Version::LATEST, &bad.metadata, &bad.spec);
    let advice: Vec<&str> = findings.iter().map(|f| f.advice.en.as_str()).collect();
    assert_eq!(
        advice,
        [
            "set spec.containers[0].securityContext.allowPrivilegeEscalation to false",
            "set spec.containers[0].securityContext.capabilities.drop to [\"ALL\"]",
            "set spec.securityContext.runAsNonRoot or spec.containers[0].securityContext.runAsNonRoot to true",
            "set spec.securityContext.seccompProfile.type or spec.containers[0].securityContext.seccompProfile.type to RuntimeDefault",
        ]
    );
    let good = pod_text(&json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "a", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]
    }));
    let good = pod(&good);
    assert_eq!(evaluate(Level::Restricted, Version::LATEST, &good.metadata, &good.spec), []);
}

#[test]
fn texts_stay_short_whatever_the_pod_holds() {
    let name = "n\n\"".repeat(5_000);
    let ports: Vec<_> = (0..5_000).map(|n| json!({"hostPort": n + 1})).collect();
    let container = json!({"name": name, "ports": ports, "securityContext": {"privileged": true, "procMount": name, "capabilities": {"add": vec![&name; 20]}}});
    let text = pod_text(&json!({"containers": vec![container; 20], "volumes": [{"name": name, "hostPath": {"path": name}}]}));
    let pod = pod(&text);
    for finding in evaluate(Level::Restricted, Version::LATEST, &pod.metadata, &pod.spec) {
        assert!(finding.found.en.len() < 20_000 && finding.advice.zh.len() < 20_000, "{}", finding.control);
        assert!(!finding.found.en.contains('\n'));
    }
    let ports = &evaluate(Level::Baseline, Version::LATEST, &pod.metadata, &pod.spec);
    let ports = ports.iter().find(|f| f.control == Control::HostPorts).unwrap();
    assert!(ports.found.en.ends_with("99990 more"), "{}", ports.found.en);
}
