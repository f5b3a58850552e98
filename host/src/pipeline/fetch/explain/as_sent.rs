//! From what an operator names to the request that a client would send, on its route.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Request};
use verge_http::Body;
use verge_http::failure::ClientFault;
use verge_runtime::Context;

use super::super::super::routed::Routed;
use super::super::super::sanitize::{self, Arrival};
use super::super::super::scope::Asked;
use super::super::super::triggers::{RequestMarks, ViewedRequest};
use super::super::super::url::OperatorUrl;
use crate::admin::ScopeProblem;
use crate::admin::explain::ExplainRequest;
use crate::deploy::Picks;
use crate::node::NodeState;
use crate::telemetry::RequestId;

/// The request behind the stages before functions.
pub(super) fn routed(
    node: &Arc<NodeState>,
    request: &ExplainRequest,
    url: &OperatorUrl,
) -> Result<(Routed, ViewedRequest), ScopeProblem> {
    let generation = node.generation.load_full();
    let built = as_sent(request, url)?;
    let client = request.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let arrival = Arrival {
        peer: SocketAddr::from((client, 0)),
        scheme: url.scheme,
        tls: None,
        handshake: None,
        interim: None,
    };
    let refused = |fault: ClientFault| {
        let failure = verge_http::Failure::from(fault);
        let (status, label) = (failure.status().as_u16(), failure.label());
        problem(
            format!("the node answers such a request with {status}: {label}"),
            "a request that reaches a route",
        )
    };
    let head = sanitize::sanitize(&generation.settings.sanitize, &arrival, built)
        .map_err(refused)?
        .head;
    let sites = &generation.sites;
    let host = head.authority.host();
    let unserved = |fault| {
        let names = generation.config.sites.iter().map(|site| &*site.name);
        ScopeProblem {
            what: format!("no site serves `{host}`: {}", refused(fault).what),
            expected: format!(
                "a URL of one of the sites {}",
                names.collect::<Vec<_>>().join(", ")
            ),
        }
    };
    let entry = sites.select_site(host).map_err(unserved)?;
    let site = Arc::clone(entry.site());
    let route = entry.select_route(head.path(), &head.method, &head.fields);
    let route = Arc::clone(route.map_err(refused)?);
    let id = RequestId::new(&node.random);
    let routed = Routed::new(
        Arc::clone(node),
        Arc::clone(&generation),
        site,
        route,
        Asked {
            id,
            trace: None,
            client,
            depth: 0,
            // Whom a share is for is not asked: it is explained what most get.
            picks: Picks::default(),
            rehearses: false,
        },
    );
    let viewed = ViewedRequest {
        head,
        marks: RequestMarks::default(),
        context: Context::default(),
    };
    Ok((routed, viewed))
}

fn problem(what: String, expected: &str) -> ScopeProblem {
    ScopeProblem {
        what,
        expected: expected.to_owned(),
    }
}

/// The request as a client would send it.
fn as_sent(request: &ExplainRequest, url: &OperatorUrl) -> Result<Request<Body>, ScopeProblem> {
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| {
        let what = format!("`{}` is no method", request.method);
        problem(what, "one word, such as GET or POST")
    })?;
    let target = match &url.query {
        Some(query) => format!("{}?{query}", url.path),
        None => url.path.clone(),
    };
    let mut built = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, url.authority.as_str())
        .body(Body::Empty)
        .map_err(|error| problem(error.to_string(), "a URL that can be requested"))?;
    for (name, value) in &request.fields {
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(HeaderValue::from_str(value).ok());
        let (name, value) = parsed.ok_or_else(|| {
            problem(
                format!("`{name}: {value}` is no field"),
                "a name and a value",
            )
        })?;
        if name == HOST {
            let what = "the authority stands in the URL".to_owned();
            return Err(problem(what, "no field `Host`"));
        }
        built.headers_mut().append(name, value);
    }
    Ok(built)
}
