//! The one place that writes files: so that a reader sees the old content or the new one, and, where a resume needs the
//! file, so that a power failure leaves one of the two.
//!
//! A file system may write a rename before the content of the file, and a file before its name. So content is synced
//! before a rename, and the folder after it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Prefix of the name of what is still being written.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// Replaces the file `path`; a power failure leaves the old content or the new one.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = unfinished(path, bytes)?;
    unfinished.as_file().sync_all()?;
    unfinished.persist(path).map_err(|error| error.error)?;
    sync_folder(folder_of(path))
}

/// Replaces the file `path` for readers; a power failure may leave nothing of it.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    unfinished(path, bytes)?.persist(path).map(drop).map_err(|error| error.error)
}

/// A file beside `path` that holds `bytes`; it is removed unless it is renamed.
fn unfinished(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    readable_by_all(file.as_file())?;
    Ok(file)
}

#[cfg(unix)]
fn readable_by_all(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // A temporary file is readable by its owner only.
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_file: &File) -> io::Result<()> {
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes these files into the new folder `path`, which is whole only when it is renamed.
pub fn write_folder(path: &Path, files: &[(&str, &[u8])]) -> io::Result<()> {
    fs::create_dir(path)?;
    for (name, bytes) in files {
        let mut file = File::create(path.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    sync_folder(path)
}

/// Renames within a folder.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(folder_of(to))
}

/// Creates the folder `path` and those that it lies in.
pub fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = folder_of(path);
    create_folder(above)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created?,
    }
    sync_folder(above)
}

/// Makes the content of the file `path` survive a power failure.
pub fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the names in a folder survive a power failure.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    // Only there a folder can be opened as a file.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file");
        create_folder(path.parent().unwrap()).unwrap();
        create_folder(path.parent().unwrap()).unwrap();
        for (way, text) in [(write as fn(&Path, &[u8]) -> io::Result<()>, "one"), (replace, "two")] {
            way(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(write(&folder.path().join("absent/file"), b"").is_err());
        fs::write(folder.path().join("taken"), "").unwrap();
        assert!(create_folder(&folder.path().join("taken")).is_err());
    }
}
