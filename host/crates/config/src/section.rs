//! The `section!` macro: one line for each key of a section gives the field of
//! the valid type, its default and how it is read.

/// Declares a section whose keys all have a default: the type, `Default` and
/// `read`. Each field is `name: type = default, kind;`, and the field's name is
/// the key.
macro_rules! section {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])+ pub $key:ident : $type:ty = $default:expr, $kind:expr; )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $key: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )+ }
            }
        }

        impl $name {
            /// Reads the section's keys; each problem is reported to the table's walk.
            pub(crate) fn read(table: &crate::table::Table<'_, '_>) -> Self {
                Self { $( $key: table.or(stringify!($key), &$kind, $default), )+ }
            }
        }
    };
}

pub(crate) use section;
