//! This very program, and what stands where it is to be installed.

use std::io::Read as _;
use std::path::Path;

use crate::action::Before;
use crate::error::{Error, Result};
use crate::hex::Sha256;
use crate::plan::{PROGRAM, Program};

/// Hashes the running executable and the installed one.
///
/// # Errors
/// [`Error::Io`] where one of them is there and cannot be read.
pub fn this_program() -> Result<Program> {
    let installed = Path::new(PROGRAM);
    let before = match installed.symlink_metadata() {
        Err(_) => Before::Absent,
        Ok(metadata) if metadata.is_symlink() => {
            Before::Symlink(std::fs::read_link(installed).map_err(Error::io("read", PROGRAM))?)
        }
        Ok(_) => Before::File(digest(installed)?),
    };
    Ok(Program { digest: digest(Path::new("/proc/self/exe"))?, installed: before })
}

fn digest(path: &Path) -> Result<Sha256> {
    let failed = || Error::io("read", path);
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path).map_err(failed())?;
    file.read_to_end(&mut bytes).map_err(failed())?;
    Ok(Sha256::of(&bytes))
}
