//! What this node shares with the others of its region: from `[redis]` to a
//! running [`Shared`], and purges between it and the cache.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use verge_base::{Clock, Random};
use verge_cache::{Cache, Hardness, Purge, PurgeCause, PurgeId, PurgeScope};
use verge_config::{Config, Problem, Redis, RedisMode, SecretSource};
use verge_shared::{
    BreakerSettings, Mode, Password, PurgeSink, Server, ServerSettings, Shared, SharedSettings,
};

use super::StartError;
use crate::secrets::SecretText;

/// Begins to share, if the configuration says so; waits for nothing of it.
pub(super) fn start(
    config: &Config,
    clock: &Clock,
    random: &Random,
    cache: &Cache,
) -> Result<Option<Arc<Shared>>, StartError> {
    let Some(redis) = &config.redis else {
        return Ok(None);
    };
    let settings =
        settings(config, redis).map_err(|problem| StartError::Problems(vec![problem]))?;
    let sink = Arc::new(CacheSink {
        cache: cache.clone(),
        clock: clock.clone(),
    });
    let shared = Shared::start(settings, clock.clone(), random.clone(), sink);
    let shared = Arc::new(shared.map_err(|source| StartError::System {
        what: "the thread of what nodes share",
        source,
    })?);
    // Weakly: the cache must not keep alive what purges it.
    let told = Arc::downgrade(&shared);
    cache.on_purge(Arc::new(move |purge: &Purge| {
        if let Some(shared) = told.upgrade() {
            shared.publish(purge.id.number, purge.encode());
        }
    }));
    Ok(Some(shared))
}

/// The cache, as the purges of other nodes reach it.
struct CacheSink {
    cache: Cache,
    clock: Clock,
}

impl PurgeSink for CacheSink {
    fn apply(&self, purge: &[u8], ago: Duration) -> Option<u64> {
        let mut purge = Purge::decode(purge).ok()?;
        // What it says is the time of the node that was asked; its clock may be wrong.
        let at = self.clock.wall().checked_sub(ago);
        purge.at = at.unwrap_or(SystemTime::UNIX_EPOCH);
        Some(self.cache.purge_remote(&purge))
    }

    fn purge_everything_softly(&self) -> u64 {
        self.cache.purge_remote(&Purge {
            id: PurgeId {
                node: self.cache.node_id(),
                number: 0,
            },
            scope: PurgeScope::Everything,
            hardness: Hardness::Soft,
            cause: PurgeCause::Operator,
            at: self.clock.wall(),
        })
    }

    fn sequence(&self) -> u64 {
        self.cache.purge_sequence()
    }
}

fn settings(config: &Config, redis: &Redis) -> Result<SharedSettings, Problem> {
    let limits = &redis.limits;
    let first = redis.servers.first();
    let servers = redis.servers.iter().map(|server| Server {
        host: server.host.clone(),
        port: server.port,
    });
    let server = ServerSettings {
        mode: match redis.mode {
            RedisMode::Single => Mode::Single,
            RedisMode::Cluster => Mode::Cluster,
            RedisMode::Sentinel => Mode::Sentinel {
                master: redis.master.clone().unwrap_or_default(),
            },
        },
        servers: servers.collect(),
        tls: first.is_some_and(|server| server.tls),
        database: first.map_or(0, |server| i64::from(server.database)),
        username: redis.username.clone(),
        password: password(config, redis)?,
        connect_timeout: limits.connect_timeout,
    };
    Ok(SharedSettings {
        server,
        prefix: redis.prefix.clone(),
        timeout: limits.timeout,
        commands: limits.commands,
        breaker: BreakerSettings {
            failures: limits.breaker_failures,
            open_for: limits.breaker_open,
        },
        object_max: limits.max_object,
        loads_max: limits.loads,
        saves_max: limits.saves,
        saves_bytes_max: limits.saves_bytes,
        lease: limits.lease,
        lease_wait: limits.lease_wait,
        stream_entries: limits.stream_entries,
        stream_trust: limits.stream_trust,
        publish_max: limits.publish,
    })
}

fn password(config: &Config, redis: &Redis) -> Result<Option<Password>, Problem> {
    let Some(source) = &redis.password else {
        return Ok(None);
    };
    let key = match source {
        SecretSource::File(_) => "redis.password_file",
        SecretSource::Variable(_) => "redis.password_env",
    };
    let problem = |what: String| config.problem(key, what, "expected the password of Redis");
    let text = SecretText::read(source).map_err(problem)?;
    let text = std::str::from_utf8(text.expose()).map_err(|error| problem(error.to_string()))?;
    Ok(Some(Password(text.to_owned())))
}
