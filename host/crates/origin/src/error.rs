//! What can be wrong with an origin's settings, and the one map from errors of
//! sockets, TLS and HTTP to [`Failure`].

use std::error::Error as StdError;
use std::io;

use verge_http::Failure;
use verge_http::failure::{OriginFault, Progress};

/// Why no origin can be built from the settings.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// No address is given.
    #[error("an origin needs at least one address")]
    AddressMissing,
    /// The authority for the Host field is not `host` or `host:port`.
    #[error("`{0}` is not a host or host:port")]
    AuthorityInvalid(String),
    /// The name for the certificate is neither a DNS name nor an IP address.
    #[error("`{0}` is not a name that a certificate can be valid for")]
    ServerNameInvalid(String),
    /// The given certificate authorities cannot be used.
    #[error("the PEM of the origin's certificate authorities is not usable: {0}")]
    RootsInvalid(String),
    /// No certificate authorities were found.
    #[error("no certificate authorities to trust were found")]
    RootsMissing,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// A count or a size is below what makes sense.
    #[error("`{setting}` must be at least {least}")]
    TooSmall {
        /// The setting's name.
        setting: &'static str,
        /// The least allowed value.
        least: usize,
    },
    /// A count is above what is allowed.
    #[error("`{setting}` must be at most {most}")]
    TooLarge {
        /// The setting's name.
        setting: &'static str,
        /// The greatest allowed value.
        most: usize,
    },
    /// A timeout is zero.
    #[error("`{0}` must be longer than zero")]
    TimeoutZero(&'static str),
    /// A timeout is as good as none.
    #[error("`{0}` must not be longer than a day")]
    TimeoutTooLong(&'static str),
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no colon with a port behind the host.
    #[error("the port is missing: write host:port")]
    PortMissing,
    /// The port is not a number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    PortInvalid,
    /// The host is not a name or an IP address.
    #[error("the host must be a name, an IPv4 address, or an IPv6 address in brackets")]
    HostInvalid,
}

/// The fault behind a connection attempt that a socket refused.
pub(crate) fn connect_fault(error: &io::Error) -> OriginFault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => OriginFault::ConnectionRefused,
        io::ErrorKind::TimedOut => OriginFault::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            OriginFault::DestinationUnroutable
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            OriginFault::ConnectionTerminated
        }
        _ => OriginFault::DestinationUnavailable,
    }
}

/// The fault behind a TLS handshake that failed.
pub(crate) fn handshake_fault(error: &io::Error) -> OriginFault {
    tls_fault(error).unwrap_or(match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => OriginFault::ConnectionTerminated,
        _ => OriginFault::TlsProtocolError,
    })
}

/// The TLS fault somewhere among the causes of `error`, if there is one.
fn tls_fault(error: &(dyn StdError + 'static)) -> Option<OriginFault> {
    let error = find_cause::<rustls::Error>(error)?;
    Some(match error {
        rustls::Error::InvalidCertificate(_)
        | rustls::Error::InvalidCertRevocationList(_)
        | rustls::Error::NoCertificatesPresented
        | rustls::Error::UnsupportedNameType => OriginFault::TlsCertificateError,
        rustls::Error::AlertReceived(_) => OriginFault::TlsAlertReceived,
        _ => OriginFault::TlsProtocolError,
    })
}

/// What an exchange that hyper gave up means, before the response's head was
/// accepted. `progress` is what the connection saw of it.
pub(crate) fn exchange_failure(error: &hyper::Error, progress: Progress) -> Failure {
    if let Some(failure) = find_cause::<Failure>(error) {
        // The request's own body failed: the client, or a function, is at fault.
        return *failure;
    }
    if error.is_parse_too_large() {
        return Failure::responding(OriginFault::ResponseHeadTooLarge);
    }
    if error.is_parse() {
        return Failure::responding(OriginFault::ResponseMalformed);
    }
    let fault = tls_fault(error).unwrap_or(match progress {
        Progress::Unsent | Progress::Sent => OriginFault::ConnectionTerminated,
        Progress::Responding => OriginFault::ResponseIncomplete,
    });
    Failure::Origin { fault, progress }
}

/// What a response body that hyper gave up means.
pub(crate) fn body_failure(error: &hyper::Error) -> Failure {
    if let Some(fault) = tls_fault(error) {
        return Failure::responding(fault);
    }
    let malformed = find_cause::<io::Error>(error).is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
        )
    });
    Failure::responding(if malformed {
        OriginFault::ResponseMalformed
    } else {
        OriginFault::ResponseIncomplete
    })
}

/// Looks through the chain of causes, and into what an [`io::Error`] carries.
fn find_cause<'error, E: StdError + 'static>(
    error: &'error (dyn StdError + 'static),
) -> Option<&'error E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // `io::Error::source` skips the very error that it wraps.
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_errors_keep_their_meaning() {
        let table = [
            (
                io::ErrorKind::ConnectionRefused,
                OriginFault::ConnectionRefused,
            ),
            (io::ErrorKind::TimedOut, OriginFault::ConnectionTimeout),
            (
                io::ErrorKind::HostUnreachable,
                OriginFault::DestinationUnroutable,
            ),
            (
                io::ErrorKind::NetworkUnreachable,
                OriginFault::DestinationUnroutable,
            ),
            (
                io::ErrorKind::ConnectionReset,
                OriginFault::ConnectionTerminated,
            ),
            (
                io::ErrorKind::AddrNotAvailable,
                OriginFault::DestinationUnavailable,
            ),
        ];
        for (kind, expected) in table {
            assert_eq!(connect_fault(&kind.into()), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_tls_error_is_found_inside_an_io_error() {
        let wrap = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let table = [
            (
                wrap(rustls::Error::InvalidCertificate(
                    rustls::CertificateError::Expired,
                )),
                OriginFault::TlsCertificateError,
            ),
            (
                wrap(rustls::Error::AlertReceived(
                    rustls::AlertDescription::HandshakeFailure,
                )),
                OriginFault::TlsAlertReceived,
            ),
            (
                wrap(rustls::Error::DecryptError),
                OriginFault::TlsProtocolError,
            ),
            (
                io::ErrorKind::UnexpectedEof.into(),
                OriginFault::ConnectionTerminated,
            ),
        ];
        for (error, expected) in table {
            assert_eq!(handshake_fault(&error), expected, "{error:?}");
        }
    }
}
