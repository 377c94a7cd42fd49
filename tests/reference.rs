//! The reference documentation and the schemas are what the code says: regenerate and compare.

// A test that cannot go on ends there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

#[test]
fn the_files_are_what_the_code_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let update = std::env::var_os("UPDATE_REFERENCE").is_some();
    let mut stale = Vec::new();
    for (path, text) in plimsoll::cli::reference().expect("the catalog is valid") {
        let file = root.join(&path);
        if update {
            fs::create_dir_all(file.parent().expect("it lies in a directory")).expect("make the directory");
            fs::write(&file, text).expect("write the file");
        } else if fs::read_to_string(&file).ok().as_deref() != Some(&text) {
            stale.push(path);
        }
    }
    assert!(
        stale.is_empty(),
        "not what the code says, run UPDATE_REFERENCE=1 cargo test --test reference: {stale:?}"
    );
}
