//! Fields: what a condition or an output may ask of an event.
//!
//! Names are resolved when rules are loaded; at run time a field is an enumerator ([`FieldId`]) and
//! its argument is parsed already. Sources of names, types and restrictions: libsinsp's field
//! tables for node events, the k8saudit and json plugins for audit events.

pub mod audit;
pub mod syscall;

pub use audit::AuditField;
pub use syscall::SyscallField;

/// Where events come from. A rule belongs to one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// `syscall`: processes, files and network on a node.
    Syscall,
    /// `k8s_audit`: audit events of a Kubernetes API server.
    Audit,
}

/// A field of some source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldId {
    Common(CommonField),
    Audit(AuditField),
    Syscall(SyscallField),
}

/// Fields every source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommonField {
    /// Number of the event since start.
    Number,
    /// `HH:MM:SS.nnnnnnnnn`, UTC.
    Time,
    /// `HH:MM:SS`, UTC.
    TimeSeconds,
    /// RFC 3339 with nanoseconds, UTC.
    TimeIso,
    /// `YYYY-MM-DD HH:MM:SS.nnnnnnnnn`, UTC.
    DateTime,
    /// Nanoseconds since 1970.
    RawTime,
    /// The source's name.
    Source,
    /// The node or server the event is from.
    Host,
    /// `evt.dir`: only exit events exist, so it is constantly `<`.
    Direction,
}

/// Type of a field's value; decides which operators it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Text,
    Bytes,
    Flag,
    Number,
    Address,
    Network,
}

/// Which argument a field takes in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// A position, may be left out.
    Index,
    /// A word, may be left out.
    MaybeKey,
    /// A word, must be there.
    Key,
    /// A JSON pointer, must be there.
    Pointer,
}

/// A field as its source declares it.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    pub id: FieldId,
    pub kind: Kind,
    /// Many values at once: takes `in`, `intersects` and `exists` only.
    pub list: bool,
    pub takes: Takes,
    /// May stand in `val()` and in transformers.
    pub movable: bool,
}

/// A field's argument, parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Argument {
    None,
    Index(u32),
    Key(Box<str>),
    /// Reference tokens of a JSON pointer (RFC 6901), unescaped.
    Pointer(Box<[Box<str>]>),
}

/// Longest argument, bytes.
const MAX_ARGUMENT: usize = 512;
/// Longest JSON pointer, tokens.
const MAX_POINTER: usize = 32;

const COMMON: [(&str, CommonField, Kind); 10] = [
    ("evt.num", CommonField::Number, Kind::Number),
    ("evt.time", CommonField::Time, Kind::Text),
    ("evt.time.s", CommonField::TimeSeconds, Kind::Text),
    ("evt.time.iso8601", CommonField::TimeIso, Kind::Text),
    ("evt.datetime", CommonField::DateTime, Kind::Text),
    ("evt.rawtime", CommonField::RawTime, Kind::Number),
    ("evt.source", CommonField::Source, Kind::Text),
    ("evt.hostname", CommonField::Host, Kind::Text),
    ("evt.dir", CommonField::Direction, Kind::Text),
    ("jevt.rawtime", CommonField::RawTime, Kind::Text),
];

/// Finds a field of `source` by name, and its argument from the text in brackets or after the
/// name's last dots (`evt.arg.flags`).
///
/// # Errors
/// What is wrong with name or argument, and what would be right.
pub fn resolve(source: Source, name: &str, argument: Option<&str>) -> Result<(Definition, Argument), String> {
    if let Some(definition) = lookup(source, name) {
        return Ok((definition, definition.argument(name, argument)?));
    }
    // `evt.arg.flags` is `evt.arg[flags]`, `container.label.a.b` is `container.label[a.b]`.
    if argument.is_none() {
        for (i, _) in name.match_indices('.').skip(1) {
            let (head, tail) = (name.get(..i).unwrap_or_default(), name.get(i + 1..).unwrap_or_default());
            if let Some(definition) = lookup(source, head)
                && matches!(definition.takes, Takes::Key | Takes::MaybeKey)
            {
                return Ok((definition, definition.argument(head, Some(tail))?));
            }
        }
    }
    Err(format!("{name} is not a field of source {}: see the field reference", source.name()))
}

fn lookup(source: Source, name: &str) -> Option<Definition> {
    // `jevt.rawtime` stands in the common table for its meaning, but only audit events are JSON.
    if let Some((_, id, kind)) = COMMON.iter().find(|(n, ..)| *n == name && (source == Source::Audit || !n.starts_with("jevt."))) {
        return Some(Definition { id: FieldId::Common(*id), kind: *kind, list: false, takes: Takes::Nothing, movable: true });
    }
    match source {
        Source::Audit => audit::lookup(name),
        Source::Syscall => syscall::lookup(name),
    }
}

// === impl Source ===

impl Source {
    pub const ALL: [Source; 2] = [Source::Syscall, Source::Audit];

    /// As rule files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Source::Syscall => "syscall",
            Source::Audit => "k8s_audit",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Source> {
        Source::ALL.into_iter().find(|s| s.name() == name)
    }
}

// === impl Definition ===

impl Definition {
    pub(crate) const fn new(id: FieldId, kind: Kind) -> Self {
        Definition { id, kind, list: false, takes: Takes::Nothing, movable: true }
    }

    pub(crate) const fn list(mut self) -> Self {
        self.list = true;
        self
    }

    pub(crate) const fn takes(mut self, takes: Takes) -> Self {
        self.takes = takes;
        self
    }

    pub(crate) const fn fixed(mut self) -> Self {
        self.movable = false;
        self
    }

    fn argument(&self, name: &str, text: Option<&str>) -> Result<Argument, String> {
        let Some(text) = text else {
            return match self.takes {
                Takes::Key | Takes::Pointer => Err(format!("{name} needs an argument: {name}[…]")),
                Takes::Nothing | Takes::Index | Takes::MaybeKey => Ok(Argument::None),
            };
        };
        if text.len() > MAX_ARGUMENT {
            return Err(format!("the argument of {name} has more than {MAX_ARGUMENT} bytes"));
        }
        match self.takes {
            Takes::Nothing => Err(format!("{name} takes no argument: remove [{text}]")),
            Takes::Index => {
                text.parse().map(Argument::Index).map_err(|_| format!("the argument of {name} is a position such as [0], not [{text}]"))
            }
            Takes::MaybeKey | Takes::Key if text.is_empty() => Err(format!("the argument of {name} is empty")),
            Takes::MaybeKey | Takes::Key => Ok(Argument::Key(text.into())),
            Takes::Pointer => pointer(text).ok_or_else(|| {
                format!("the argument of {name} is a JSON pointer such as [/requestObject/kind] with at most {MAX_POINTER} members, not [{text}]")
            }),
        }
    }
}

fn pointer(text: &str) -> Option<Argument> {
    let tokens: Vec<Box<str>> =
        text.strip_prefix('/')?.split('/').map(|t| t.replace("~1", "/").replace("~0", "~").into_boxed_str()).collect();
    (tokens.len() <= MAX_POINTER).then(|| Argument::Pointer(tokens.into()))
}
