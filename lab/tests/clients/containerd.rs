//! containerd pulls through its hosts.toml.

use crate::world::World;
use jinwu_lab::program::{installed, run};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn containerd_pulls_and_unpacks() -> anyhow::Result<()> {
    let world = World::new()?;
    let layout = world.dir("layout")?;
    let image = world.alpine("3.20.3")?;
    image.write_layout(&layout, "1")?;
    let name = world.reference("open/containerd:1");
    run(&mut world.skopeo(&[&format!("oci:{}:1", layout.display()), &format!("docker://{name}")])?)?;
    let dir = world.dir("containerd")?;
    let socket = dir.join("containerd.sock");
    let hosts = dir.join("certs.d").join(&world.server.registry);
    std::fs::create_dir_all(&hosts)?;
    std::fs::write(
        hosts.join("hosts.toml"),
        format!("server = \"https://{0}\"\n[host.\"https://{0}\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = {1:?}\n", world.server.registry, world.server.ca().display().to_string()),
    )?;
    let config = dir.join("config.toml");
    std::fs::write(
        &config,
        format!("version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = {:?}\n", dir.join("root").display().to_string(), dir.join("state").display().to_string(), socket.display().to_string()),
    )?;
    let log = std::fs::File::create(dir.join("log"))?;
    let daemon = Command::new(installed("containerd")?).arg("--config").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
    let _daemon = Daemon(daemon);
    let ctr = || installed("ctr").map(|p| {
        let mut c = Command::new(p);
        c.arg("-a").arg(&socket);
        c
    });
    let until = Instant::now() + Duration::from_secs(30);
    while run(ctr()?.arg("version")).is_err() {
        anyhow::ensure!(Instant::now() < until, "containerd does not answer: {}", std::fs::read_to_string(dir.join("log"))?);
        std::thread::sleep(Duration::from_millis(100));
    }
    let (robot, secret) = world.server.robot();
    let hosts_dir = dir.join("certs.d");
    // The native snapshotter needs no mount of its own.
    run(ctr()?.args(["images", "pull", "--snapshotter", "native", "--hosts-dir"]).arg(&hosts_dir).args(["--user", &format!("{robot}:{secret}"), &name]))?;
    let listed = run(ctr()?.args(["images", "ls"]))?;
    assert!(listed.contains(&image.digest()), "{listed}");
    let anonymous = run(ctr()?.args(["images", "pull", "--snapshotter", "native", "--hosts-dir"]).arg(&hosts_dir).arg(world.reference("open/containerd@".to_owned().as_str()) + &image.digest()));
    assert!(anonymous.is_err(), "nothing is pulled without credentials");
    Ok(())
}
