//! The Helm chart: the very objects of an [`Installation`], with places for values, and a Job that takes
//! away before the release goes what gates made themselves.

mod values;

use crate::install::{GATE, Installation, PULL_SECRET, SERVER_SECRET, removal};
use serde_json::{Value, json};
use values::{SCHEMA, secret_values, values};

/// A file of the chart, by its path inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub path: String,
    pub text: String,
}

/// Name of the chart and of its folder.
pub const CHART: &str = GATE;

/// A place in the objects, found again in their text.
const MARK: char = '\u{e000}';

/// The chart, for this installation by its defaults. Its secret and credential are in no file of it: see
/// [`secrets`].
pub fn chart(installation: &Installation, version: &str) -> Vec<File> {
    let file = |path: &str, text: String| File { path: path.into(), text };
    let mut files = vec![
        file("Chart.yaml", about(version)),
        file("values.yaml", values(installation)),
        file("values.schema.json", SCHEMA.to_owned()),
        file("templates/NOTES.txt", NOTES.to_owned()),
        file("templates/checks.yaml", CHECKS.to_owned()),
        file("templates/gate.yaml", marked().objects().iter().map(template).collect()),
    ];
    files.push(file("templates/remove.yaml", removal::objects(&mark("image")).iter().map(template).collect()));
    files
}

/// Values that are secret: to be kept apart from the chart, in a file only its owner may read.
pub fn secrets(installation: &Installation) -> String {
    secret_values(installation)
}

fn about(version: &str) -> String {
    format!(
        "apiVersion: v2\nname: {CHART}\ndescription: 金吾集群关口 / the gate of Jinwu in a Kubernetes cluster\ntype: application\nversion: {version}\nappVersion: \"{version}\"\nkubeVersion: \">= 1.28.0-0\"\n"
    )
}

const NOTES: &str = "\
金吾关口装入命名空间 jinwu;卸载(helm uninstall)时先由一个 Job 移除 webhook 与原生策略。
API server 一侧(审计、授权)不属于本发布:jinwu cluster apiserver。

The gate is in the namespace jinwu; on helm uninstall a Job first takes webhooks and native policy away.
The API server's side (audit, authorisation) is not part of the release: jinwu cluster apiserver.
";

/// What a schema cannot say.
const CHECKS: &str = r#"{{- if not (or .Values.secret.value .Values.secret.existing) }}
{{- fail "secret.value 或 secret.existing 须给出其一(jinwu cluster chart 写出的 secret.yaml)/ give secret.value (secret.yaml, as jinwu cluster chart wrote it) or secret.existing" }}
{{- end }}
{{- if and .Values.namespace.create (or .Values.secret.existing .Values.pull.existing) }}
{{- fail "已有的 Secret 须在命名空间 jinwu 中,该命名空间因此已存在:设 namespace.create=false / an existing Secret lies in the namespace jinwu, which therefore exists: set namespace.create=false" }}
{{- end }}
"#;

/// An installation of places instead of values.
fn marked() -> Installation {
    Installation {
        image: mark("image"),
        server_url: mark("server.url"),
        server_address: Some(mark("server.address")),
        server_authority: mark("server.authority"),
        secret: mark("secret.value"),
        verify_key: mark("server.verifyKey"),
        replicas: 0,
        pull_secret: Some(mark("pull.credential")),
        cluster_address: Some(mark("service.clusterIP")),
        failure: crate::install::Failure::Fail,
    }
}

fn mark(name: &str) -> String {
    format!("{MARK}{name}{MARK}")
}

/// One object as a template.
fn template(object: &Value) -> String {
    let mut object = object.clone();
    let (kind, name) = (object["kind"].as_str().unwrap_or_default().to_owned(), object["metadata"]["name"].as_str().unwrap_or_default().to_owned());
    let condition = match (kind.as_str(), name.as_str()) {
        ("Namespace", _) => Some(".Values.namespace.create"),
        ("Secret", SERVER_SECRET) => Some("not .Values.secret.existing"),
        ("Secret", PULL_SECRET) => Some(".Values.pull.credential"),
        _ => None,
    };
    match kind.as_str() {
        "Deployment" => {
            object["spec"]["replicas"] = json!(mark("replicas"));
            let pod = &mut object["spec"]["template"]["spec"];
            pod["containers"][0]["resources"] = json!(mark("resources"));
            pod["volumes"][0]["secret"]["secretName"] = json!(mark("server-secret"));
            place(pod);
        }
        "Job" => place(&mut object["spec"]["template"]["spec"]),
        "Secret" if !object["stringData"][crate::install::FAILURE_MEMBER].is_null() => object["stringData"][crate::install::FAILURE_MEMBER] = json!(mark("failurePolicy")),
        _ => {}
    }
    let text = serde_json::to_string_pretty(&object).unwrap_or_default();
    let body: String = text.lines().map(line).collect();
    match condition {
        Some(condition) => format!("{{{{- if {condition} }}}}\n---\n{body}{{{{- end }}}}\n"),
        None => format!("---\n{body}"),
    }
}

/// Where a pod may run and what pulls its image.
fn place(pod: &mut Value) {
    pod["nodeSelector"] = json!(mark("nodeSelector"));
    pod["tolerations"] = json!(mark("tolerations"));
    pod["imagePullSecrets"] = json!(mark("pull"));
}

/// One line of an object's text. Members that may be missing take their line with them; YAML minds no comma
/// before a closing brace.
fn line(line: &str) -> String {
    let Some((name, before, after)) = found(line) else { return format!("{line}\n") };
    let member = before.trim_end_matches(['"', ' ']);
    let optional = |value: &str| format!("{{{{- with {value} }}}}\n{member} {{{{ toJson . }}}},\n{{{{- end }}}}\n");
    let expression = match name {
        "nodeSelector" | "tolerations" | "server.address" | "service.clusterIP" => return optional(&format!(".Values.{name}")),
        "pull" => {
            return format!(
                "{{{{- with .Values.pull.existing | default (ternary \"{PULL_SECRET}\" \"\" (not (empty .Values.pull.credential))) }}}}\n{member} [{{\"name\": {{{{ toJson . }}}}}}],\n{{{{- end }}}}\n"
            );
        }
        "image" => "printf \"%s@%s\" .Values.image.repository .Values.image.digest | toJson".to_owned(),
        "server-secret" => format!(".Values.secret.existing | default \"{SERVER_SECRET}\" | toJson"),
        name => format!("toJson .Values.{name}"),
    };
    format!("{}{{{{ {expression} }}}}{}\n", before.trim_end_matches('"'), after.trim_start_matches('"'))
}

/// The place in a line, and what stands before and after it.
fn found(line: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = line.split_once(MARK)?;
    let (name, after) = rest.split_once(MARK)?;
    Some((name, before, after))
}

/// Command that installs the chart: the release's own record lies outside the namespace that the chart makes.
pub fn command(folder: &str, secrets: &str) -> String {
    format!("helm upgrade --install {CHART} {folder} --namespace kube-system --values {secrets} --wait")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::NAMESPACE;
    use crate::install::tests::installation;

    #[test]
    fn every_place_has_its_value_and_no_secret_is_in_the_chart() {
        let files = chart(&installation(), "1.2.3");
        let all: String = files.iter().map(|f| f.text.as_str()).collect();
        assert!(!all.contains(MARK), "a place was left");
        assert!(!all.contains("jwg_secret"));
        assert!(secrets(&installation()).contains("jwg_secret"));
        for value in ["image.digest", "server.url", "server.address", "server.authority", "server.verifyKey", "secret.value", "secret.existing", "pull.credential", "replicas", "resources", "nodeSelector", "tolerations", "failurePolicy", "service.clusterIP", "namespace.create"] {
            assert!(all.contains(&format!(".Values.{value}")), "{value} is used");
        }
    }

    #[test]
    fn the_chart_has_every_object_of_the_installation() {
        let text: String = chart(&installation(), "1.2.3").into_iter().map(|f| f.text).collect();
        for object in installation().objects() {
            assert!(text.contains(&format!("\"kind\": {}", object["kind"])) && text.contains(&format!("\"name\": {}", object["metadata"]["name"])), "{object}");
        }
        assert_eq!(NAMESPACE, "jinwu", "named in texts of the chart");
    }

    #[test]
    fn what_may_be_missing_takes_its_line_with_it() {
        assert_eq!(line(&format!("  \"address\": \"{}\",", mark("server.address"))), "{{- with .Values.server.address }}\n  \"address\": {{ toJson . }},\n{{- end }}\n");
        assert_eq!(line(&format!("  \"replicas\": \"{}\",", mark("replicas"))), "  \"replicas\": {{ toJson .Values.replicas }},\n");
    }
}
