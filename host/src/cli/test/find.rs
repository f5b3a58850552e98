//! Where scenarios are: the files that are named, those of a function's
//! folder, or those of each function in a folder of functions.

use std::path::{Path, PathBuf};

/// A scenario file, and the configuration nearest to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) file: PathBuf,
    pub(super) config: Option<PathBuf>,
}

/// All scenario files of `places`, in order.
///
/// # Errors
/// A place that is not there, or has none.
pub(super) fn find(places: &[PathBuf]) -> Result<Vec<Found>, String> {
    let mut files = Vec::new();
    for place in places {
        if place.is_file() {
            files.push(place.clone());
            continue;
        }
        if !place.is_dir() {
            return Err(format!("`{}` is not there", place.display()));
        }
        let before = files.len();
        files.extend(scenarios_of(place));
        if files.len() == before {
            for folder in sorted(place).filter(|folder| folder.is_dir()) {
                files.extend(scenarios_of(&folder));
            }
        }
        if files.len() == before {
            return Err(format!(
                "`{}` has no scenarios; they are the *.toml files in `scenarios/`",
                place.display()
            ));
        }
    }
    let found = files.into_iter().map(|file| Found {
        config: nearest_config(&file),
        file,
    });
    Ok(found.collect())
}

fn scenarios_of(folder: &Path) -> Vec<PathBuf> {
    let files = sorted(&folder.join("scenarios"));
    files
        .filter(|file| file.extension().is_some_and(|kind| kind == "toml"))
        // `./scenarios` reads better without its dot.
        .map(|file| file.strip_prefix(".").map(Path::to_owned).unwrap_or(file))
        .collect()
}

fn sorted(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter()
}

/// The `verge.toml` in the file's folder, or above it.
fn nearest_config(file: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(file).ok()?;
    let mut configs = absolute
        .parent()?
        .ancestors()
        .map(|folder| folder.join("verge.toml"));
    configs.find(|config| config.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_found_from_files_functions_and_folders_of_functions() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        for file in [
            "one/verge.toml",
            "one/scenarios/b.toml",
            "one/scenarios/a.toml",
            "one/scenarios/notes.md",
            "two/verge.toml",
            "two/scenarios/c.toml",
        ] {
            let file = root.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let names = |places: &[PathBuf]| -> Vec<String> {
            let found = find(places).unwrap();
            let name = |found: &Found| found.file.file_name().unwrap().to_string_lossy().into();
            found.iter().map(name).collect()
        };
        assert_eq!(names(&[root.join("one")]), ["a.toml", "b.toml"]);
        assert_eq!(names(&[root.to_owned()]), ["a.toml", "b.toml", "c.toml"]);
        let file = root.join("two/scenarios/c.toml");
        let found = find(std::slice::from_ref(&file)).unwrap();
        let config = Some(root.join("two/verge.toml"));
        assert_eq!(found, [Found { file, config }]);
        assert!(
            find(&[root.join("two/scenarios")])
                .unwrap_err()
                .contains("has no scenarios")
        );
        assert!(
            find(&[root.join("three")])
                .unwrap_err()
                .contains("is not there")
        );
    }
}
