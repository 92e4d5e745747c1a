//! Every fixture is judged as its file's name says, alone and inside every kind that carries a pod.

use crate::fixture::{Fixture, fixtures};
use jinwu_podsecurity::workload::Resource;
use jinwu_podsecurity::{Control, Finding, Level, Workload, evaluate_at};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The kinds, how a pod is put into them, and where its spec then stands.
const KINDS: [(&str, &str, &str); 9] = [
    ("", "pods", "spec"),
    ("", "podtemplates", "template.spec"),
    ("", "replicationcontrollers", "spec.template.spec"),
    ("apps", "replicasets", "spec.template.spec"),
    ("apps", "deployments", "spec.template.spec"),
    ("apps", "statefulsets", "spec.template.spec"),
    ("apps", "daemonsets", "spec.template.spec"),
    ("batch", "jobs", "spec.template.spec"),
    ("batch", "cronjobs", "spec.jobTemplate.spec.template.spec"),
];

fn wrap(pod: &Value, spec_path: &str) -> Value {
    let mut steps: Vec<&str> = spec_path.split('.').collect();
    steps.pop();
    steps.iter().rev().fold(pod.clone(), |inner, step| json!({ "metadata": {"name": "outer"}, *step: inner }))
}

fn judge(fixture: &Fixture, group: &str, resource: &str, spec_path: &str) -> Vec<Finding> {
    let workload = Workload::of(&Resource { group, resource, subresource: "" }).unwrap();
    let object = wrap(&fixture.pod, spec_path).to_string();
    let pods = workload.pods(&object).unwrap_or_else(|e| panic!("{} as {resource}: {e}", fixture.path.display()));
    assert_eq!(pods.len(), 1);
    assert_eq!(pods[0].paths.spec, spec_path);
    evaluate_at(fixture.level, fixture.version, &pods[0].pod.metadata, &pods[0].pod.spec, &pods[0].paths)
}

/// What a control's failure is reported as: itself, or the one that replaces it.
fn reported(control: Control, level: Level, version: jinwu_podsecurity::Version) -> Control {
    Control::in_force(level, version)
        .find(|c| *c == control || c.revision(version).is_some_and(|r| r.overrides.contains(&control)))
        .unwrap_or(control)
}

fn judged_right(module: &str, least: usize) {
    let all = fixtures(module);
    assert!(all.len() >= least, "{module} has {} fixtures", all.len());
    let mut failed = BTreeSet::new();
    for fixture in &all {
        let at = fixture.path.display();
        let alone = judge(fixture, "", "pods", "spec");
        match fixture.fails {
            None => assert_eq!(alone, [], "{at}"),
            Some(control) => {
                let control = reported(control, fixture.level, fixture.version);
                assert!(alone.iter().any(|f| f.control == control), "{at}: {control} is not among {alone:?}");
                failed.insert(control);
            }
        }
        for (group, resource, spec_path) in KINDS {
            let wrapped = judge(fixture, group, resource, spec_path);
            let sides = |findings: &[Finding]| findings.iter().map(|f| (f.control, f.pod, f.containers.clone())).collect::<Vec<_>>();
            assert_eq!(sides(&wrapped), sides(&alone), "{at} as {resource}");
            for finding in &wrapped {
                // An annotation stands beside the spec.
                let place = match finding.advice.en.contains(".annotations[") {
                    true => format!("{}metadata.annotations[", spec_path.strip_suffix("spec").unwrap()),
                    false => format!("{spec_path}."),
                };
                assert!(finding.advice.en.contains(&place) && finding.advice.zh.contains(&place), "{at} as {resource}: {:?}", finding.advice);
            }
        }
    }
    // Every control that the version has failed somewhere, so none of them is blind.
    let newest = all.iter().map(|f| f.version).max().unwrap();
    let expected: BTreeSet<Control> = Control::ALL.into_iter().filter(|c| c.revision(newest).is_some()).collect();
    assert_eq!(failed, expected);
}

#[test]
fn the_fixtures_of_1_34_are_judged_right() {
    judged_right("v0.34.4", 4_093);
}

#[test]
fn the_fixtures_of_1_37_are_judged_right() {
    judged_right("v0.37.2", 4_537);
}
