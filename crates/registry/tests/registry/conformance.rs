//! The conformance list of the distribution specification, versions 1.1 and the next, restated:
//! every area of the published suite, for sha256 and sha512, plus what clients rely on beside it.

use serde_json::{Value, json};
use crate::support::{INDEX, Lab, MANIFEST, descriptor, digest_of, header, noise, with_query};

const ALGORITHMS: [&str; 2] = ["sha256", "sha512"];
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

async fn errors(response: reqwest::Response) -> String {
    let value: Value = response.json().await.unwrap();
    value["errors"][0]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn ping_and_empty_answers() {
    let lab = Lab::new().await;
    for path in ["/v2/", "/v2"] {
        let ping = lab.get(path).await;
        assert_eq!(ping.status(), 200);
        assert_eq!(header(&ping, "docker-distribution-api-version"), "registry/2.0");
    }
    let tags = lab.get("/v2/none/here/tags/list").await;
    assert_eq!(tags.status(), 404);
    assert_eq!(errors(tags).await, "NAME_UNKNOWN");
    for algorithm in ALGORITHMS {
        let digest = digest_of(b"nothing", algorithm);
        // 404 would mean that the referrers API is not supported at all.
        let referrers = lab.get(&format!("/v2/none/here/referrers/{digest}")).await;
        assert_eq!(referrers.status(), 200);
        assert_eq!(header(&referrers, "content-type"), INDEX);
        let body: Value = referrers.json().await.unwrap();
        assert_eq!(body, json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}));
        for path in [format!("/v2/none/here/blobs/{digest}"), format!("/v2/none/here/manifests/{digest}")] {
            assert_eq!(lab.get(&path).await.status(), 404);
            assert_eq!(lab.head(&path).await.status(), 404);
        }
    }
    assert_eq!(lab.get("/v2/none/here/manifests/latest").await.status(), 404);
    assert_eq!(lab.get("/v2/none/here/referrers/sha256:bad").await.status(), 400);
}

#[tokio::test]
async fn every_way_to_push_a_blob() {
    let lab = Lab::new().await;
    for algorithm in ALGORITHMS {
        let repository = format!("c/{algorithm}");
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        // POST alone.
        let bytes = noise(1, 3000);
        let digest = digest_of(&bytes, algorithm);
        let done = lab.http.post(lab.url(&format!("{uploads}?digest={digest}"))).body(bytes.clone()).send().await.unwrap();
        assert_eq!(done.status(), 201);
        assert_eq!(header(&done, "docker-content-digest"), digest);
        let pulled = lab.get(header(&done, "location")).await;
        assert_eq!(pulled.bytes().await.unwrap(), bytes);
        // POST and PUT.
        let bytes = noise(2, 4000);
        let digest = lab.push_blob(&repository, &bytes, algorithm).await;
        assert_eq!(lab.get(&format!("/v2/{repository}/blobs/{digest}")).await.bytes().await.unwrap(), bytes);
        // Again: 201 all the same.
        lab.push_blob(&repository, &bytes, algorithm).await;
        // Hinted algorithm, streamed PATCH, then PUT.
        let bytes = noise(3, 5000);
        let digest = digest_of(&bytes, algorithm);
        let started = lab.post(&format!("{uploads}?digest-algorithm={algorithm}")).await;
        assert_eq!(started.status(), 202);
        assert_eq!(header(&started, "range"), "0-0");
        let stream = futures::stream::iter(bytes.chunks(700).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>());
        let patched = lab
            .http
            .patch(lab.url(header(&started, "location")))
            .header("content-type", "application/octet-stream")
            .body(reqwest::Body::wrap_stream(stream))
            .send()
            .await
            .unwrap();
        assert_eq!(patched.status(), 202);
        assert_eq!(header(&patched, "range"), "0-4999");
        assert!(patched.headers().contains_key("docker-upload-uuid"));
        let done = lab.http.put(with_query(&lab.url(header(&patched, "location")), &format!("digest={digest}"))).send().await.unwrap();
        assert_eq!(done.status(), 201);
        // Chunks, and a last chunk with the PUT.
        let bytes = noise(4, 3000);
        let digest = digest_of(&bytes, algorithm);
        let started = lab.post(&uploads).await;
        let mut location = lab.url(header(&started, "location"));
        for (a, b) in [(0, 999), (1000, 1999)] {
            let patched = chunk(&lab, reqwest::Method::PATCH, &location, a, b, &bytes).await;
            assert_eq!(patched.status(), 202);
            assert_eq!(header(&patched, "range"), format!("0-{b}"));
            location = lab.url(header(&patched, "location"));
        }
        let status = lab.get(&location).await;
        assert_eq!(status.status(), 204);
        assert_eq!(header(&status, "range"), "0-1999");
        let done = chunk(&lab, reqwest::Method::PUT, &with_query(&location, &format!("digest={digest}")), 2000, 2999, &bytes).await;
        assert_eq!(done.status(), 201);
        assert_eq!(lab.get(&format!("/v2/{repository}/blobs/{digest}")).await.bytes().await.unwrap(), bytes);
        // Nothing at all is a blob, and so is {}.
        for bytes in [&b""[..], b"{}"] {
            let digest = lab.push_blob(&repository, bytes, algorithm).await;
            let head = lab.head(&format!("/v2/{repository}/blobs/{digest}")).await;
            assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, bytes.len().to_string().as_str()));
            assert_eq!(lab.get(&format!("/v2/{repository}/blobs/{digest}")).await.bytes().await.unwrap(), bytes);
        }
    }
    assert_eq!(lab.post("/v2/c/x/blobs/uploads/?digest-algorithm=md5").await.status(), 400);
}

async fn chunk(lab: &Lab, method: reqwest::Method, location: &str, a: usize, b: usize, bytes: &[u8]) -> reqwest::Response {
    lab.http
        .request(method, location)
        .header("content-range", format!("{a}-{b}"))
        .header("content-type", "application/octet-stream")
        .body(bytes[a..=b].to_vec())
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn out_of_order_chunks_are_refused_and_the_upload_survives() {
    let lab = Lab::new().await;
    for algorithm in ALGORITHMS {
        let bytes = noise(9, 3000);
        let digest = digest_of(&bytes, algorithm);
        let started = lab.post("/v2/c/order/blobs/uploads/").await;
        let location = lab.url(header(&started, "location"));
        let refused = chunk(&lab, reqwest::Method::PATCH, &location, 1000, 1999, &bytes).await;
        assert_eq!(refused.status(), 416);
        let patched = chunk(&lab, reqwest::Method::PATCH, &location, 0, 999, &bytes).await;
        assert_eq!(patched.status(), 202);
        let put = with_query(&location, &format!("digest={digest}"));
        let refused = chunk(&lab, reqwest::Method::PUT, &put, 2000, 2999, &bytes).await;
        assert_eq!(refused.status(), 416, "the closing PUT is checked too");
        let status = lab.get(&location).await;
        assert_eq!((status.status().as_u16(), header(&status, "range")), (204, "0-999"));
        assert_eq!(chunk(&lab, reqwest::Method::PATCH, &location, 1000, 1999, &bytes).await.status(), 202);
        assert_eq!(chunk(&lab, reqwest::Method::PUT, &put, 2000, 2999, &bytes).await.status(), 201);
    }
}

#[tokio::test]
async fn cancelled_and_unknown_uploads_are_gone() {
    let lab = Lab::new().await;
    let started = lab.post("/v2/c/cancel/blobs/uploads/").await;
    let location = lab.url(header(&started, "location"));
    assert_eq!(lab.delete(&location).await.status(), 204);
    assert_eq!(lab.get(&location).await.status(), 404);
    assert_eq!(lab.delete(&location).await.status(), 404);
    assert_eq!(lab.get("/v2/c/cancel/blobs/uploads/../../etc").await.status(), 404);
    let other = lab.post("/v2/c/cancel/blobs/uploads/").await;
    let stranger = lab.http.get(lab.url(header(&other, "location"))).header("x-subject", "someone-else").send().await.unwrap();
    assert_eq!(stranger.status(), 404, "another's upload looks like none");
}

#[tokio::test]
async fn wrong_and_malformed_digests() {
    let lab = Lab::new().await;
    let right = digest_of(b"right", "sha256");
    for (digest, status) in [
        (right.as_str(), 400),
        ("sha256:baddigeststring", 400),
        ("sha256:", 400),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", 400),
        ("sha256", 400),
        ("", 400),
    ] {
        let started = lab.post("/v2/c/bad/blobs/uploads/").await;
        let location = with_query(&lab.url(header(&started, "location")), &format!("digest={digest}"));
        let done = lab.http.put(location).body("wrong").send().await.unwrap();
        assert_eq!(done.status(), status, "{digest}");
        assert_eq!(errors(done).await, "DIGEST_INVALID");
    }
    let started = lab.post("/v2/c/bad/blobs/uploads/").await;
    assert_eq!(lab.http.put(lab.url(header(&started, "location"))).body("x").send().await.unwrap().status(), 400, "no digest");
    for path in ["/v2/c/bad/blobs/sha256:totallywrong", "/v2/c/bad/manifests/sha256:totallywrong"] {
        assert_eq!(lab.get(path).await.status(), 400);
        assert_eq!(lab.head(path).await.status(), 400);
    }
    let put = lab.push_manifest("c/bad", "sha256:totallywrong", MANIFEST, "{}").await;
    assert_eq!(put.status(), 400);
    assert_eq!(lab.head(&format!("/v2/c/bad/blobs/{right}")).await.status(), 404, "nothing was published");
}

#[tokio::test]
async fn ranges() {
    let lab = Lab::new().await;
    for algorithm in ALGORITHMS {
        let bytes = noise(5, 4000);
        let digest = lab.push_blob("c/range", &bytes, algorithm).await;
        let url = lab.url(&format!("/v2/c/range/blobs/{digest}"));
        let ask = |range: &'static str| lab.http.get(&url).header("range", range).send();
        for (range, from, to) in [
            ("bytes=500-1499", 500, 1499),
            ("bytes=500-", 500, 3999),
            ("bytes=-500", 3500, 3999),
            ("bytes=2000-5000", 2000, 3999),
            ("bytes=0-0", 0, 0),
        ] {
            let part = ask(range).await.unwrap();
            assert_eq!(part.status(), 206, "{range}");
            assert_eq!(header(&part, "content-range"), format!("bytes {from}-{to}/4000"));
            assert_eq!(header(&part, "content-length"), (to - from + 1).to_string());
            assert_eq!(part.bytes().await.unwrap(), bytes[from..=to]);
        }
        for range in ["bytes=500-0", "bytes=5000-10000"] {
            let refused = ask(range).await.unwrap();
            assert_eq!(refused.status(), 416, "{range}");
            assert_eq!(header(&refused, "content-range"), "bytes */4000");
        }
        let whole = ask("lines=1-2").await.unwrap();
        assert_eq!((whole.status().as_u16(), header(&whole, "accept-ranges")), (200, "bytes"));
        let cached = lab.http.get(&url).header("if-none-match", format!("\"{digest}\"")).send().await.unwrap();
        assert_eq!(cached.status(), 304);
    }
}

#[tokio::test]
async fn mounts() {
    let lab = Lab::new().await;
    for algorithm in ALGORITHMS {
        let bytes = noise(6, 1000);
        let digest = lab.push_blob("c/from", &bytes, algorithm).await;
        let mounted = lab.post(&format!("/v2/c/to/blobs/uploads/?mount={digest}&from=c/from")).await;
        assert_eq!(mounted.status(), 201);
        assert_eq!(lab.get(header(&mounted, "location")).await.bytes().await.unwrap(), bytes);
        let anonymous = lab.post(&format!("/v2/c/anywhere/blobs/uploads/?mount={digest}")).await;
        assert_eq!(anonymous.status(), 201);
        let missing = digest_of(b"not there", algorithm);
        for query in [format!("mount={missing}&from=c/from"), format!("mount={missing}"), format!("mount={digest}&from=c/wrong")] {
            let started = lab.post(&format!("/v2/c/third/blobs/uploads/?{query}")).await;
            assert_eq!(started.status(), 202, "{query}");
            assert_eq!(lab.delete(header(&started, "location")).await.status(), 204);
        }
    }
    // What the caller may not pull looks like what is not there.
    let secret = noise(7, 100);
    let digest = digest_of(&secret, "sha256");
    let pushed = lab
        .http
        .post(lab.url(&format!("/v2/private/x/blobs/uploads/?digest={digest}")))
        .header("x-subject", "owner")
        .body(secret)
        .send()
        .await
        .unwrap();
    assert_eq!(pushed.status(), 201);
    for query in [format!("mount={digest}&from=private/x"), format!("mount={digest}")] {
        assert_eq!(lab.post(&format!("/v2/c/to/blobs/uploads/?{query}")).await.status(), 202, "{query}");
    }
}

/// Pushes, reads back in every way, lists, deletes.
async fn manifest_life(lab: &Lab, repository: &str, tag: &str, media_type: &str, manifest: &Value, algorithm: &str) {
    let body = serde_json::to_string(manifest).unwrap();
    let digest = digest_of(body.as_bytes(), algorithm);
    let by_digest = lab.push_manifest(repository, &digest, media_type, &body).await;
    assert_eq!(by_digest.status(), 201, "{tag} {algorithm}: {}", by_digest.text().await.unwrap());
    assert_eq!(header(&by_digest, "docker-content-digest"), digest);
    let mut paths = vec![format!("/v2/{repository}/manifests/{digest}"), header(&by_digest, "location").to_owned()];
    if algorithm == "sha256" {
        let by_tag = lab.push_manifest(repository, tag, media_type, &body).await;
        assert_eq!(by_tag.status(), 201);
        assert_eq!(header(&by_tag, "docker-content-digest"), digest);
        paths.push(format!("/v2/{repository}/manifests/{tag}"));
        let list: Value = lab.get(&format!("/v2/{repository}/tags/list")).await.json().await.unwrap();
        assert!(list["tags"].as_array().unwrap().contains(&json!(tag)));
    }
    for path in &paths {
        let head = lab.head(path).await;
        assert_eq!(head.status(), 200, "{path}");
        assert_eq!(header(&head, "content-length"), body.len().to_string());
        assert_eq!(header(&head, "docker-content-digest"), digest);
        assert_eq!(header(&head, "content-type"), media_type);
        let got = lab.get(path).await;
        assert_eq!(header(&got, "content-type"), media_type);
        assert_eq!(got.text().await.unwrap(), body, "exact bytes");
    }
    if let Some(subject) = manifest["subject"]["digest"].as_str() {
        assert_eq!(header(&lab.push_manifest(repository, &digest, media_type, &body).await, "oci-subject"), subject);
        let listed: Value = lab.get(&format!("/v2/{repository}/referrers/{subject}")).await.json().await.unwrap();
        let entry = listed["manifests"].as_array().unwrap().iter().find(|m| m["digest"] == digest.as_str()).unwrap().clone();
        assert_eq!(entry["mediaType"], media_type);
        assert_eq!(entry["size"], body.len());
        let kind = manifest.get("artifactType").or_else(|| manifest.pointer("/config/mediaType"));
        assert_eq!(entry.get("artifactType"), kind);
        assert_eq!(entry.get("annotations"), manifest.get("annotations"));
        if let Some(kind) = kind.and_then(Value::as_str) {
            let kind = kind.replace('+', "%2B");
            let filtered = lab.get(&format!("/v2/{repository}/referrers/{subject}?artifactType={kind}")).await;
            assert_eq!(header(&filtered, "oci-filters-applied"), "artifactType");
            assert!(filtered.text().await.unwrap().contains(&digest));
            let none: Value = lab.get(&format!("/v2/{repository}/referrers/{subject}?artifactType=x%2Fy")).await.json().await.unwrap();
            assert_eq!(none["manifests"], json!([]));
        }
    }
}

#[tokio::test]
async fn every_kind_of_manifest() {
    let lab = Lab::new().await;
    for algorithm in ALGORITHMS {
        let r = format!("c/manifests-{algorithm}");
        let (config, layer, empty) = (noise(20, 300), noise(21, 2000), b"{}".to_vec());
        for bytes in [&config, &layer, &empty] {
            lab.push_blob(&r, bytes, algorithm).await;
        }
        let d = |t: &str, b: &[u8]| descriptor(t, b, algorithm);
        let image = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": d(CONFIG, &config), "layers": [d(LAYER, &layer)]});
        let image_bytes = image.to_string();
        let image_descriptor = d(MANIFEST, image_bytes.as_bytes());
        let mut large = image.clone();
        large["annotations"] = (0..390).map(|i| (format!("org.example.{i}"), json!("x".repeat(10_000)))).collect::<serde_json::Map<_, _>>().into();
        let artifact = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example+json",
            "config": d("application/vnd.oci.empty.v1+json", &empty), "layers": [d("text/plain", &layer)],
        });
        let mut with_subject = artifact.clone();
        with_subject["subject"] = image_descriptor.clone();
        with_subject["annotations"] = json!({"org.example": "1"});
        let mut lost_subject = artifact.clone();
        lost_subject["subject"] = d(MANIFEST, b"this was never pushed");
        let mut by_config = with_subject.clone();
        by_config.as_object_mut().unwrap().remove("artifactType");
        let mut no_layers = artifact.clone();
        no_layers["layers"] = json!([]);
        let mut data_field = artifact.clone();
        data_field["config"]["data"] = json!("e30=");
        let mut foreign = image.clone();
        foreign["layers"] = json!([
            d(LAYER, &layer),
            {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": digest_of(b"elsewhere", algorithm), "size": 9, "urls": ["https://example.com/x"]},
        ]);
        let mut custom = image.clone();
        custom["org.example.unknown"] = json!({"kept": true});
        for (tag, manifest) in [
            ("image", &image),
            ("large", &large),
            ("artifact", &artifact),
            ("subject", &with_subject),
            ("lost-subject", &lost_subject),
            ("by-config", &by_config),
            ("no-layers", &no_layers),
            ("data", &data_field),
            ("foreign", &foreign),
            ("custom", &custom),
        ] {
            manifest_life(&lab, &r, tag, MANIFEST, manifest, algorithm).await;
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image_descriptor]});
        let nested = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [d(INDEX, index.to_string().as_bytes())]});
        let empty_index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []});
        let referring = json!({
            "schemaVersion": 2, "mediaType": INDEX, "artifactType": "application/vnd.example.index", "manifests": [image_descriptor],
            "subject": image_descriptor,
        });
        for (tag, manifest) in [("index", &index), ("nested", &nested), ("empty-index", &empty_index), ("referring", &referring)] {
            manifest_life(&lab, &r, tag, INDEX, manifest, algorithm).await;
        }
        // What is missing is named.
        let mut broken = image.clone();
        broken["layers"][0]["digest"] = json!(digest_of(b"missing", algorithm));
        let refused = lab.push_manifest(&r, "broken", MANIFEST, &broken.to_string()).await;
        assert!([400, 404].contains(&refused.status().as_u16()));
        assert_eq!(errors(refused).await, "MANIFEST_BLOB_UNKNOWN");
        // Deleting by digest takes the tags with it and leaves the rest.
        let digest = digest_of(image_bytes.as_bytes(), algorithm);
        assert_eq!(lab.delete(&format!("/v2/{r}/manifests/{digest}")).await.status(), 202);
        assert_eq!(lab.get(&format!("/v2/{r}/manifests/{digest}")).await.status(), 404);
        assert_eq!(lab.delete(&format!("/v2/{r}/manifests/{digest}")).await.status(), 404);
        assert_eq!(lab.get(&format!("/v2/{r}/manifests/image")).await.status(), 404);
    }
}

#[tokio::test]
async fn tags_by_parameter_paging_and_deletion() {
    let lab = Lab::new().await;
    let empty = b"{}";
    lab.push_blob("c/tags", empty, "sha256").await;
    let body = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "a/b", "config": descriptor("application/vnd.oci.empty.v1+json", empty, "sha256"), "layers": []}).to_string();
    let digest = digest_of(body.as_bytes(), "sha256");
    let tags: Vec<String> = (0..12).map(|i| format!("t{i:02}")).collect();
    let query: Vec<String> = tags.iter().map(|t| format!("tag={t}")).collect();
    let pushed = lab.push_manifest("c/tags", &format!("{digest}?{}", query.join("&")), MANIFEST, &body).await;
    assert_eq!(pushed.status(), 201);
    for tag in &tags {
        assert!(header(&pushed, "oci-tag").split(", ").any(|t| t == tag));
        assert_eq!(lab.head(&format!("/v2/c/tags/manifests/{tag}")).await.status(), 200);
    }
    let mut seen: Vec<String> = Vec::new();
    let mut next = Some("/v2/c/tags/tags/list?n=5".to_owned());
    while let Some(path) = next {
        let page = lab.get(&path).await;
        next = page.headers().get("link").map(|l| {
            let l = l.to_str().unwrap();
            assert!(l.ends_with("; rel=\"next\""), "{l}");
            l[1..l.find('>').unwrap()].to_owned()
        });
        let body: Value = page.json().await.unwrap();
        assert_eq!(body["name"], "c/tags");
        let list = body["tags"].as_array().unwrap().clone();
        assert!(list.len() <= 5);
        seen.extend(list.iter().map(|t| t.as_str().unwrap().to_owned()));
    }
    assert_eq!(seen, tags);
    let none = lab.get("/v2/c/tags/tags/list?n=0").await;
    assert!(!none.headers().contains_key("link"));
    assert_eq!(none.json::<Value>().await.unwrap()["tags"], json!([]));
    assert_eq!(lab.get("/v2/c/tags/tags/list?n=x").await.status(), 400);
    let after: Value = lab.get("/v2/c/tags/tags/list?last=t09").await.json().await.unwrap();
    assert_eq!(after["tags"], json!(["t10", "t11"]));
    // A tag goes alone; the digest takes all.
    assert_eq!(lab.delete("/v2/c/tags/manifests/t00").await.status(), 202);
    assert_eq!(lab.get("/v2/c/tags/manifests/t00").await.status(), 404);
    assert_eq!(lab.delete("/v2/c/tags/manifests/t00").await.status(), 404);
    assert_eq!(lab.get(&format!("/v2/c/tags/manifests/{digest}")).await.status(), 200);
    assert_eq!(lab.delete(&format!("/v2/c/tags/manifests/{digest}")).await.status(), 202);
    assert_eq!(lab.get("/v2/c/tags/manifests/t05").await.status(), 404);
    let many: Vec<String> = (0..101).map(|i| format!("tag=m{i}")).collect();
    let refused = lab.push_manifest("c/tags", &format!("{digest}?{}", many.join("&")), MANIFEST, &body).await;
    assert!([400, 414].contains(&refused.status().as_u16()));
    let catalog: Value = lab.get("/v2/_catalog").await.json().await.unwrap();
    assert!(catalog["repositories"].is_array());
}

#[tokio::test]
async fn blob_deletion_unlinks_and_a_named_blob_stays() {
    let lab = Lab::new().await;
    let digest = lab.push_blob("c/del", &noise(30, 100), "sha256").await;
    let path = format!("/v2/c/del/blobs/{digest}");
    assert_eq!(lab.delete(&path).await.status(), 202);
    assert_eq!(lab.get(&path).await.status(), 404);
    assert_eq!(lab.delete(&path).await.status(), 404);
    let layer = noise(31, 100);
    let digest = lab.push_blob("c/del", &layer, "sha256").await;
    lab.push_blob("c/del", b"{}", "sha256").await;
    let body = json!({"schemaVersion": 2, "config": descriptor("a/b", b"{}", "sha256"), "layers": [descriptor("c/d", &layer, "sha256")]}).to_string();
    assert_eq!(lab.push_manifest("c/del", "x", MANIFEST, &body).await.status(), 201);
    assert_eq!(lab.delete(&format!("/v2/c/del/blobs/{digest}")).await.status(), 405);
    assert_eq!(lab.get(&format!("/v2/c/del/blobs/{digest}")).await.status(), 200);
}

#[tokio::test]
async fn manifests_that_are_none() {
    let lab = Lab::new().await;
    for (media_type, body) in [
        (MANIFEST, "not json"),
        (MANIFEST, "{}"),
        (MANIFEST, r#"{"schemaVersion":1}"#),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", r#"{"schemaVersion":1}"#),
        ("text/plain", r#"{"schemaVersion":2}"#),
        (INDEX, r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#),
    ] {
        let refused = lab.push_manifest("c/none", "x", media_type, body).await;
        assert_eq!(refused.status(), 400, "{media_type} {body}");
        assert_eq!(errors(refused).await, "MANIFEST_INVALID");
    }
    let huge = format!(r#"{{"schemaVersion":2,"x":"{}"}}"#, "x".repeat(5 << 20));
    assert_eq!(lab.push_manifest("c/none", "x", MANIFEST, &huge).await.status(), 413);
    for (name, status) in [("UPPER", 404), ("a/../b", 404), ("a//b", 404), ("-a", 404)] {
        let got = lab.get(&format!("/v2/{name}/tags/list")).await.status().as_u16();
        assert!(got == 400 || got == status, "{name}: {got}");
    }
    assert_eq!(lab.push_manifest("c/none", &"t".repeat(129), MANIFEST, "{}").await.status(), 400);
}

/// The classic engine's requests, in its order and with its headers.
#[tokio::test]
async fn docker_pushes_and_pulls_schema_two() {
    let lab = Lab::new().await;
    let schema2 = "application/vnd.docker.distribution.manifest.v2+json";
    let (layer, config) = (noise(40, 70_000), noise(41, 500));
    for bytes in [&layer, &config] {
        let digest = digest_of(bytes, "sha256");
        assert_eq!(lab.head(&format!("/v2/d/app/blobs/{digest}")).await.status(), 404);
        let started = lab.post("/v2/d/app/blobs/uploads/").await;
        let stream = futures::stream::iter(bytes.chunks(32_768).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>());
        let patched = lab.http.patch(lab.url(header(&started, "location"))).body(reqwest::Body::wrap_stream(stream)).send().await.unwrap();
        let (a, b) = header(&patched, "range").split_once('-').unwrap();
        assert!(a.parse::<u64>().unwrap() <= b.parse::<u64>().unwrap(), "the engine reads %d-%d and wants end >= start");
        let done = lab.http.put(with_query(&lab.url(header(&patched, "location")), &format!("digest={digest}"))).header("content-length", 0).send().await.unwrap();
        assert_eq!(done.status(), 201);
        let head = lab.head(&format!("/v2/d/app/blobs/{digest}")).await;
        assert_eq!(header(&head, "content-length"), bytes.len().to_string(), "visible at once");
    }
    let body = json!({
        "schemaVersion": 2, "mediaType": schema2,
        "config": descriptor("application/vnd.docker.container.image.v1+json", &config, "sha256"),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", &layer, "sha256")],
    });
    manifest_life(&lab, "d/app", "1.0", schema2, &body, "sha256").await;
    // Accept headers do not change what is stored.
    let got = lab.http.get(lab.url("/v2/d/app/manifests/1.0")).header("accept", "application/vnd.oci.image.index.v1+json").send().await.unwrap();
    assert_eq!(header(&got, "content-type"), schema2);
}

#[tokio::test]
async fn fallback_tags_of_older_clients_are_listed() {
    let lab = Lab::new().await;
    lab.push_blob("c/fall", b"{}", "sha256").await;
    let signature = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "a/sig", "config": descriptor("application/vnd.oci.empty.v1+json", b"{}", "sha256"), "layers": []}).to_string();
    assert_eq!(lab.push_manifest("c/fall", &digest_of(signature.as_bytes(), "sha256"), MANIFEST, &signature).await.status(), 201);
    let subject = digest_of(b"an image", "sha256");
    let mut entry = descriptor(MANIFEST, signature.as_bytes(), "sha256");
    entry["artifactType"] = json!("a/sig");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
    assert_eq!(lab.push_manifest("c/fall", &subject.replace(':', "-"), INDEX, &index).await.status(), 201);
    let listed: Value = lab.get(&format!("/v2/c/fall/referrers/{subject}?artifactType=a%2Fsig")).await.json().await.unwrap();
    assert_eq!(listed["manifests"][0]["digest"], digest_of(signature.as_bytes(), "sha256"));
}
