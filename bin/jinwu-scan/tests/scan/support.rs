//! Tars, images and pools for tests.

use bytes::Bytes;
use jinwu_model::report::ImageReport;
use jinwu_model::{Algorithm, Digest};
use jinwu_scan::client::{ComposeRequest, LayerDescriptor, LayerOutcome, Pool, PoolConfig};
use sha2::Digest as _;
use std::io::Write;
use std::path::PathBuf;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_jinwu-scan");
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

pub(crate) fn data(name: &str) -> PathBuf {
    let root = std::env::var_os("JINWU_DATA").expect("JINWU_DATA must name the folder with the test corpora (images/, truth/)");
    PathBuf::from(root).join(name)
}

pub(crate) fn config() -> PoolConfig {
    let mut config = PoolConfig::new(PROGRAM);
    config.workers = 1;
    config
}

pub(crate) fn failing(failpoint: &str) -> PoolConfig {
    let mut config = config();
    config.environment.push((jinwu_scan::worker::FAILPOINT.into(), failpoint.into()));
    config
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Algorithm::Sha256, &sha2::Sha256::digest(bytes)).unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An unlinked file with this content.
pub(crate) fn file(bytes: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A layer under construction.
pub(crate) struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    pub(crate) fn new() -> Self {
        Layer(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.with_mode(path, content, 0o644)
    }

    pub(crate) fn with_mode(mut self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Self {
        let content = content.as_ref();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        self.0.append_data(&mut header, path, content).unwrap();
        self
    }

    pub(crate) fn link(mut self, path: &str, target: &str, kind: tar::EntryType) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o777);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// An image made of plain layers; the `config` object gets the right diff_ids.
pub(crate) struct Made {
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) config: serde_json::Value,
    pub(crate) media_type: &'static str,
}

impl Made {
    pub(crate) fn new(layers: Vec<Vec<u8>>) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|l| digest(l)).collect();
        let config = serde_json::json!({ "architecture": "amd64", "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        Made { layers, config, media_type: LAYER }
    }

    pub(crate) fn with(mut self, key: &str, value: serde_json::Value) -> Self {
        self.config["config"][key] = value;
        self
    }

    pub(crate) fn scan(&self) -> ImageReport {
        self.scan_raw(None, None)
    }

    /// With other bytes as manifest or configuration.
    pub(crate) fn scan_raw(&self, manifest: Option<&str>, config: Option<&str>) -> ImageReport {
        block_on(async {
            let pool = Pool::start(super::support::config()).await.unwrap();
            let mut layers = Vec::new();
            for bytes in &self.layers {
                let outcome = pool.analyze_stored(file(bytes), bytes.len() as u64, Some(digest(bytes))).await;
                let descriptor = LayerDescriptor { digest: digest(bytes), size: bytes.len() as u64, media_type: self.media_type.into() };
                layers.push((descriptor, outcome));
            }
            pool.compose(request(layers, manifest.unwrap_or("{}"), config.unwrap_or(&self.config.to_string()))).await.unwrap()
        })
    }
}

pub(crate) fn request(layers: Vec<(LayerDescriptor, LayerOutcome)>, manifest: &str, config: &str) -> ComposeRequest {
    ComposeRequest {
        image: digest(manifest.as_bytes()),
        manifest: Bytes::copy_from_slice(manifest.as_bytes()),
        manifest_media_type: jinwu_image::media::OCI_MANIFEST.into(),
        config: Bytes::copy_from_slice(config.as_bytes()),
        config_media_type: jinwu_image::media::OCI_CONFIG.into(),
        layers,
    }
}

/// Runs `jinwu-scan image`; exit code, standard output, standard error.
pub(crate) fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(PROGRAM).arg("image").args(arguments).output().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// The report of an image by the command line.
pub(crate) fn report(image: &str) -> ImageReport {
    let (_, stdout, stderr) = run(&[image, "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{image}: {e}: {stderr}"));
    serde_json::from_value(value["report"].clone()).unwrap()
}
