//! Volumes: a name and what they are made of.

use super::read::{Key, Word, object};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Sources that *restricted* allows: data of the cluster, nothing of the host and nothing that mounts
/// a file system of somebody else in the kernel.
pub(crate) const ALLOWED_SOURCES: [&str; 9] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];

/// `spec.volumes[*]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume<'a> {
    pub name: Word<'a>,
    /// It has one of the sources that *restricted* allows.
    pub allowed_source: bool,
    /// `hostPath`.
    pub host_path: Option<HostPath<'a>>,
    /// `image`: the files of an image, mounted (Kubernetes 1.31 and later).
    pub image: Option<ImageVolume<'a>>,
    /// Any other source, known or not, by its name: `nfs`.
    pub other: Option<Word<'a>>,
}

/// `hostPath`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPath<'a> {
    pub path: Word<'a>,
    /// `Directory`, `Socket`, `CharDevice`, `BlockDevice` …; empty: unchecked.
    pub kind: Word<'a>,
}

/// `image`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageVolume<'a> {
    pub reference: Word<'a>,
}

object!(ImageVolume<'a> { "reference" => reference });

object!(HostPath<'a> { "path" => path, "type" => kind });

// === impl Volume ===

impl Volume<'_> {
    /// *restricted* allows it. A volume without any source is one: the API server makes it an emptyDir.
    pub fn is_allowed(&self) -> bool {
        self.allowed_source || (self.host_path.is_none() && self.other.is_none())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Volume<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(VolumeVisitor)
    }
}

struct VolumeVisitor;

impl<'de> Visitor<'de> for VolumeVisitor {
    type Value = Volume<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a volume")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Volume<'de>, A::Error> {
        let mut volume = Volume::default();
        let mut seen = 0u16;
        while let Some(Key(member)) = members.next_key()? {
            let known = ["name", "hostPath"].iter().chain(&ALLOWED_SOURCES).position(|known| *known == member.as_str());
            if let Some(n) = known {
                if seen & (1 << n) != 0 {
                    return Err(A::Error::custom(format_args!("{} given twice", member.as_str())));
                }
                seen |= 1 << n;
            }
            match member.as_str() {
                "name" => volume.name = members.next_value()?,
                "hostPath" => volume.host_path = members.next_value()?,
                "image" => {
                    volume.image = members.next_value()?;
                    volume.allowed_source |= volume.image.is_some();
                }
                _ if known.is_some() => volume.allowed_source |= members.next_value::<Option<Present>>()?.is_some(),
                _ => {
                    if members.next_value::<Option<IgnoredAny>>()?.is_some() {
                        volume.other = Some(member);
                    }
                }
            }
        }
        Ok(volume)
    }
}

/// An object whose members do not matter.
struct Present;

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PresentVisitor)
    }
}

struct PresentVisitor;

impl<'de> Visitor<'de> for PresentVisitor {
    type Value = Present;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Present, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Present)
    }
}
