//! Records as the kernel's programs write them: one declaration gives the C structure, the Rust type, its
//! decoder and its documentation.

use std::fmt::Write as _;

/// A member's type, in C and in Rust. Numbers are in the machine's byte order: writer and reader share a machine.
pub trait Member: Sized {
    /// Type of an element in C.
    const C: &'static str;
    /// Elements, if it is an array.
    const ELEMENTS: Option<usize>;
    /// Bytes of an element; members are aligned to it.
    const ALIGN: usize;
    const SIZE: usize;

    /// From exactly [`Self::SIZE`] bytes.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// A member as it is documented.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub c: &'static str,
    pub elements: Option<usize>,
    pub offset: usize,
    pub align: usize,
    pub doc: &'static str,
}

/// A structure both sides share.
#[derive(Clone, Debug)]
pub struct Layout {
    pub name: &'static str,
    pub doc: &'static str,
    pub size: usize,
    pub fields: Vec<Field>,
}

macro_rules! number {
    ($($rust:ty => $c:literal),*) => {$(
        impl Member for $rust {
            const C: &'static str = $c;
            const ELEMENTS: Option<usize> = None;
            const ALIGN: usize = size_of::<$rust>();
            const SIZE: usize = size_of::<$rust>();

            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(<$rust>::from_ne_bytes)
            }
        }
    )*};
}

number!(u64 => "__u64", i64 => "__s64", u32 => "__u32", i32 => "__s32", u16 => "__u16", u8 => "__u8");

impl<T: Member, const N: usize> Member for [T; N] {
    const C: &'static str = T::C;
    const ELEMENTS: Option<usize> = Some(N);
    const ALIGN: usize = T::ALIGN;
    const SIZE: usize = T::SIZE * N;

    fn read(bytes: &[u8]) -> Option<Self> {
        let elements: Vec<T> = bytes.chunks_exact(T::SIZE).map(T::read).collect::<Option<_>>()?;
        elements.try_into().ok()
    }
}

/// Declares a structure: C layout, Rust type, decoder, documentation.
macro_rules! layout {
    ($(#[doc = $about:literal])+ $name:ident = $c:literal { $($(#[doc = $doc:literal])+ $field:ident: $type:ty,)* }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl $name {
            /// Bytes in a record.
            pub const SIZE: usize = 0 $(+ <$type as $crate::layout::Member>::SIZE)*;

            /// From the beginning of `bytes`; `None` if they are too few.
            pub fn read(bytes: &[u8]) -> Option<Self> {
                let mut at = 0;
                $(
                    let end = at + <$type as $crate::layout::Member>::SIZE;
                    let $field = <$type as $crate::layout::Member>::read(bytes.get(at..end)?)?;
                    at = end;
                )*
                let _ = at;
                Some($name { $($field,)* })
            }

            pub fn layout() -> $crate::layout::Layout {
                let mut fields = Vec::new();
                let mut at = 0;
                $(
                    fields.push($crate::layout::Field {
                        name: stringify!($field),
                        c: <$type as $crate::layout::Member>::C,
                        elements: <$type as $crate::layout::Member>::ELEMENTS,
                        offset: at,
                        align: <$type as $crate::layout::Member>::ALIGN,
                        doc: concat!($($doc),+).trim_ascii(),
                    });
                    at += <$type as $crate::layout::Member>::SIZE;
                )*
                let _ = at;
                $crate::layout::Layout { name: $c, doc: concat!($($about),+).trim_ascii(), size: Self::SIZE, fields }
            }
        }
    };
}
pub(crate) use layout;

// === impl Layout ===

impl Layout {
    /// The structure in C, with a check that the compiler lays it out as told here.
    pub fn c(&self) -> String {
        let mut text = format!("/* {} */\nstruct {} {{\n", self.doc, self.name);
        for field in &self.fields {
            let suffix = field.elements.map(|n| format!("[{n}]")).unwrap_or_default();
            let _ = writeln!(text, "\t{} {}{suffix}; /* {} */", field.c, field.name, field.doc);
        }
        let _ = writeln!(text, "}};\n_Static_assert(sizeof(struct {0}) == {1}, \"{0}\");\n", self.name, self.size);
        text
    }
}
