//! The whole configuration: from text to valid parts, or to every problem.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use crate::acl::Acl;
use crate::cache_limits::CacheLimits;
use crate::compression::Compression;
use crate::deploy::Deploy;
use crate::disk::Disk;
use crate::function::{Deployable, Function, Secret};
use crate::geo::Geo;
use crate::grants::Grantable;
use crate::kv::{KvStore, check_paths};
use crate::limits::Limits;
use crate::names::Names;
use crate::node::{Admin, Cache, Listen, Log, Node, Runtime, Stop};
use crate::origin::Origin;
use crate::policy::{CacheFields, Policy};
use crate::problem::{ConfigErrors, Lines, Place, Problem};
use crate::redis::Redis;
use crate::registry::Registry;
use crate::schema::Key;
use crate::site::Site;
use crate::site_read::{Targets, read_sites};
use crate::table::Table;
use crate::walk::{State, Walk};

/// Bytes of a configuration file: at most 4 MiB.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// `[[certificate]]`: a chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// Names for which it is used, exact or `*.` and a suffix, in lower case; empty: those
    /// of the certificate itself.
    pub names: Vec<String>,
    /// The file with the chain, the leaf first.
    pub cert: PathBuf,
    /// The file with the private key.
    pub key: PathBuf,
}

/// A valid configuration. Parts can be compared, so that a reload sees what changed.
///
/// Every name that a part gives to another exists, every range holds, and every path is
/// resolved against the file's folder. Whether files exist and what they contain is found
/// out by whoever opens them; [`Config::problem`] gives such findings a place.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The file that it came from.
    pub file: PathBuf,
    /// `[node]`
    pub node: Node,
    /// `[listen]`
    pub listen: Listen,
    /// `[limits]`
    pub limits: Limits,
    /// `[stop]`
    pub stop: Stop,
    /// `[admin]`
    pub admin: Admin,
    /// `[log]`
    pub log: Log,
    /// `[[certificate]]`, in order: the first is for clients that name no host.
    pub certificates: Vec<Certificate>,
    /// `[cache]`
    pub cache: Cache,
    /// `[cache]`: what is remembered of purges, refusals and parts.
    pub cache_limits: CacheLimits,
    /// `[compression]`
    pub compression: Compression,
    /// `[cache]`: which fields of responses are for caches.
    pub cache_fields: CacheFields,
    /// `[cache]`: the policy of routes that say nothing else.
    pub policy: Policy,
    /// `[redis]`, if there is one.
    pub redis: Option<Redis>,
    /// `[cache.disk]`; `None` without it.
    pub disk: Option<Disk>,
    /// `[deploy]`
    pub deploy: Deploy,
    /// `[registry.NAME]`
    pub registries: BTreeMap<Arc<str>, Registry>,
    /// `[runtime]`
    pub runtime: Runtime,
    /// `[geo]`
    pub geo: Geo,
    /// `[acl.NAME]`
    pub acls: BTreeMap<Arc<str>, Acl>,
    /// `[function.NAME]`
    pub functions: BTreeMap<Arc<str>, Function>,
    /// `[kv.NAME]`
    pub kv: BTreeMap<Arc<str>, KvStore>,
    /// `[secret.NAME]`
    pub secrets: BTreeMap<Arc<str>, Secret>,
    /// `[origin.NAME]`
    pub origins: BTreeMap<Arc<str>, Origin>,
    /// `[[site]]`
    pub sites: Vec<Site>,
    files: Vec<(PathBuf, String)>,
    places: BTreeMap<String, Place>,
    keys: Vec<Key>,
}

impl Config {
    /// Reads a file of at most [`MAX_FILE_BYTES`].
    ///
    /// # Errors
    ///
    /// The file cannot be read or is too large, or any problem of [`Config::from_toml`].
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let text = read_bounded(path).map_err(|(what, expected)| Problem {
            file: path.to_owned(),
            line: 0,
            column: 0,
            key_path: String::new(),
            what,
            expected,
        })?;
        Self::from_toml(&text, path)
    }

    /// Reads a configuration from its text. `file` is where it came from: relative paths
    /// start at its folder, and problems name it. Nothing is read from the disk.
    ///
    /// # Errors
    ///
    /// All syntax errors; or, if the syntax is right, all problems with keys and values.
    pub fn from_toml(text: &str, file: &Path) -> Result<Self, ConfigErrors> {
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(syntax_errors(&errors, text, file));
        }
        let walk = Walk::new(file, text);
        let config = read_root(&walk.root(&document), file);
        let State {
            problems,
            places,
            files,
            keys,
        } = walk.finish();
        if !problems.is_empty() {
            return Err(ConfigErrors::new(problems));
        }
        Ok(Self {
            files,
            places,
            keys,
            ..config
        })
    }

    /// Files that the configuration depends on, itself first: components, certificates,
    /// keys, authorities, tokens and secrets. Each path once.
    #[must_use]
    pub fn dependencies(&self) -> Vec<&Path> {
        let mut paths = vec![self.file.as_path()];
        for (path, _) in &self.files {
            if !paths.contains(&path.as_path()) {
                paths.push(path);
            }
        }
        paths
    }

    /// A problem with the value of a key that was found after reading: a missing file, a
    /// component that does not load. Its place is that of `key_path`, such as
    /// `function.auth.component` or `certificate[0].key`, or of the section around it.
    #[must_use]
    pub fn problem(
        &self,
        key_path: &str,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) -> Problem {
        let mut prefix = key_path;
        let place = loop {
            match (self.places.get(prefix), prefix.rfind(['.', '['])) {
                (Some(place), _) => break *place,
                (None, Some(end)) => prefix = &prefix[..end],
                (None, None) => break Place { line: 1, column: 1 },
            }
        };
        Problem {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            key_path: key_path.to_owned(),
            what: what.into(),
            expected: expected.into(),
        }
    }

    /// Every key that was looked for while this was read, with its default, and what the
    /// file says.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }
}

fn read_bounded(path: &Path) -> Result<String, (String, String)> {
    let failed = |error: std::io::Error| (format!("cannot be read: {error}"), String::new());
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err((
            "is too large".to_owned(),
            "expected at most 4 MiB".to_owned(),
        ));
    }
    String::from_utf8(bytes).map_err(|_| ("is not UTF-8".to_owned(), String::new()))
}

/// The syntax errors, the first of each line: the rest of a line is guesswork.
pub(crate) fn syntax_errors(errors: &[toml::de::Error], text: &str, file: &Path) -> ConfigErrors {
    let lines = Lines::new(text);
    let mut problems: Vec<Problem> = Vec::new();
    for error in errors {
        let Place { line, column } = lines.place(error.span().map_or(0, |span| span.start));
        if problems.iter().all(|known| known.line != line) {
            let what = error.message().trim_end().replace('\n', "; ");
            problems.push(Problem {
                file: file.to_owned(),
                line,
                column,
                key_path: String::new(),
                what,
                expected: String::new(),
            });
        }
    }
    ConfigErrors::new(problems)
}

fn read_root(root: &Table<'_, '_>, file: &Path) -> Config {
    let node = Node::read(&root.table("node"));
    let listen = read_listen(root);
    let limits = Limits::read(&root.table("limits"));
    let stop = Stop::read(&root.table("stop"));
    let admin = Admin::read(&root.table("admin"));
    let log = Log::read(&root.table("log"));
    let certificates = read_certificates(root, &listen);
    let compression = Compression::read(&root.table("compression"));
    let table = root.table("cache");
    let disk = Disk::read(&table.table("disk"));
    let cache = read_cache(&table);
    let cache_limits = CacheLimits::read(&table);
    let cache_fields = CacheFields::read(&table);
    let policy = Policy::read(&table, &Policy::default());
    drop(table);
    let redis = Redis::read(&root.table("redis"));
    let deploy = Deploy::read(&root.table("deploy"));
    let runtime = Runtime::read(&root.table("runtime"));
    let geo = Geo::read(&root.table("geo"));

    let tables = (
        root.named("secret"),
        root.named("function"),
        root.named("origin"),
        root.named("acl"),
    );
    let kv_tables = root.named("kv");
    let names_of = |sort, tables: &[(String, Table<'_, '_>)]| {
        Names::new(sort, tables.iter().map(|(name, _)| name.as_str()))
    };
    let (secret_names, function_names, origin_names, acl_names) = (
        names_of("secret", &tables.0),
        names_of("function", &tables.1),
        names_of("origin", &tables.2),
        names_of("acl", &tables.3),
    );
    let acls = acl_names.iter().zip(&tables.3);
    let acls = acls.map(|(name, (_, table))| (Arc::clone(name), Acl::read(name, table)));

    let registry_tables = root.named("registry");
    let registry_names = names_of("registry", &registry_tables);
    let registries = registry_names.iter().zip(&registry_tables);
    let registries =
        registries.map(|(name, (_, table))| (Arc::clone(name), Registry::read(name, table)));
    let kv_names = names_of("kv", &kv_tables);
    let has_redis = root.item("redis").is_some();
    let kv = kv_names.iter().zip(&kv_tables);
    let kv = kv.map(|(name, (_, table))| {
        let store = KvStore::read(name, table, has_redis);
        (Arc::clone(name), store)
    });
    let kv: Vec<(Arc<str>, KvStore)> = kv.collect();
    check_paths(&kv, &kv_tables);
    let there = Grantable {
        secrets: &secret_names,
        acls: &acl_names,
        geo: !geo.is_empty(),
        kv: &kv_names,
        origins: &origin_names,
        redis: has_redis,
    };

    let deployable = Deployable {
        keys: &deploy.keys,
        registries: &registry_names,
    };
    let secrets = secret_names.iter().zip(&tables.0);
    let secrets = secrets
        .filter_map(|(name, (_, table))| Some((Arc::clone(name), Secret::read(name, table)?)));
    let functions = function_names.iter().zip(&tables.1);
    let functions = functions.map(|(name, (_, table))| {
        (
            Arc::clone(name),
            Function::read(name, table, &there, &runtime, &deployable),
        )
    });
    let origins = origin_names.iter().zip(&tables.2);
    let origins = origins.map(|(name, (_, table))| (Arc::clone(name), Origin::read(name, table)));
    let targets = Targets {
        origins: &origin_names,
        functions: &function_names,
        policy: &policy,
    };
    Config {
        file: file.to_owned(),
        kv: kv.into_iter().collect(),
        secrets: secrets.collect(),
        acls: acls.collect(),
        geo,
        functions: functions.collect(),
        registries: registries.collect(),
        origins: origins.collect(),
        sites: read_sites(&root.tables("site"), &targets),
        policy: policy.clone(),
        node,
        listen,
        limits,
        stop,
        admin,
        log,
        certificates,
        cache,
        cache_limits,
        compression,
        cache_fields,
        redis,
        disk,
        deploy,
        runtime,
        files: Vec::new(),
        places: BTreeMap::new(),
        keys: Vec::new(),
    }
}

fn read_listen(root: &Table<'_, '_>) -> Listen {
    let table = root.table("listen");
    let before = table.problems();
    let listen = Listen::read(&table);
    if listen.http.is_empty() && listen.https.is_empty() && table.problems() == before {
        let expected = "expected `http` or `https`, such as http = \"127.0.0.1:8080\"";
        if table.is_given() {
            table.problem("names no listener", expected);
        } else {
            root.missing(
                "listen",
                "a section with `http` or `https`, such as http = \"127.0.0.1:8080\"",
            );
        }
    }
    listen
}

fn read_certificates(root: &Table<'_, '_>, listen: &Listen) -> Vec<Certificate> {
    let tables = root.tables("certificate");
    if tables.is_empty() && !listen.https.is_empty() && root.item("certificate").is_none() {
        root.missing(
            "certificate",
            "one or more [[certificate]] with `cert` and `key` for `listen.https`",
        );
    }
    let certificates = tables.iter().map(|table| Certificate {
        names: table.list("names", "host names", true, &crate::host::CERTIFICATE_NAME),
        cert: table.required_file("cert").unwrap_or_default(),
        key: table.required_file("key").unwrap_or_default(),
    });
    certificates.map(lower_names).collect()
}

fn lower_names(mut certificate: Certificate) -> Certificate {
    certificate
        .names
        .iter_mut()
        .for_each(|name| name.make_ascii_lowercase());
    certificate
}

fn read_cache(table: &Table<'_, '_>) -> Cache {
    let mut cache = Cache::read(table);
    let most = cache.memory / 2;
    if table.item("max_object").is_none() {
        cache.max_object = cache.max_object.min(most);
    } else if cache.max_object > most {
        table.problem_at(
            "max_object",
            "`max_object` is over half of `memory`",
            "expected at most half as much as `memory`",
        );
    }
    cache
}
