//! `verge serve` as a child process, in a folder of its own.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::machine;
use crate::origin::Origin;
use crate::process::{Server, free_address};
use crate::tls::Certificates;

/// What a node is started with.
#[derive(Clone, Copy, Debug)]
pub struct NodeConfig {
    /// Threads that serve.
    pub workers: usize,
    /// The cores they may use, as `0` or `0,1`.
    pub cores: &'static str,
    /// `per-core` or `work-stealing`.
    pub topology: &'static str,
    /// Whether there is an HTTPS listener.
    pub tls: bool,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            cores: "0",
            topology: "per-core",
            tls: false,
        }
    }
}

/// A node that serves `/plain/` from its cache, `/function/` from its cache
/// behind a viewer-request trigger that reads twelve fields, and `/spin/` never:
/// its trigger computes until its client leaves.
pub struct Node {
    server: Server,
    /// Its plaintext listener.
    pub http: SocketAddr,
    /// Its HTTPS listener, if it has one.
    pub https: Option<SocketAddr>,
    /// What its certificate is trusted by.
    pub certificates: Option<Certificates>,
    _folder: TempDir,
}

impl Node {
    /// Starts a node before `origin` and waits until it serves.
    ///
    /// # Errors
    /// When the program or a component was not built, or the node does not start.
    pub fn start(config: NodeConfig, origin: &Origin) -> Result<Self> {
        let sites = sites_text(origin.address)?;
        Self::with_sites(config, &sites, &["/plain/x", "/function/x"])
    }

    /// Starts a node with functions, origins and sites of one's own, and waits until it answers
    /// each of `paths`.
    ///
    /// # Errors
    /// As of `start`.
    pub fn with_sites(config: NodeConfig, sites: &str, paths: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let http = free_address()?;
        let (https, certificates) = if config.tls {
            let certificates = Certificates::issue(folder.path())?;
            (Some(free_address()?), Some(certificates))
        } else {
            (None, None)
        };
        let text = format!("{}{sites}", config_text(config, http, https)?);
        let file = folder.path().join("verge.toml");
        std::fs::write(&file, text)?;
        let mut command = machine::on_cores(config.cores, &program()?);
        command.arg("serve").arg("--config").arg(&file);
        command.stdout(Stdio::null());
        let mut server = Server::start(&mut command)?;
        for path in paths {
            server.wait_for(http, path)?;
        }
        Ok(Self {
            server,
            http,
            https,
            certificates,
            _folder: folder,
        })
    }

    /// CPU time that it used so far.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.server.cpu()
    }
}

fn config_text(config: NodeConfig, http: SocketAddr, https: Option<SocketAddr>) -> Result<String> {
    let NodeConfig {
        workers, topology, ..
    } = config;
    let mut text = format!(
        "[node]\nworkers = {workers}\ntopology = \"{topology}\"\n\
         [listen]\nhttp = \"{http}\"\n"
    );
    if let Some(https) = https {
        writeln!(text, "https = \"{https}\"")?;
        text.push_str("[[certificate]]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n");
    }
    text.push_str(
        "[log]\naccess = \"off\"\nfilter = \"warn\"\n\
         [limits]\nrequests_per_connection = 1000000000\n\
         [runtime]\ncache_dir = \"code\"\n",
    );
    Ok(text)
}

fn sites_text(origin: SocketAddr) -> Result<String> {
    // A deadline is wall time, and where servers and clients share cores a thread may be off its
    // core for longer than the default one. The CPU budget is not touched by that.
    let (touch, spins) = (component("touch_fields")?, component("spins")?);
    Ok(format!(
        "[function.touch]\ncomponent = \"{}\"\ndeadline = \"5s\"\n\
         [function.spins]\ncomponent = \"{}\"\ncpu = \"1m\"\ndeadline = \"10m\"\n\
         [origin.app]\naddresses = [\"{origin}\"]\n\
         [[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/plain/{{*rest}}\"\norigin = \"app\"\n\
         [[site.route]]\npath = \"/function/{{*rest}}\"\norigin = \"app\"\n\
         viewer_request = [\"touch\"]\n\
         [[site.route]]\npath = \"/spin/{{*rest}}\"\norigin = \"app\"\n\
         viewer_request = [\"spins\"]\n",
        touch.display(),
        spins.display()
    ))
}

/// The optimised `verge`, beside the bench that runs.
///
/// # Errors
/// When it was not built.
pub fn program() -> Result<PathBuf> {
    let bench = std::env::current_exe()?;
    let path = bench
        .parent()
        .and_then(Path::parent)
        .context("the bench is not in a target folder")?
        .join("verge");
    ensure!(
        path.is_file(),
        "{} is missing: run `cargo build --release --package verge` first",
        path.display()
    );
    Ok(path)
}

/// The component of a function that `cargo xtask setup` built.
///
/// # Errors
/// When it was not built.
pub fn component(name: &str) -> Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../functions/target/wasm32-wasip2/release")
        .join(format!("{name}.wasm"));
    path.canonicalize()
        .with_context(|| format!("{}: run `cargo xtask setup` first", path.display()))
}
