//! Values of the chart: defaults, their schema, and those that are secret.

use crate::install::Installation;
use serde_json::Value;

pub(super) const SCHEMA: &str = include_str!("values.schema.json");

/// The defaults, each with what it is for. JSON is YAML.
pub(super) fn values(i: &Installation) -> String {
    let (repository, digest) = i.image.split_once('@').unwrap_or((&i.image, ""));
    let address = i.server_address.as_deref().unwrap_or_default();
    let cluster_address = i.cluster_address.as_deref().unwrap_or_default();
    let resources = resources(i);
    format!(
        "\
# 关口镜像,按摘要 / the gate's image, by digest
image:
  repository: {}
  digest: {}
replicas: {}
resources: {resources}
nodeSelector: {{}}
tolerations: []
# 关口均不应答时的请求:Fail 拒绝,Ignore 放行 / requests while no gate answers: Fail refuses, Ignore lets pass
failurePolicy: {}
# 金吾服务端 / Jinwu's server
server:
  url: {}
  # 连接用的地址(主机:端口),与 url 不同时 / host:port to connect to, where url's is another
  address: {}
  authority: {}
  verifyKey: {}
secret:
  # 集群密钥(jinwu cluster secret)/ the cluster's secret
  value: \"\"
  # 或命名空间 jinwu 中已有的 Secret:url、ca.crt、secret、verify.pem,可有 address / or a Secret that exists in the namespace jinwu
  existing: \"\"
pull:
  # 拉取镜像的 docker 配置(JSON 文本)/ docker configuration to pull the image, JSON text
  credential: \"\"
  # 或命名空间 jinwu 中已有的 Secret / or a Secret that exists in the namespace jinwu
  existing: \"\"
service:
  # 固定的 ClusterIP:API server 的审计与授权按地址找关口 / fixed ClusterIP, by which the API server finds the gate
  clusterIP: {}
namespace:
  create: true
",
        text(repository),
        text(digest),
        i.replicas,
        text(i.failure.as_str()),
        text(&i.server_url),
        text(address),
        text(&i.server_authority),
        text(&i.verify_key),
        text(cluster_address),
    )
}

pub(super) fn secret_values(i: &Installation) -> String {
    let pull = i.pull_secret.as_deref().map(|p| format!("pull:\n  credential: {}\n", text(p))).unwrap_or_default();
    format!("secret:\n  value: {}\n{pull}", text(&i.secret))
}

/// What the installation's own Deployment asks for.
fn resources(i: &Installation) -> Value {
    let objects = i.objects();
    let deployment = objects.iter().find(|o| o["kind"] == "Deployment");
    deployment.and_then(|d| d.pointer("/spec/template/spec/containers/0/resources")).cloned().unwrap_or_default()
}

fn text(value: &str) -> String {
    Value::from(value).to_string()
}
