//! Programs of this machine: those of the control plane and the kubelet that share this network namespace,
//! their command lines, and the configuration files these name.

use jinwu_inventory::component::{Component, Flags, Seen, Settings, kubelet};
use jinwu_model::Text;
use serde_json::Value;
use std::path::Path;

const PROGRAMS: [&str; 5] = ["kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler", "kubelet"];
/// Flags whose file says what flags do not.
const FILES: [&str; 5] = ["authentication-config", "authorization-config", "encryption-provider-config", "config", "config-file"];
/// Largest command line and file read, bytes.
const MAX: u64 = 1 << 20;
/// Members of files that decide nothing here and may be secret.
const SECRET: [&str; 3] = ["secret", "key", "password"];

/// Adds what runs here. A kubelet's settings stand for its node by the name it registers.
pub(super) fn look(seen: &mut Seen) {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        let place = "Process".to_owned();
        seen.unseen.push((place, Text::new("/proc 无法读取", "/proc cannot be read")));
        return;
    };
    let own = std::fs::read_link("/proc/self/ns/net").ok();
    for process in entries.flatten().map(|e| e.path()).filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().bytes().all(|b| b.is_ascii_digit()))) {
        let Some(words) = command(&process) else { continue };
        let Some(program) = words.first().and_then(|w| Path::new(w).file_name()).and_then(|n| PROGRAMS.iter().find(|p| n.to_str() == Some(p))) else { continue };
        let net = std::fs::read_link(process.join("ns/net")).ok();
        let pid = process.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = format!("Process/{program}/{pid}");
        match (&net, &own) {
            // Another machine of the same host.
            (Some(a), Some(b)) if a != b => continue,
            (Some(_), Some(_)) => {}
            _ => seen.unseen.push((place.clone(), Text::new("须以 root 运行才能读取其文件", "must be run as root to read its files"))),
        }
        let flags = with_files(&process, words);
        if *program == "kubelet" {
            let file = flags.get("config").and_then(|path| flags.files.get(path));
            if flags.get("config").is_some() && file.is_none() {
                seen.unseen.push((place, Text::new("其配置文件读不到", "its configuration file cannot be read")));
                continue;
            }
            let place = format!("Node/{}", node_name(&flags));
            // What it says itself is what is in force.
            if seen.components.iter().all(|c| c.place != place) {
                let settings = Settings::Kubelet(kubelet(&flags, file));
                seen.components.push(Component { program: (*program).into(), place, settings });
            }
        } else {
            seen.components.push(Component { program: (*program).into(), place, settings: Settings::Flags(flags) });
        }
    }
}

/// The name by which a kubelet registers.
fn node_name(flags: &Flags) -> String {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    flags.get("hostname-override").map_or_else(host, str::to_owned).trim().to_lowercase()
}

fn command(process: &Path) -> Option<Vec<String>> {
    let bytes = read(&process.join("cmdline"))?;
    let words: Vec<String> = bytes.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).filter(|w| !w.is_empty()).collect();
    (!words.is_empty()).then_some(words)
}

/// The files the flags name, as the process sees them.
fn with_files(process: &Path, words: Vec<String>) -> Flags {
    let mut flags = Flags { words, ..Flags::default() };
    let paths: Vec<String> = FILES.iter().filter_map(|f| flags.get(f)).map(str::to_owned).collect();
    for path in paths {
        let at = process.join("root").join(path.trim_start_matches('/'));
        let at = if path.starts_with('/') { at } else { process.join("cwd").join(&path) };
        if let Some(mut value) = document(&at) {
            without_secrets(&mut value);
            flags.files.insert(path, value);
        }
    }
    flags
}

fn document(path: &Path) -> Option<Value> {
    serde_saphyr::from_str(std::str::from_utf8(&read(path)?).ok()?).ok()
}

fn read(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Keys of encryption lie in the very file that says whether there is encryption.
fn without_secrets(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|name, v| v.is_object() || v.is_array() || !SECRET.contains(&name.as_str()));
            map.values_mut().for_each(without_secrets);
        }
        Value::Array(list) => list.iter_mut().for_each(without_secrets),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_an_encryption_configuration_are_not_kept() {
        let text = "resources:\n- resources: [secrets]\n  providers:\n  - aescbc: {keys: [{name: a, secret: c2VjcmV0LWtleQ==}]}\n  - identity: {}\n";
        let mut value: Value = serde_saphyr::from_str(text).unwrap();
        without_secrets(&mut value);
        assert!(!value.to_string().contains("c2Vj"), "{value}");
        assert_eq!(value["resources"][0]["providers"][0]["aescbc"]["keys"][0]["name"], "a");
    }

    #[test]
    fn a_process_of_this_machine_shows_its_flags() {
        let words = command(Path::new("/proc/self")).unwrap();
        assert!(words[0].contains("jinwu_cluster"), "{words:?}");
    }
}
