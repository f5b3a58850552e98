//! Other hosts of functions, as child processes on the server's core.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::machine;
use crate::process::{Server, free_address};

/// Where `cargo xtask versus` puts programs that no package of Debian has.
const FOLDER: &str = "../target/peers";

/// Another server that answers with a function.
pub struct Peer {
    server: Server,
    /// Where it listens.
    pub http: SocketAddr,
    _folder: TempDir,
}

impl Peer {
    /// `wasmtime serve` with a component of either `wasi:http`. `reuse` is how many requests an
    /// instance answers, one after the other; 1 is a fresh one for each.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn wasmtime(component: &Path, reuse: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let http = free_address()?;
        let mut command = on_server_core(&program("bin/wasmtime")?);
        command
            .args(["serve", "--addr", &http.to_string()])
            .args(["-Scli", "-Sp3", "-Wcomponent-model-async=y"])
            .args(["--max-instance-reuse-count", &reuse.to_string()])
            // One request at a time for each instance, as everywhere here.
            .args(["--max-instance-concurrent-reuse-count", "1"])
            .arg(component);
        Self::start(command, http, folder).context("wasmtime serve")
    }

    /// workerd with a script that answers as `hello` does.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn workerd() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let http = free_address()?;
        std::fs::write(folder.path().join("hello.js"), SCRIPT)?;
        let file = folder.path().join("config.capnp");
        std::fs::write(&file, workerd_config(http))?;
        let mut command = on_server_core(&program(
            "node_modules/@cloudflare/workerd-linux-64/bin/workerd",
        )?);
        command.arg("serve").arg(&file);
        Self::start(command, http, folder).context("workerd")
    }

    fn start(mut command: Command, http: SocketAddr, folder: TempDir) -> Result<Self> {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Server::start(&mut command)?;
        server.wait_for(http, "/")?;
        Ok(Self {
            server,
            http,
            _folder: folder,
        })
    }

    /// CPU time that it used so far.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.server.cpu()
    }
}

fn on_server_core(program: &Path) -> Command {
    machine::on_cores(&machine::SERVER_CORE.to_string(), program)
}

fn program(path: &str) -> Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(FOLDER)
        .join(path);
    path.canonicalize().with_context(|| {
        format!(
            "{} is missing: `cargo xtask versus` installs it",
            path.display()
        )
    })
}

const SCRIPT: &str = "export default { async fetch(request) {\n\
    const { pathname, search } = new URL(request.url);\n\
    return new Response(`Hello from workerd! You asked for ${pathname}${search} with ${request.method}.\\n`,\n\
    { headers: { 'content-type': 'text/plain; charset=utf-8' } });\n} };\n";

fn workerd_config(http: SocketAddr) -> String {
    format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (\n\
         services = [(name = \"main\", worker = .hello)],\n\
         sockets = [(name = \"http\", address = \"{http}\", http = (), service = \"main\")]);\n\
         const hello :Workerd.Worker = (\n\
         modules = [(name = \"hello.js\", esModule = embed \"hello.js\")],\n\
         compatibilityDate = \"2025-01-01\");\n"
    )
}
