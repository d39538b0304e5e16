//! Finds the golden files: results of other programs, and cases that others wrote.
//!
//! They are part of the repository, so every clone runs all tests. `THINKLING_GOLDEN` names a folder of other files in
//! the same format to use instead: other seeds and cases, the same rules.

use std::path::{Path, PathBuf};

/// The file or folder of this name; a test fails if it is missing.
pub(crate) fn path(name: &str) -> PathBuf {
    let vendored = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/golden");
    let folder = std::env::var_os("THINKLING_GOLDEN").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    choose(folder.as_deref(), &vendored, name)
}

/// The one in `folder` if there is one, else the one in `vendored`.
fn choose(folder: Option<&Path>, vendored: &Path, name: &str) -> PathBuf {
    let own = vendored.join(name);
    assert!(own.exists(), "{} is missing: it is part of the repository", own.display());
    let Some(folder) = folder else { return own };
    let entries = vendored.read_dir().expect("it was found above").flatten();
    // A mistyped folder must not look like a folder without this file.
    assert!(
        entries.map(|entry| folder.join(entry.file_name())).any(|path| path.exists()),
        "THINKLING_GOLDEN={} holds no golden file",
        folder.display()
    );
    let given = folder.join(name);
    if given.exists() { given } else { own }
}

#[test]
fn a_folder_replaces_what_it_holds_and_a_wrong_one_is_told() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let vendored = fixtures.join("golden");
    let name = "objectives.json";
    assert_eq!(choose(None, &vendored, name), vendored.join(name));
    // The folder above has objectives, but no attacks.
    assert_eq!(choose(Some(&fixtures), &vendored, name), fixtures.join(name));
    assert_eq!(choose(Some(&fixtures), &vendored, "attacks"), vendored.join("attacks"));
    for (folder, name) in [(None, "nothing.json"), (Some(Path::new("/nowhere")), name)] {
        assert!(std::panic::catch_unwind(|| choose(folder, &vendored, name)).is_err(), "{name}");
    }
}
