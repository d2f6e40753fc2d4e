//! Writing the policy file: what `gabion init` does. It is the person's own file and no part of a transaction; the one that was there
//! is kept beside it.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Why a policy file was not written.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// There is one already.
    #[error("{path} is there already")]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] Error),
}

/// Writes a policy file, mode 0644, its folder made where it is missing. Over an existing one only when told to; the old one is then
/// kept under the name that is returned.
///
/// # Errors
/// There is one already, or it cannot be written.
pub fn write(path: &Path, text: &[u8], over: bool) -> std::result::Result<Option<PathBuf>, PolicyFileError> {
    let exists = path.symlink_metadata().is_ok();
    if exists && !over {
        return Err(PolicyFileError::Exists { path: path.to_owned() });
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
    }
    let kept = if exists { Some(keep(path)?) } else { None };
    write_new(path, text)?;
    Ok(kept)
}

/// Renames the old file to the first free name of `policy.toml.1`, `policy.toml.2` and so on.
fn keep(path: &Path) -> Result<PathBuf> {
    let free = (1_u32..).map(|number| crate::keys::added(path, &number.to_string()));
    let place =
        free.into_iter().find(|place| place.symlink_metadata().is_err()).unwrap_or_else(|| path.to_owned());
    std::fs::rename(path, &place).map_err(Error::io("keep", path))?;
    Ok(place)
}

fn write_new(path: &Path, text: &[u8]) -> Result<()> {
    use std::io::Write as _;
    let failed = || Error::io("write", path);
    let mut file = std::fs::File::create_new(path).map_err(failed())?;
    file.write_all(text).map_err(failed())?;
    file.sync_all().map_err(failed())
}
