//! A response's content while it arrives: one writer, any number of readers,
//! each at its own pace.
//!
//! As long as the response can be stored, all of it is kept and the writer
//! never waits. Once it cannot, a window is kept around the reader that is
//! furthest: the writer waits for that reader, and a reader that falls out of
//! the window is cut. Nothing here knows stores, keys or the origin.

mod fill;
mod reader;
mod state;
mod writer;

pub(crate) use fill::{Attach, Fill, Room, fill_cost};
pub use reader::FillReader;
pub(crate) use writer::FillWriterParts;
pub use writer::{FillWriter, Finished, Stopped};

#[cfg(test)]
mod tests;
