//! An alarm about what runs already.

use crate::Gate;
use jinwu_admission::protocol::Knowledge;
use jinwu_lab::{Server, image::Image};
use serde_json::{Value, json};
use std::time::Duration;

/// No image of Alpine passes this.
pub(crate) const NO_ALPINE: &str = r#"
apiVersion: policy.jinwu.io/v1
kind: ImagePolicy
metadata: { name: no-alpine, title: { zh: "禁用 Alpine", en: "no Alpine" } }
spec:
  clauses: [AU-2]
  gates: [admission]
  modes: { "1": alert, "2": alert, "3": block, "4": block }
  validations:
    - expression: "report.os.id != 'alpine'"
      message: { zh: "系统是 Alpine", en: "the system is Alpine" }
      advice: { zh: "换用其他基础镜像", en: "use another base image" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_image_that_is_clean_no_more_raises_one_alarm() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let security = server.log_in("secadmin").await?.token;
    let audit = server.log_in("auditadmin").await?.token;
    let gate = Gate::of_new_cluster(&server.log_in("sysadmin").await?, &server, "prod").await?;
    let image = Image::good(71);
    assert_eq!(server.push("demo/runs", "1", &image).await?.status(), 201);
    let asked = gate.image(&server, "demo/runs:1", Some("linux/amd64")).await?;
    assert!(matches!(&asked.knowledge, Knowledge::Judged { findings, .. } if findings.is_empty()), "{asked:?}");
    let alarms = async |server: &Server| -> anyhow::Result<Vec<Value>> {
        let answer = server.call("GET", "/ledger?kind=alarm&object=demo/runs", Some(&audit), None).await?;
        Ok(answer.body["records"].as_array().cloned().unwrap_or_default())
    };
    // What was asked is kept a moment after the answer.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let change = async |server: &Server, method: &str, path: &str, body: Option<&Value>| -> anyhow::Result<()> {
        let answer = server.call(method, path, Some(&security), body).await?;
        anyhow::ensure!(answer.status.is_success(), "{path}: {answer:?}");
        Ok(())
    };
    let put = json!({"yaml": NO_ALPINE});
    change(&server, "POST", "/policies", Some(&put)).await?;
    let mut found = vec![];
    for _ in 0..100 {
        found = alarms(&server).await?;
        if !found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(found.len(), 1, "{found:?}");
    let alarm = &found[0];
    assert_eq!((alarm["action"].as_str(), alarm["detail"]["policy"].as_str()), (Some("verdict-changed"), Some("no-alpine")));
    assert_eq!(alarm["object"], format!("demo/runs@{}", image.digest()));
    assert_eq!(alarm["detail"]["cluster"], "prod");
    // Gone and back, and after a restart: the image and the policy had their alarm.
    change(&server, "DELETE", "/policies/no-alpine", None).await?;
    let between = gate.image(&server, "demo/runs:1", Some("linux/amd64")).await?;
    assert!(matches!(&between.knowledge, Knowledge::Judged { findings, .. } if findings.is_empty()), "{between:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    change(&server, "POST", "/policies", Some(&put)).await?;
    server.restart()?;
    let again = gate.image(&server, "demo/runs:1", Some("linux/amd64")).await?;
    assert!(matches!(&again.knowledge, Knowledge::Judged { findings, .. } if findings.len() == 1), "{again:?}");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(alarms(&server).await?.len(), 1);
    Ok(())
}
