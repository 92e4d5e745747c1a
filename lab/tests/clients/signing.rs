//! cosign signs and verifies what the registry holds.

use crate::world::World;
use jinwu_lab::program::run;

#[test]
fn cosign_signs_and_verifies_and_the_gate_lets_signatures_pass() -> anyhow::Result<()> {
    let world = World::new()?;
    let layout = world.dir("layout")?;
    let image = jinwu_lab::image::Image::good(5);
    image.write_layout(&layout, "1")?;
    // Level 4, where everything blocks: a signature is no image and passes by type.
    let there = world.reference("demo/signed");
    run(&mut world.skopeo(&[&format!("oci:{}:1", layout.display()), &format!("docker://{there}:1")])?)?;
    let keys = world.dir("keys")?;
    let cosign = || world.go_client("cosign").map(|mut c| {
        c.current_dir(&keys).env("COSIGN_PASSWORD", "for this test only");
        c
    });
    run(cosign()?.arg("generate-key-pair"))?;
    let target = format!("{there}@{}", image.digest());
    run(cosign()?.args(["sign", "--yes", "--tlog-upload=false", "--key", "cosign.key", &target]))?;
    let verified = run(cosign()?.args(["verify", "--insecure-ignore-tlog", "--key", "cosign.pub", &target]))?;
    assert!(verified.contains(&image.digest()), "{verified}");
    assert!(run(cosign()?.args(["verify", "--insecure-ignore-tlog", "--key", "cosign.pub", &format!("{there}:none")])).is_err());
    Ok(())
}
