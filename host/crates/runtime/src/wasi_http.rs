//! `wasi:http` requests to others, of either version: handed to what sends the
//! requests of the call, and failures told in the words of `wasi:http`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::uri::Scheme;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use verge_http::failure::{ClientFault, FunctionFault, NodeFault, OriginFault};
use verge_http::{Body, Failure};
use wasmtime_wasi_http::p3::bindings::http::types::{
    DnsErrorPayload, ErrorCode, TlsAlertReceivedPayload,
};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::call::{FetchSender, PARTLY_READ, Told, is_partly_read};
use crate::capabilities::FetchError;
use crate::wasi::CHUNK_BYTES;

/// What `wasi:http` asks this host for.
pub(crate) struct Hooks(pub(crate) FetchSender);

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Io), Error>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Io,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        if is_partly_read(request.body()) {
            let told = Error::InternalError(Some(PARTLY_READ.to_owned()));
            return Box::new(std::future::ready(Err(told)));
        }
        let options = options.unwrap_or_default();
        // What is left of the time to connect is time to answer.
        let within = options
            .first_byte_timeout
            .map(|first| first.saturating_add(options.connect_timeout.unwrap_or_default()));
        let request = request.map(|body| match http_body::Body::is_end_stream(&body) {
            true => Body::Empty,
            false => Body::stream(Outgoing(body)),
        });
        let sending = self.0.send(request, within);
        Box::new(async move {
            let response = sending.map_err(error_of)?.await.map_err(error_of)?;
            let response = response.map(|body| {
                let body = body.map_err(error_of).boxed_unsync();
                Told::new(body).boxed_unsync()
            });
            // The exchange is driven by whoever reads the content.
            let io: Io = Box::new(std::future::ready(Ok(())));
            Ok((response, io))
        })
    }

    fn is_supported_scheme(&mut self, _scheme: &Scheme) -> bool {
        // Whatever it is, the request is denied, not malformed.
        true
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }
}

/// Content that a guest writes, on its way out.
pub(crate) struct Outgoing(pub(crate) WasiBody);

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(context));
        // It was broken off: the function's fault, whatever the error says.
        let broken = |_| FunctionFault::ResponseInvalid.into();
        Poll::Ready(frame.map(|frame| frame.map_err(broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

fn error_of(error: FetchError) -> Error {
    match error {
        FetchError::Denied => Error::HttpRequestDenied,
        FetchError::TooMany | FetchError::TooManyAtOnce => Error::ConnectionLimitReached,
        FetchError::TooDeep => Error::LoopDetected,
        FetchError::TooLarge => Error::HttpResponseBodySize(None),
        FetchError::TimedOut => Error::HttpResponseTimeout,
        FetchError::Invalid => Error::HttpRequestUriInvalid,
        FetchError::Failed(failure) => error_of_failure(failure),
    }
}

/// The same for WASI 0.3, where nothing public turns one into the other.
pub(crate) fn code_of(error: FetchError) -> ErrorCode {
    match error_of(error) {
        Error::DnsTimeout => ErrorCode::DnsTimeout,
        Error::DnsError { rcode, info_code } => {
            ErrorCode::DnsError(DnsErrorPayload { rcode, info_code })
        }
        Error::DestinationUnavailable => ErrorCode::DestinationUnavailable,
        Error::DestinationIpUnroutable => ErrorCode::DestinationIpUnroutable,
        Error::ConnectionRefused => ErrorCode::ConnectionRefused,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::ConnectionTimeout => ErrorCode::ConnectionTimeout,
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::ConnectionWriteTimeout => ErrorCode::ConnectionWriteTimeout,
        Error::ConnectionLimitReached => ErrorCode::ConnectionLimitReached,
        Error::TlsProtocolError => ErrorCode::TlsProtocolError,
        Error::TlsCertificateError => ErrorCode::TlsCertificateError,
        Error::TlsAlertReceived {
            alert_id,
            alert_message,
        } => ErrorCode::TlsAlertReceived(TlsAlertReceivedPayload {
            alert_id,
            alert_message,
        }),
        Error::HttpRequestDenied => ErrorCode::HttpRequestDenied,
        Error::HttpRequestUriInvalid => ErrorCode::HttpRequestUriInvalid,
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::HttpResponseHeaderSectionSize(size) => {
            ErrorCode::HttpResponseHeaderSectionSize(size)
        }
        Error::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(size),
        Error::HttpResponseTransferCoding(coding) => ErrorCode::HttpResponseTransferCoding(coding),
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::HttpUpgradeFailed => ErrorCode::HttpUpgradeFailed,
        Error::HttpProtocolError => ErrorCode::HttpProtocolError,
        Error::LoopDetected => ErrorCode::LoopDetected,
        Error::ConfigurationError => ErrorCode::ConfigurationError,
        other => ErrorCode::InternalError(Some(other.to_string())),
    }
}

fn error_of_failure(failure: Failure) -> Error {
    match failure {
        Failure::Client(ClientFault::LoopDetected) => Error::LoopDetected,
        Failure::Client(_) => Error::HttpProtocolError,
        Failure::Origin { fault, .. } | Failure::Unvalidated(fault) => error_of_origin(fault),
        Failure::Function(_) => Error::HttpResponseIncomplete,
        Failure::Node(fault) => match fault {
            NodeFault::Internal => Error::InternalError(None),
            NodeFault::ConfigurationInvalid => Error::ConfigurationError,
            NodeFault::ConnectionsExhausted | NodeFault::RequestsExhausted => {
                Error::ConnectionLimitReached
            }
            NodeFault::FillAbandoned | NodeFault::ReaderTooSlow => Error::HttpResponseIncomplete,
            NodeFault::Draining => Error::DestinationUnavailable,
        },
    }
}

fn error_of_origin(fault: OriginFault) -> Error {
    match fault {
        OriginFault::DnsTimeout => Error::DnsTimeout,
        OriginFault::DnsError => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        OriginFault::DestinationUnavailable => Error::DestinationUnavailable,
        OriginFault::DestinationUnroutable => Error::DestinationIpUnroutable,
        OriginFault::ConnectionRefused => Error::ConnectionRefused,
        OriginFault::ConnectionTerminated => Error::ConnectionTerminated,
        OriginFault::ConnectionTimeout => Error::ConnectionTimeout,
        OriginFault::ConnectionReadTimeout => Error::ConnectionReadTimeout,
        OriginFault::ConnectionWriteTimeout => Error::ConnectionWriteTimeout,
        OriginFault::ConnectionLimitReached => Error::ConnectionLimitReached,
        OriginFault::TlsProtocolError => Error::TlsProtocolError,
        OriginFault::TlsCertificateError => Error::TlsCertificateError,
        OriginFault::TlsAlertReceived => Error::TlsAlertReceived {
            alert_id: None,
            alert_message: None,
        },
        OriginFault::ResponseIncomplete => Error::HttpResponseIncomplete,
        OriginFault::ResponseHeadTooLarge => Error::HttpResponseHeaderSectionSize(None),
        OriginFault::ResponseTooLarge => Error::HttpResponseBodySize(None),
        OriginFault::ResponseTimeout => Error::HttpResponseTimeout,
        OriginFault::ResponseTransferCodingUnknown => Error::HttpResponseTransferCoding(None),
        OriginFault::ResponseMalformed => Error::HttpProtocolError,
        OriginFault::UpgradeFailed => Error::HttpUpgradeFailed,
    }
}
