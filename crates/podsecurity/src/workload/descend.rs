//! From an object down a path, in one reading: what stands beside the path is skipped.

use super::path::{Step, push_member};
use super::{MAX_PODS, MAX_WEIGHT, PodIn};
use crate::pod::{Key, PodSpec, PodTemplate};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The rest of the way. It goes no deeper than the path has steps.
#[derive(Clone)]
pub(super) struct Descend<'p> {
    steps: &'p [Step],
    at: String,
    bare: bool,
}

// === impl Descend ===

impl<'p> Descend<'p> {
    pub(super) fn new(steps: &'p [Step], bare: bool) -> Self {
        Descend { steps, at: String::new(), bare }
    }

    fn member(&self, rest: &'p [Step], name: &str) -> Self {
        let mut at = self.at.clone();
        push_member(&mut at, name);
        Descend { steps: rest, at, bare: self.bare }
    }

    fn item(&self, rest: &'p [Step], index: usize) -> Self {
        Descend { steps: rest, at: format!("{}[{index}]", self.at), bare: self.bare }
    }
}

impl<'de> DeserializeSeed<'de> for Descend<'_> {
    type Value = Vec<PodIn<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if !self.steps.is_empty() {
            return deserializer.deserialize_option(self);
        }
        let pod = if self.bare {
            Option::<PodSpec<'de>>::deserialize(deserializer)?.map(|spec| PodIn::bare(&self.at, spec))
        } else {
            Option::<PodTemplate<'de>>::deserialize(deserializer)?.map(|pod| PodIn::template(&self.at, pod))
        };
        Ok(pod.into_iter().collect())
    }
}

impl<'de> Visitor<'de> for Descend<'_> {
    type Value = Vec<PodIn<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.steps.first() {
            Some(Step::Item(_)) => f.write_str("a list"),
            Some(Step::Every) => f.write_str("a list or an object"),
            _ => f.write_str("an object"),
        }
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.steps.first() {
            Some(Step::Item(_)) => deserializer.deserialize_seq(self),
            Some(Step::Every) => deserializer.deserialize_any(self),
            _ => deserializer.deserialize_map(self),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut pods = Vec::new();
        let mut seen = false;
        let Some((step, rest)) = self.steps.split_first() else { return Ok(pods) };
        while let Some(Key(name)) = members.next_key::<Key<'de>>()? {
            match step {
                Step::Member(wanted) if name.as_str() == wanted => {
                    if std::mem::replace(&mut seen, true) {
                        return Err(A::Error::custom(format_args!("{wanted} given twice")));
                    }
                }
                Step::Every => {}
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            }
            keep(&mut pods, members.next_value_seed(self.member(rest, &name))?)?;
        }
        Ok(pods)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut pods = Vec::new();
        let Some((step, rest)) = self.steps.split_first() else { return Ok(pods) };
        for index in 0.. {
            let wanted = match step {
                Step::Item(n) => *n == index,
                _ => true,
            };
            if wanted {
                match items.next_element_seed(self.item(rest, index))? {
                    Some(more) => keep(&mut pods, more)?,
                    None => break,
                }
            } else if items.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(pods)
    }
}

fn keep<'a, E: Error>(pods: &mut Vec<PodIn<'a>>, more: Vec<PodIn<'a>>) -> Result<(), E> {
    pods.extend(more);
    if pods.len() > MAX_PODS {
        return Err(E::custom(format_args!("more than {MAX_PODS} pods")));
    }
    if pods.iter().map(PodIn::weight).sum::<usize>() > MAX_WEIGHT {
        return Err(E::custom(format_args!("more than {MAX_WEIGHT} containers and volumes")));
    }
    Ok(())
}
