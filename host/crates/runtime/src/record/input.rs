//! What a call is given, as a recording has it.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use serde::{Deserialize, Serialize};
use verge_http::Body;

use super::blob::Blob;
use super::redact::Redactor;
use crate::call::Input;
use crate::message::{ClientFacts, Context, EdgeRequest};

/// What a call was given; content is beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedInput {
    /// The request, of a trigger or of a handler.
    pub request: Option<RecordedMessage>,
    /// The response, of a response trigger.
    pub response: Option<RecordedMessage>,
    /// What a function had left for after the response.
    pub payload: Blob,
}

/// The head of a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordedMessage {
    /// The method of a request.
    pub method: String,
    /// Its target URI.
    pub uri: String,
    /// The protocol version that the client spoke.
    pub version: String,
    /// The status of a response; 0 for a request.
    pub status: u16,
    /// The fields, without Host.
    pub fields: Vec<(String, Blob)>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// Its port.
    pub port: u16,
    /// Its TLS version.
    pub tls: Option<String>,
    /// What functions before left for this one.
    pub context: Vec<(String, Blob)>,
}

const TLS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];
const VERSIONS: [Version; 4] = [
    Version::HTTP_11,
    Version::HTTP_2,
    Version::HTTP_10,
    Version::HTTP_3,
];

/// Field lines in their order.
pub(super) fn field_list(fields: &HeaderMap) -> Vec<(String, Blob)> {
    let lines = fields.iter();
    lines
        .map(|(name, value)| (name.to_string(), Blob(value.as_bytes().to_vec())))
        .collect()
}

/// A field line of a recording; `None` if it can be none.
pub(super) fn field((name, value): &(String, Blob)) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    Some((name, HeaderValue::from_bytes(&value.0).ok()?))
}

fn fields_of(list: &[(String, Blob)]) -> Result<HeaderMap, String> {
    let mut fields = HeaderMap::new();
    for line in list {
        let (name, value) =
            field(line).ok_or_else(|| format!("`{}` is no field with a value", line.0))?;
        fields.append(name, value);
    }
    Ok(fields)
}

impl RecordedInput {
    pub(super) fn of(input: &Input) -> Self {
        let request = input.request.as_ref().map(|request| RecordedMessage {
            method: request.method.to_string(),
            uri: format!(
                "{}://{}{}",
                request.scheme, request.authority, request.path_and_query
            ),
            version: format!("{:?}", request.client.protocol),
            status: 0,
            fields: field_list(&request.fields),
            client: Some(request.client.address),
            port: request.client.port,
            tls: request.client.tls.map(str::to_owned),
            context: request
                .context
                .iter()
                .map(|(name, value)| (name.to_owned(), Blob(value.to_vec())))
                .collect(),
        });
        let incoming = input.incoming.as_ref().map(|request| RecordedMessage {
            method: request.method().to_string(),
            uri: request.uri().to_string(),
            version: format!("{:?}", request.version()),
            fields: field_list(request.headers()),
            ..RecordedMessage::default()
        });
        let response = input.response.as_ref().map(|response| RecordedMessage {
            version: format!("{:?}", response.version()),
            status: response.status().as_u16(),
            fields: field_list(response.headers()),
            ..RecordedMessage::default()
        });
        Self {
            request: request.or(incoming),
            response,
            payload: Blob(input.payload.clone()),
        }
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &RecordedMessage> {
        self.request.iter().chain(&self.response)
    }

    pub(super) fn redact(&mut self, redactor: &mut Redactor) {
        for message in self.request.iter_mut().chain(&mut self.response) {
            redactor.text(&mut message.uri);
            redactor.field_list(&mut message.fields);
            for (_, value) in &mut message.context {
                redactor.blob(value);
            }
        }
        redactor.blob(&mut self.payload);
    }
}

impl RecordedMessage {
    fn version(&self) -> Version {
        let mut known = VERSIONS.into_iter();
        known
            .find(|version| format!("{version:?}") == self.version)
            .unwrap_or(Version::HTTP_11)
    }

    /// The request of a trigger.
    pub(super) fn edge_request(&self, id: &str, body: Body) -> Result<EdgeRequest, String> {
        let (method, uri) = self.target()?;
        let parts = uri.into_parts();
        let mut context = Context::default();
        for (name, value) in &self.context {
            // It is what fitted into one.
            let _ = context.set(name, value.0.clone().into());
        }
        let tls = TLS
            .into_iter()
            .find(|known| self.tls.as_deref() == Some(known));
        Ok(EdgeRequest {
            method,
            scheme: parts.scheme.unwrap_or(Scheme::HTTP),
            authority: parts
                .authority
                .unwrap_or_else(|| Authority::from_static("localhost")),
            path_and_query: parts
                .path_and_query
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
            fields: fields_of(&self.fields)?,
            client: Arc::new(ClientFacts {
                address: self.client.unwrap_or(IpAddr::from([127, 0, 0, 1])),
                port: self.port,
                protocol: self.version(),
                tls,
            }),
            id: id.into(),
            body,
            context,
        })
    }

    /// The request of a handler.
    pub(super) fn handled_request(&self, body: Body) -> Result<http::Request<Body>, String> {
        let (method, uri) = self.target()?;
        let mut request = http::Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.version_mut() = self.version();
        *request.headers_mut() = fields_of(&self.fields)?;
        Ok(request)
    }

    /// The response of a response trigger.
    pub(super) fn given_response(&self, body: Body) -> Result<http::Response<Body>, String> {
        let mut response = http::Response::new(body);
        *response.status_mut() = http::StatusCode::from_u16(self.status)
            .map_err(|_| format!("`{}` is no status", self.status))?;
        *response.version_mut() = self.version();
        *response.headers_mut() = fields_of(&self.fields)?;
        Ok(response)
    }

    fn target(&self) -> Result<(Method, Uri), String> {
        let method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| format!("`{}` is no method", self.method))?;
        let uri: Uri = self
            .uri
            .parse()
            .map_err(|_| format!("`{}` is no URI", self.uri))?;
        Ok((method, uri))
    }
}
