//! Builds the in-pod agent, which the harness carries within itself: one static program for Linux.
//!
//! `PLIMSOLL_AGENT_BIN` names one that is built already.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    // Features and suites are embedded, too: a new file among them must rebuild the program.
    let sources =
        ["features", "scenarios/suites", "agent/src", "agent/Cargo.toml", "Cargo.toml", "Cargo.lock"];
    for path in ["build.rs"].into_iter().chain(sources) {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=PLIMSOLL_AGENT_BIN");
    match agent().and_then(|agent| embed(&agent)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=the in-pod agent cannot be embedded: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A copy, because what the variable names may change while the harness is compiled.
fn embed(agent: &Path) -> Result<(), Box<dyn Error>> {
    let copy = PathBuf::from(required("OUT_DIR")?).join("plimsoll-agent");
    fs::copy(agent, &copy).map_err(|error| format!("copy {}: {error}", agent.display()))?;
    println!("cargo::rustc-env=PLIMSOLL_AGENT_EMBEDDED={}", copy.display());
    Ok(())
}

fn agent() -> Result<PathBuf, Box<dyn Error>> {
    if let Some(built) = env::var_os("PLIMSOLL_AGENT_BIN").filter(|it| !it.is_empty()) {
        let built = PathBuf::from(built);
        println!("cargo::rerun-if-changed={}", built.display());
        return Ok(built);
    }
    let host = env::var("HOST")?;
    if !host.contains("linux") {
        return Err(
            format!("it runs on Linux, this is {host}; set PLIMSOLL_AGENT_BIN to one built there").into()
        );
    }
    build(&host)
}

/// One directory for every profile of the harness, so that the agent is built once.
fn build(host: &str) -> Result<PathBuf, Box<dyn Error>> {
    let out = PathBuf::from(required("OUT_DIR")?);
    let target = out.ancestors().nth(4).ok_or("OUT_DIR is not where cargo puts it")?.join("embedded-agent");
    let status = Command::new(required("CARGO")?)
        .args(["build", "--locked", "--package", "plimsoll-agent", "--bin", "plimsoll-agent"])
        // The target is named even though it is the host's: only then do the flags spare build scripts and macros.
        .args(["--profile", "agent", "--target", host])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_BUILD_TARGET_DIR")
        .env_remove("CARGO_TARGET_DIR")
        // Set by clippy and by coverage tools for the harness alone.
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()?;
    if !status.success() {
        return Err(format!("its build ended with {status}").into());
    }
    Ok(target.join(host).join("agent").join("plimsoll-agent"))
}

fn required(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}
