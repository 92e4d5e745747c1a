//! Who the image runs as, whether it serves SSH, which setuid files it adds.

use super::place;
use super::stack::Stack;
use crate::analysis::Fact;
use jinwu_image::ImageConfig;
use jinwu_model::report::{Configuration, Location};
use std::collections::BTreeMap;

pub(super) fn configuration(config: &ImageConfig, stack: &Stack) -> Configuration {
    let user = &config.config.user;
    let (uid, user_basis) = resolve_user(user, stack);
    Configuration {
        user: user.clone(),
        uid,
        // What cannot be resolved may be root.
        runs_as_root: uid.is_none_or(|uid| uid == 0),
        user_basis,
        exposed_ports: config.config.exposed_ports.keys().cloned().collect(),
        ssh: ssh(config),
        setuid: setuid(stack),
    }
}

/// `user[:group]`; the user a number, or a name of the image's own passwd. As runtimes do: a number is
/// a uid even where somebody has that name, and of two entries with one name the first counts.
fn resolve_user(user: &str, stack: &Stack) -> (Option<u32>, String) {
    let name = user.split(':').next().unwrap_or_default().trim();
    if name.is_empty() {
        return (Some(0), "USER is not defined: the container runs as root".into());
    }
    if let Ok(number) = name.parse::<i64>() {
        return match u32::try_from(number) {
            Ok(uid) => (Some(uid), format!("uid {uid} by number")),
            Err(_) => (None, format!("{name} is not a uid")),
        };
    }
    let passwd = stack.findings().filter(|(layer, f)| f.path == "etc/passwd" && stack.stands(*layer, &f.path)).find_map(|(_, f)| match &f.fact {
        Fact::Accounts(accounts) => Some(accounts),
        _ => None,
    });
    match passwd.map(|accounts| accounts.iter().find(|(n, _)| n == name)) {
        Some(Some((_, uid))) => (Some(*uid), format!("{name} is uid {uid} in etc/passwd")),
        Some(None) => (None, format!("{name} is not in etc/passwd: counted as root")),
        None => (None, format!("{name} cannot be resolved, there is no readable etc/passwd: counted as root")),
    }
}

fn ssh(config: &ImageConfig) -> Vec<Location> {
    let run = &config.config;
    let ports = run.exposed_ports.keys().filter(|p| exposes_22(p)).map(|p| place(None, &format!("config.ExposedPorts[{p}]")));
    let commands = [("Entrypoint", &run.entrypoint), ("Cmd", &run.cmd)];
    let commands = commands.into_iter().flat_map(|(list, arguments)| {
        let starts = starts_sshd(&arguments.join(" "));
        starts.then(|| place(None, &format!("config.{list}")))
    });
    ports.chain(commands).collect()
}

/// `22`, `22/tcp`, `20-30/tcp`.
fn exposes_22(port: &str) -> bool {
    let numbers = port.split('/').next().unwrap_or_default();
    let mut range = numbers.splitn(2, '-').map(|n| n.trim().parse::<u16>().ok());
    match (range.next().flatten(), range.next()) {
        (Some(low), Some(Some(high))) => (low..=high).contains(&22),
        (Some(one), None) => one == 22,
        _ => false,
    }
}

/// Whether a command line runs an SSH server, also inside a shell's string: `sshd` or `dropbear` as a
/// program, or the service `ssh` by its start script.
fn starts_sshd(command: &str) -> bool {
    let separates = |c: char| c.is_whitespace() || ";&|()'\"`$={},[]<>\\".contains(c);
    let mut service = false;
    for word in command.split(separates).filter(|w| !w.is_empty()) {
        let (directory, name) = word.rsplit_once('/').unwrap_or(("", word));
        let name = name.strip_suffix(".service").unwrap_or(name);
        if matches!(name, "sshd" | "dropbear") {
            return true;
        }
        if name == "ssh" && (service || directory.ends_with("init.d")) {
            return true;
        }
        service = matches!(name, "service" | "start" | "restart" | "rc-service" | "enable" | "--now");
    }
    false
}

/// setuid and setgid files that stand in the end and no package owns. A hard link to one is one.
fn setuid(stack: &Stack) -> Vec<Location> {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for (layer, analysis) in stack.levels() {
        for file in analysis.setuid.iter().filter(|f| stack.stands(layer, &f.path)) {
            found.insert(&file.path, layer);
        }
    }
    let linked: Vec<_> = stack
        .links()
        .filter(|link| link.hard)
        .filter_map(|link| found.get(link.target.as_str()).map(|layer| (link.path.as_str(), *layer)))
        .collect();
    found.extend(linked);
    found
        .into_iter()
        .filter(|(path, _)| stack.owner(path).is_none())
        .map(|(path, layer)| place(stack.digest(layer), path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_servers() {
        for command in ["/usr/sbin/sshd -D", "sh -c 'exec sshd'", "service ssh start", "/etc/init.d/ssh start && x", "sh -c /bin/a;/usr/sbin/sshd", "systemctl enable ssh.service", "dropbear -F"] {
            assert!(starts_sshd(command), "{command}");
        }
        for command in ["ssh user@host", "git clone ssh://host/x", "/opt/sshd-exporter", "sshd_config", ""] {
            assert!(!starts_sshd(command), "{command}");
        }
        for (port, is) in [("22/tcp", true), ("22", true), ("20-25/tcp", true), ("2222/tcp", false), ("220", false), ("", false), ("x-y", false)] {
            assert_eq!(exposes_22(port), is, "{port}");
        }
    }
}
