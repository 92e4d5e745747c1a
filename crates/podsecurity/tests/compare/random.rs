//! Kubernetes' evaluator and ours on made-up pods.

use crate::generate::Generator;
use crate::oracle::{Question, compare};
use jinwu_podsecurity::{Level, Version};

const PODS: u64 = 6_000;

#[test]
fn kubernetes_agrees_on_made_up_pods() {
    let mut questions = Vec::new();
    for seed in 0..PODS {
        let mut generator = Generator::new(seed);
        let pod = generator.pod();
        for level in [Level::Baseline, Level::Restricted] {
            let version = match generator.below(40) {
                minor @ 0..=38 => Version::minor(u16::try_from(minor).unwrap()),
                _ => Version::LATEST,
            };
            questions.push(Question { level, version, pod: pod.clone() });
        }
    }
    let [passed, failed, errors] = compare(&questions);
    // All three must have been tried often.
    assert!(passed > 600 && failed > 5_000 && errors > 200, "passed {passed}, failed {failed}, errors {errors}");
}
