//! Tells Cargo which directories are embedded: `include_dir` notices a changed file by itself, but not a new one.

fn main() {
    for directory in ["components", "manifests", "packages.txt"] {
        println!("cargo:rerun-if-changed={directory}");
    }
}
