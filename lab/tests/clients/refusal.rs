//! A refused push must read like advice in each client's own output.

use crate::world::World;
use jinwu_lab::image::{File, Image, tar};
use jinwu_lab::program::{run, said};

fn rooted() -> Image {
    let os = b"ID=alpine\nVERSION_ID=3.20.3\n";
    let layer = tar(&[
        File { path: "etc/os-release", mode: 0o644, content: os },
        File { path: "lib/apk/db/installed", mode: 0o644, content: b"P:x\nV:1-r0\nA:x86_64\no:x\n\n" },
    ]);
    Image::new(&[layer], &serde_json::json!({"User": "root"}))
}

#[test]
fn skopeo_podman_buildah_and_crane_show_why() -> anyhow::Result<()> {
    let world = World::new()?;
    let layout = world.dir("layout")?;
    rooted().write_layout(&layout, "1")?;
    let source = format!("oci:{}:1", layout.display());
    let name = world.reference("demo/rooted:1");
    let mut said_by = Vec::new();
    said_by.push(("skopeo", world.skopeo(&[&source, &format!("docker://{name}")])?.output()?));
    for client in ["podman", "buildah"] {
        run(world.storage(client)?.arg("pull").arg("-q").arg(&source))?;
        let id = run(world.storage(client)?.args(["images", "-q", "--no-trunc"]))?.lines().next().unwrap_or_default().to_owned();
        run(world.storage(client)?.args(["tag", &id, &name]))?;
        said_by.push((client, world.storage(client)?.arg("push").arg("--cert-dir").arg(world.certs()).arg(&name).output()?));
    }
    said_by.push(("crane", world.go_client("crane")?.arg("push").arg(&layout).arg(&name).output()?));
    for (client, output) in &said_by {
        let text = said(output);
        assert!(!output.status.success(), "{client} pushed it: {text}");
        for part in ["金吾拦截", "root-user", "IM-2", "处置", "fix:", "USER"] {
            assert!(text.contains(part), "{client} does not show {part:?}: {text}");
        }
    }
    Ok(())
}
