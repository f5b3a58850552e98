//! Partial responses (RFC 9111 3.3, 3.4): pieces of a representation that are
//! stored, combined, and become a complete response when nothing is missing.
//!
//! An incomplete response stands under a key of its own that no lookup for a
//! whole response can have, so it never answers one. [`decide_combination`]
//! and the like decide; `keep.rs` does what they say.

mod decide;
mod extents;
mod keep;
mod pieces;
mod plan;

pub use decide::{
    Combination, Part, PartialStorage, ReplaceReason, decide_combination, decide_partial_storage,
    if_range_value, part_of,
};
pub use extents::Extents;
pub(crate) use keep::PiecePlace;
pub use keep::{FillTarget, InFlight, combined_fields};
pub use pieces::{PIECE_SEGMENTS_MAX, PIECES_MAX, Pieces};
pub use plan::{GAPS_MAX, PartPlan, decide_part_plan};

#[cfg(test)]
mod tests;
