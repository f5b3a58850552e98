//! The configuration of a Verge node: TOML in, valid types or every problem
//! with its place out.
//!
//! Keys, ranges and defaults stand at the fields they fill. Nothing here
//! opens a component, a certificate or a socket, and nothing here knows another
//! crate of Verge.

mod acl;
mod addresses;
mod cache_limits;
mod compression;
mod config;
mod deploy;
mod disk;
mod fetch;
mod function;
mod geo;
mod grants;
mod host;
mod kinds;
mod kv;
mod limits;
mod names;
mod node;
mod origin;
mod policy;
mod problem;
mod record;
mod redis;
mod registry;
mod route_key;
mod route_paths;
mod scenario;
mod schema;
mod section;
mod setting;
mod site;
mod site_read;
mod table;
mod units;
mod walk;

pub use acl::{Acl, AclAction, AclEntry};
pub use cache_limits::CacheLimits;
pub use compression::{Coding, Compression};
pub use config::{Certificate, Config, MAX_FILE_BYTES};
pub use deploy::{Deploy, Rollback};
pub use disk::Disk;
pub use fetch::Fetch;
pub use function::{Function, Isolation, LogLevel, OnFailure, Quarantine, Secret};
pub use geo::Geo;
pub use grants::{GivenLists, Grants, RateScope};
pub use kv::{KvBackend, KvLimits, KvStore};
pub use limits::Limits;
pub use node::{
    Admin, Cache, Listen, Log, LogFormat, LogTarget, Node, ProxyField, Runtime, SecretSource, Stop,
    Topology,
};
pub use origin::{Origin, OriginAddress, OriginProtocol, OriginTimeouts, OriginTls};
pub use policy::{Bypass, CacheFields, OriginDirectives, Policy, StatusPattern};
pub use problem::{ConfigErrors, Problem};
pub use record::{Record, RecordLimits};
pub use redis::{Redis, RedisLimits, RedisMode, RedisServer};
pub use registry::{OciComponent, Registry};
pub use route_key::{DropPreset, KeyForward, KeyQuery, RouteKey};
pub use scenario::{Answer, At, Expect, Failing, Scenario, Step, StepRequest};
pub use schema::Key;
pub use setting::Setting;
pub use site::{
    FieldCondition, FieldMatch, FunctionUse, Ranges, Redirect, Route, Site, SiteName, StaticAnswer,
    Target, Triggers,
};
pub use units::{parse_duration, show_duration};
