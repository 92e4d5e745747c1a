//! OCI image layouts (image-spec 1.1, "Image Layout"): what `skopeo copy oci:DIR:TAG` reads.

use super::Image;
use super::image::MANIFEST;
use serde_json::json;
use std::path::Path;

/// Writes `image` as an image layout below `dir`, named `tag`. An existing layout there is replaced.
pub fn write_oci_layout(dir: &Path, image: &Image, tag: &str) -> std::io::Result<()> {
    let blobs = dir.join("blobs").join("sha256");
    std::fs::create_dir_all(&blobs)?;
    for blob in image.blobs() {
        std::fs::write(blobs.join(blob.digest.hex()), &blob.bytes)?;
    }
    std::fs::write(blobs.join(image.digest.hex()), &image.manifest)?;
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": MANIFEST, "digest": image.digest, "size": image.manifest.len(),
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }],
    });
    std::fs::write(dir.join("index.json"), index.to_string())?;
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
}

#[cfg(test)]
mod tests {
    use crate::sample;

    #[test]
    fn a_layout_leads_from_the_index_to_every_blob() {
        let dir = tempfile::tempdir().unwrap();
        let good = sample::good();
        super::write_oci_layout(dir.path(), &good.image, "v1").unwrap();
        let read = |name: &str| serde_json::from_slice::<serde_json::Value>(&std::fs::read(dir.path().join(name)).unwrap()).unwrap();
        assert_eq!(read("oci-layout")["imageLayoutVersion"], "1.0.0");
        let entry = &read("index.json")["manifests"][0];
        assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "v1");
        let of = |digest: &serde_json::Value| format!("blobs/sha256/{}", digest.as_str().unwrap().trim_start_matches("sha256:"));
        let manifest = read(&of(&entry["digest"]));
        for stated in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            let size = std::fs::metadata(dir.path().join(of(&stated["digest"]))).unwrap().len();
            assert_eq!(stated["size"], size);
        }
    }
}
