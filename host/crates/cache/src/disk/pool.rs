//! The threads that read: a bounded number, with a bounded queue. A disk that
//! hangs holds up these threads and nobody else.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// Something to do on a thread that may block.
pub(super) type Work = Box<dyn FnOnce() + Send>;

/// See the module. The threads end when it is dropped.
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    waiting_max: usize,
}

#[derive(Default)]
struct Queue {
    work: VecDeque<Work>,
    is_closed: bool,
}

impl Pool {
    /// `threads` threads with a queue for `waiting_max` pieces of work.
    pub(super) fn start(threads: usize, waiting_max: usize) -> io::Result<Self> {
        let pool = Self(Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            waiting_max,
        }));
        for number in 0..threads {
            let shared = Arc::clone(&pool.0);
            std::thread::Builder::new()
                .name(format!("verge-disk-{number}"))
                .spawn(move || {
                    while let Some(work) = shared.next() {
                        work();
                    }
                })?;
        }
        Ok(pool)
    }

    /// Queues `work`; says whether there was room.
    pub(super) fn submit(&self, work: Work) -> bool {
        let mut queue = self.0.queue.lock();
        let has_room = queue.work.len() < self.0.waiting_max;
        if has_room {
            queue.work.push_back(work);
            self.0.wake.notify_one();
        }
        has_room
    }
}

impl Shared {
    fn next(&self) -> Option<Work> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(work) = queue.work.pop_front() {
                return Some(work);
            }
            if queue.is_closed {
                return None;
            }
            self.wake.wait(&mut queue);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.is_closed = true;
        queue.work.clear();
        self.0.wake.notify_all();
    }
}
