//! An OCI registry for tests: Debian's `docker-registry` on a port of its own.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::client::Client;
use crate::eventually;

/// How often another free port is tried: another test may be quicker to take one.
const PORT_TRIES: usize = 20;

/// A registry in a process of its own; killed when dropped.
pub struct Registry {
    address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Registry {
    /// An empty registry.
    pub async fn start() -> Self {
        for _ in 0..PORT_TRIES {
            if let Some(registry) = Self::try_start().await {
                return registry;
            }
        }
        panic!("no docker-registry could be started; it is in the Debian package of that name");
    }

    async fn try_start() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"{address}\"}}\n",
            folder.path().join("storage").display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry, of the Debian package of that name (`cargo xtask setup`)");
        let mut registry = Self {
            address,
            child,
            _folder: folder,
        };
        let mut answers = false;
        eventually("docker-registry answers", async || {
            if registry.child.try_wait().unwrap().is_some() {
                return true;
            }
            if tokio::net::TcpStream::connect(address).await.is_err() {
                return false;
            }
            answers = Client::http1(address).await.get("/v2/").await.status == 200;
            answers
        })
        .await;
        answers.then_some(registry)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a component under a tag, with these annotations; the digest of its manifest.
    pub async fn push(
        &self,
        repository: &str,
        tag: &str,
        component: &[u8],
        annotations: &[(&str, &str)],
    ) -> String {
        let layer = self.push_blob(repository, component).await;
        let config = self.push_blob(repository, b"{}").await;
        let annotations: serde_json::Map<String, serde_json::Value> = annotations
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.wasm.config.v0+json",
                "digest": config,
                "size": 2,
            },
            "layers": [{
                "mediaType": "application/wasm",
                "digest": layer,
                "size": component.len(),
            }],
            "annotations": annotations,
        });
        self.push_manifest(repository, tag, &manifest.to_string())
            .await
    }

    /// Puts a manifest under a tag; its digest.
    pub async fn push_manifest(&self, repository: &str, tag: &str, manifest: &str) -> String {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let kind = [("content-type", "application/vnd.oci.image.manifest.v1+json")];
        let mut client = Client::http1(self.address).await;
        let reply = client.send("PUT", &path, &kind, manifest.to_owned()).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        digest(manifest.as_bytes())
    }

    async fn push_blob(&self, repository: &str, content: &[u8]) -> String {
        let mut client = Client::http1(self.address).await;
        let path = format!("/v2/{repository}/blobs/uploads/");
        let reply = client.send("POST", &path, &[], "").await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        let place: http::Uri = reply.field("location").parse().unwrap();
        let digest = digest(content);
        let separator = if place.query().is_some() { '&' } else { '?' };
        let target = place.path_and_query().unwrap();
        let path = format!("{target}{separator}digest={digest}");
        let kind = [("content-type", "application/octet-stream")];
        let reply = client.send("PUT", &path, &kind, content.to_vec()).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        digest
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It has ended already, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn digest(content: &[u8]) -> String {
    let hex: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}
