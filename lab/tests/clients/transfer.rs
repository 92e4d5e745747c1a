//! Pushing and pulling.

use crate::world::{World, archives, big};
use jinwu_lab::image::Image;
use jinwu_lab::program::{installed, run};
use serde_json::Value;
use std::process::Command;

#[test]
fn skopeo_takes_every_image_there_and_back() -> anyhow::Result<()> {
    let world = World::new()?;
    for (name, source) in archives(&world.dir("archives")?)? {
        let there = format!("docker://{}", world.reference(&format!("open/{name}:1")));
        run(world.skopeo(&[&source, &there])?.args(["--format", "oci"]))?;
        let back = world.dir(&format!("back-{name}"))?;
        run(&mut world.skopeo(&[&there, &format!("dir:{}", back.display())])?)?;
        let manifest: Value = serde_json::from_slice(&std::fs::read(back.join("manifest.json"))?)?;
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            let digest = layer["digest"].as_str().unwrap_or_default();
            let bytes = std::fs::read(back.join(digest.trim_start_matches("sha256:")))?;
            assert_eq!(jinwu_lab::image::digest(&bytes), digest, "{name}");
        }
        // Within the registry: layers are mounted, the manifest is the same.
        let other = format!("docker://{}", world.reference(&format!("open/copy/{name}:1")));
        run(&mut world.skopeo(&[&there, &other])?)?;
    }
    // Docker's own manifest type.
    let alpine = world.dir("layout")?;
    world.alpine("3.20.3")?.write_layout(&alpine, "1")?;
    let there = format!("docker://{}", world.reference("open/schema2:1"));
    run(world.skopeo(&[&format!("oci:{}:1", alpine.display()), &there])?.args(["--format", "v2s2"]))?;
    Ok(())
}

#[test]
fn podman_and_buildah_push_and_pull() -> anyhow::Result<()> {
    let world = World::new()?;
    let layout = world.dir("layout")?;
    world.alpine("3.20.3")?.write_layout(&layout, "1")?;
    let name = world.reference("open/podman:1");
    run(world.storage("podman")?.arg("pull").arg("-q").arg(format!("oci:{}:1", layout.display())))?;
    let id = run(world.storage("podman")?.args(["images", "-q", "--no-trunc"]))?;
    let id = id.lines().next().unwrap_or_default().to_owned();
    run(world.storage("podman")?.args(["tag", &id, &name]))?;
    run(world.storage("podman")?.args(["push", "-q", "--cert-dir"]).arg(world.certs()).arg(&name))?;
    run(world.storage("podman")?.args(["rmi", "-f", &id]))?;
    run(world.storage("podman")?.args(["pull", "-q", "--cert-dir"]).arg(world.certs()).arg(&name))?;
    let digest = run(world.storage("podman")?.args(["inspect", "--format", "{{.Digest}}", &name]))?;
    run(world.storage("podman")?.args(["pull", "-q", "--cert-dir"]).arg(world.certs()).arg(world.reference(&format!("open/podman@{}", digest.trim()))))?;
    for format in ["oci", "docker"] {
        let container = run(world.storage("buildah")?.args(["from", "--name", format, "scratch"]))?.trim().to_owned();
        run(world.storage("buildah")?.args(["config", "--user", "65532", &container]))?;
        run(world.storage("buildah")?.args(["copy", "-q", &container]).arg(world.server.ca()).arg("/ca.crt"))?;
        let built = world.reference(&format!("open/buildah:{format}"));
        run(world.storage("buildah")?.args(["commit", "-q", "--format", format, &container, &built]))?;
        run(world.storage("buildah")?.args(["push", "-q", "--cert-dir"]).arg(world.certs()).arg(&built))?;
        run(world.storage("buildah")?.args(["pull", "-q", "--cert-dir"]).arg(world.certs()).arg(&built))?;
    }
    Ok(())
}

#[test]
fn crane_does_all_it_can() -> anyhow::Result<()> {
    let world = World::new()?;
    let layout = world.dir("layout")?;
    let image = world.alpine("3.18.9")?;
    image.write_layout(&layout, "1")?;
    let name = world.reference("open/crane:1");
    run(world.go_client("crane")?.arg("push").arg(&layout).arg(&name))?;
    let digest = run(world.go_client("crane")?.args(["digest", &name]))?;
    assert_eq!(digest.trim(), image.digest());
    let copy = world.reference("open/crane-copy:2");
    run(world.go_client("crane")?.args(["copy", &name, &copy]))?;
    assert_eq!(run(world.go_client("crane")?.args(["ls", &world.reference("open/crane-copy")]))?.trim(), "2");
    let pulled = world.server.folder().join("pulled.tar");
    run(world.go_client("crane")?.args(["pull", &name]).arg(&pulled))?;
    assert!(std::fs::metadata(&pulled)?.len() > 1 << 20);
    let catalog = run(world.go_client("crane")?.args(["catalog", &world.server.registry]))?;
    assert!(catalog.contains("open/crane-copy"), "{catalog}");
    run(world.go_client("crane")?.args(["delete", &world.reference(&format!("open/crane-copy@{}", image.digest()))]))?;
    assert!(run(world.go_client("crane")?.args(["manifest", &copy])).is_err());
    Ok(())
}

#[test]
fn a_large_application_image_goes_through_in_one_piece() -> anyhow::Result<()> {
    let world = World::new()?;
    let layout = world.dir("large")?;
    // 500 MB in five layers of different make.
    let tars: Vec<Vec<u8>> = (0..5).map(|i| big(100 << 20 | i)).collect();
    let image = Image::new(&tars, &serde_json::json!({"User": "65532"}));
    drop(tars);
    image.write_layout(&layout, "1")?;
    let there = format!("docker://{}", world.reference("open/large:1"));
    run(&mut world.skopeo(&[&format!("oci:{}:1", layout.display()), &there])?)?;
    let back = world.dir("back")?;
    run(&mut world.skopeo(&[&there, &format!("dir:{}", back.display())])?)?;
    for layer in &image.layers {
        let digest = jinwu_lab::image::digest(layer);
        let bytes = std::fs::read(back.join(digest.trim_start_matches("sha256:")))?;
        assert_eq!(jinwu_lab::image::digest(&bytes), digest);
    }
    run(Command::new(installed("du")?).arg("-sh").arg(world.server.data.join("registry")))?;
    Ok(())
}
