//! Media types of layers (OCI image-spec 1.1 "Image Layer Filesystem Changeset", docker schema 2,
//! ocicrypt) and manifests.

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What a layer's media type says. How it is compressed the bytes say themselves, as they do to a
/// runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// A tar in any compression.
    Tar,
    /// To be fetched from elsewhere; what is there is not examined.
    Foreign,
    /// Encrypted (ocicrypt): unreadable without a key.
    Encrypted,
    /// Not a layer type this knows.
    Unknown,
}

impl LayerKind {
    pub fn of(media_type: &str) -> Self {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence.split('+').skip(1).any(|suffix| suffix == "encrypted") {
            return LayerKind::Encrypted;
        }
        match essence.as_str() {
            "application/vnd.docker.image.rootfs.foreign.diff.tar"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd" => LayerKind::Foreign,
            e if e.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar") => LayerKind::Foreign,
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => LayerKind::Tar,
            _ => LayerKind::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (text, kind) in [
            (OCI_LAYER, LayerKind::Tar),
            (OCI_LAYER_GZIP, LayerKind::Tar),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", LayerKind::Encrypted),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", LayerKind::Foreign),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", LayerKind::Foreign),
            ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", LayerKind::Unknown),
            ("", LayerKind::Unknown),
        ] {
            assert_eq!(LayerKind::of(text), kind, "{text}");
        }
    }
}
