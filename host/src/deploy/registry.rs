//! Components out of OCI registries, in the layout of the ecosystem's wasm artifacts: a manifest
//! whose one layer of the type `application/wasm` is the component.
//!
//! It runs while a generation is built, on a thread of its own, and ends within [`PULL_TIME`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::manifest::{
    OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest, WASM_LAYER_MEDIA_TYPE,
};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use tokio::io::AsyncWrite;
use verge_config::{OciComponent, Registry};
use verge_runtime::Digest;

use super::signing::SIGNATURE_BYTES_MAX;
use super::store::COMPONENT_BYTES_MAX;
use crate::secrets::SecretText;

/// Time that a registry has for all of its answers.
const PULL_TIME: Duration = Duration::from_secs(60);

/// Time that a registry has to be connected to, and between two pieces of an answer.
const QUIET_TIME: Duration = Duration::from_secs(10);

/// Most bytes of a manifest.
const MANIFEST_BYTES_MAX: usize = 256 << 10;

/// The type of the layer with the component (the wasm working group's artifact layout).
const WASM_MEDIA_TYPE: &str = "application/wasm";

/// The annotation of a manifest that has the component's signature, as minisign writes it.
const SIGNATURE_ANNOTATION: &str = "dev.verge.minisig";

/// A component that was pulled.
pub(crate) struct Pulled {
    pub(crate) bytes: Vec<u8>,
    pub(crate) signature: Option<String>,
}

/// Pulls a component, or takes it out of `known` if the registry names one that is there.
///
/// # Errors
/// A clause that says what is wrong with the registry, or with what it has.
pub(crate) fn pull(
    registry: &Registry,
    component: &OciComponent,
    known: impl Fn(&Digest) -> Option<Vec<u8>> + Send + Sync,
) -> Result<Pulled, String> {
    let auth = auth(registry)?;
    let pulling = || -> Result<Pulled, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let pulled = Pull::new(registry, component, auth).run(&known);
        let pulled = async { tokio::time::timeout(PULL_TIME, pulled).await };
        runtime.block_on(pulled).unwrap_or_else(|_| {
            let seconds = PULL_TIME.as_secs();
            Err(format!("it does not answer within {seconds} seconds"))
        })
    };
    // Whoever builds a generation may be on a runtime already, and two do not nest.
    let pulled = std::thread::scope(|scope| scope.spawn(pulling).join());
    pulled
        .unwrap_or_else(|_| Err("the registry's client panicked".to_owned()))
        .map_err(|what| format!("cannot pull `{component}`: {what}"))
}

fn auth(registry: &Registry) -> Result<RegistryAuth, String> {
    let (Some(username), Some(source)) = (&registry.username, &registry.password) else {
        return Ok(RegistryAuth::Anonymous);
    };
    let text = SecretText::read(source)?;
    let password = std::str::from_utf8(text.expose())
        .map_err(|_| format!("the password of registry `{}` is no text", registry.name))?;
    Ok(RegistryAuth::Basic(username.clone(), password.to_owned()))
}

struct Pull {
    client: Client,
    image: Reference,
    auth: RegistryAuth,
}

impl Pull {
    fn new(registry: &Registry, component: &OciComponent, auth: RegistryAuth) -> Self {
        let client = Client::new(ClientConfig {
            protocol: match registry.plain_http {
                true => ClientProtocol::Http,
                false => ClientProtocol::Https,
            },
            // A component is for every machine.
            platform_resolver: None,
            connect_timeout: Some(QUIET_TIME),
            read_timeout: Some(QUIET_TIME),
            user_agent: "verge",
            ..ClientConfig::default()
        });
        let (address, repository) = (registry.address.clone(), component.repository.clone());
        let reference = component.reference.clone();
        let image = match component.is_digest {
            true => Reference::with_digest(address, repository, reference),
            false => Reference::with_tag(address, repository, reference),
        };
        Self {
            client,
            image,
            auth,
        }
    }

    async fn run(
        self,
        known: &(impl Fn(&Digest) -> Option<Vec<u8>> + Send + Sync),
    ) -> Result<Pulled, String> {
        let types = [OCI_IMAGE_MEDIA_TYPE];
        // What a digest names is checked against it in there.
        let (bytes, _digest) = self
            .client
            .pull_manifest_raw(&self.image, &self.auth, &types)
            .await
            .map_err(|error| error.to_string())?;
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(format!("its manifest is over {MANIFEST_BYTES_MAX} bytes"));
        }
        let manifest: OciImageManifest = serde_json::from_slice(&bytes)
            .map_err(|error| format!("its manifest is not that of an artifact: {error}"))?;
        let layer = component_layer(&manifest)?;
        let signature = signature(&manifest)?;
        let digest = layer_digest(layer)?;
        let bytes = match known(&digest) {
            Some(bytes) => bytes,
            None => self.component(layer, &digest).await?,
        };
        Ok(Pulled { bytes, signature })
    }

    async fn component(&self, layer: &OciDescriptor, digest: &Digest) -> Result<Vec<u8>, String> {
        let mut component = Bounded {
            bytes: Vec::new(),
            most: usize::try_from(layer.size).unwrap_or(0),
        };
        self.client
            .pull_blob(&self.image, layer, &mut component)
            .await
            .map_err(|error| error.to_string())?;
        if Digest::of(&component.bytes) != *digest {
            return Err("the component is not what its digest says".to_owned());
        }
        Ok(component.bytes)
    }
}

/// The one layer that is a component.
fn component_layer(manifest: &OciImageManifest) -> Result<&OciDescriptor, String> {
    let types = [WASM_MEDIA_TYPE, WASM_LAYER_MEDIA_TYPE];
    let mut layers = manifest
        .layers
        .iter()
        .filter(|layer| types.contains(&layer.media_type.as_str()));
    let (Some(layer), None) = (layers.next(), layers.next()) else {
        return Err(format!(
            "it has not one layer of the type `{WASM_MEDIA_TYPE}`"
        ));
    };
    let is_bounded = u64::try_from(layer.size).is_ok_and(|size| size <= COMPONENT_BYTES_MAX);
    if !is_bounded {
        let size = layer.size;
        return Err(format!(
            "its component of {size} bytes is over {COMPONENT_BYTES_MAX}"
        ));
    }
    Ok(layer)
}

fn layer_digest(layer: &OciDescriptor) -> Result<Digest, String> {
    let digits = layer.digest.strip_prefix("sha256:").and_then(Digest::parse);
    digits.ok_or_else(|| "its component has no SHA-256 as digest".to_owned())
}

fn signature(manifest: &OciImageManifest) -> Result<Option<String>, String> {
    let annotations = manifest.annotations.as_ref();
    let signature = annotations.and_then(|all| all.get(SIGNATURE_ANNOTATION));
    match signature {
        Some(text) if text.len() > SIGNATURE_BYTES_MAX => {
            Err(format!("its signature is over {SIGNATURE_BYTES_MAX} bytes"))
        }
        signature => Ok(signature.cloned()),
    }
}

/// Takes no more bytes than were announced.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.bytes.len().saturating_add(piece.len()) > self.most {
            let what = "the component is longer than its manifest says";
            return Poll::Ready(Err(io::Error::other(what)));
        }
        self.bytes.extend_from_slice(piece);
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
