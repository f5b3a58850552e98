//! Instances are taken down behind the response that they were for: giving memory back to the
//! kernel takes microseconds that no client needs to wait for.
//!
//! A task of its own does it, when whatever is under way on the thread has had its turn. The next
//! call of the thread does not wait for that task: it ends the instance first and starts in its
//! slot, whose memory is still in the core's caches.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use verge_base::Permit;
use wasmtime::Store;

use crate::engine::Shared;
use crate::state::Data;

/// An instance that nobody needs any more, until somebody takes it down.
type Ended = Mutex<Option<(Store<Data>, Permit)>>;

thread_local! {
    static LAST: RefCell<Weak<Ended>> = const { RefCell::new(Weak::new()) };
}

/// Takes down the last instance that ended on this thread, if it is still there.
pub(super) fn finish_last() {
    let last = LAST.with_borrow_mut(std::mem::take).upgrade();
    drop(last.and_then(|ended| ended.lock().take()));
}

/// Takes the instance of `store` down soon; at once when too many wait for that.
pub(super) fn later(store: Store<Data>, engine: &Shared) {
    let (Some(place), Ok(runtime)) = (
        engine.ended.try_acquire(),
        tokio::runtime::Handle::try_current(),
    ) else {
        return;
    };
    let ended: Arc<Ended> = Arc::new(Mutex::new(Some((store, place))));
    LAST.set(Arc::downgrade(&ended));
    runtime.spawn(async move { drop(ended.lock().take()) });
}
