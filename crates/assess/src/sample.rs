//! Planted images: one that meets every built-in policy, and for every built-in policy at least one
//! that violates that policy and no other.
//!
//! They are made in memory, small (a few kilobytes) and harmless: keys and passwords are generated
//! when an image is built and open nothing, the "malware" is the EICAR test string, which every
//! engine knows and no machine runs. The string is put together at run time so that this file is
//! not itself a find.
//!
//! The base is a file system a runtime can start: a 160-byte static ELF program (x86-64) that prints
//! one line, Debian's `os-release`, and a dpkg database of two packages without open advisories.

mod elf;
mod image;
mod layout;

pub use image::{Blob, Builder, Image, LAYER_GZIP};
pub use layout::write_oci_layout;

use jinwu_model::{PolicyId, Text};

/// One planted image.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Kebab-case; used as repository name.
    pub name: &'static str,
    /// What stands in it.
    pub title: Text,
    /// The policy it violates; `None` for the good one.
    pub policy: Option<PolicyId>,
    pub image: Image,
}

/// An openssl with dozens of published advisories, among them 超危 and 高危.
const OLD_OPENSSL: &str = "3.0.11-1~deb12u1";
const PACKAGES: [(&str, &str); 2] = [("base-files", "12.4+deb12u12"), ("tzdata", "2025b-0+deb12u2")];
const OS_RELEASE: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n";
const OTHER_RELEASE: &str = "PRETTY_NAME=\"Kylin Linux Advanced Server V10 (Lance)\"\nNAME=\"Kylin Linux Advanced Server\"\nVERSION_ID=\"V10\"\nID=\"kylin\"\n";

/// The good image.
pub fn good() -> Sample {
    sample("good", None, "符合全部内置策略的镜像", "an image that meets every built-in policy", base().build())
}

/// The program of drills in clusters, compiled from `probe/`.
const PROBE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/probe"));

/// The image of that program; it meets every built-in policy.
pub fn probe() -> Sample {
    sample("probe", None, "演练程序", "the drills' program", base().file("probe", 0o755, PROBE).entrypoint("/probe").build())
}

/// Every bad image.
pub fn bad() -> Vec<Sample> {
    let key = embedded_key();
    let mut whole = Builder::gzip(&[("srv/data", 0o644, &[b'x'; 4096])]).bytes;
    whole.truncate(whole.len() / 2);
    let truncated = Blob::new(LAYER_GZIP, whole);
    let noise: Vec<u8> = (0..64).flat_map(|_| jinwu_trust::random::bytes::<32>()).collect();
    let eicar = eicar();
    vec![
        sample("known-vulnerability", Some("known-vulnerability"), "含已知高危漏洞的 openssl", "an openssl with known vulnerabilities", {
            base().file("var/lib/dpkg/status", 0o644, dpkg(&[("openssl", OLD_OPENSSL)]).as_bytes()).build()
        }),
        graded("known-vulnerability-high", "高危", "高危 (high)", ("minizip", "1.1-8")),
        graded("known-vulnerability-medium", "中危", "中危 (medium)", ("dav1d", "1.0.0-2")),
        graded("known-vulnerability-low", "低危", "低危 (low)", ("network-manager", "1.42.4-1")),
        sample("embedded-secret", Some("embedded-secret"), "层内含私钥文件", "a private key in a layer", base().file("home/app/.ssh/id_ecdsa", 0o600, key.as_bytes()).build()),
        sample("embedded-secret-deleted", Some("embedded-secret"), "上层已删除、下层仍可取出的私钥", "a private key that an upper layer deletes", {
            let lower = base().file("home/app/.ssh/id_ecdsa", 0o600, key.as_bytes());
            lower.layer(Builder::gzip(&[("home/app/.ssh/.wh.id_ecdsa", 0o600, b"")])).build()
        }),
        sample("environment-password", Some("environment-password"), "环境变量含口令", "a password in an environment variable", {
            base().env(&format!("DB_PASSWORD={}", jinwu_trust::random::password(16))).build()
        }),
        sample("malware", Some("malware"), "EICAR 恶意代码测试文件", "the EICAR test file", base().file("opt/tool/run.com", 0o755, eicar.as_bytes()).build()),
        sample("malware-deleted", Some("malware"), "上层已删除、下层仍可取出的恶意代码", "malware that an upper layer deletes", {
            let lower = base().file("opt/tool/run.com", 0o755, eicar.as_bytes());
            lower.layer(Builder::gzip(&[("opt/tool/.wh.run.com", 0o644, b"")])).build()
        }),
        sample("root-user", Some("root-user"), "未定义运行用户", "no USER defined", base().user("").build()),
        sample("root-user-zero", Some("root-user"), "USER 0:0", "USER 0:0", base().user("0:0").build()),
        sample("root-user-name", Some("root-user"), "USER 为 uid 0 的别名", "USER is another name of uid 0", {
            base().file("etc/passwd", 0o644, b"operator:x:0:0::/:/app\n").user("operator").build()
        }),
        sample("exposed-ssh", Some("exposed-ssh"), "暴露 22 端口", "port 22 exposed", base().port("22/tcp").build()),
        sample("setuid-addition", Some("setuid-addition"), "新增 setuid 文件", "an added setuid file", base().file("usr/local/bin/helper", 0o4755, elf::hello("helper\n").as_slice()).build()),
        sample("unscannable-encrypted", Some("unscannable"), "加密层", "an encrypted layer", base().layer(Blob::new(&format!("{LAYER_GZIP}+encrypted"), noise)).build()),
        sample("unscannable-truncated", Some("unscannable"), "截断的压缩层", "a truncated layer", base().layer(truncated).build()),
        sample("integrity", Some("integrity"), "内容与 diff_id 不符", "a layer that is not what its diff_id says", base().wrong_diff_id().build()),
        sample("uncovered-distribution", Some("uncovered-distribution"), "漏洞库未覆盖的发行版", "a distribution without advisory data", {
            base().file("etc/os-release", 0o644, OTHER_RELEASE.as_bytes()).without("var/lib/dpkg/status").build()
        }),
    ]
}

/// The good image and every bad one.
pub fn all() -> Vec<Sample> {
    std::iter::once(good()).chain(bad()).collect()
}

/// One bad image by its name.
pub fn named(name: &str) -> Option<Sample> {
    all().into_iter().find(|s| s.name == name)
}

fn sample(name: &'static str, policy: Option<&str>, zh: &str, en: &str, image: Image) -> Sample {
    Sample { name, title: Text::new(zh, en), policy: policy.map(|p| PolicyId(p.to_owned())), image }
}

/// A package whose only open advisory has a CVSS vector of this grade (GB/T 30279).
fn graded(name: &'static str, zh: &str, en: &str, package: (&str, &str)) -> Sample {
    let image = base().file("var/lib/dpkg/status", 0o644, dpkg(&[package]).as_bytes()).build();
    sample(name, Some("known-vulnerability"), &format!("仅含一项{zh}漏洞"), &format!("a single vulnerability of grade {en}"), image)
}

fn base() -> Builder {
    Builder::new()
        .file("app", 0o755, &elf::hello("jinwu sample\n"))
        .file("etc/os-release", 0o644, OS_RELEASE.as_bytes())
        .file("etc/passwd", 0o644, b"app:x:65532:65532::/:/app\n")
        .file("var/lib/dpkg/status", 0o644, dpkg(&[]).as_bytes())
        .user("65532:65532")
        .entrypoint("/app")
}

fn dpkg(more: &[(&str, &str)]) -> String {
    let stanza = |(name, version): &(&str, &str)| {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\nMaintainer: Debian\nDescription: {name}\n\n")
    };
    PACKAGES.iter().chain(more).map(stanza).collect()
}

/// A key made now, of no use to anybody. An empty text where the system gives no randomness: the
/// image is then accepted and the drill that used it fails loudly.
fn embedded_key() -> String {
    rcgen::KeyPair::generate().map(|k| k.serialize_pem()).unwrap_or_default()
}

fn eicar() -> String {
    ["X5O!P%@AP[4\\PZX54", "(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE", "!$H+H*"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_model::{Algorithm, Digest};
    use std::collections::BTreeSet;
    use std::io::Read;

    fn sha(bytes: &[u8]) -> Digest {
        Digest::from_bytes(Algorithm::Sha256, &jinwu_trust::sha256(bytes)).unwrap()
    }

    #[test]
    fn descriptors_say_what_the_blobs_are() {
        for sample in all() {
            let image = &sample.image;
            let manifest: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
            assert_eq!(manifest["schemaVersion"], 2);
            assert_eq!(manifest["config"]["digest"], sha(&image.config.bytes).to_string(), "{}", sample.name);
            assert_eq!(manifest["config"]["size"], image.config.bytes.len());
            let layers = manifest["layers"].as_array().unwrap();
            assert_eq!(layers.len(), image.layers.len());
            for (stated, blob) in layers.iter().zip(&image.layers) {
                assert_eq!(stated["digest"], sha(&blob.bytes).to_string(), "{}", sample.name);
                assert_eq!(stated["size"], blob.bytes.len());
                assert_eq!(stated["mediaType"], blob.media_type);
            }
            assert_eq!(image.digest, sha(&image.manifest));
        }
    }

    #[test]
    fn diff_ids_hold_except_where_they_are_the_fault() {
        for sample in all() {
            let config: serde_json::Value = serde_json::from_slice(&sample.image.config.bytes).unwrap();
            let ids = config["rootfs"]["diff_ids"].as_array().unwrap();
            assert_eq!(ids.len(), sample.image.layers.len(), "{}", sample.name);
            let mut tar = Vec::new();
            flate2::read::GzDecoder::new(sample.image.layers[0].bytes.as_slice()).read_to_end(&mut tar).unwrap();
            let holds = ids[0] == sha(&tar).to_string();
            assert_eq!(holds, sample.name != "integrity", "{}", sample.name);
        }
    }

    #[test]
    fn every_built_in_policy_has_a_bad_image() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
        let built_in: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
            // What a cluster is asked is no image.
            .filter(|p| std::fs::read_to_string(p).unwrap().contains("kind: ImagePolicy"))
            .map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        let planted: BTreeSet<String> = bad().into_iter().filter_map(|s| s.policy).map(|p| p.0).collect();
        assert_eq!(planted, built_in);
        let names: BTreeSet<_> = all().iter().map(|s| s.name).collect();
        assert_eq!(names.len(), all().len(), "names are repositories");
    }

    #[test]
    fn keys_and_passwords_are_new_each_time() {
        let of = |name: &str| named(name).unwrap().image;
        assert_ne!(of("embedded-secret").layers[0].digest, of("embedded-secret").layers[0].digest);
        assert_ne!(of("environment-password").config.digest, of("environment-password").config.digest);
        assert!(embedded_key().starts_with("-----BEGIN"));
        assert_eq!(eicar().len(), 68);
        assert_eq!(good().image.digest, good().image.digest, "the good image is always the same");
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[test]
    fn the_program_runs() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app");
        std::fs::write(&path, elf::hello("jinwu sample\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let done = std::process::Command::new(&path).output().unwrap();
        assert!(done.status.success());
        assert_eq!(done.stdout, b"jinwu sample\n");
    }
}
