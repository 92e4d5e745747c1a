//! CycloneDX 1.6: components with package URLs, and vulnerabilities.

use crate::source::Image;
use jinwu_model::report::{ImageReport, Os, Package};
use jinwu_model::Grade;
use serde_json::{Value, json};

pub(super) fn render(image: &Image, report: &ImageReport) -> Value {
    let os = report.os.as_ref();
    let mut components: Vec<Value> = report
        .packages
        .iter()
        .map(|p| {
            let purl = purl(p, os);
            let mut properties = vec![json!({ "name": "jinwu:path", "value": p.location.path })];
            if let Some(layer) = &p.location.layer {
                properties.push(json!({ "name": "jinwu:layer", "value": layer }));
            }
            json!({ "type": "library", "bom-ref": purl, "name": p.name, "version": p.version, "purl": purl, "properties": properties })
        })
        .collect();
    if let Some(os) = os {
        components.push(json!({ "type": "operating-system", "bom-ref": "os", "name": os.id, "version": os.version, "description": os.name }));
    }
    let vulnerabilities: Vec<Value> = report
        .vulnerabilities
        .iter()
        .map(|v| {
            let mut rating = json!({
                "source": { "name": "GB/T 30279-2020" },
                "severity": severity(v.grade),
                "justification": v.grade_basis,
            });
            if let Some(vector) = &v.cvss_vector {
                rating["vector"] = json!(vector);
                rating["method"] = json!(method(vector));
            }
            json!({
                "id": v.id,
                "source": { "name": v.source },
                "ratings": [rating],
                "recommendation": v.fixed_version.as_ref().map(|f| format!("{} >= {f}", v.matched_name)).unwrap_or_default(),
                "affects": [{ "ref": purl(&v.package, os), "versions": [{ "version": v.package.version, "status": "affected" }] }],
            })
        })
        .collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid::Uuid::now_v7()),
        "version": 1,
        "metadata": {
            "timestamp": jiff::Timestamp::now().to_string(),
            "tools": { "components": [{ "type": "application", "name": "jinwu-scan", "version": env!("CARGO_PKG_VERSION") }] },
            "component": { "type": "container", "bom-ref": "image", "name": image.name, "version": report.image },
        },
        "components": components,
        "vulnerabilities": vulnerabilities,
    })
}

fn severity(grade: Grade) -> &'static str {
    match grade {
        Grade::Critical => "critical",
        Grade::High => "high",
        Grade::Medium => "medium",
        Grade::Low => "low",
        Grade::Ungraded => "unknown",
    }
}

fn method(vector: &str) -> &'static str {
    match vector.split('/').next() {
        Some("CVSS:4.0") => "CVSSv4",
        Some("CVSS:3.1") => "CVSSv31",
        Some("CVSS:3.0") => "CVSSv3",
        _ => "CVSSv2",
    }
}

/// Package URL (purl-spec): `pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12`.
fn purl(package: &Package, os: Option<&Os>) -> String {
    let mut purl = format!("pkg:{}/", package.ecosystem);
    if let Some(os) = os {
        purl.push_str(&format!("{}/", escape(&os.id)));
    }
    purl.push_str(&format!("{}@{}", escape(&package.name), escape(&package.version)));
    let mut qualifiers = Vec::new();
    if !package.architecture.is_empty() {
        qualifiers.push(format!("arch={}", escape(&package.architecture)));
    }
    if let Some(os) = os {
        qualifiers.push(format!("distro={}-{}", escape(&os.id), escape(&os.version)));
    }
    if package.source_name != package.name {
        qualifiers.push(format!("upstream={}", escape(&package.source_name)));
    }
    if qualifiers.is_empty() { purl } else { format!("{purl}?{}", qualifiers.join("&")) }
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls() {
        let package = Package {
            ecosystem: "deb".into(),
            name: "libstdc++6".into(),
            version: "1:2+b1".into(),
            source_name: "gcc".into(),
            source_version: "2".into(),
            architecture: "amd64".into(),
            location: jinwu_model::report::Location { layer: None, path: String::new(), inner: None, line: None, deleted: false, owner: None },
        };
        let os = Os { id: "debian".into(), version: "12".into(), name: String::new() };
        assert_eq!(purl(&package, Some(&os)), "pkg:deb/debian/libstdc%2B%2B6@1%3A2%2Bb1?arch=amd64&distro=debian-12&upstream=gcc");
    }
}
