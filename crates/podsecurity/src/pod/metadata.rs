//! Annotations that set a security profile. Others are skipped, however large.

use super::read::{Key, MAX_ITEMS, Word, object};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Before the field: the AppArmor profile of the container whose name follows.
pub const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
/// Before the field (up to 1.18): the pod's seccomp profile.
pub const SECCOMP_POD_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
/// Before the field (up to 1.18): the seccomp profile of the container whose name follows.
pub const SECCOMP_CONTAINER_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// `metadata` of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodMetadata<'a> {
    /// Those of the three kinds above, no others.
    pub annotations: Annotations<'a>,
}

object!(PodMetadata<'a> { "annotations" => annotations });

/// Annotations by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations<'a>(pub BTreeMap<Word<'a>, Word<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Profiles)
    }
}

struct Profiles;

impl<'de> Visitor<'de> for Profiles {
    type Value = Annotations<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut kept = BTreeMap::new();
        while let Some(Key(key)) = entries.next_key()? {
            let matters = key.starts_with(APP_ARMOR_ANNOTATION)
                || key.starts_with(SECCOMP_CONTAINER_ANNOTATION)
                || key.as_str() == SECCOMP_POD_ANNOTATION;
            if !matters {
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            if kept.len() == MAX_ITEMS {
                return Err(A::Error::custom(format_args!("more than {MAX_ITEMS} profiles")));
            }
            let value = entries.next_value::<Word<'de>>()?;
            if kept.insert(key, value).is_some() {
                return Err(A::Error::custom("an annotation given twice"));
            }
        }
        Ok(Annotations(kept))
    }
}
