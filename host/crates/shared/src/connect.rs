//! From settings to a connection that can be used: of a single server, of the
//! master that Sentinels name, or of a cluster.
//!
//! A password goes from here into the library and nowhere else: what is told of
//! a failure names servers and reasons only.

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    Pipeline, RedisConnectionInfo, RedisResult, Value, cmd,
};
use tokio::time::{Duration, timeout};

use crate::settings::{Mode, Server, ServerSettings};
use crate::trouble::Trouble;

/// A connection; its clones are one.
#[derive(Clone)]
pub(crate) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(crate) async fn command(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Server(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    pub(crate) async fn pipeline(&mut self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        match self {
            Self::Server(connection) => pipeline.query_async(connection).await,
            Self::Cluster(connection) => pipeline.query_async(connection).await,
        }
    }
}

/// Connects within the settings' time. `patience` is the longest that a single reply may
/// take on this connection: the library ends a command that takes longer.
pub(crate) async fn connect(
    settings: &ServerSettings,
    patience: Duration,
) -> Result<Connection, Trouble> {
    let connecting = async {
        match &settings.mode {
            Mode::Single => first(settings, &settings.servers, patience).await,
            Mode::Sentinel { master } => sentinel(settings, master, patience).await,
            Mode::Cluster => cluster(settings, patience).await,
        }
    };
    timeout(settings.connect_timeout, connecting)
        .await
        .unwrap_or(Err(Trouble::TimedOut))
}

/// The first of several servers that answers.
async fn first(
    settings: &ServerSettings,
    servers: &[Server],
    patience: Duration,
) -> Result<Connection, Trouble> {
    let mut last = Trouble::Disconnected;
    for server in servers {
        match one(settings, server, patience, credentials(settings)).await {
            Ok(connection) => return Ok(Connection::Server(connection)),
            Err(trouble) => last = trouble,
        }
    }
    Err(last)
}

async fn one(
    settings: &ServerSettings,
    server: &Server,
    patience: Duration,
    credentials: RedisConnectionInfo,
) -> Result<MultiplexedConnection, Trouble> {
    // Several servers share the time that there is.
    let share = u32::try_from(settings.servers.len()).unwrap_or(u32::MAX);
    let within = settings.connect_timeout / share.max(1);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(within))
        .set_response_timeout(Some(patience));
    let info = info(settings, server)?.set_redis_settings(credentials);
    let connecting = async {
        let client = Client::open(info)?;
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        // A server that takes connections and answers nothing is none.
        cmd("PING").query_async::<Value>(&mut connection).await?;
        Ok(connection)
    };
    match timeout(within, connecting).await {
        Ok(connected) => connected.map_err(|error| Trouble::of(&error)),
        Err(_) => Err(Trouble::TimedOut),
    }
}

/// The master, as the first Sentinel that answers names it.
async fn sentinel(
    settings: &ServerSettings,
    master: &str,
    patience: Duration,
) -> Result<Connection, Trouble> {
    let mut last = Trouble::Disconnected;
    for server in &settings.servers {
        match ask_sentinel(settings, server, master).await {
            Ok(server) => {
                let mut connection =
                    one(settings, &server, patience, credentials(settings)).await?;
                is_master(&mut connection).await?;
                return Ok(Connection::Server(connection));
            }
            Err(trouble) => last = trouble,
        }
    }
    Err(last)
}

async fn ask_sentinel(
    settings: &ServerSettings,
    server: &Server,
    master: &str,
) -> Result<Server, Trouble> {
    // Sentinels have no databases, and accounts of their own.
    let plain = RedisConnectionInfo::default();
    let mut connection = one(settings, server, settings.connect_timeout, plain).await?;
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let (host, port): (String, String) = question
        .query_async(&mut connection)
        .await
        .map_err(|error| Trouble::of(&error))?;
    let port = port.parse().map_err(|_| Trouble::Garbage)?;
    Ok(Server { host, port })
}

/// A Sentinel can be late: a server that was the master a moment ago is not used as one.
async fn is_master(connection: &mut MultiplexedConnection) -> Result<(), Trouble> {
    let role: Value = cmd("ROLE")
        .query_async(connection)
        .await
        .map_err(|error| Trouble::of(&error))?;
    let is_master = match role {
        Value::Array(parts) => matches!(
            parts.first(),
            Some(Value::BulkString(name)) if name == b"master"
        ),
        _ => false,
    };
    if is_master {
        Ok(())
    } else {
        Err(Trouble::ReadOnly)
    }
}

async fn cluster(settings: &ServerSettings, patience: Duration) -> Result<Connection, Trouble> {
    let nodes: Result<Vec<ConnectionInfo>, Trouble> = settings
        .servers
        .iter()
        .map(|server| Ok(info(settings, server)?.set_redis_settings(credentials(settings))))
        .collect();
    let mut builder = ClusterClient::builder(nodes?)
        .retries(CLUSTER_RETRIES)
        .connection_timeout(settings.connect_timeout)
        .response_timeout(patience)
        .overall_response_timeout(Some(patience));
    if let Some(password) = &settings.password {
        builder = builder.password(&password.0);
    }
    if let Some(username) = &settings.username {
        builder = builder.username(username);
    }
    let connecting = async { builder.build()?.get_async_connection().await };
    connecting
        .await
        .map(Connection::Cluster)
        .map_err(|error| Trouble::of(&error))
}

/// How often the library asks another node of a cluster that answered "not here".
const CLUSTER_RETRIES: u32 = 3;

fn credentials(settings: &ServerSettings) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default().set_db(settings.database);
    if let Some(username) = &settings.username {
        info = info.set_username(username);
    }
    if let Some(password) = &settings.password {
        info = info.set_password(&password.0);
    }
    info
}

fn info(settings: &ServerSettings, server: &Server) -> Result<ConnectionInfo, Trouble> {
    let address = if settings.tls {
        ConnectionAddr::TcpTls {
            host: server.host.clone(),
            port: server.port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(server.host.clone(), server.port)
    };
    address
        .into_connection_info()
        .map(|info| info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
        .map_err(|error| Trouble::of(&error))
}
