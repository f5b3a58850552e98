//! nginx with `proxy_cache`, one worker, as a child process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::machine;
use crate::origin::Origin;
use crate::process::{Server, free_address};

/// nginx before an origin.
pub struct Nginx {
    server: Server,
    /// Where it listens.
    pub http: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// Starts it on the server's core and waits until it serves. `opened` adds
    /// `open_file_cache`, which saves it an open() and a close() for each hit.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start(origin: &Origin, opened: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let http = free_address()?;
        let file = folder.path().join("nginx.conf");
        std::fs::write(
            &file,
            config_text(folder.path(), http, origin.address, opened),
        )?;
        let mut command = machine::on_cores(&machine::SERVER_CORE.to_string(), &program());
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut server = Server::start(&mut command).context("nginx")?;
        server.wait_for(http, "/plain/x")?;
        Ok(Self {
            server,
            http,
            _folder: folder,
        })
    }

    /// CPU time that it used so far, its worker included.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.server.cpu()
    }
}

/// Its version, as it says itself.
#[must_use]
pub fn version() -> String {
    let output = Command::new(program()).arg("-v").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned());
    text.unwrap_or_default().replace("nginx version: ", "")
}

fn program() -> PathBuf {
    let debian = Path::new("/usr/sbin/nginx");
    if debian.is_file() {
        debian.to_owned()
    } else {
        PathBuf::from("nginx")
    }
}

fn config_text(folder: &Path, http: SocketAddr, origin: SocketAddr, opened: bool) -> String {
    let folder = folder.display();
    let opened = if opened {
        "open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s;"
    } else {
        ""
    };
    // Started by root, it would give its worker to a user that cannot enter the folder.
    let user = if std::env::var("USER").is_ok_and(|user| user != "root") {
        ""
    } else {
        "user root;"
    };
    format!(
        "{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         access_log off; sendfile off; tcp_nodelay on; keepalive_requests 1000000000; {opened}\n\
         client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         proxy_cache_path {folder}/cache keys_zone=bench:10m inactive=1h;\n\
         upstream app {{ server {origin}; keepalive 8; }}\n\
         server {{ listen {http}; location / {{\n\
         proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_cache bench; add_header X-Cache-Status $upstream_cache_status;\n\
         }} }} }}\n"
    )
}
