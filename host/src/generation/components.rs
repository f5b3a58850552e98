//! Components that the configuration names: out of a file, a folder or a registry, and who signed
//! them.

use std::path::{Path, PathBuf};

use verge_runtime::Digest;

use super::functions::{Builder, FunctionError};
use crate::deploy::registry;
use crate::deploy::signing::{SIGNATURE_BYTES_MAX, Untrusted};
use crate::deploy::store::COMPONENT_BYTES_MAX;
use crate::files;

/// Most entries of a folder that are looked at for a component.
const FOLDER_ENTRIES_MAX: usize = 1000;

/// How WebAssembly begins: as a binary, and as text.
const BEGINNINGS: [&[u8]; 2] = [b"\0asm", b"("];

/// Why a component file is none.
pub(crate) fn check_beginning(bytes: &[u8]) -> Result<(), &'static str> {
    // The compiler would take it for text, and explain why it is none.
    match BEGINNINGS.iter().any(|begin| bytes.starts_with(begin)) {
        true => Ok(()),
        false => Err("is not WebAssembly"),
    }
}

impl Builder<'_> {
    /// The component that the configuration names, and its signature, if that came with it.
    pub(super) fn component(&self) -> Result<(Vec<u8>, Option<String>), FunctionError> {
        const EXPECTED: &str = "expected a component built for wasm32-wasip2";
        let failed = |what: String| ("component", what, EXPECTED);
        let settings = self.settings;
        let (bytes, signature, place) = match &settings.oci {
            None => {
                let file = component_file(&settings.component, &settings.name).map_err(failed)?;
                let bytes = files::read_bounded(&file, COMPONENT_BYTES_MAX).map_err(failed)?;
                (bytes, None, file.display().to_string())
            }
            Some(oci) => {
                let registry = self.config.registries.get(&oci.registry);
                let registry =
                    registry.ok_or_else(|| failed("there is no such registry".to_owned()))?;
                let store = self.foundation.versions.store();
                let known = |digest: &Digest| store?.component(digest).ok();
                let pulled = registry::pull(registry, oci, known);
                let pulled = pulled.map_err(|what| ("component", what, ""))?;
                (pulled.bytes, pulled.signature, oci.to_string())
            }
        };
        check_beginning(&bytes)
            .map_err(|what| failed(format!("the component is not valid: `{place}` {what}")))?;
        Ok((bytes, signature))
    }

    /// The key that signed the configured component, and the signature.
    pub(super) fn signer(
        &self,
        bytes: &[u8],
        given: Option<String>,
    ) -> Result<(Option<String>, Option<String>), FunctionError> {
        if self.keys.is_empty() {
            return Ok((None, None));
        }
        let untrusted = |place: &dyn std::fmt::Display, why: Untrusted| {
            let what = format!("`{place}` may not run: {why}");
            ("component", what, Untrusted::EXPECTED)
        };
        let (signature, place) = match &self.settings.oci {
            Some(oci) => (given, oci.to_string()),
            None => {
                let settings = self.settings;
                let component = component_file(&settings.component, &settings.name)
                    .map_err(|what| ("component", what, ""))?;
                let place = component.display().to_string();
                let file = signature_of(&component);
                let signature = match file.exists() {
                    false => None,
                    true => {
                        let text = files::read_bounded(&file, SIGNATURE_BYTES_MAX as u64);
                        let text = text.map_err(|what| ("component", what, Untrusted::EXPECTED))?;
                        Some(String::from_utf8_lossy(&text).into_owned())
                    }
                };
                (signature, place)
            }
        };
        let signer = self.keys.check(bytes, signature.as_deref());
        let signer = signer.map_err(|why| untrusted(&place, why))?;
        Ok((signer, signature))
    }
}

/// Where the signature of a component file is.
fn signature_of(component: &Path) -> PathBuf {
    let mut file = component.as_os_str().to_owned();
    file.push(".minisig");
    file.into()
}

/// The file of a component: `path`, or in a folder `NAME.wasm`, or its only component.
fn component_file(path: &Path, name: &str) -> Result<PathBuf, String> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let named = path.join(format!("{name}.wasm"));
    if named.is_file() {
        return Ok(named);
    }
    let folder = path.display();
    let entries = std::fs::read_dir(path)
        .map_err(|error| format!("cannot read the folder `{folder}`: {error}"))?;
    let mut files = entries
        .take(FOLDER_ENTRIES_MAX)
        .flatten()
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|end| end == "wasm"));
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file),
        (None, _) => Err(format!("the folder `{folder}` has no component")),
        (Some(_), Some(_)) => Err(format!(
            "the folder `{folder}` has more than one component, and no `{name}.wasm`"
        )),
    }
}
