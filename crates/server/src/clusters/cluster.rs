//! What is kept of a cluster, and what may be written into it.

use super::ClusterError;
use base64::Engine as _;
use jinwu_admission::protocol::{BaseComponent, BlockedSubject, RuleSettings};
use jinwu_model::{Digest, Mode, PolicyId, ProtectionLevel};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A cluster as it may be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// DNS label.
    pub name: String,
    /// Unix milliseconds.
    pub created: i64,
    /// Level of namespaces that name none.
    pub default_level: ProtectionLevel,
    /// The strongest any policy may act, by namespace; `*` for all others.
    pub enforcement: BTreeMap<String, Mode>,
    /// Namespace (`*` for all others) → policy → mode.
    pub modes: BTreeMap<String, BTreeMap<PolicyId, Mode>>,
    /// Registries beside our own, `host[:port]`.
    pub registries: Vec<String>,
    /// Who may set a namespace's level: user names, or groups after `group:`.
    pub level_setters: Vec<String>,
    /// Runtime classes that give a pod a kernel of its own.
    pub sandboxed_runtimes: Vec<String>,
    /// By id.
    pub base_platform: BTreeMap<String, Component>,
    /// By id.
    pub blocked: BTreeMap<String, BlockedSubject>,
    /// Detection rules over audit events.
    #[serde(default)]
    pub rules: RuleSettings,
    /// Texts of users' admission policies, by name.
    #[serde(default)]
    pub admission: BTreeMap<String, String>,
}

/// A proposal to count something among the base platform (基础平台组件); it does once somebody else has
/// approved it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    pub id: String,
    pub namespace: String,
    pub digest: Digest,
    /// PEM public key its image must be signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    pub reason: String,
    pub proposer: String,
    /// Unix milliseconds.
    pub proposed: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
}

/// What is changed of a cluster at once; absent members stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub default_level: Option<ProtectionLevel>,
    pub registries: Option<Vec<String>>,
    pub level_setters: Option<Vec<String>>,
    pub sandboxed_runtimes: Option<Vec<String>>,
}

/// Runtime classes usually bound to a sandbox.
const SANDBOXED: [&str; 5] = ["gvisor", "runsc", "kata", "kata-qemu", "kata-clh"];
/// Entries of one list at most.
const MAX_LIST: usize = 200;
/// Rule files of one cluster, and their bytes together.
const MAX_RULE_FILES: usize = 32;
const MAX_RULE_BYTES: usize = 512 << 10;
/// Everybody, every other namespace.
pub const ALL_OTHERS: &str = "*";

// === impl Cluster ===

impl Cluster {
    /// As it begins: what would be refused is only recorded.
    pub(super) fn new(name: &str, level: ProtectionLevel, now: i64) -> Result<Self, ClusterError> {
        label("集群名 / cluster name", name)?;
        Ok(Cluster {
            name: name.to_owned(),
            created: now,
            default_level: level,
            enforcement: BTreeMap::from([(ALL_OTHERS.to_owned(), Mode::Alert)]),
            modes: BTreeMap::new(),
            registries: Vec::new(),
            level_setters: Vec::new(),
            sandboxed_runtimes: SANDBOXED.map(str::to_owned).to_vec(),
            base_platform: BTreeMap::new(),
            blocked: BTreeMap::new(),
            rules: RuleSettings::default(),
            admission: BTreeMap::new(),
        })
    }

    /// Sets how strongly policies may act in a namespace (`*`: all others); `None` takes the
    /// namespace's own row away. Gives what it was.
    pub(super) fn enforce(&mut self, namespace: &str, mode: Option<Mode>) -> Result<Option<Mode>, ClusterError> {
        namespace_or_all(namespace)?;
        match mode {
            Some(mode) => {
                room(self.enforcement.len(), "enforcement")?;
                Ok(self.enforcement.insert(namespace.to_owned(), mode))
            }
            None if namespace == ALL_OTHERS => {
                Err(ClusterError::Invalid("* 须有一个模式 / '*' needs a mode".into()))
            }
            None => Ok(self.enforcement.remove(namespace)),
        }
    }

    /// Switches a policy in a namespace (`*`: all others); `None` goes back to the level's default.
    pub(super) fn switch(&mut self, namespace: &str, policy: &PolicyId, mode: Option<Mode>) -> Result<Option<Mode>, ClusterError> {
        namespace_or_all(namespace)?;
        room(self.modes.len(), "modes")?;
        let of = self.modes.entry(namespace.to_owned()).or_default();
        let before = match mode {
            Some(mode) => of.insert(policy.clone(), mode),
            None => of.remove(policy),
        };
        if of.is_empty() {
            self.modes.remove(namespace);
        }
        Ok(before)
    }

    pub(super) fn set(&mut self, settings: Settings) -> Result<(), ClusterError> {
        if let Some(level) = settings.default_level {
            self.default_level = level;
        }
        if let Some(registries) = settings.registries {
            self.registries = list("registries", registries, registry)?;
        }
        if let Some(setters) = settings.level_setters {
            self.level_setters = list("level_setters", setters, |s| text("level_setters", s, 256))?;
        }
        if let Some(runtimes) = settings.sandboxed_runtimes {
            self.sandboxed_runtimes = list("sandboxed_runtimes", runtimes, |s| subdomain("sandboxed_runtimes", s))?;
        }
        Ok(())
    }

    pub(super) fn propose_component(&mut self, component: Component) -> Result<(), ClusterError> {
        label("namespace", &component.namespace)?;
        text("reason", &component.reason, 500)?;
        if let Some(signer) = &component.signer {
            public_key(signer)?;
        }
        room(self.base_platform.len(), "base platform")?;
        self.base_platform.insert(component.id.clone(), component);
        Ok(())
    }

    pub(super) fn approve_component(&mut self, id: &str, approver: &str) -> Result<Component, ClusterError> {
        let component = self.base_platform.get_mut(id).ok_or_else(|| ClusterError::Absent(id.to_owned()))?;
        if component.proposer == approver {
            return Err(ClusterError::Refused(
                "申请人不得批准自己申请的基础平台组件 / who proposed a component of the base platform cannot approve it".into(),
            ));
        }
        component.approver = Some(approver.to_owned());
        Ok(component.clone())
    }

    /// Switches a rule, or a group after `tag:`; `None` goes back to how it was shipped.
    pub(super) fn switch_rule(&mut self, rule: &str, mode: Option<Mode>) -> Result<Option<Mode>, ClusterError> {
        text("rule", rule, 200)?;
        match mode {
            Some(mode) => {
                room(self.rules.modes.len(), "rules")?;
                Ok(self.rules.modes.insert(rule.to_owned(), mode))
            }
            None => Ok(self.rules.modes.remove(rule)),
        }
    }

    /// Adds or replaces a rule file; `None` removes it. Whether it compiles is the caller's to ask.
    pub(super) fn put_rules(&mut self, name: &str, file: Option<String>) -> Result<(), ClusterError> {
        subdomain("name", name)?;
        let Some(file) = file else {
            return self.rules.files.remove(name).map(drop).ok_or_else(|| ClusterError::Absent(name.to_owned()));
        };
        self.rules.files.insert(name.to_owned(), file);
        let bytes: usize = self.rules.files.values().map(String::len).sum();
        if self.rules.files.len() > MAX_RULE_FILES || bytes > MAX_RULE_BYTES {
            return Err(ClusterError::Refused(format!(
                "规则文件最多 {MAX_RULE_FILES} 个、共 {MAX_RULE_BYTES} 字节 / {MAX_RULE_FILES} rule files of {MAX_RULE_BYTES} bytes together at most"
            )));
        }
        Ok(())
    }

    pub(super) fn block(&mut self, subject: BlockedSubject, now: i64) -> Result<(), ClusterError> {
        text("user", &subject.user, 256)?;
        text("reason", &subject.reason, 500)?;
        if let Some(credential) = &subject.credential {
            text("credential", credential, 256)?;
        }
        self.blocked.retain(|_, b| now < b.expires);
        room(self.blocked.len(), "blocked")?;
        self.blocked.insert(subject.id.clone(), subject);
        Ok(())
    }
}

// === impl Component ===

impl Component {
    /// As gates see it, once it is approved.
    pub(super) fn approved(&self) -> Option<BaseComponent> {
        Some(BaseComponent {
            namespace: self.namespace.clone(),
            digest: self.digest.clone(),
            signer: self.signer.clone(),
            approver: self.approver.clone()?,
            reason: self.reason.clone(),
        })
    }
}

/// RFC 1123 label, as namespaces are named.
pub(crate) fn label(what: &str, name: &str) -> Result<(), ClusterError> {
    let bytes = name.as_bytes();
    let good = (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-');
    let shown: String = name.chars().take(80).collect();
    good.then_some(()).ok_or_else(|| {
        ClusterError::Invalid(format!(
            "{what}: {shown:?} 须为 1–63 个小写字母、数字、'-',首尾不为 '-' / must be 1 to 63 lower-case letters, digits and '-', not at either end"
        ))
    })
}

/// RFC 1123 subdomain, as pods and runtime classes are named.
pub(crate) fn subdomain(what: &str, name: &str) -> Result<(), ClusterError> {
    if name.len() > 253 {
        return Err(ClusterError::Invalid(format!("{what}: 超过 253 个字符 / more than 253 characters")));
    }
    name.split('.').try_for_each(|part| label(what, part))
}

/// Text people read: not blank, not long, no control characters.
pub(crate) fn text(what: &str, value: &str, most: usize) -> Result<(), ClusterError> {
    let good = !value.trim().is_empty() && value.chars().count() <= most && !value.chars().any(char::is_control);
    good.then_some(()).ok_or_else(|| {
        ClusterError::Invalid(format!("{what} 须为 1–{most} 个字符,不含控制字符 / {what} must be 1 to {most} characters without control characters"))
    })
}

/// The parts of an exception that name something in a cluster.
pub fn scope(namespace: Option<&str>, workload: Option<&str>, cluster: Option<&str>) -> Result<(), ClusterError> {
    namespace.map_or(Ok(()), |n| label("namespace", n))?;
    cluster.map_or(Ok(()), |c| label("cluster", c))?;
    let Some(workload) = workload else { return Ok(()) };
    match workload.split_once('/') {
        Some((kind, name)) => {
            label("workload", kind)?;
            subdomain("workload", name)
        }
        None => Err(ClusterError::Invalid("workload 须形如 deployment/web / workload must look like deployment/web".into())),
    }
}

fn namespace_or_all(namespace: &str) -> Result<(), ClusterError> {
    if namespace == ALL_OTHERS { Ok(()) } else { label("namespace", namespace) }
}

/// `host[:port]`, lower case.
fn registry(value: &str) -> Result<(), ClusterError> {
    let (host, port) = value.rsplit_once(':').map_or((value, None), |(h, p)| (h, Some(p)));
    let host_good = !host.is_empty() && host.len() <= 253 && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._[]:".contains(&b));
    let port_good = port.is_none_or(|p| p.parse::<u16>().is_ok_and(|n| n > 0));
    (host_good && port_good).then_some(()).ok_or_else(|| {
        let shown: String = value.chars().take(80).collect();
        ClusterError::Invalid(format!("registries: {shown:?} 须形如 registry.example.com:5000 / must look like registry.example.com:5000"))
    })
}

/// Frame and base64 of a PEM public key; whether it verifies anything is the gate's to find out.
fn public_key(pem: &str) -> Result<(), ClusterError> {
    let body = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----").and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"));
    let decoded = body.filter(|_| pem.len() <= 4096).and_then(|b| {
        let joined: String = b.split_whitespace().collect();
        base64::engine::general_purpose::STANDARD.decode(joined).ok()
    });
    decoded.filter(|d| d.len() >= 32).map(drop).ok_or_else(|| {
        ClusterError::Invalid("signer 须为 PEM 公钥(BEGIN PUBLIC KEY)/ signer must be a public key in PEM (BEGIN PUBLIC KEY)".into())
    })
}

fn room(have: usize, what: &str) -> Result<(), ClusterError> {
    if have < MAX_LIST {
        return Ok(());
    }
    Err(ClusterError::Refused(format!("{what}: 已有 {have} 项,最多 {MAX_LIST} 项,先删除不用的 / has {have} entries, {MAX_LIST} at most; remove some first")))
}

fn list(what: &str, values: Vec<String>, check: impl Fn(&str) -> Result<(), ClusterError>) -> Result<Vec<String>, ClusterError> {
    if values.len() > MAX_LIST {
        return Err(ClusterError::Invalid(format!("{what}: 最多 {MAX_LIST} 项 / {MAX_LIST} entries at most")));
    }
    values.iter().try_for_each(|v| check(v))?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "prod-1", "0x"] {
            assert!(label("x", good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", &"a".repeat(64), "é", "*"] {
            assert!(label("x", bad).is_err(), "{bad}");
        }
        for good in ["registry.example.com", "localhost:5443", "10.0.0.1:80", "[fd00::1]:5000"] {
            assert!(registry(good).is_ok(), "{good}");
        }
        for bad in ["", ":5", "a:0", "a:99999", "https://a", "a/b", "A.example"] {
            assert!(registry(bad).is_err(), "{bad}");
        }
        assert!(public_key("-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----").is_err());
        assert!(public_key(&jinwu_trust::SigningKey::generate().verifying_key().to_pem()).is_ok());
    }

    #[test]
    fn all_other_namespaces_always_have_a_mode() {
        let mut cluster = Cluster::new("prod", ProtectionLevel::FOUR, 1).unwrap();
        assert_eq!(cluster.enforcement, BTreeMap::from([("*".to_owned(), Mode::Alert)]), "a new cluster only alerts");
        assert!(cluster.enforce("*", None).is_err());
        assert_eq!(cluster.enforce("web", Some(Mode::Block)).unwrap(), None);
        assert_eq!(cluster.enforce("web", None).unwrap(), Some(Mode::Block));
        assert_eq!(cluster.enforce("*", Some(Mode::Block)).unwrap(), Some(Mode::Alert));
        assert!(cluster.enforce("Web", Some(Mode::Block)).is_err());
    }
}
