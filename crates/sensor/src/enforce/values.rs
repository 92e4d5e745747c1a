//! Values of the kernel's maps as bytes.

use anyhow::Result;
use jinwu_event::Head;
use libbpf_rs::MapCore;

/// A number in the machine's byte order.
pub(super) trait Number {
    fn put(&self, to: &mut Vec<u8>);
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_ne_bytes());
            }
        }
    )*};
}
number!(u8, u16, u32, u64);

pub(super) fn bytes(numbers: &[&dyn Number]) -> Vec<u8> {
    let mut bytes = Vec::new();
    numbers.iter().for_each(|n| n.put(&mut bytes));
    bytes
}

/// `struct guard` of `enforce.bpf.h`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Guard {
    pub(super) told: u64,
    pub(super) open_until: u64,
    pub(super) cgroup: u64,
    pub(super) directory: u64,
    pub(super) device: u32,
    pub(super) agent: u32,
    pub(super) mount_namespace: u32,
    pub(super) starter: u32,
}

impl Guard {
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let long = |at: usize| value.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_ne_bytes);
        let word = |at: usize| value.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
        let guard = Guard { told: long(0)?, open_until: long(8)?, cgroup: long(16)?, directory: long(24)?, device: word(32)?, agent: word(36)?, mount_namespace: word(40)?, starter: word(44)? };
        (value.len() == 48).then_some(guard)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        bytes(&[&self.told, &self.open_until, &self.cgroup, &self.directory, &self.device, &self.agent, &self.mount_namespace, &self.starter])
    }
}

/// Number, time and record of an entry of the log of denials; `None` for one that was never used.
pub(super) fn denial(value: &[u8]) -> Option<(u64, u64, Vec<u8>)> {
    let number = u64::from_ne_bytes(value.get(..8)?.try_into().ok()?);
    let head = Head::read(value.get(8..)?)?;
    let texts: usize = head.lengths.iter().map(|l| usize::from(*l)).sum();
    let record = value.get(8..8 + Head::SIZE + texts)?;
    (number > 0).then(|| (number, head.time, record.to_vec()))
}

/// Removes the entries whose key `which` names.
pub(super) fn forget(map: &impl MapCore, which: impl Fn(&[u8]) -> bool) -> Result<()> {
    let keys: Vec<Vec<u8>> = map.keys().filter(|key| which(key)).collect();
    for key in keys {
        match map.delete(&key) {
            Err(error) if error.kind() != libbpf_rs::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_is_read_as_it_was_written() {
        let guard = Guard { told: 1, open_until: 2, cgroup: 3, directory: 4, device: 5, agent: 6, mount_namespace: 7, starter: 8 };
        assert_eq!(Guard::read(&guard.bytes()), Some(guard));
        assert_eq!(Guard::read(&[0; 47]), None);
        assert_eq!(Guard::read(&[0; 56]), None);
    }

    #[test]
    fn a_denial_whose_texts_do_not_fit_is_none() {
        assert_eq!(denial(&[]), None);
        let mut value = vec![0; 8 + Head::SIZE + 16];
        assert_eq!(denial(&value), None, "never used");
        value[0] = 1;
        assert_eq!(denial(&value).map(|(n, t, r)| (n, t, r.len())), Some((1, 0, Head::SIZE)));
        let lengths = Head::layout().fields.iter().find(|f| f.name == "lengths").unwrap().offset;
        value[8 + lengths] = 17;
        assert_eq!(denial(&value), None);
    }
}
