//! Made-up pods: mostly plausible, with odd members here and there. The same seed gives the same pod.

use serde_json::{Map, Value, json};

/// SplitMix64 (Steele, Lea, Flood, 2014).
pub(crate) struct Generator {
    state: u64,
    /// One in so many members is odd; large for a tame pod.
    odd: u64,
}

type Make = fn(&mut Generator) -> Value;

/// Members that no control looks at: ours skips them, whatever they are, Kubernetes reads them.
const SKIPPED: [&str; 7] = ["restartPolicy", "nodeName", "localhostProfile", "level", "containerPort", "scheme", "value"];

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        let mut generator = Generator { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), odd: 0 };
        generator.odd = *generator.pick(&[3, 8, 40, 1_000_000]);
        generator
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len() as u64) as usize]
    }

    fn is_odd(&mut self) -> bool {
        let odd = self.odd;
        self.below(odd) == 0
    }

    /// A harmless word, or one that matters.
    fn word(&mut self, tame: &[&str], odd: &[&str]) -> Value {
        let words = if self.is_odd() { odd } else { tame };
        json!(self.pick(words))
    }

    /// Puts some of the members; now and then `null`, rarely a value of the wrong type.
    fn object(&mut self, likely: u64, members: &[(&str, Make)]) -> Value {
        let mut object = Map::new();
        for (name, make) in members {
            if self.below(100) >= likely {
                continue;
            }
            let value = match self.below(600) {
                0..20 => Value::Null,
                20 if self.odd < 100 && !SKIPPED.contains(name) => self.wrong(make),
                _ => make(self),
            };
            object.insert((*name).to_owned(), value);
        }
        Value::Object(object)
    }

    /// A value that is not of the member's type.
    fn wrong(&mut self, make: &Make) -> Value {
        match make(self) {
            Value::String(_) => json!({}),
            Value::Bool(_) => json!("true"),
            Value::Number(_) => json!(1.5),
            Value::Array(_) => json!({}),
            Value::Object(_) => json!([]),
            Value::Null => Value::Null,
        }
    }

    fn list(&mut self, most: u64, make: Make) -> Value {
        let length = self.below(most + 1);
        let items = (0..length).map(|_| if self.below(60) == 0 { Value::Null } else { make(self) });
        Value::Array(items.collect())
    }

    pub(crate) fn pod(&mut self) -> Value {
        let mut pod = self.object(95, &[("metadata", |g| g.object(40, &[("annotations", Generator::annotations)])), ("spec", Generator::spec)]);
        pod["kind"] = json!("Pod");
        pod
    }

    fn annotations(&mut self) -> Value {
        let mut annotations = Map::new();
        for prefix in
            ["container.apparmor.security.beta.kubernetes.io/", "container.seccomp.security.alpha.kubernetes.io/", "seccomp.security.alpha.kubernetes.io/pod", "other/"]
        {
            if self.below(3) != 0 {
                continue;
            }
            let name = if prefix.ends_with('/') { self.name() } else { json!("") };
            let value = self.word(
                &["runtime/default", "localhost/x", "docker/default", ""],
                &["unconfined", "localhost", "runtime/defaulted", "RuntimeDefault", "runtime/default "],
            );
            let value = if self.below(30) == 0 { Value::Null } else { value };
            annotations.insert(format!("{prefix}{}", name.as_str().unwrap()), value);
        }
        Value::Object(annotations)
    }

    fn name(&mut self) -> Value {
        json!(self.pick(&["a", "b", "c", "", "名", "a\"b"]))
    }

    fn flag(&mut self) -> Value {
        let odd = self.is_odd();
        json!(odd)
    }

    fn spec(&mut self) -> Value {
        let mut spec = self.object(
            80,
            &[
                ("containers", |g| g.list(3, Generator::container)),
                ("initContainers", |g| g.list(1, Generator::container)),
                ("ephemeralContainers", |g| g.list(1, Generator::container)),
                ("volumes", |g| g.list(2, Generator::volume)),
                ("hostNetwork", Generator::flag),
                ("hostPID", Generator::flag),
                ("hostIPC", Generator::flag),
                ("restartPolicy", |g| g.word(&["Always"], &["Never"])),
            ],
        );
        let more = self.object(
            15,
            &[
                ("os", |g| g.object(90, &[("name", |g| json!(g.pick(&["windows", "linux", "Windows", ""])))])),
                ("hostUsers", |g| json!(g.below(2) == 0)),
                ("runtimeClassName", |g| g.word(&["gvisor"], &[""])),
                ("nodeName", |g| g.word(&["n"], &[""])),
            ],
        );
        let security = self.object(85, &[("securityContext", Generator::pod_security)]);
        for part in [more, security] {
            spec.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        }
        spec
    }

    fn pod_security(&mut self) -> Value {
        let mut often = self.object(90, &[("runAsNonRoot", |g| { let odd = g.is_odd(); json!(!odd) }), ("seccompProfile", Generator::profile)]);
        let seldom = self.object(
            20,
            &[
                ("runAsUser", Generator::uid),
                ("runAsGroup", Generator::uid),
                ("fsGroup", Generator::uid),
                ("supplementalGroups", |g| g.list(2, Generator::uid)),
                ("seLinuxOptions", Generator::se_linux),
                ("appArmorProfile", Generator::profile),
                ("windowsOptions", Generator::windows),
                ("sysctls", |g| g.list(2, |g| g.object(90, &[("name", Generator::sysctl), ("value", |g| g.word(&["1"], &[""]))]))),
            ],
        );
        often.as_object_mut().unwrap().extend(seldom.as_object().unwrap().clone());
        often
    }

    fn sysctl(&mut self) -> Value {
        let all = [
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.ping_group_range",
            "net.ipv4.ip_unprivileged_port_start",
            "net.ipv4.ip_local_reserved_ports",
            "net.ipv4.tcp_keepalive_time",
            "net.ipv4.tcp_fin_timeout",
            "net.ipv4.tcp_keepalive_intvl",
            "net.ipv4.tcp_keepalive_probes",
            "net.ipv4.tcp_rmem",
            "net.ipv4.tcp_wmem",
            "net.ipv4.tcp_slow_start_after_idle",
            "net.ipv4.tcp_notsent_lowat",
        ];
        self.word(&all, &["kernel.core_pattern", "", "net/ipv4/tcp_syncookies", "net.ipv4.tcp_rmem "])
    }

    fn uid(&mut self) -> Value {
        if self.is_odd() { json!(self.pick(&[0i64, -1, 4_294_967_296])) } else { json!(1000) }
    }

    fn profile(&mut self) -> Value {
        self.object(95, &[("type", |g| g.word(&["RuntimeDefault", "Localhost"], &["Unconfined", "", "runtime/default"])), ("localhostProfile", |g| g.word(&["x"], &[""]))])
    }

    fn se_linux(&mut self) -> Value {
        self.object(
            40,
            &[
                ("type", |g| g.word(&["container_t", "container_init_t", "container_kvm_t", "container_engine_t", ""], &["spc_t", "container_t "])),
                ("user", |g| g.word(&[""], &["system_u"])),
                ("role", |g| g.word(&[""], &["system_r"])),
                ("level", |g| g.word(&["s0"], &[""])),
            ],
        )
    }

    fn windows(&mut self) -> Value {
        self.object(50, &[("hostProcess", Generator::flag), ("runAsUserName", |g| g.word(&["ContainerUser"], &["NT AUTHORITY\\SYSTEM"]))])
    }

    fn container(&mut self) -> Value {
        let mut container = self.object(97, &[("name", Generator::name), ("image", |g| g.word(&["i"], &[""])), ("securityContext", Generator::security)]);
        let seldom = self.object(
            20,
            &[
                ("ports", |g| g.list(2, |g| g.object(70, &[("containerPort", |g| json!(g.below(9))), ("hostPort", |g| { let odd = g.is_odd(); json!(u8::from(odd)) })]))),
                ("livenessProbe", Generator::handler),
                ("readinessProbe", Generator::handler),
                ("startupProbe", Generator::handler),
                ("lifecycle", |g| g.object(50, &[("postStart", Generator::handler), ("preStop", Generator::handler)])),
                ("volumeMounts", |g| g.list(2, |g| g.object(80, &[("name", Generator::name), ("mountPath", |g| g.word(&["/m"], &[""])), ("readOnly", Generator::flag)]))),
                ("volumeDevices", |g| g.list(1, |g| g.object(80, &[("name", Generator::name), ("devicePath", |g| g.word(&["/dev/x"], &[""]))]))),
            ],
        );
        container.as_object_mut().unwrap().extend(seldom.as_object().unwrap().clone());
        container
    }

    fn handler(&mut self) -> Value {
        const TARGET: Make = |g| g.object(50, &[("host", |g| g.word(&[""], &["169.254.169.254", " ", "localhost"])), ("scheme", |g| g.word(&["HTTP"], &[""]))]);
        self.object(40, &[("httpGet", TARGET), ("tcpSocket", |g| g.object(50, &[("host", |g| g.word(&[""], &["10.0.0.1"]))]))])
    }

    fn security(&mut self) -> Value {
        let mut often = self.object(
            93,
            &[
                ("allowPrivilegeEscalation", Generator::flag),
                ("capabilities", |g| {
                    let add: Make = |g| g.list(2, |g| g.word(&["NET_BIND_SERVICE"], &["CHOWN", "SYS_ADMIN", "ALL", "CAP_CHOWN", "net_bind_service", "NET_RAW", ""]));
                    let mut capabilities = g.object(40, &[("add", add)]);
                    let odd = g.is_odd();
                    let drop = if odd { g.list(2, |g| g.word(&["NET_RAW"], &["all", "CAP_ALL", "ALL"])) } else { json!(["ALL"]) };
                    capabilities["drop"] = drop;
                    capabilities
                }),
            ],
        );
        let seldom = self.object(
            18,
            &[
                ("privileged", Generator::flag),
                ("runAsNonRoot", |g| { let odd = g.is_odd(); json!(!odd) }),
                ("runAsUser", Generator::uid),
                ("runAsGroup", Generator::uid),
                ("procMount", |g| g.word(&["Default"], &["Unmasked", "", "default"])),
                ("seLinuxOptions", Generator::se_linux),
                ("seccompProfile", Generator::profile),
                ("appArmorProfile", Generator::profile),
                ("windowsOptions", Generator::windows),
            ],
        );
        often.as_object_mut().unwrap().extend(seldom.as_object().unwrap().clone());
        often
    }

    fn volume(&mut self) -> Value {
        const SOURCES: [&str; 31] = [
            "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret", "hostPath",
            "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "rbd", "flexVolume", "cinder", "cephfs",
            "flocker", "fc", "azureFile", "vsphereVolume", "quobyte", "azureDisk", "photonPersistentDisk", "portworxVolume", "scaleIO",
            "storageos", "notYetInvented",
        ];
        let mut volume = self.object(90, &[("name", Generator::name)]);
        let sources = if self.is_odd() { self.below(3) } else { 1 };
        for _ in 0..sources {
            let source = if self.is_odd() { *self.pick(&SOURCES) } else { *self.pick(&SOURCES[..9]) };
            let value = match self.below(12) {
                0 => Value::Null,
                _ if source == "hostPath" => self.object(80, &[("path", |g| g.word(&["/x"], &["/", ""])), ("type", |g| g.word(&[""], &["Socket"]))]),
                _ => json!({}),
            };
            volume[source] = value;
        }
        volume
    }
}
