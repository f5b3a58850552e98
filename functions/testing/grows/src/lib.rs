//! Hostile: takes memory until the host gives no more, fast enough to get there within any CPU
//! budget.

use verge_sdk::{Request, Verdict};

const PIECE: usize = 1 << 20;

#[verge_sdk::viewer_request]
fn grow(_request: &mut Request) -> Verdict {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        // Where the host refuses, the allocator aborts: a trap.
        let mut piece = Vec::with_capacity(PIECE);
        piece.push(1);
        hoard.push(piece);
        if std::hint::black_box(&hoard).is_empty() {
            return Verdict::Next;
        }
    }
}
