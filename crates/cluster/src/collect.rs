//! Reading a cluster, without anything installed in it: lists only, page by page.

use crate::ConnectError;
use http::Request;
use jinwu_inventory::inventory::ApiResource;
use jinwu_inventory::{Inventory, Kind, NotRead};
use jinwu_model::Text;
use kube::Client;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Objects asked for at a time: what is in memory beside the model.
const PAGE: u32 = 250;
/// Times a list is begun anew because its place expired at the API server.
const ATTEMPTS: u32 = 3;

/// Secrets come as a table of names and types: the API server keeps the content to itself.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const DISCOVERY: &str = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList";

#[derive(Deserialize)]
struct List<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    rows: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// Reads what a cluster is made of. What cannot be read, for want of rights or because an object is
/// malformed, is in the second part and never left out silently; a kind that the cluster does not have
/// (no VerticalPodAutoscaler installed) is read as none.
///
/// # Errors
/// The API server cannot be reached at all, or does not say its version.
pub async fn collect(client: &Client) -> Result<(Inventory, Vec<NotRead>), ConnectError> {
    let mut inventory = Inventory::default();
    inventory.version = client.apiserver_version().await?.git_version;
    let mut not_read = Vec::new();
    for path in ["/api", "/apis"] {
        if let Ok(text) = get(client, path, DISCOVERY).await {
            inventory.resources.extend(resources(&text));
        }
    }
    for kind in Kind::ALL {
        match list(client, *kind, &mut inventory, &mut not_read).await {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => not_read.push(NotRead { kind: *kind, object: None, reason: reason(*kind, &error) }),
        }
    }
    Ok((inventory, not_read))
}

/// A GET that answers text.
pub(crate) async fn get(client: &Client, path: &str, accept: &str) -> Result<String, kube::Error> {
    let request = Request::get(path).header("accept", accept).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}

async fn list(client: &Client, kind: Kind, inventory: &mut Inventory, not_read: &mut Vec<NotRead>) -> Result<(), kube::Error> {
    for attempt in 1.. {
        // What an expired list had brought is read again.
        let (mut model, mut faults) = (Inventory::default(), Vec::new());
        match pages(client, kind, &mut model, &mut faults).await {
            Err(kube::Error::Api(status)) if status.code == 410 && attempt < ATTEMPTS => continue,
            Err(error) => return Err(error),
            Ok(()) => {
                inventory.merge(model);
                not_read.append(&mut faults);
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn pages(client: &Client, kind: Kind, model: &mut Inventory, faults: &mut Vec<NotRead>) -> Result<(), kube::Error> {
    let accept = if kind == Kind::Secret { TABLE } else { "application/json" };
    let mut next = String::new();
    loop {
        let text = get(client, &format!("{}?limit={PAGE}{next}", kind.path()), accept).await?;
        let page: List<'_> = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
        for item in page.items.into_iter().chain(page.rows).flatten() {
            if let Err(error) = model.add(kind, item.get()) {
                faults.push(NotRead { kind, object: Some(named(kind, item.get())), reason: Text::new(error.to_string(), error.to_string()) });
            }
        }
        match page.metadata.next.filter(|n| !n.is_empty()) {
            Some(place) => next = format!("&continue={}", escape(&place)),
            None => return Ok(()),
        }
    }
}

fn escape(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The name of an object that cannot be read otherwise.
fn named(kind: Kind, json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let of = |member: &str| value["metadata"][member].as_str().or(value["object"]["metadata"][member].as_str()).unwrap_or_default().to_owned();
    format!("{}/{}/{}", kind.name(), of("namespace"), of("name"))
}

fn reason(kind: Kind, error: &kube::Error) -> Text {
    let resource = kind.resource();
    match error {
        kube::Error::Api(status) if status.code == 403 => Text::new(
            format!("无权列出 {resource}:请为此用户授予 list 权限({})", status.message),
            format!("no right to list {resource}: grant this user list ({})", status.message),
        ),
        error => Text::new(format!("{resource} 读取失败:{error}"), format!("{resource} cannot be read: {error}")),
    }
}

/// Aggregated discovery.
fn resources(text: &str) -> Vec<ApiResource> {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let list = |v: &serde_json::Value| v.as_array().cloned().unwrap_or_default();
    let words = |v: &serde_json::Value| list(v).iter().filter_map(|w| w.as_str().map(Into::into)).collect::<Vec<Box<str>>>();
    let mut all: Vec<ApiResource> = Vec::new();
    for group in list(&value["items"]) {
        let name: Box<str> = group["metadata"]["name"].as_str().unwrap_or_default().into();
        for resource in list(&group["versions"]).iter().flat_map(|v| list(&v["resources"])) {
            let plural = resource["resource"].as_str().unwrap_or_default();
            let mut add = |resource_name: String, from: &serde_json::Value| {
                if !all.iter().any(|r| r.group == name && *r.resource == resource_name) {
                    all.push(ApiResource {
                        group: name.clone(),
                        resource: resource_name.into(),
                        kind: resource["responseKind"]["kind"].as_str().unwrap_or_default().into(),
                        namespaced: resource["scope"] == "Namespaced",
                        verbs: words(&from["verbs"]),
                        short_names: words(&from["shortNames"]),
                    });
                }
            };
            add(plural.to_owned(), &resource);
            for sub in list(&resource["subresources"]) {
                add(format!("{plural}/{}", sub["subresource"].as_str().unwrap_or_default()), &sub);
            }
        }
    }
    all
}
