//! Where the component of a recorded call is.

use std::path::{Path, PathBuf};

use verge_config::Config;
use verge_runtime::Digest;
use verge_runtime::record::Recording;

use super::ReplayArguments;
use crate::deploy::store::COMPONENT_BYTES_MAX;
use crate::files;

/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 1000;

/// A component that was found.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// The component to run.
///
/// # Errors
/// It is nowhere, with the places that were looked at.
pub(super) fn component(
    recording: &Recording,
    arguments: &ReplayArguments,
) -> Result<Found, String> {
    if let Some(path) = &arguments.component {
        let bytes = files::read_bounded(path, COMPONENT_BYTES_MAX)?;
        let path = path.clone();
        return Ok(Found { path, bytes });
    }
    let mut places = recording.component.clone();
    if let Some(path) = &arguments.config {
        places.extend(configured(path, &recording.digest)?);
    }
    let digest = Digest::parse(&recording.digest);
    let files = places.iter().flat_map(|place| components_at(place));
    for path in files {
        let Ok(bytes) = files::read_bounded(&path, COMPONENT_BYTES_MAX) else {
            continue;
        };
        if Some(Digest::of(&bytes)) == digest {
            return Ok(Found { path, bytes });
        }
    }
    let places = places.iter().map(|place| place.display().to_string());
    let places = places.collect::<Vec<_>>().join(", ");
    Err(format!(
        "the component with SHA-256 {} is not there any more; looked at: {}\n  expected: \
         `--component FILE`, which may be another build, or `--config FILE` of a node that has it",
        recording.digest,
        if places.is_empty() {
            "nothing"
        } else {
            &places
        }
    ))
}

/// Components of a configuration's functions and of its deploy folder.
fn configured(path: &Path, digest: &str) -> Result<Vec<PathBuf>, String> {
    let config = Config::read(path).map_err(|errors| {
        let problems = errors.problems().iter().map(ToString::to_string);
        problems.collect::<Vec<_>>().join("\n")
    })?;
    let functions = config.functions.values();
    let components = functions.map(|function| function.component.clone());
    let deployed = config.deploy.folder.iter();
    let deployed = deployed.map(|folder| folder.join("components").join(format!("{digest}.wasm")));
    Ok(components
        .chain(deployed)
        .filter(|path| !path.as_os_str().is_empty())
        .collect())
}

/// A file, or the components of a folder.
fn components_at(place: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(place) else {
        return vec![place.to_owned()];
    };
    let files = entries
        .take(ENTRIES_MAX)
        .flatten()
        .map(|entry| entry.path());
    files
        .filter(|file| file.extension().is_some_and(|end| end == "wasm"))
        .collect()
}
