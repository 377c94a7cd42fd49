//! Features and suites are embedded: a new file among them must rebuild the program.

fn main() {
    println!("cargo::rerun-if-changed=features");
    println!("cargo::rerun-if-changed=scenarios/suites");
    println!("cargo::rerun-if-changed=build.rs");
}
