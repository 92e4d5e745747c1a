//! Every built-in policy, positive and negative, at every level; exceptions; custom policies.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use jinwu_model::report::{
    Coverage, FaultKind, ImageReport, IntegrityFault, Location, Malware, Package, Secret, Unscannable, UnscannableReason, Vulnerability,
};
use jinwu_model::{Decision, DecisionId, Digest, Gate, Grade, Mode, PolicyId, ProtectionLevel, Text};
use jinwu_policy::{Exception, Facts, ImageFacts, PolicySet, Scope, judge};
use std::collections::BTreeMap;

fn digest(n: u8) -> Digest {
    format!("sha256:{}", format!("{n:02x}").repeat(32)).parse().unwrap()
}

fn location(path: &str) -> Location {
    Location { layer: Some(digest(7)), path: path.into(), inner: None, line: None, deleted: false, owner: None }
}

fn clean() -> ImageReport {
    let mut r = ImageReport::empty(digest(1));
    r.coverage = Coverage::Covered;
    r.configuration.user = "65532".into();
    r.configuration.uid = Some(65532);
    r
}

fn vulnerability(id: &str, grade: Grade) -> Vulnerability {
    Vulnerability {
        id: id.into(),
        package: Package {
            ecosystem: "deb".into(),
            name: "libssl1.1".into(),
            version: "1.1.1w-0+deb11u1".into(),
            source_name: "openssl".into(),
            source_version: "1.1.1w-0+deb11u1".into(),
            architecture: "amd64".into(),
            location: location("var/lib/dpkg/status"),
        },
        matched_name: "openssl".into(),
        compared_version: "1.1.1w-0+deb11u1".into(),
        fixed_version: Some("1.1.1w-0+deb11u8".into()),
        source: "debian-changelog".into(),
        grade,
        grade_basis: "no vector".into(),
        cvss_vector: None,
    }
}

/// For every built-in policy a report that violates it and nothing else.
fn violations() -> Vec<(&'static str, ImageReport, &'static str)> {
    let with = |f: &dyn Fn(&mut ImageReport)| {
        let mut r = clean();
        f(&mut r);
        r
    };
    let secret = |path: &str, variable: Option<&str>| Secret {
        rule: "ssh-private-key".into(),
        category: "key".into(),
        title: Text::new("SSH 私钥", "SSH private key"),
        location: location(path),
        variable: variable.map(Into::into),
        masked: "--****(400)".into(),
    };
    vec![
        ("known-vulnerability", with(&|r| r.vulnerabilities.push(vulnerability("CVE-2026-1", Grade::Critical))), "CVE-2026-1"),
        ("known-vulnerability", with(&|r| r.vulnerabilities.push(vulnerability("CVE-2026-2", Grade::Ungraded))), "未定级"),
        ("embedded-secret", with(&|r| r.secrets.push(secret("root/.ssh/id_rsa", None))), "root/.ssh/id_rsa"),
        ("environment-password", with(&|r| r.secrets.push(secret("config.Env[2]", Some("DB_PASSWORD")))), "DB_PASSWORD"),
        (
            "malware",
            with(&|r| {
                r.malware.push(Malware {
                    rule: "eicar".into(),
                    category: "test-file".into(),
                    origin: "jinwu".into(),
                    location: Location { inner: Some("x/eicar.com".into()), deleted: true, ..location("a.zip") },
                    sha256: digest(3),
                });
            }),
            "a.zip!/x/eicar.com",
        ),
        (
            "root-user",
            with(&|r| {
                r.configuration.runs_as_root = true;
                r.configuration.user_basis = "undefined".into();
            }),
            "undefined",
        ),
        ("exposed-ssh", with(&|r| r.configuration.ssh.push(location("config.ExposedPorts 22/tcp"))), "22/tcp"),
        ("setuid-addition", with(&|r| r.configuration.setuid.push(location("usr/local/bin/su2"))), "su2"),
        (
            "unscannable",
            with(&|r| {
                r.unscannable.push(Unscannable { layer: Some(digest(9)), reason: UnscannableReason::WorkerCrashed, detail: "signal 9".into() });
            }),
            "worker-crashed",
        ),
        ("unscannable", with(&|r| r.truncated.push("more than 1000 secrets".into())), "1000"),
        (
            "integrity",
            with(&|r| {
                r.faults.push(IntegrityFault { kind: FaultKind::DiffIdMismatch, location: location(""), detail: "x".into() });
            }),
            "diff-id-mismatch",
        ),
        ("uncovered-distribution", with(&|r| r.coverage = Coverage::NotCovered { reason: "alpine 3.15".into() }), "alpine 3.15"),
    ]
}

fn facts(report: &ImageReport) -> Facts {
    let image = ImageFacts {
        repository: "demo/app".parse().unwrap(),
        project: "demo".into(),
        tags: vec!["1.0".into()],
        digest: report.image.clone(),
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
    };
    Facts::new(&image, report).unwrap()
}

fn decide(report: &ImageReport, level: u8, modes: &BTreeMap<PolicyId, Mode>, exceptions: &[Exception]) -> Decision {
    let set = PolicySet::load([]).unwrap();
    let scope = Scope { level: ProtectionLevel::try_from(level).unwrap(), modes, exceptions, now: 1000 };
    judge(&set, Gate::Push, &scope, &facts(report), DecisionId("d".into()))
}

#[test]
fn a_clean_image_passes_everywhere() {
    for level in 1..=4 {
        let d = decide(&clean(), level, &BTreeMap::new(), &[]);
        assert!(d.permit && d.violations.is_empty(), "{d:?}");
    }
}

/// Level 1 counts 超危 only, each level above one grade more; 未定级 counts as 高危.
#[test]
fn the_grade_that_counts_falls_with_the_level() {
    for (grade, from) in [(Grade::Critical, 1), (Grade::High, 2), (Grade::Ungraded, 2), (Grade::Medium, 3), (Grade::Low, 4)] {
        let mut report = clean();
        report.vulnerabilities.push(vulnerability("CVE-2026-3", grade));
        for level in 1..=4 {
            let d = decide(&report, level, &BTreeMap::new(), &[]);
            assert_eq!(!d.violations.is_empty(), level >= from, "{grade:?} at level {level}: {d:?}");
            assert_eq!(d.permit, level < from || level < 3, "{grade:?} at level {level}");
        }
    }
}

#[test]
fn at_level_four_every_builtin_policy_blocks_what_it_is_for() {
    let set = PolicySet::load([]).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for (policy, report, evidence) in violations() {
        let d = decide(&report, 4, &BTreeMap::new(), &[]);
        assert!(!d.permit, "{policy}");
        assert_eq!(d.violations.len(), 1, "{policy}: {d:?}");
        let v = &d.violations[0];
        assert_eq!(v.policy.0, policy);
        assert!(v.finding.zh.contains(evidence) || v.finding.en.contains(evidence), "{policy}: {:?}", v.finding);
        assert!(!v.advice.zh.is_empty() && !v.advice.en.is_empty() && !v.clauses.is_empty());
        seen.insert(policy);
    }
    let all: std::collections::BTreeSet<_> = set.documents().filter(|(_, d, _)| d.judges_images()).map(|(id, ..)| id.0.clone()).collect();
    assert_eq!(all.len(), seen.len(), "a built-in policy without a case: {all:?}");
}

#[test]
fn a_switched_policy_alerts_or_lets_pass() {
    for (policy, report, _) in violations() {
        for (mode, permit, alarms) in [(Mode::Allow, true, 0), (Mode::Alert, true, 1), (Mode::Block, false, 1)] {
            let modes = BTreeMap::from([(PolicyId(policy.into()), mode)]);
            for level in 1..=4 {
                // The grade that counts falls with the level: what does not count is no violation.
                if policy == "known-vulnerability" && level == 1 && report.vulnerabilities.iter().all(|v| v.grade != Grade::Critical) {
                    continue;
                }
                let d = decide(&report, level, &modes, &[]);
                assert_eq!((d.permit, d.alarming().count()), (permit, alarms), "{policy} {mode} level {level}");
            }
        }
    }
}

#[test]
fn exceptions_lift_what_they_name_until_they_expire() {
    let mut report = clean();
    report.vulnerabilities = vec![vulnerability("CVE-2026-1", Grade::High), vulnerability("CVE-2026-2", Grade::Critical)];
    let exception = |f: &dyn Fn(&mut Exception)| {
        let mut e = Exception {
            id: "e-1".into(),
            policy: PolicyId("known-vulnerability".into()),
            digest: Some(digest(1)),
            repository: None,
            project: None,
            namespace: None,
            workload: None,
            cluster: None,
            finding: None,
            reason: "no fix yet".into(),
            proposer: "a".into(),
            approver: Some("b".into()),
            created: 0,
            expires: 2000,
        };
        f(&mut e);
        e
    };
    let permits = |e: Exception| decide(&report, 4, &BTreeMap::new(), &[e]).permit;
    assert!(permits(exception(&|_| {})));
    assert!(!permits(exception(&|e| e.expires = 1000)), "expired");
    assert!(!permits(exception(&|e| e.approver = None)), "not approved");
    assert!(!permits(exception(&|e| e.digest = Some(digest(2)))), "another image");
    assert!(!permits(exception(&|e| e.digest = None)), "no scope at all");
    assert!(!permits(exception(&|e| e.finding = Some("CVE-2026-1".into()))), "one of two findings");
    assert!(!permits(exception(&|e| e.policy = PolicyId("malware".into()))));
    assert!(!permits(exception(&|e| e.namespace = Some("web".into()))), "for one namespace only: a gate of a cluster knows which, a registry does not");
    assert!(permits(exception(&|e| {
        e.digest = None;
        e.project = Some("demo".parse().unwrap());
    })));
}

#[test]
fn custom_policies_are_the_same_thing() {
    let yaml = r#"
apiVersion: policy.jinwu.io/v1
kind: ImagePolicy
metadata: { name: no-latest, title: { zh: "禁用 latest 标签", en: "no latest tag" } }
spec:
  clauses: [IP-1]
  gates: [push]
  modes: { "1": block, "2": block, "3": block, "4": block }
  matchConditions: [{ name: demo-only, expression: image.project == "demo" }]
  variables: [{ name: bad, expression: 'image.tags.filter(t, t in params.forbidden)' }]
  params: { forbidden: ["latest", "1.0"] }
  validations:
    - expression: variables.bad.size() == 0
      messageExpression: "'tag ' + variables.bad[0] + ' is not allowed'"
"#;
    let set = PolicySet::load([yaml]).unwrap();
    let scope = Scope { level: ProtectionLevel::ONE, modes: &BTreeMap::new(), exceptions: &[], now: 0 };
    let d = judge(&set, Gate::Push, &scope, &facts(&clean()), DecisionId("d".into()));
    assert!(!d.permit);
    assert_eq!(d.violations[0].finding.en, "tag 1.0 is not allowed");
    assert_ne!(set.hash(), PolicySet::load([]).unwrap().hash());
    assert!(PolicySet::load([yaml, yaml]).is_err(), "one name, one policy");
}

#[test]
fn what_cannot_be_judged_does_not_pass() {
    let yaml = r#"
apiVersion: policy.jinwu.io/v1
kind: ImagePolicy
metadata: { name: broken, title: { zh: "坏", en: "broken" } }
spec:
  clauses: []
  gates: [push]
  modes: { "1": block, "2": block, "3": block, "4": block }
  validations: [{ expression: report.no_such_member == 1 }]
"#;
    let set = PolicySet::load([yaml]).unwrap();
    let scope = Scope { level: ProtectionLevel::ONE, modes: &BTreeMap::new(), exceptions: &[], now: 0 };
    let d = judge(&set, Gate::Push, &scope, &facts(&clean()), DecisionId("d".into()));
    assert!(!d.permit && d.violations[0].finding.zh.contains("无法求值"));
}

#[test]
fn an_expression_that_costs_too_much_is_cut_off_and_does_not_pass() {
    let yaml = r#"
apiVersion: policy.jinwu.io/v1
kind: ImagePolicy
metadata: { name: endless, title: { zh: "无尽", en: "endless" } }
spec:
  clauses: []
  gates: [push]
  modes: { "1": block, "2": block, "3": block, "4": block }
  validations:
    - expression: report.vulnerabilities.all(a, report.vulnerabilities.all(b, report.vulnerabilities.all(c, a.id + b.id + c.id != "")))
"#;
    let set = PolicySet::load([yaml]).unwrap();
    let mut report = clean();
    report.vulnerabilities = (0..400).map(|n| vulnerability(&format!("CVE-2026-{n}"), Grade::Low)).collect();
    let scope = Scope { level: ProtectionLevel::ONE, modes: &BTreeMap::new(), exceptions: &[], now: 0 };
    let begun = std::time::Instant::now();
    let d = judge(&set, Gate::Push, &scope, &facts(&report), DecisionId("d".into()));
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    let found = d.violations.iter().find(|v| v.policy.0 == "endless").unwrap();
    assert!(found.finding.en.contains("the policy cannot be evaluated: operation cancelled"), "{}", found.finding.en);
    assert!(!d.permit);
}

#[test]
fn variables_are_made_when_they_are_asked_for() {
    let yaml = r#"
apiVersion: policy.jinwu.io/v1
kind: ImagePolicy
metadata: { name: lazy, title: { zh: "惰性", en: "lazy" } }
spec:
  clauses: []
  gates: [push]
  modes: { "1": block, "2": block, "3": block, "4": block }
  variables:
    - { name: broken, expression: report.no_such_member }
    - { name: tags, expression: image.tags.size() }
    - { name: many, expression: variables.tags > 100 }
  validations: [{ expression: "!variables.many || variables.broken" }]
"#;
    let set = PolicySet::load([yaml]).unwrap();
    let scope = Scope { level: ProtectionLevel::ONE, modes: &BTreeMap::new(), exceptions: &[], now: 0 };
    assert!(judge(&set, Gate::Push, &scope, &facts(&clean()), DecisionId("d".into())).permit);
    let later = yaml.replace("image.tags.size()", "variables.many");
    assert!(PolicySet::load([later.as_str()]).is_err(), "a variable uses those before it");
}

#[test]
fn a_kept_document_that_cannot_be_used_any_more_is_violated_and_told_of() {
    let yaml = |name: &str, expression: &str| {
        format!(
            "apiVersion: policy.jinwu.io/v1\nkind: ImagePolicy\nmetadata: {{ name: {name}, title: {{ zh: a, en: a }} }}\nspec:\n  clauses: []\n  gates: [push]\n  modes: {{ \"1\": block, \"2\": block, \"3\": block, \"4\": block }}\n  matchConditions: [{{ name: m, expression: 'gone.one' }}]\n  validations: [{{ expression: '{expression}' }}]\n"
        )
    };
    let (old, good) = (yaml("old", "gone.two"), yaml("good", "true").replace("gone.one", "true"));
    assert!(PolicySet::load([old.as_str()]).is_err(), "a new one is refused");
    let (set, unusable) = PolicySet::load_kept([old.as_str(), good.as_str()]).unwrap();
    assert!(unusable.len() == 1 && unusable[0].to_string().contains("gone"), "{unusable:?}");
    let scope = Scope { level: ProtectionLevel::ONE, modes: &BTreeMap::new(), exceptions: &[], now: 0 };
    let decision = judge(&set, Gate::Push, &scope, &facts(&clean()), DecisionId("d".into()));
    let violated: Vec<_> = decision.violations.iter().map(|v| v.policy.0.as_str()).collect();
    assert_eq!((decision.permit, violated), (false, vec!["old"]));
    assert!(decision.violations[0].finding.en.contains("gone"), "{decision:?}");
    assert!(PolicySet::load_kept(["nonsense"]).is_err());
}

#[test]
fn bad_documents_are_refused_with_the_place() {
    let base = |validation: &str| {
        format!(
            "apiVersion: policy.jinwu.io/v1\nkind: ImagePolicy\nmetadata: {{ name: p, title: {{ zh: a, en: a }} }}\nspec:\n  clauses: []\n  gates: [push]\n  modes: {{ \"1\": alert, \"2\": alert, \"3\": alert, \"4\": block }}\n  validations: [{{ {validation} }}]\n"
        )
    };
    assert!(PolicySet::check(&base("expression: 'true'")).is_ok());
    for (bad, says) in [
        ("expression: '1 +'", "validations[0].expression"),
        ("expression: 'object.spec'", "object is unknown"),
        ("message: { zh: a, en: a }", "neither expression nor each"),
        ("each: 'report.malware'", "needs a message"),
        ("nonsense: 1", "nonsense"),
    ] {
        let error = PolicySet::check(&base(bad)).err().unwrap_or_else(|| panic!("{bad} was accepted")).to_string();
        assert!(error.contains(says), "{bad}: {error}");
    }
    let tower = format!("expression: '{}1{}'", "(".repeat(1500), ")".repeat(1500));
    assert!(PolicySet::check(&base(&tower)).is_err());
}

proptest::proptest! {
    #[test]
    fn no_document_panics(s in ".{0,300}") {
        let _ = PolicySet::check(&s);
        let yaml = format!("apiVersion: policy.jinwu.io/v1\nkind: ImagePolicy\nmetadata: {{ name: p, title: {{ zh: a, en: a }} }}\nspec: {{ clauses: [], gates: [push], modes: {{ \"1\": alert, \"2\": alert, \"3\": alert, \"4\": block }}, validations: [{{ expression: {s:?} }}] }}\n");
        let _ = PolicySet::check(&yaml);
    }
}
