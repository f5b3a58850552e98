//! Stage 1: from what a client sent to a [`TrustedHead`].
//!
//! Nothing behind this stage sees connection-specific fields, a client's own
//! forwarding claims, an override of its target, or a body of unknown bound.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{EXPECT, HOST, TE, TRAILER};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};
use http_body::{Frame, SizeHint};
use ipnet::IpNet;
use verge_http::authority::{self, Scheme};
use verge_http::failure::ClientFault;
use verge_http::forwarded::{self, ForwardedSource};
use verge_http::interim::InterimSender;
use verge_http::via::{self, LoopLimits, Pseudonym};
use verge_http::{Body, Failure, fields, framing, path};

use super::head::{Client, Seal, TrustedHead};
use crate::telemetry::{TlsReceipt, span};

/// What sanitising needs to know of the node.
#[derive(Clone, Debug)]
pub struct SanitizeRules {
    /// Our name in Via and CDN-Loop.
    pub pseudonym: Pseudonym,
    /// How often a request may have passed this node.
    pub loops: LoopLimits,
    /// Most field lines; HTTP/1 heads were counted by the listener already.
    pub fields_max: usize,
    /// Most bytes of a target.
    pub target_bytes_max: usize,
    /// Most bytes of content.
    pub content_bytes_max: u64,
    /// Whose Forwarded or X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Which of the two trusted proxies write.
    pub forwarded_source: ForwardedSource,
}

/// What sanitising needs to know of the connection.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The scheme that the connection implies.
    pub scheme: Scheme,
    /// The TLS version, if any.
    pub tls: Option<&'static str>,
    /// The TLS handshake, on the connection's first request.
    pub handshake: Option<TlsReceipt>,
    /// Takes interim responses, where the client can be sent some.
    pub interim: Option<InterimSender>,
}

/// A request that later stages may rely on.
#[derive(Debug)]
pub struct Sanitized {
    /// Its head.
    pub head: TrustedHead,
    /// Its content.
    pub body: Body,
    /// How much of the content was read; `None` when there is none.
    pub received: Option<ReceivedBytes>,
}

/// Bytes of request content that were read so far; clones share one count.
#[derive(Clone, Debug, Default)]
pub struct ReceivedBytes(Arc<AtomicU64>);

impl ReceivedBytes {
    /// The bytes so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds `bytes` and returns the sum.
    fn add(&self, bytes: u64) -> u64 {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        before.saturating_add(bytes)
    }
}

/// Checks a request and brings it into the one form that later stages see.
///
/// # Errors
/// A [`ClientFault`] that says what was wrong with the request.
pub fn sanitize(
    rules: &SanitizeRules,
    arrival: &Arrival,
    request: Request<Body>,
) -> Result<Sanitized, ClientFault> {
    let (mut head, body) = request.into_parts();
    check_method(&head.method)?;
    check_version(head.version)?;
    if head.headers.len() > rules.fields_max {
        return Err(ClientFault::FieldsTooMany);
    }
    let authority = authority::reconcile(head.version, arrival.scheme, &head.uri, &head.headers)?;
    let path_and_query = origin_form(&head.method, &head.uri, rules.target_bytes_max)?;
    if head.version == Version::HTTP_2 {
        fields::check_http2_request(&head.headers)?;
        fields::join_cookie_lines(&mut head.headers);
    }
    // Who answers 100 Continue once the content is asked for is the listener's business: hyper for
    // HTTP/1.1, its own stream for HTTP/2. Only the syntax is checked here.
    framing::expects_continue(head.version, &head.headers)?;
    via::check_loop(&head.headers, &rules.pseudonym, rules.loops)?;
    let content = bounded(body, framing::declared_length(&head.headers)?, rules)?;

    let trailers = fields::accepts_trailers(&head.headers);
    fields::remove_connection_fields_of_request(&mut head.headers)?;
    fields::remove_override_fields(&mut head.headers, |_| false);
    let client = client(rules, arrival, &head.headers);
    // Written afresh when the request goes on to an origin.
    forwarded::remove_claims(&mut head.headers);
    head.headers.remove(HOST);
    head.headers.remove(span::REQUEST_ID);
    if content.is_none() {
        head.headers.remove(EXPECT);
        // Without content no trailers follow (RFC 9110 6.6.2).
        head.headers.remove(TRAILER);
    }
    if trailers {
        // RFC 9110 10.1.4: the one TE member that concerns what an origin may send.
        head.headers
            .insert(TE, http::HeaderValue::from_static("trailers"));
    }
    let trusted = TrustedHead {
        method: head.method,
        scheme: arrival.scheme,
        authority,
        path_and_query,
        version: head.version,
        fields: head.headers,
        client: Arc::new(client),
        _seal: Seal,
    };
    let (body, received) = content.unzip();
    Ok(Sanitized {
        head: trusted,
        body: body.unwrap_or_default(),
        received,
    })
}

/// CONNECT would make this node an open tunnel, and TRACE would reflect fields that functions
/// and proxies added (RFC 9110 9.3.6, 9.3.8).
fn check_method(method: &Method) -> Result<(), ClientFault> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(ClientFault::MethodUnsupported);
    }
    Ok(())
}

fn check_version(version: Version) -> Result<(), ClientFault> {
    match version {
        Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2 => Ok(()),
        _ => Err(ClientFault::VersionUnsupported),
    }
}

/// The target in origin form (RFC 9112 3.2.1), or `*` of an OPTIONS (3.2.4).
pub(super) fn origin_form(
    method: &Method,
    uri: &Uri,
    bytes_max: usize,
) -> Result<PathAndQuery, ClientFault> {
    let Some(target) = uri.path_and_query() else {
        return if uri.authority().is_some() && uri.scheme().is_some() {
            // An absolute URI without a path means its root (RFC 9110 4.2.3).
            Ok(PathAndQuery::from_static("/"))
        } else {
            Err(ClientFault::TargetInvalid)
        };
    };
    if target.as_str().len() > bytes_max {
        return Err(ClientFault::TargetTooLong);
    }
    match target.as_str() {
        "*" if *method == Method::OPTIONS => Ok(target.clone()),
        text if text.starts_with('/') => path::normal(target).ok_or(ClientFault::TargetInvalid),
        text if text.starts_with('?') => {
            PathAndQuery::try_from(format!("/{text}")).map_err(|_| ClientFault::TargetInvalid)
        }
        _ => Err(ClientFault::TargetInvalid),
    }
}

/// The client behind trusted proxies; a claim by anybody else is ignored.
fn client(rules: &SanitizeRules, arrival: &Arrival, fields: &http::HeaderMap) -> Client {
    let peer = canonical(arrival.peer.ip());
    let is_trusted = |address: IpAddr| {
        rules
            .trusted_proxies
            .iter()
            .any(|net| net.contains(&address))
    };
    let address = forwarded::client_address(peer, fields, rules.forwarded_source, is_trusted);
    Client {
        address,
        port: if address == peer {
            arrival.peer.port()
        } else {
            0
        },
        tls: arrival.tls,
    }
}

/// An IPv4 client on an IPv6 socket is an IPv4 client.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The body with the limit on its bytes; `None` when there is none.
fn bounded(
    body: Body,
    declared: Option<u64>,
    rules: &SanitizeRules,
) -> Result<Option<(Body, ReceivedBytes)>, ClientFault> {
    if declared.is_some_and(|length| length > rules.content_bytes_max) {
        return Err(ClientFault::ContentTooLarge);
    }
    if http_body::Body::is_end_stream(&body) {
        return Ok(None);
    }
    let received = ReceivedBytes::default();
    let body = Body::stream(RequestBody {
        body,
        received: received.clone(),
        bytes_max: rules.content_bytes_max,
    });
    Ok(Some((body, received)))
}

/// Content as it goes on: it fails once it passes its limit, and its trailers name nothing that
/// trailers must not (RFC 9110 6.5.1).
struct RequestBody {
    body: Body,
    received: ReceivedBytes,
    bytes_max: u64,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let mut frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &mut frame {
            if let Some(data) = frame.data_ref() {
                if self.received.add(data.remaining() as u64) > self.bytes_max {
                    return Poll::Ready(Some(Err(ClientFault::ContentTooLarge.into())));
                }
            } else if let Some(trailers) = frame.trailers_mut() {
                fields::remove_forbidden_trailers(trailers);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_resource_has_one_path() {
        // RFC 3986 6.2.2.
        let table = [
            ("/a/b?c=%61", Some("/a/b?c=%61")),
            ("/%61dmin", Some("/admin")),
            ("/a%2fb", Some("/a%2Fb")),
            ("/%e4?q", Some("/%E4?q")),
            ("/100%", Some("/100%")),
            ("/%zz%41", Some("/%zzA")),
            ("/%+1", Some("/%+1")),
            ("/a/./b", None),
            ("/a/../b", None),
            ("/a/%2e%2E/b", None),
            ("/..", None),
            ("/a..b/...", Some("/a..b/...")),
        ];
        for (given, expected) in table {
            let target = PathAndQuery::from_static(given);
            let normal = path::normal(&target);
            assert_eq!(
                normal.as_ref().map(PathAndQuery::as_str),
                expected,
                "{given}"
            );
        }
    }
}
