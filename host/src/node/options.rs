//! What a node may be started with beside its configuration: for the commands
//! that run one for a developer or for a test. A node that serves has none of it.

use std::sync::Arc;

use http::{Method, Request, Response};
use verge_base::Clock;
use verge_config::Config;
use verge_http::Body;

use crate::pipeline::ExchangeBody;
use crate::telemetry::AccessLogOutput;

/// Changes a configuration after it was read, on each reload too.
pub type Overlay = Arc<dyn Fn(&mut Config) + Send + Sync>;

/// How a node is started.
pub struct StartOptions {
    /// The clock of all ages and deadlines.
    pub clock: Clock,
    /// Changes what the configuration file says.
    pub overlay: Option<Overlay>,
    /// Takes the access log, whatever the configuration says.
    pub access_log: Option<AccessLogOutput>,
    /// Stands in front of the pipeline.
    pub front: Option<Arc<dyn Front>>,
}

impl StartOptions {
    /// A node that lives by `clock`, and is as its configuration says.
    #[must_use]
    pub fn at(clock: Clock) -> Self {
        Self {
            clock,
            overlay: None,
            access_log: None,
            front: None,
        }
    }
}

/// What stands between the listeners and the pipeline.
pub trait Front: Send + Sync {
    /// An answer in the pipeline's place, or none; the request may be changed.
    fn intercept(&self, request: &mut Request<Body>) -> Option<Response<Body>>;

    /// The pipeline's answer to a request with this method, as it is to be sent.
    fn finish(&self, method: &Method, response: Response<ExchangeBody>) -> Response<ExchangeBody>;
}
