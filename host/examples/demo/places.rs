//! Where the demo puts what its configuration names. It follows the file, so
//! that other ports and folders need a change in one place only.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use verge_config::{Config, OriginAddress, SecretSource};

/// The origins that the demo brings along.
const ORIGINS: [&str; 2] = ["blue", "green"];

/// The files and addresses that the demo's configuration names.
pub(crate) struct Places {
    /// The folder of all files, below the working folder if it can be.
    pub(crate) folder: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) admin_token: PathBuf,
    pub(crate) jwt_key: PathBuf,
    pub(crate) origins: Vec<(&'static str, SocketAddr)>,
    /// The configuration itself.
    pub(crate) file: PathBuf,
    listeners: Vec<(&'static str, SocketAddr)>,
}

impl Places {
    /// The places of `config`, whose folder is made if it is missing.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        let file = config.file.display();
        let certificate = config
            .certificates
            .first()
            .with_context(|| format!("{file}: the demo needs a [[certificate]]"))?;
        let folder = certificate.cert.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let Some(SecretSource::File(admin_token)) = &config.admin.token else {
            bail!("{file}: the demo needs `admin.token_file`");
        };
        let jwt_key = config.secrets.get("jwt-key").map(|secret| &secret.source);
        let Some(SecretSource::File(jwt_key)) = jwt_key else {
            bail!("{file}: the demo needs `secret.jwt-key.file`");
        };
        Ok(Self {
            folder: shown(folder)?,
            certificate: certificate.cert.clone(),
            key: certificate.key.clone(),
            admin_token: admin_token.clone(),
            jwt_key: jwt_key.clone(),
            origins: origins(config)?,
            file: config.file.clone(),
            listeners: listeners(config),
        })
    }

    /// The certificate of the demo's authority, for `curl --cacert`.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A token that the function `auth` accepts.
    pub(crate) fn jwt(&self) -> PathBuf {
        self.folder.join("alice.jwt")
    }

    /// Names all addresses that are taken, before anything is started.
    pub(crate) fn check_addresses(&self) -> anyhow::Result<()> {
        let origins = self.origins.iter();
        let origins = origins.map(|(name, address)| (format!("origin.{name}.addresses"), address));
        let listeners = self.listeners.iter();
        let listeners = listeners.map(|(key, address)| (format!("listen.{key}"), address));
        let mut taken = String::new();
        for (key, address) in listeners.chain(origins) {
            if let Err(error) = TcpListener::bind(address) {
                let _ = write!(taken, "\n  {address}  (`{key}`): {error}");
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        bail!(
            "the demo cannot listen on{taken}\n\
             Stop what listens there (another demo?), or change these ports in {}: the tour follows.",
            self.file.display()
        )
    }
}

/// A folder as a reader types it: relative to the working folder where it is below it.
fn shown(folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder.canonicalize()?;
    let here = std::env::current_dir()?.canonicalize()?;
    Ok(folder.strip_prefix(here).unwrap_or(&folder).to_owned())
}

fn listeners(config: &Config) -> Vec<(&'static str, SocketAddr)> {
    let listen = &config.listen;
    [
        ("http", &listen.http),
        ("https", &listen.https),
        ("admin", &listen.admin),
    ]
    .into_iter()
    .flat_map(|(key, addresses)| addresses.iter().map(move |address| (key, *address)))
    .collect()
}

fn origins(config: &Config) -> anyhow::Result<Vec<(&'static str, SocketAddr)>> {
    ORIGINS
        .into_iter()
        .map(|name| {
            let origin = config.origins.get(name);
            let address = origin.and_then(|origin| origin.addresses.first());
            let address = address.and_then(on_loopback).with_context(|| {
                format!(
                    "{}: the demo needs `origin.{name}` with an address such as 127.0.0.1:28081",
                    config.file.display()
                )
            })?;
            Ok((name, address))
        })
        .collect()
}

/// The demo's origins answer anybody: they stay on this machine.
fn on_loopback(address: &OriginAddress) -> Option<SocketAddr> {
    let ip = address.ip().filter(IpAddr::is_loopback)?;
    Some(SocketAddr::new(ip, address.port()))
}
