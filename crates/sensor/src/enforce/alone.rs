//! The security hooks without the rest of the sensor.

use super::{Enforcer, prepare};
use crate::programs::{SensorSkel, SensorSkelBuilder};
use anyhow::{Context as _, Result};
use jinwu_event::Call;
use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use libbpf_rs::{MapCore as _, MapFlags, MapHandle, OpenObject, RingBuffer, RingBufferBuilder};
use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Programs, policies and what they told.
pub struct Alone {
    pub enforcer: Enforcer,
    /// Hooks this kernel has not.
    pub missing: Vec<String>,
    skel: SensorSkel<'static>,
    rings: RingBuffer<'static>,
    read: Arc<Mutex<Vec<Vec<u8>>>>,
}

// === impl Alone ===

impl Alone {
    /// Loads, attaches and pins the security hooks; tells of `observed` calls of containers beside what is refused.
    ///
    /// # Errors
    /// When this kernel has no security hooks for it, another agent is in place, or a program is refused: says why.
    pub fn start(folder: &Path, observed: &[Call]) -> Result<Self> {
        crate::capability::lsm_listed().map_err(|why| anyhow::anyhow!("security hooks (BPF LSM): {why}"))?;
        let object: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
        let mut open = SensorSkelBuilder::default().open(object).context("the kernel's programs cannot be opened")?;
        for mut program in open.open_object_mut().progs_mut() {
            program.set_autoload(false);
        }
        let missing = prepare(&mut open, folder)?;
        let skel = open.load().context("the kernel refuses the security hooks")?;
        fill(&skel, observed)?;
        let enforcer = Enforcer::attach(&skel, folder)?;
        let read = Arc::new(Mutex::new(Vec::new()));
        let mut builder = RingBufferBuilder::new();
        let (urgent, telemetry) = (leak(&skel.maps.urgent)?, leak(&skel.maps.telemetry)?);
        for ring in [urgent, telemetry] {
            let read = read.clone();
            builder.add(ring, move |data: &[u8]| {
                if let Ok(mut read) = read.lock() {
                    read.push(data.to_vec());
                }
                0
            })?;
        }
        let rings = builder.build()?;
        Ok(Alone { enforcer, missing, skel, rings, read })
    }

    /// Records since it was asked last.
    ///
    /// # Errors
    /// When the rings cannot be read.
    pub fn records(&self) -> Result<Vec<Vec<u8>>> {
        self.rings.consume()?;
        self.read.lock().map(|mut read| std::mem::take(&mut *read)).map_err(|_| anyhow::anyhow!("a reader of a ring panicked"))
    }

    /// Records that were lost since the programs were loaded.
    pub fn lost(&self) -> u64 {
        let losses = &self.skel.maps.losses;
        losses.keys().filter_map(|key| losses.lookup(&key, MapFlags::ANY).ok().flatten()).filter_map(|v| v.try_into().ok().map(u64::from_ne_bytes)).sum()
    }
}

fn leak(map: &libbpf_rs::MapMut<'static>) -> Result<&'static MapHandle> {
    Ok(Box::leak(Box::new(MapHandle::try_from(map)?)))
}

/// Which calls are told, and by which system calls they are named.
fn fill(skel: &SensorSkel<'static>, observed: &[Call]) -> Result<()> {
    super::observe(&skel.maps.wants, &observed.iter().copied().collect(), &BTreeSet::new(), |_| false)?;
    for call in Call::ALL {
        let number = if cfg!(target_arch = "aarch64") { call.aarch64() } else { call.x86_64() };
        if let Some(number) = number {
            skel.maps.captures.update(&u32::from(number).to_ne_bytes(), &crate::sensor::bytes_of(*call, false, false, false), MapFlags::ANY)?;
        }
    }
    Ok(())
}
