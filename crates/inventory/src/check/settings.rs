//! IA-1, AC-1, AU-2, IP-7: settings of the control plane and of kubelets, wherever they were seen: command lines
//! of static pods, processes of this machine, `/configz`; and ports that talk to whoever asks. A program
//! that was not seen is 待确认, not well.

mod control;
mod kubelet;

use super::{Check, Report};
use crate::component::{Answer, Flags, Settings};
use crate::finding::Severity;
use crate::inventory::Kind;
use jinwu_model::Verdict;

const NEEDS: &[Kind] = &[Kind::Pod];

pub(super) const CHECKS: &[Check] = &[
    Check { id: "apiserver-settings", clause: "IA-1", needs: NEEDS, expected: ("API server 不为匿名者服务,只用 TLS 1.2 以上与强套件,无静态令牌与明文端口,令牌限时", "the API server serves nobody without credentials, speaks TLS 1.2 or later with strong suites, has neither static tokens nor a plain port, and its tokens end"), run: |r| flags(r, "kube-apiserver", control::API_SERVER) },
    Check { id: "apiserver-access", clause: "AC-1", needs: NEEDS, expected: ("API server 按 RBAC 鉴权,限制节点,静态加密 Secret", "the API server authorises by RBAC, restricts nodes, and encrypts Secrets at rest"), run: |r| flags(r, "kube-apiserver", control::API_SERVER_ACCESS) },
    Check { id: "apiserver-audit", clause: "AU-2", needs: NEEDS, expected: ("API server 留审计并送出", "the API server audits, and hands it out"), run: |r| flags(r, "kube-apiserver", control::API_SERVER_AUDIT) },
    Check { id: "etcd-settings", clause: "IA-1", needs: NEEDS, expected: ("etcd 要求客户端与同伴出示证书", "etcd asks clients and peers for certificates"), run: |r| flags(r, "etcd", control::ETCD) },
    Check { id: "controller-manager-settings", clause: "IA-1", needs: NEEDS, expected: ("kube-controller-manager 无明文端口,只在本机监听", "kube-controller-manager has no plain port and listens on its own machine"), run: |r| flags(r, "kube-controller-manager", control::CONTROLLER) },
    Check { id: "controller-manager-access", clause: "AC-1", needs: NEEDS, expected: ("每个控制器用自己的服务账号", "every controller has an account of its own"), run: |r| flags(r, "kube-controller-manager", control::CONTROLLER_ACCESS) },
    Check { id: "scheduler-settings", clause: "IA-1", needs: NEEDS, expected: ("kube-scheduler 无明文端口,只在本机监听", "kube-scheduler has no plain port and listens on its own machine"), run: |r| flags(r, "kube-scheduler", control::SCHEDULER) },
    Check { id: "control-plane-profiling", clause: "IP-7", needs: NEEDS, expected: ("剖析接口关闭", "profiling is off"), run: profiling },
    Check { id: "kubelet-settings", clause: "IA-1", needs: &[Kind::Node], expected: ("kubelet 拒绝匿名,无只读端口,只用 TLS 1.2 以上", "kubelets refuse the anonymous, have no read-only port, and speak TLS 1.2 or later"), run: |r| kubelet::judge(r, kubelet::SETTINGS) },
    Check { id: "kubelet-access", clause: "AC-1", needs: &[Kind::Node], expected: ("kubelet 由 API server 鉴权", "kubelets ask the API server who may"), run: |r| kubelet::judge(r, kubelet::ACCESS) },
    Check { id: "kubelet-hardening", clause: "IP-7", needs: &[Kind::Node], expected: ("内核参数不合要求时 kubelet 拒绝启动", "a kubelet does not run where kernel parameters are not as they must be"), run: |r| kubelet::judge(r, kubelet::HARDENING) },
    Check { id: "unauthenticated-ports", clause: "IA-1", needs: &[Kind::Node], expected: ("没有端口不经鉴别即应答", "no port talks without authentication"), run: ports },
];

/// What became of one setting.
enum Judged {
    Good,
    Bad,
    /// A file decides, which was not read.
    Unknown,
}

/// One setting of a program.
struct Setting<S: ?Sized> {
    /// What it rests on, by name.
    names: &'static [&'static str],
    judge: fn(&S) -> Judged,
    severity: Severity,
    actual: (&'static str, &'static str),
    advice: (&'static str, &'static str),
}

type FlagSetting = Setting<Flags>;

const fn bad_if(bad: bool) -> Judged {
    if bad { Judged::Bad } else { Judged::Good }
}

fn versions(value: Option<&str>) -> Judged {
    bad_if(!matches!(value, None | Some("VersionTLS12" | "VersionTLS13" | "TLS1.2" | "TLS1.3" | "")))
}

/// Suites without forward secrecy or with broken ciphers.
fn weak_suite(name: &str) -> bool {
    let name = name.trim();
    name.starts_with("TLS_RSA_") || ["_RC4_", "_3DES_", "_NULL_", "_DES_"].iter().any(|w| name.contains(w)) || name.ends_with("_CBC_SHA")
}

fn suites(value: Option<&str>) -> Judged {
    bad_if(value.is_some_and(|v| v.split(',').any(weak_suite)))
}

/// Every place where a program was seen, with its flags.
fn seen(r: &Report<'_, '_>, program: &str) -> Vec<(String, Flags)> {
    let pods = r.facts.inventory.pods.iter().filter(|p| &*p.metadata.namespace == "kube-system" && p.mirror() && p.running());
    let mut all: Vec<(String, Flags)> =
        pods.flat_map(|p| p.spec.containers.iter().filter(|c| c.program() == Some(program)).map(|c| (format!("Pod/{}", p.metadata.place()), Flags::of(c)))).collect();
    all.extend(r.facts.seen.components.iter().filter(|c| c.program == program).filter_map(|c| match &c.settings {
        Settings::Flags(flags) => Some((c.place.clone(), flags.clone())),
        Settings::Kubelet(_) => None,
    }));
    all
}

fn flags(r: &mut Report<'_, '_>, program: &str, settings: &[FlagSetting]) {
    let seen = seen(r, program);
    if seen.is_empty() {
        r.say(Verdict::Unconfirmed, Severity::Note, program, (format!("看不到 {program} 的参数:API 中没有它的静态容器组"), format!("the options of {program} are not seen: the API shows no static pod of it")), "kube-system: no mirror pod", (
            "在控制平面的机器上以 --node-files 运行",
            "run it with --node-files on a machine of the control plane",
        ));
    }
    for (asset, flags) in seen {
        let evidence = |names: &[&str]| names.iter().map(|n| flags.get(n).map_or_else(|| format!("--{n} absent"), |v| format!("--{n}={v}"))).collect::<Vec<_>>().join(", ");
        // A file instead of flags: what no flag says is in there.
        let elsewhere = flags.get("config-file").is_some();
        let mut good = Vec::new();
        for setting in settings {
            let evidence = evidence(setting.names);
            match (setting.judge)(&flags) {
                Judged::Good => good.push(evidence),
                Judged::Bad if !elsewhere || setting.names.iter().any(|n| flags.get(n).is_some()) => {
                    r.fails(setting.severity, asset.clone(), (setting.actual.0.into(), setting.actual.1.into()), evidence, setting.advice);
                }
                Judged::Bad | Judged::Unknown => r.say(Verdict::Unconfirmed, Severity::Note, asset.clone(), ("由未能读取的文件决定".into(), "a file decides that could not be read".into()), evidence, (
                    "在该机器上以 root 与 --node-files 运行,或核对该文件",
                    "run it there as root with --node-files, or check that file",
                )),
            }
        }
        conform(r, asset, good);
    }
}

/// What was looked at and is well.
fn conform(r: &mut Report<'_, '_>, asset: String, good: Vec<String>) {
    if !good.is_empty() {
        r.say(Verdict::Conforms, Severity::Note, asset, (format!("{} 项设置符合", good.len()), format!("{} settings conform", good.len())), good.join("\n"), ("", ""));
    }
}

fn profiling(r: &mut Report<'_, '_>) {
    for program in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        flags(r, program, control::PROFILING);
    }
}

fn ports(r: &mut Report<'_, '_>) {
    let seen = r.facts.seen;
    if seen.ports.is_empty() {
        r.say(Verdict::Unconfirmed, Severity::Note, "cluster", ("没有探测端口".into(), "no port was asked".into()), "", ("在能到达节点的机器上运行", "run it where nodes can be reached"));
    }
    let mut good = Vec::new();
    for port in &seen.ports {
        match &port.answer {
            Answer::Refused(said) => good.push(format!("{} ({}): {said}", port.place, port.what)),
            Answer::Served(said) => r.fails(Severity::High, port.place.clone(), (format!("{}:不经鉴别即应答", port.what), format!("{}: talks without authentication", port.what)), said.clone(), (
                "关闭该端口,或要求鉴别",
                "shut the port, or ask for authentication",
            )),
            Answer::Silent(why) => r.say(Verdict::Unconfirmed, Severity::Note, port.place.clone(), (format!("{}:没有应答,无从判断", port.what), format!("{}: no answer, nothing is known", port.what)), why.clone(), (
                "在能到达节点的机器上运行",
                "run it where nodes can be reached",
            )),
        }
    }
    conform(r, "cluster".into(), good);
}
