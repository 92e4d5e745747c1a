//! AC-5: a kernel of its own for every instance; IA-3: round-about ways into containers.

use super::{Check, Report};
use crate::finding::Severity;
use crate::inventory::Kind;
use crate::object::sensitive;
use jinwu_model::Verdict;

pub(super) const CHECKS: &[Check] = &[
    Check { id: "sandbox-runtime", clause: "AC-5", needs: &[Kind::RuntimeClass], expected: ("有安全容器运行时(gVisor、Kata、wasm)的 RuntimeClass", "a RuntimeClass of a sandboxed runtime (gVisor, Kata, wasm) is there"), run: classes },
    Check { id: "sandbox-pod", clause: "AC-5", needs: &[Kind::RuntimeClass, Kind::Pod], expected: ("每个容器实例有独立内核或沙箱", "every instance has a kernel or sandbox of its own"), run: pods },
    Check { id: "entry-sshd", clause: "IA-3", needs: &[Kind::Pod], expected: ("容器内不运行 SSH 服务", "no SSH service in containers"), run: sshd },
    Check { id: "entry-host", clause: "IA-3", needs: &[Kind::Pod], expected: ("没有经由节点进入其他容器的容器组", "no pod that enters others by way of the node"), run: host },
    Check { id: "entry-debug", clause: "IA-3", needs: &[Kind::Pod], expected: ("没有遗留的调试容器", "no debug containers left behind"), run: debug },
];

/// What a handler's name says it is. A name proves nothing by itself: the kernel seen inside does.
fn sandbox(handler: &str) -> Option<&'static str> {
    let handler = handler.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| handler.contains(w));
    if says(&["runsc", "gvisor"]) {
        Some("gVisor")
    } else if says(&["kata"]) {
        Some("Kata Containers")
    } else if says(&["wasm", "spin", "slight", "wws"]) {
        Some("wasm")
    } else {
        None
    }
}

fn classes(r: &mut Report<'_, '_>) {
    let known: Vec<_> = r.facts.inventory.runtime_classes.iter().filter_map(|c| Some(format!("{} ({}, {})", c.metadata.name, c.handler, sandbox(&c.handler)?))).collect();
    if known.is_empty() {
        r.fails(Severity::High, "cluster", ("没有安全容器运行时的 RuntimeClass".into(), "no RuntimeClass of a sandboxed runtime".into()), format!("{} RuntimeClasses", r.facts.inventory.runtime_classes.len()), (
            "在节点上安装 gVisor 或 Kata Containers,并建立 RuntimeClass",
            "install gVisor or Kata Containers on the nodes and make a RuntimeClass",
        ));
    }
}

fn pods(r: &mut Report<'_, '_>) {
    for pod in r.facts.inventory.pods.iter().filter(|p| p.running()) {
        let asset = format!("Pod/{}", pod.metadata.place());
        let node = r.facts.inventory.nodes.iter().find(|n| n.metadata.name == pod.node);
        let kernel = node.map_or("?", |n| &*n.status.node_info.kernel_version);
        let Some(class) = &pod.spec.runtime_class_name else {
            r.fails(Severity::Medium, asset, (format!("与节点 {} 共用内核 {kernel}", pod.node), format!("shares kernel {kernel} of node {}", pod.node)), "runtimeClassName: null", (
                "设 spec.runtimeClassName 为安全容器运行时的 RuntimeClass",
                "set spec.runtimeClassName to a RuntimeClass of a sandboxed runtime",
            ));
            continue;
        };
        let handler = r.facts.inventory.runtime_classes.iter().find(|c| c.metadata.name == *class).map(|c| &*c.handler);
        match handler.map(|h| (h, sandbox(h))) {
            Some((_, Some(_))) => {}
            Some((handler, None)) => r.say(Verdict::Unconfirmed, Severity::Medium, asset, (format!("RuntimeClass {class} 的处理器 {handler} 不是已知的沙箱"), format!("handler {handler} of RuntimeClass {class} is no known sandbox")), format!("handler: {handler}; node kernel {kernel}"), (
                "在容器内比较 uname -r 与节点内核",
                "compare uname -r inside with the node's kernel",
            )),
            None => r.say(Verdict::Unconfirmed, Severity::Medium, asset, (format!("RuntimeClass {class} 不存在或未能读取"), format!("RuntimeClass {class} does not exist or was not read")), format!("runtimeClassName: {class}"), ("建立该 RuntimeClass", "make the RuntimeClass")),
        }
    }
}

fn sshd(r: &mut Report<'_, '_>) {
    for pod in r.facts.inventory.pods.iter().filter(|p| p.running()) {
        for c in pod.spec.all_containers() {
            let port = c.ports.iter().any(|p| p.container_port == 22);
            if port || c.program() == Some("sshd") || c.program() == Some("dropbear") {
                r.fails(Severity::High, format!("Pod/{}", pod.metadata.place()), (format!("容器 {} 提供 SSH", c.name), format!("container {} serves SSH", c.name)), format!("command: {:?}, ports: {:?}", c.program(), c.ports.iter().map(|p| p.container_port).collect::<Vec<_>>()), (
                    "删除 SSH 服务,改用经批准的 kubectl exec",
                    "remove it and use kubectl exec with leave instead",
                ));
            }
        }
    }
}

fn host(r: &mut Report<'_, '_>) {
    for pod in r.facts.inventory.pods.iter().filter(|p| p.running() && !p.mirror()) {
        if let Some(reason) = pod.spec.owns_node() {
            let paths: Vec<_> = pod.spec.volumes.iter().filter_map(|v| v.host_path.as_ref()).filter(|h| sensitive(&h.path)).map(|h| h.path.to_string()).collect();
            let severity = if &*pod.metadata.namespace == "kube-system" { Severity::Medium } else { Severity::High };
            r.fails(severity, format!("Pod/{}", pod.metadata.place()), (format!("可经节点进入其他容器:{reason}"), format!("can enter other containers by way of the node: {reason}")), format!("{reason}; hostPID: {}; hostPath: {}", pod.spec.host_pid, paths.join(", ")), (
                "去掉 privileged、hostPID 与敏感的 hostPath;平台组件须登记为基础平台",
                "take away privileged, hostPID and sensitive hostPaths; register platform components as base platform",
            ));
        }
    }
}

fn debug(r: &mut Report<'_, '_>) {
    for pod in r.facts.inventory.pods.iter().filter(|p| p.running() && !p.spec.ephemeral_containers.is_empty()) {
        let names: Vec<_> = pod.spec.ephemeral_containers.iter().map(|c| &*c.name).collect();
        r.fails(Severity::Medium, format!("Pod/{}", pod.metadata.place()), (format!("遗留调试容器 {}", names.join(", ")), format!("debug containers left behind: {}", names.join(", "))), names.join(", "), (
            "调试结束后重建该容器组",
            "make the pod anew when debugging is over",
        ));
    }
}
