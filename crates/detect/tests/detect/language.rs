//! Semantics of conditions.

use crate::fake::{Fake, held, holds, load, refusal, rule, text};
use jinwu_detect::FieldValue;
use jinwu_detect::condition::{Expression, parse};
use std::borrow::Cow;

fn event() -> Fake {
    Fake::new(&[
        ("evt.type", text("execve")),
        ("proc.name", text("nginx")),
        ("proc.cmdline", text("nginx -g daemon off;")),
        ("fd.name", text("/var/run/docker.sock")),
        ("fd.num", FieldValue::Number(7)),
        ("evt.is_open_write", FieldValue::Flag(true)),
        ("fd.sip", FieldValue::Address("10.1.2.3".parse().unwrap())),
        ("fd.snet", FieldValue::Address("10.1.2.3".parse().unwrap())),
        ("fd.ip", FieldValue::Addresses(["10.1.2.3".parse().unwrap(), "192.0.2.9".parse().unwrap()])),
        ("fd.port", FieldValue::Ports([443, 51000])),
        ("evt.buffer", FieldValue::Bytes(Cow::Borrowed(&[0xca, 0xfe, 0xba, 0xbe, 0]))),
        ("proc.aname", FieldValue::Any(vec!["bash".into(), "sshd".into()])),
        ("proc.aname[2]", text("sshd")),
        ("evt.arg.flags", text("O_RDWR|O_CREAT")),
        ("user.name", text("root")),
        ("user.loginname", text("cm9vdA==")),
        ("container.label[app.kubernetes.io/name]", text("web")),
    ])
}

#[test]
fn comparisons() {
    let event = event();
    let cases = [
        ("proc.name = nginx", true),
        ("proc.name==nginx", true),
        ("proc.name='nginx'", true),
        ("proc.name != nginx", false),
        ("proc.name < nginy and proc.name >= nginx", true),
        ("fd.num>=0", true),
        ("fd.num = 0x7 and fd.num <= 7.0", true),
        ("fd.num in (1, 7)", true),
        ("fd.num < 7", false),
        ("proc.cmdline contains \"daemon off\"", true),
        ("proc.cmdline icontains DAEMON", true),
        ("proc.cmdline contains DAEMON", false),
        ("fd.name startswith /var/run", true),
        ("fd.name endswith .sock", true),
        ("fd.name glob /var/*/docker.*", true),
        ("fd.name glob /var/*.sock", true),
        ("fd.name iglob /VAR/*.SOCK", true),
        ("fd.name glob /var", false),
        ("fd.name regex '/var/run/[a-z]+\\\\.sock'", true),
        ("fd.name regex 'run'", false),
        ("fd.name pmatch (/var/run, /tmp)", true),
        ("fd.name pmatch (/var/ru)", false),
        ("fd.name pmatch (/*/run)", true),
        ("proc.name in (a, nginx)", true),
        ("proc.name in ()", false),
        ("not proc.name in ()", true),
        ("proc.name intersects (a, nginx)", true),
        ("evt.is_open_write = true and evt.is_open_write != false and evt.is_open_write in (true)", true),
        ("evt.buffer bcontains feba and evt.buffer bstartswith CAFEBABE", true),
        ("evt.buffer bcontains ffff", false),
        ("fd.name startswith anyof (/etc, /var)", true),
        ("fd.name contains allof (run, docker)", true),
        ("fd.name contains allof (run, podman)", false),
        ("fd.name contains oneof (run, docker)", false),
        ("fd.name contains oneof (run, podman)", true),
        ("fd.name contains anyof ()", false),
        ("fd.name contains allof ()", false),
        ("evt.arg.flags contains O_CREAT and evt.arg[flags] contains O_RDWR", true),
        ("container.label.app.kubernetes.io/name exists", false),
        ("container.label[app.kubernetes.io/name] = web", true),
    ];
    for (condition, expected) in cases {
        // `container.label.app.kubernetes.io/name` ends at the slash, which no field name holds.
        if condition.contains("io/name exists") {
            assert!(refusal(&rule(condition)).contains("operator"), "{condition}");
            continue;
        }
        assert_eq!(holds(condition, &event), expected, "{condition}");
    }
}

#[test]
fn what_is_missing_makes_every_comparison_false() {
    let event = event();
    for (condition, expected) in [
        ("proc.pname = x", false),
        ("proc.pname != x", false),
        ("not proc.pname = x", true),
        ("proc.pname exists", false),
        ("not proc.pname exists", true),
        ("proc.pname in (x) or not proc.pname in (x)", true),
        ("proc.vpid < 0 or proc.vpid >= 0", false),
        ("fd.cip != 10.0.0.1", false),
        ("proc.name exists", true),
    ] {
        assert_eq!(holds(condition, &event), expected, "{condition}");
    }
}

#[test]
fn addresses_and_both_ends() {
    let event = event();
    for (condition, expected) in [
        ("fd.sip = 10.1.2.3", true),
        ("fd.snet in (\"10.0.0.0/8\", \"172.16.0.0/12\")", true),
        ("fd.snet in (\"172.16.0.0/12\")", false),
        ("fd.sip = \"::1\"", false),
        ("fd.sip != \"::1\"", true),
        ("fd.ip = 192.0.2.9", true),
        ("fd.ip != 192.0.2.9", false),
        ("fd.ip != 192.0.2.8", true),
        ("fd.port = 443", true),
        ("fd.port != 443", false),
        ("fd.port in (22, 51000)", true),
        ("proc.aname = sshd", true),
        ("proc.aname in (sshd)", true),
        ("proc.aname[2] = sshd", true),
        ("proc.aname[3] = sshd", false),
    ] {
        assert_eq!(holds(condition, &event), expected, "{condition}");
    }
}

#[test]
fn transformers_and_right_sides() {
    let event = event();
    for (condition, expected) in [
        ("toupper(proc.name) = NGINX", true),
        ("tolower(toupper(proc.name)) = nginx", true),
        ("b64(user.loginname) = root", true),
        ("b64(user.loginname) = val(user.name)", true),
        ("basename(fd.name) = docker.sock", true),
        ("len(proc.name) = 5", true),
        ("len(fd.name) > 5 and len(fd.name) < 100", true),
        ("concat(proc.name, \"-\", user.name) = nginx-root", true),
        ("join(\"/\", (proc.name, user.name)) = nginx/root", true),
        ("join(\"/\", (proc.pname)) exists", false),
        ("getopt(proc.cmdline, \"g:\")[g] = daemon", true),
        ("getopt(proc.cmdline, \"x:\")[x] exists", false),
        ("proc.cmdline startswith val(proc.name)", true),
        ("proc.name = tolower(proc.name)", true),
        ("proc.name != val(user.name)", true),
        ("proc.name = val(proc.pname)", false),
    ] {
        assert_eq!(holds(condition, &event), expected, "{condition}");
    }
    for (condition, reason) in [
        ("proc.name = val(fd.ip)", "right side"),
        ("tolower(proc.aname) = x", "transformer"),
        ("proc.name = val(fd.num)", "types"),
        ("len(proc.name) contains 5", "number"),
        ("concat() = x", "argument"),
        ("getopt(proc.args, \"a\") = x", "letter"),
    ] {
        assert!(refusal(&rule(condition)).contains(reason), "{condition}: {}", refusal(&rule(condition)));
    }
}

#[test]
fn precedence_and_negation() {
    let event = event();
    for (condition, expected) in [
        ("proc.name=x or proc.name=nginx and user.name=root", true),
        ("proc.name=nginx or proc.name=nginx and user.name=x", true),
        ("(proc.name=nginx or proc.name=nginx) and user.name=x", false),
        ("not not proc.name=nginx", true),
        ("not(proc.name=x)and(proc.name=nginx)", true),
        ("not proc.name=x and proc.name=nginx", true),
        ("proc.name=x\n  or\tnot(proc.name=x)", true),
    ] {
        assert_eq!(holds(condition, &event), expected, "{condition}");
    }
    assert!(matches!(parse("a or b and c"), Ok(Expression::Or(parts)) if parts.len() == 2));
}

#[test]
fn quoting() {
    let event = Fake::new(&[("proc.cmdline", text("say \"it's\" \\ \u{7} a b"))]);
    for condition in [
        r#"proc.cmdline contains "\"it's\"""#,
        r#"proc.cmdline contains 'it\'s'"#,
        r#"proc.cmdline contains "\\""#,
        r#"proc.cmdline contains "\x07""#,
        r#"proc.cmdline contains "\ \x07""#,
    ] {
        assert!(holds(condition, &event), "{condition}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_a_reason() {
    for (condition, reason) in [
        ("proc.name", "expected an operator"),
        ("proc.name =", "expected a value"),
        ("proc.name = (a, b)", "expected a value"),
        ("proc.name = a b", "expected and, or or the end"),
        ("proc.name in (a b)", "expected , or )"),
        ("(proc.name = a", "expected )"),
        ("proc.name = \"a", "not closed"),
        ("proc.nam = a", "proc.nam is not a field"),
        ("nothing and proc.name = a", "nothing is not a macro"),
        ("proc.name[1] = a", "takes no argument"),
        ("proc.aname[x] = a", "position"),
        ("evt.arg = a", "needs an argument"),
        ("fd.num = seven", "whole number"),
        ("fd.num contains 7", "a number takes"),
        ("fd.sip startswith 10.", "an address takes"),
        ("fd.sip = here", "not an address"),
        ("evt.is_open_write = maybe", "neither true nor false"),
        ("evt.buffer bcontains xyz", "hexadecimal"),
        ("proc.name bcontains ff", "no operator of bytes"),
        ("proc.name regex '('", "regular expression"),
        ("", "expected a field"),
        ("proc.name = a and", "expected a field"),
        ("proc.name =a or or proc.name=b", "expected and, or or the end"),
    ] {
        let message = refusal(&rule(condition));
        assert!(message.contains(reason), "{condition}: {message}");
        assert!(message.starts_with("t.yaml:1: error: rule \"r\""), "{message}");
    }
}

#[test]
fn depth_is_bounded() {
    let deep = |n: usize| format!("{}proc.name=a{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&deep(100)).is_ok());
    assert!(parse(&deep(101)).unwrap_err().message.contains("deep"));
    assert!(parse(&"(".repeat(60_000)).is_err());
    assert!(parse(&format!("{}proc.name=a", "not ".repeat(10_000))).is_ok());
    assert!(parse(&format!("{}proc.name{} = a", "tolower(".repeat(101), ")".repeat(101))).is_err());
}

/// Each macro doubles the last: copied, it would be 2^60 comparisons.
#[test]
fn macros_are_shared_not_copied() {
    let mut file = "- macro: m0\n  condition: proc.name=nginx\n".to_owned();
    for n in 1..=60 {
        file.push_str(&format!("- macro: m{n}\n  condition: (m{0} and m{0}) or (not m{0} and user.name=x{n})\n", n - 1));
    }
    let set = load(&(file + &rule("m60")));
    assert_eq!(held(&set, &event()), ["r"]);
}

#[test]
fn chains_of_macros_are_bounded() {
    let mut file = "- macro: m0\n  condition: proc.name=nginx\n".to_owned();
    for n in 1..=2000 {
        file.push_str(&format!("- macro: m{n}\n  condition: not (m{} and user.name=a{n})\n", n - 1));
    }
    assert!(refusal(&(file + &rule("m2000"))).contains("deep"));
    let circle = "- macro: a\n  condition: b\n- macro: b\n  condition: a\n".to_owned() + &rule("a");
    assert!(refusal(&circle).contains("contains itself"), "{}", refusal(&circle));
    assert!(refusal(&("- macro: a\n  condition: a\n".to_owned() + &rule("a"))).contains("contains itself"));
}

#[test]
fn constants_fold() {
    assert!(holds("evt.dir=<", &event()));
    assert!(!holds("evt.dir=>", &event()));
    let set = load(&rule("evt.num=0 and evt.type=execve"));
    assert_eq!(set.rules()[0].event_types.count(), Some(0));
    assert!(holds("not (evt.num=0) and proc.name=nginx", &event()));
}

#[test]
fn types_of_a_negated_conjunction_are_all() {
    use jinwu_detect::compile::EventTypes;
    let types = |condition: &str| load(&rule(condition)).rules()[0].event_types.clone();
    assert_eq!(types("not (evt.type=execve and proc.name=x)"), EventTypes::All);
    assert!(holds("not (evt.type=execve and proc.name=x)", &event()));
    assert_eq!(types("not evt.type=execve"), EventTypes::Except(["execve".into()].into()));
    assert_eq!(types("not (evt.type in (a, b) or proc.name=x) and evt.type in (b, c)"), EventTypes::Only(["c".into()].into()));
    assert!(holds("not (evt.type in (a, b) or proc.name=x)", &event()));
}
