//! `[deploy]`: where versions of functions are kept, and how many.

use std::path::PathBuf;

use crate::kinds::{Count, Size};
use crate::table::Table;

/// `[deploy]`: versions of functions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deploy {
    /// The folder with the versions and what is known of them, for this node alone; it is made if
    /// it is missing. Without it functions are what the configuration says, and nothing can be
    /// deployed to the node. Not reloadable.
    pub folder: Option<PathBuf>,
    /// Versions of a function that are kept, compiled and on disk; 2 to 20, default 5.
    pub kept: usize,
    /// Bytes of a component that is deployed; 1KiB to 32MiB, default 32MiB.
    pub component: usize,
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            folder: None,
            kept: 5,
            component: 32 << 20,
        }
    }
}

impl Deploy {
    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            folder: table.output("folder"),
            kept: table.or("kept", &Count(2..=20), default.kept),
            component: table.or("component", &Size(1 << 10..=32 << 20), default.component),
        }
    }
}
