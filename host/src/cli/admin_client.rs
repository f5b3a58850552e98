//! One request to a node's admin API, for the commands that speak to a
//! running node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use verge_config::{Config, SecretSource};

use super::problem::CommandProblem;
use crate::secrets::SecretText;

/// How long it may take until a node is reached.
const CONNECT_TIME: Duration = Duration::from_secs(30);

/// How long an answer may take in all.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// The same for what changes which version of a function runs: megabytes are sent, and compiled.
const CHANGE_TIME: Duration = Duration::from_secs(600);

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Which node is asked.
#[derive(Debug, Args)]
pub(super) struct NodeArguments {
    /// The node's configuration file: names the admin address and the token.
    #[arg(long, short, value_name = "FILE", required_unless_present = "admin")]
    config: Option<PathBuf>,
    /// The admin API, as http://127.0.0.1:9901, in place of the configuration's address.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// A file with the admin token, in place of the configuration's.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Where to ask, and with which token.
pub(super) struct AdminClient {
    authority: String,
    /// The value of `Authorization`.
    token: HeaderValue,
}

/// An answer of the admin API.
pub(super) struct AdminAnswer {
    pub(super) status: StatusCode,
    pub(super) content: Bytes,
}

impl AdminClient {
    /// The client that `arguments` describe.
    ///
    /// # Errors
    /// What is missing, in words for people.
    pub(super) fn new(arguments: &NodeArguments) -> Result<Self, CommandProblem> {
        let config = match &arguments.config {
            Some(path) => Some(read(path)?),
            None => None,
        };
        let authority = match (&arguments.admin, &config) {
            (Some(url), _) => authority_of(url)?,
            (None, Some(config)) => configured_authority(config)?,
            (None, None) => return Err("give --config FILE or --admin URL".into()),
        };
        let source = match (&arguments.token_file, &config) {
            (Some(path), _) => SecretSource::File(path.clone()),
            (None, Some(config)) => config.admin.token.clone().ok_or(
                "the configuration has no admin token; set `token_file` or `token_env` in \
                 `[admin]`, or give --token-file",
            )?,
            (None, None) => return Err("give the admin token by --token-file FILE".into()),
        };
        let token = SecretText::read(&source)?;
        let token = authorization(token.expose()).ok_or_else(|| match &source {
            SecretSource::File(path) => CommandProblem::new(
                format!("{}: holds no admin token", path.display()),
                "one line of text",
            ),
            SecretSource::Variable(name) => {
                CommandProblem::new(format!("${name} holds no admin token"), "one line of text")
            }
        })?;
        Ok(Self { authority, token })
    }

    /// Posts `content`, JSON, to `path`.
    ///
    /// # Errors
    /// There is no answer, in words for people.
    pub(super) fn post(&self, path: &str, content: Vec<u8>) -> Result<AdminAnswer, CommandProblem> {
        let asked = (Method::POST, path, "application/json");
        Ok(self.send(asked, content, ANSWER_TIME)?)
    }

    /// Posts `content`, a component or nothing, to `path`.
    ///
    /// # Errors
    /// There is no answer, and whether the node was asked.
    pub(super) fn post_component(
        &self,
        path: &str,
        content: Vec<u8>,
    ) -> Result<AdminAnswer, Unanswered> {
        let asked = (Method::POST, path, "application/wasm");
        self.send(asked, content, CHANGE_TIME)
    }

    /// Gets `path`.
    ///
    /// # Errors
    /// There is no answer, in words for people.
    pub(super) fn get(&self, path: &str) -> Result<AdminAnswer, CommandProblem> {
        let asked = (Method::GET, path, "application/json");
        Ok(self.send(asked, Vec::new(), ANSWER_TIME)?)
    }

    fn send(
        &self,
        asked: (Method, &str, &str),
        content: Vec<u8>,
        patience: Duration,
    ) -> Result<AdminAnswer, Unanswered> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Unanswered::NotAsked(error.to_string().into()))?;
        runtime.block_on(async {
            let stream = self.connect().await.map_err(|what| {
                let problem = format!("{}: cannot connect: {what}", self.authority);
                Unanswered::NotAsked(problem.into())
            })?;
            let answer = tokio::time::timeout(patience, self.ask(stream, asked, content));
            answer
                .await
                .unwrap_or_else(|_| {
                    let seconds = patience.as_secs();
                    Err(format!("no answer within {seconds} seconds"))
                })
                .map_err(|what| Unanswered::NoAnswer(format!("{}: {what}", self.authority)))
        })
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        let stream = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(&self.authority));
        match stream.await {
            Ok(stream) => stream.map_err(|error| error.to_string()),
            Err(_) => Err(format!("not within {} seconds", CONNECT_TIME.as_secs())),
        }
    }

    async fn ask(
        &self,
        stream: TcpStream,
        (method, path, content_type): (Method, &str, &str),
        content: Vec<u8>,
    ) -> Result<AdminAnswer, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, &self.token)
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(Bytes::from(content)))
            .map_err(|error| failed(&error))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| failed(&error))?;
        let status = response.status();
        let content = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        let content = content.await.map_err(|error| failed(&error))?.to_bytes();
        Ok(AdminAnswer { status, content })
    }
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// No node was asked.
    NotAsked(CommandProblem),
    /// One was, and may do what it was asked for.
    NoAnswer(String),
}

impl From<Unanswered> for CommandProblem {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotAsked(problem) => problem,
            Unanswered::NoAnswer(what) => what.into(),
        }
    }
}

impl AdminAnswer {
    /// What is wrong with the request as a whole.
    pub(super) fn refusal(&self) -> CommandProblem {
        serde_json::from_slice(&self.content).unwrap_or_else(|_| {
            CommandProblem::new(
                format!("what answers is no admin API: {}", self.status),
                "the address of `listen.admin`",
            )
        })
    }
}

/// The value of `Authorization` for `token`; `None` if no field can hold it.
fn authorization(token: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn read(path: &Path) -> Result<Config, String> {
    Config::read(path).map_err(|errors| {
        let lines: Vec<String> = errors.problems().iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

fn configured_authority(config: &Config) -> Result<String, CommandProblem> {
    let address = config.listen.admin.first().copied();
    let address = address.ok_or("the configuration has no `listen.admin`; give --admin URL")?;
    if address.port() == 0 {
        return Err(
            "`listen.admin` has port 0, which the node chose when it started; give --admin URL"
                .into(),
        );
    }
    let reached = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok(SocketAddr::new(reached, address.port()).to_string())
}

fn authority_of(url: &str) -> Result<String, CommandProblem> {
    let wrong = || {
        CommandProblem::new(
            format!("--admin `{url}` is no admin API"),
            "http://HOST:PORT",
        )
    };
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let authority = rest.trim_end_matches('/');
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if has_port && !authority.contains(['/', '@', ' ']) {
        Ok(authority.to_owned())
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line() {
        let value = authorization(b"secret").expect("it is one line");
        assert_eq!(value, "Bearer secret");
        assert!(authorization(b"[node]\nname = \"a\"").is_none());
    }

    #[test]
    fn an_admin_url_is_a_host_and_a_port() {
        for (url, expected) in [
            ("http://127.0.0.1:9901", Some("127.0.0.1:9901")),
            ("http://[::1]:9901/", Some("[::1]:9901")),
            ("http://node:1", Some("node:1")),
            ("https://node:1", None),
            ("http://node", None),
            ("http://:1", None),
            ("http://node:1/path", None),
            ("node:1", None),
        ] {
            assert_eq!(authority_of(url).ok().as_deref(), expected, "{url}");
        }
    }
}
