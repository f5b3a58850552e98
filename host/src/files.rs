//! Reading files whose size is bounded.

use std::io::Read as _;
use std::path::Path;

/// The content of a file of at most `bytes_max` bytes.
///
/// # Errors
/// A clause that says what is wrong with the file.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_end(&mut content))
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    if content.len() as u64 > bytes_max {
        return Err(format!(
            "`{}` is larger than {bytes_max} bytes",
            path.display()
        ));
    }
    Ok(content)
}
