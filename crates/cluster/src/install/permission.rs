//! The rights the gate has, each with its reason: nothing more is asked for.

use super::{BUNDLE_SECRET, GATE, NAMESPACE, TLS_SECRET, labels};
use jinwu_model::Text;
use serde_json::{Value, json};

/// A right and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    pub group: &'static str,
    pub resources: &'static [&'static str],
    /// Empty: all of them.
    pub names: &'static [&'static str],
    pub verbs: &'static [&'static str],
    /// In Jinwu's own namespace only.
    pub own_namespace: bool,
    /// Paths of the API server itself, instead of resources.
    pub paths: &'static [&'static str],
    pub zh: &'static str,
    pub en: &'static str,
}

/// Names of the native policy and its bindings, as the gate makes them.
pub const NATIVE: [&str; 2] = ["jinwu-pod-security", "jinwu-pod-security-platform"];

/// All of them.
pub const RIGHTS: [Right; 13] = [
    Right {
        group: "",
        resources: &["namespaces"],
        names: &[],
        verbs: &["get", "list", "watch"],
        own_namespace: false,
        paths: &[],
        zh: "读取命名空间的标签以知其保护等级;用户准入策略的 namespaceObject 与选择器也由此而来",
        en: "reads the labels of namespaces, to know their protection level; namespaceObject and selectors of users' admission policies are of them, too",
    },
    Right {
        group: "",
        resources: &["pods", "services", "replicationcontrollers", "podtemplates"],
        names: &[],
        verbs: &["list"],
        own_namespace: false,
        paths: &[],
        zh: "用户准入策略变更后,按其查看在用的工作负载与服务",
        en: "looks at running workloads and services by users' admission policies when these have changed",
    },
    Right {
        group: "apps",
        resources: &["deployments", "statefulsets", "daemonsets", "replicasets"],
        names: &[],
        verbs: &["list"],
        own_namespace: false,
        paths: &[],
        zh: "用户准入策略变更后,按其查看在用的工作负载与服务",
        en: "looks at running workloads and services by users' admission policies when these have changed",
    },
    Right {
        group: "batch",
        resources: &["jobs", "cronjobs"],
        names: &[],
        verbs: &["list"],
        own_namespace: false,
        paths: &[],
        zh: "用户准入策略变更后,按其查看在用的工作负载与服务",
        en: "looks at running workloads and services by users' admission policies when these have changed",
    },
    Right {
        group: "authorization.k8s.io",
        resources: &["subjectaccessreviews"],
        names: &[],
        verbs: &["create"],
        own_namespace: false,
        paths: &[],
        zh: "用户准入策略的 authorizer 问某主体可否做某事;只问不改",
        en: "asks whether somebody may do something, for authorizer in users' admission policies; it changes nothing",
    },
    Right {
        group: "admissionregistration.k8s.io",
        resources: &["validatingwebhookconfigurations", "mutatingwebhookconfigurations"],
        names: &[GATE],
        verbs: &["get", "list", "watch", "update", "patch"],
        own_namespace: false,
        paths: &[],
        zh: "维护自己的 webhook 配置:更换证书,被改动时改回",
        en: "keeps its own webhook configurations: renews their certificate, puts them right when they were changed",
    },
    Right {
        group: "admissionregistration.k8s.io",
        resources: &["validatingwebhookconfigurations", "mutatingwebhookconfigurations"],
        names: &[],
        verbs: &["create"],
        own_namespace: false,
        paths: &[],
        zh: "自己的 webhook 配置被删除时重建(Kubernetes 不能按名称限制 create)",
        en: "makes its own webhook configurations again when they were deleted (Kubernetes cannot limit create by name)",
    },
    Right {
        group: "admissionregistration.k8s.io",
        resources: &["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
        names: &NATIVE,
        verbs: &["get", "list", "watch", "update", "patch"],
        own_namespace: false,
        paths: &[],
        zh: "维护原生策略:关口都不在时由 API server 自行执行容器组控制项",
        en: "keeps the native policy, by which the API server itself holds the controls of pods while no gate answers",
    },
    Right {
        group: "admissionregistration.k8s.io",
        resources: &["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
        names: &[],
        verbs: &["create"],
        own_namespace: false,
        paths: &[],
        zh: "原生策略被删除时重建(Kubernetes 不能按名称限制 create)",
        en: "makes the native policy again when it was deleted (Kubernetes cannot limit create by name)",
    },
    Right {
        group: "discovery.k8s.io",
        resources: &["endpointslices"],
        // The API server asks whether the author of a policy may read all of the kind its parameters have, by this name:
        // no object is called so, and none can be read by it.
        names: &["*"],
        verbs: &["get"],
        own_namespace: false,
        paths: &[],
        zh: "原生策略以关口服务的 EndpointSlice 判断关口是否在;此权限只为通过 API server 对策略作者的检查,读不到任何对象",
        en: "the native policy tells by the EndpointSlices of the gate's service whether a gate answers; this passes the API server's check of a policy's author, and reads no object",
    },
    Right {
        group: "discovery.k8s.io",
        resources: &["endpointslices"],
        names: &[],
        verbs: &["list"],
        own_namespace: true,
        paths: &[],
        zh: "同上:对原生策略绑定作者的检查",
        en: "the same: the API server's check of the author of the native policy's bindings",
    },
    Right {
        group: "",
        resources: &["secrets"],
        names: &[TLS_SECRET, BUNDLE_SECRET],
        verbs: &["get", "update", "patch"],
        own_namespace: true,
        paths: &[],
        zh: "保存自己的证书与最近的策略包,各副本共用",
        en: "keeps its certificate and the last bundle, which its replicas share",
    },
    Right {
        group: "",
        resources: &[],
        names: &[],
        verbs: &["get"],
        own_namespace: false,
        paths: &["/metrics"],
        zh: "读取 API server 的指标,以知审计事件是否被丢弃(apiserver_audit_error_total)",
        en: "reads the API server's metrics, to know whether audit events were dropped (apiserver_audit_error_total)",
    },
];

impl Right {
    pub fn why(&self) -> Text {
        Text::new(self.zh, self.en)
    }

    fn rule(&self) -> Value {
        if !self.paths.is_empty() {
            return json!({"nonResourceURLs": self.paths, "verbs": self.verbs});
        }
        let mut rule = json!({"apiGroups": [self.group], "resources": self.resources, "verbs": self.verbs});
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(self.names);
        }
        rule
    }
}

pub(super) fn objects() -> Vec<Value> {
    let rules = |own: bool| RIGHTS.iter().filter(|r| r.own_namespace == own).map(Right::rule).collect::<Vec<_>>();
    let api = "rbac.authorization.k8s.io/v1";
    let subject = json!([{"kind": "ServiceAccount", "name": GATE, "namespace": NAMESPACE}]);
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": GATE, "namespace": NAMESPACE, "labels": labels()}}),
        json!({"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": GATE, "labels": labels()}, "rules": rules(false)}),
        json!({"apiVersion": api, "kind": "ClusterRoleBinding", "metadata": {"name": GATE, "labels": labels()},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": GATE}, "subjects": subject}),
        json!({"apiVersion": api, "kind": "Role", "metadata": {"name": GATE, "namespace": NAMESPACE, "labels": labels()}, "rules": rules(true)}),
        json!({"apiVersion": api, "kind": "RoleBinding", "metadata": {"name": GATE, "namespace": NAMESPACE, "labels": labels()},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": GATE}, "subjects": subject}),
    ]
}

/// What the gate must read for parameters of users' policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamRight {
    pub group: String,
    /// Plural.
    pub resource: String,
    /// None: in all namespaces, or of a kind without.
    pub namespace: Option<String>,
    /// None: all of them there.
    pub name: Option<String>,
}

/// Name of the roles for parameters.
pub(crate) const PARAMS: &str = "jinwu-gate-params";

/// One ClusterRole, and one Role for every namespace, with their bindings to the gate.
pub fn param_rights(rights: &[ParamRight]) -> Vec<Value> {
    let mut by_place: std::collections::BTreeMap<Option<&str>, Vec<Value>> = std::collections::BTreeMap::new();
    for right in rights {
        let mut rule = json!({"apiGroups": [right.group], "resources": [right.resource], "verbs": ["get", "list", "watch"]});
        if let Some(name) = &right.name {
            rule["resourceNames"] = json!([name]);
        }
        let rules = by_place.entry(right.namespace.as_deref()).or_default();
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let api = "rbac.authorization.k8s.io/v1";
    let subject = json!([{"kind": "ServiceAccount", "name": GATE, "namespace": NAMESPACE}]);
    let objects = |(namespace, rules): (Option<&str>, Vec<Value>)| {
        let (role, binding) = if namespace.is_some() { ("Role", "RoleBinding") } else { ("ClusterRole", "ClusterRoleBinding") };
        let mut metadata = json!({"name": PARAMS, "labels": labels()});
        if let Some(namespace) = namespace {
            metadata["namespace"] = namespace.into();
        }
        [
            json!({"apiVersion": api, "kind": role, "metadata": metadata, "rules": rules}),
            json!({"apiVersion": api, "kind": binding, "metadata": metadata,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": PARAMS}, "subjects": subject}),
        ]
    };
    by_place.into_iter().flat_map(objects).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_where_they_are_and_no_more() {
        let right = |namespace: Option<&str>, name: Option<&str>| ParamRight {
            group: String::new(),
            resource: "configmaps".into(),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        let objects = param_rights(&[right(Some("web"), Some("limits")), right(Some("web"), Some("limits")), right(None, Some("own"))]);
        let shown: Vec<_> = objects.iter().map(|o| (o["kind"].as_str().unwrap(), o["metadata"]["namespace"].as_str())).collect();
        assert_eq!(shown, [("ClusterRole", None), ("ClusterRoleBinding", None), ("Role", Some("web")), ("RoleBinding", Some("web"))]);
        assert_eq!(objects[2]["rules"], json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"], "resourceNames": ["limits"]}]));
    }
}
