//! Kubernetes' evaluator as a process.

use crate::fixture::{Fixture, fixtures, folder};
use jinwu_podsecurity::{Level, PodTemplate, Version, evaluate};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// One question.
pub(crate) struct Question {
    pub(crate) level: Level,
    pub(crate) version: Version,
    pub(crate) pod: Value,
}

/// What Kubernetes says to each question: ids of failed checks, `-`, or `error: …`.
fn ask(questions: &[Question]) -> Vec<String> {
    let mut process =
        Command::new(folder().join("oracle")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle starts");
    let mut input = process.stdin.take().unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    let answers = std::thread::scope(|scope| {
        scope.spawn(move || {
            for q in questions {
                writeln!(input, "{} {} {}", q.level, q.version, defaulted(q.pod.clone())).unwrap();
            }
        });
        output.lines().map(Result::unwrap).collect::<Vec<_>>()
    });
    assert!(process.wait().unwrap().success());
    assert_eq!(answers.len(), questions.len());
    answers
}

/// What the API server does before it judges: a volume without any source is an emptyDir.
fn defaulted(mut pod: Value) -> Value {
    for volume in pod.pointer_mut("/spec/volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        let sources = volume.as_object().map(|v| v.iter().filter(|(name, source)| *name != "name" && !source.is_null()).count());
        if volume.is_null() {
            *volume = serde_json::json!({ "emptyDir": {} });
        } else if sources == Some(0) {
            volume["emptyDir"] = serde_json::json!({});
        }
    }
    pod
}

/// What we say, in the same words; an error is just that.
fn answer(q: &Question) -> String {
    let text = q.pod.to_string();
    let Ok(pod) = PodTemplate::from_json(&text) else { return "error".to_owned() };
    let findings = evaluate(q.level, q.version, &pod.metadata, &pod.spec);
    if findings.is_empty() {
        return "-".to_owned();
    }
    findings.iter().map(|f| f.control.id()).collect::<Vec<_>>().join(" ")
}

/// Compares every answer, order included, and tells how many were clean, failed and errors.
pub(crate) fn compare(questions: &[Question]) -> [usize; 3] {
    let mut counts = [0; 3];
    for (question, theirs) in questions.iter().zip(ask(questions)) {
        let theirs = if theirs.starts_with("error") { "error" } else { theirs.as_str() };
        let ours = answer(question);
        assert_eq!(ours, theirs, "ours and theirs at {} {} of\n{}", question.level, question.version, question.pod);
        counts[match theirs {
            "-" => 0,
            "error" => 2,
            _ => 1,
        }] += 1;
    }
    counts
}

#[test]
fn kubernetes_agrees_on_every_fixture() {
    let mut questions: Vec<Question> = Vec::new();
    for module in ["v0.34.4", "v0.37.2"] {
        for Fixture { level, version, pod, .. } in fixtures(module) {
            questions.push(Question { level, version, pod });
        }
    }
    let [passed, failed, errors] = compare(&questions);
    assert!(passed > 1_500 && failed > 5_000 && errors == 0, "{passed} {failed} {errors}");
}
