//! Reading as the API server reads: `null` is absent, unknown members are nothing, wrong types are errors.

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// Items a list may have. What has more is refused, so that a list of empty items cannot take many times
/// its size in memory.
pub const MAX_ITEMS: usize = 10_000;

/// Containers one list of a pod may have.
pub const MAX_CONTAINERS: usize = 1_000;

/// Why an object cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {detail}: correct this member of the object")]
pub struct ReadError {
    /// Path of the member, `spec.containers[0].ports`; `.` is the object itself.
    pub place: String,
    pub detail: String,
}

/// A string, borrowed from the JSON if it has no escapes. `null` is the empty string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word<'a>(Cow<'a, str>);

/// A member's name. Read as a plain string, so that errors can tell it.
pub(crate) struct Key<'a>(pub(crate) Word<'a>);

/// A list of at most `MAX` items. `null` is the empty list, a `null` in it an empty item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T, const MAX: usize = MAX_ITEMS>(Vec<T>);

/// Reads one JSON document.
///
/// # Errors
/// The text is no JSON, or a member has the wrong type.
pub fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, ReadError> {
    read_seed(PhantomData::<T>, json)
}

/// [`read`], with a state. The way to a faulty member is only tracked when there is one: tracking it
/// always doubles the time.
pub(crate) fn read_seed<'a, S: DeserializeSeed<'a> + Clone>(seed: S, json: &'a str) -> Result<S::Value, ReadError> {
    let mut document = serde_json::Deserializer::from_str(json);
    match seed.clone().deserialize(&mut document).and_then(|value| document.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) => Err(locate(seed, json, &error)),
    }
}

#[cold]
fn locate<'a, S: DeserializeSeed<'a>>(seed: S, json: &'a str, first: &serde_json::Error) -> ReadError {
    let mut document = serde_json::Deserializer::from_str(json);
    let mut track = serde_path_to_error::Track::new();
    let tracked = seed.deserialize(serde_path_to_error::Deserializer::new(&mut document, &mut track));
    match tracked {
        Err(error) => ReadError { place: crate::shown::plain(&track.path().to_string()), detail: error.to_string() },
        // What stands after the document is no member.
        Ok(_) => ReadError { place: ".".into(), detail: first.to_string() },
    }
}

/// Makes a struct readable from a JSON object, and from nothing else: derived code would take a list
/// for it too. `null` is a member's default; a member given twice is refused, because readers differ in
/// which one counts.
macro_rules! object {
    ($name:ident<'a> { $($json:literal => $field:ident),* $(,)? }) => {
        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            crate::pod::read::object!(@body [$name<'de>] $name { $($json => $field),* });
        }
    };
    ($name:ident { $($json:literal => $field:ident),* $(,)? }) => {
        impl<'de> serde::Deserialize<'de> for $name {
            crate::pod::read::object!(@body [$name] $name { $($json => $field),* });
        }
    };
    (@body [$value:ty] $name:ident { $($json:literal => $field:ident),* }) => {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Members;

            impl<'de> serde::de::Visitor<'de> for Members {
                type Value = $value;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<$value, A::Error> {
                    let mut object = $name::default();
                    $(let mut $field = false;)*
                    while let Some(member) = members.next_key::<crate::pod::read::Key<'de>>()? {
                        match member.0.as_str() {
                            $($json => {
                                if std::mem::replace(&mut $field, true) {
                                    return Err(<A::Error as serde::de::Error>::duplicate_field($json));
                                }
                                object.$field = members.next_value::<Option<_>>()?.unwrap_or_default();
                            })*
                            _ => {
                                members.next_value::<serde::de::IgnoredAny>()?;
                            }
                        }
                    }
                    Ok(object)
                }
            }

            deserializer.deserialize_map(Members)
        }
    };
}
pub(crate) use object;

// === impl Word ===

impl Word<'_> {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Word<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Word<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Word<'a> {
    fn from(word: &'a str) -> Self {
        Word(Cow::Borrowed(word))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(WordVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WordVisitor).map(Key)
    }
}

impl Serialize for Word<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_none<E: Error>(self) -> Result<Word<'de>, E> {
        Ok(Word::default())
    }

    fn visit_unit<E: Error>(self) -> Result<Word<'de>, E> {
        Ok(Word::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Word<'de>, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_borrowed_str<E: Error>(self, word: &'de str) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Borrowed(word)))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Owned(word.to_owned())))
    }
}

// === impl List ===

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de> + Default, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(ListVisitor::<T, MAX>(PhantomData))
    }
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = List<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_none<E: Error>(self) -> Result<List<T, MAX>, E> {
        Ok(List::default())
    }

    fn visit_unit<E: Error>(self) -> Result<List<T, MAX>, E> {
        Ok(List::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<List<T, MAX>, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List<T, MAX>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Option<T>>()? {
            if list.len() == MAX {
                return Err(A::Error::custom(format_args!("more than {MAX} items")));
            }
            list.push(item.unwrap_or_default());
        }
        Ok(List(list))
    }
}
