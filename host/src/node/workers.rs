//! The node's threads: workers that serve, and one for everything that must
//! answer also when workers are busy.
//!
//! Each worker runs a current-thread runtime of its own and accepts on a
//! socket of its own (SO_REUSEPORT), so that requests take no lock of a shared
//! scheduler. The work-stealing topology exists for comparison.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use verge_config::Topology;

use super::NodeState;
use super::admin_source::NodeSource;
use super::handler::NodeHandler;
use super::purging;
use crate::admin::{AdminLimits, AdminServer};
use crate::deploy;
use crate::listener::{self, Admission, Bound, Listener, ListenerSettings};
use crate::reload;

/// How long a worker's runtime waits for blocking work of its own when it ends.
const RUNTIME_END_TIME: Duration = Duration::from_secs(1);

/// The threads that serve.
pub(super) struct Workers {
    ends: Vec<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Ends all workers; what they still serve is dropped.
    pub(super) fn end(&mut self) {
        for end in self.ends.drain(..) {
            let _ = end.send(());
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.end();
    }
}

/// One socket and what serves its connections.
type Place = (std::net::TcpListener, Arc<Listener<NodeHandler>>);

/// Starts `count` workers on the sockets of `http` and `https`.
pub(super) fn start(
    state: &Arc<NodeState>,
    topology: Topology,
    count: usize,
    http: Vec<Bound>,
    https: Vec<Bound>,
) -> io::Result<Workers> {
    let shared = SharedParts {
        state,
        settings: Arc::clone(&state.listener_settings),
        admission: Admission::new(state.connections.clone()),
    };
    let mut places: Vec<Vec<Place>> = (0..count).map(|_| Vec::new()).collect();
    for bound in http {
        spread(&mut places, shared.listener("http", false), bound);
    }
    for bound in https {
        spread(&mut places, shared.listener("https", true), bound);
    }
    let mut workers = Workers {
        ends: Vec::new(),
        threads: Vec::new(),
    };
    match topology {
        Topology::PerCore => {
            for (index, places) in places.into_iter().enumerate() {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                workers.spawn(format!("verge-worker-{index}"), runtime, places)?;
            }
        }
        Topology::WorkStealing => {
            let runtime = Builder::new_multi_thread()
                .worker_threads(count)
                .thread_name("verge-worker")
                .enable_all()
                .build()?;
            let places = places.into_iter().flatten().collect();
            workers.spawn("verge-workers".to_owned(), runtime, places)?;
        }
    }
    Ok(workers)
}

impl Workers {
    fn spawn(&mut self, name: String, runtime: Runtime, places: Vec<Place>) -> io::Result<()> {
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            runtime.block_on(async {
                for (socket, listener) in places {
                    match TcpListener::from_std(socket) {
                        Ok(socket) => {
                            tokio::spawn(listener::serve(socket, listener));
                        }
                        Err(error) => tracing::error!("a socket cannot be served: {error}"),
                    }
                }
                let _ = ended.await;
            });
            runtime.shutdown_timeout(RUNTIME_END_TIME);
        })?;
        self.ends.push(end);
        self.threads.push(thread);
        Ok(())
    }
}

struct SharedParts<'a> {
    state: &'a Arc<NodeState>,
    settings: Arc<ArcSwap<ListenerSettings>>,
    admission: Admission,
}

impl SharedParts<'_> {
    fn listener(&self, name: &str, tls: bool) -> Arc<Listener<NodeHandler>> {
        let state = self.state;
        Arc::new(Listener {
            handler: Arc::new(NodeHandler {
                state: Arc::clone(state),
                metrics: state.telemetry.metrics().listener(name),
            }),
            settings: Arc::clone(&self.settings),
            admission: self.admission.clone(),
            tls: if tls { state.tls.clone() } else { None },
            drain: state.drain.clone(),
            clock: state.clock.clone(),
        })
    }
}

fn spread(places: &mut [Vec<Place>], listener: Arc<Listener<NodeHandler>>, bound: Bound) {
    for (worker, socket) in places.iter_mut().zip(bound.sockets) {
        worker.push((socket, Arc::clone(&listener)));
    }
}

/// The thread for admin, reloads and stopping.
pub(super) struct Control {
    pub(super) runtime: Handle,
    pub(super) thread: JoinHandle<()>,
    pub(super) end: oneshot::Sender<()>,
    pub(super) admin: Vec<SocketAddr>,
}

/// Starts the control thread, with the admin API on `admin`.
pub(super) fn control(state: &Arc<NodeState>, admin: &[SocketAddr]) -> io::Result<Control> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (end, ended) = oneshot::channel::<()>();
    let source = Arc::new(NodeSource(Arc::clone(state)));
    let server = AdminServer::bind(
        admin,
        state.admin_auth.clone(),
        source,
        AdminLimits::default(),
    )?;
    let addresses = server.addresses().to_vec();
    let state = Arc::clone(state);
    let thread = std::thread::Builder::new()
        .name("verge-control".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::spawn(purging::sweep(Arc::clone(&state)));
                tokio::spawn(deploy::watch(Arc::clone(&state)));
                tokio::spawn(reload::watch(state));
                let mut ended = ended;
                let stop = async {
                    let _ = (&mut ended).await;
                };
                if let Err(error) = server.serve(stop).await {
                    tracing::error!("the admin API ended: {error}");
                    // Reloading and stopping go on without it.
                    let _ = ended.await;
                }
            });
            runtime.shutdown_timeout(RUNTIME_END_TIME);
        })?;
    Ok(Control {
        runtime: handle,
        thread,
        end,
        admin: addresses,
    })
}
