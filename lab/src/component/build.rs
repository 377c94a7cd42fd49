//! Builds components into the cache: one build of a component at a time on a machine, and never half a result.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::catalog::{Component, FLAGS, IMAGE_ARCHIVE};
use crate::error::{Context as _, LabError, Result};
use crate::lock::Lock;
use crate::paths::{Home, create_dir, write};
use crate::progress::Progress;

/// The oldest Go that can build, or fetch the one that can.
const OLDEST_GO: (u32, u32) = (1, 21);

/// Builds a component if it is not in the cache, and says where it lies. Blocks.
pub(crate) fn build(component: &Component, home: &Home, progress: &dyn Progress) -> Result<PathBuf> {
    let result = component.directory(home);
    if result.exists() {
        return Ok(result);
    }
    let lock = home.locks().join(format!("build-{}.lock", component.name));
    let _lock = Lock::take(&lock, || {
        progress.note(&format!("waiting for another process that builds {}", component.name));
    })?;
    if result.exists() {
        return Ok(result);
    }
    require_go()?;

    // The lock is ours: whatever an earlier builder left was left by a dead one.
    let work = home.components().join(format!(".building-{}", component.name));
    if work.exists() {
        fs::remove_dir_all(&work).context(|| format!("removing {}", work.display()))?;
    }
    let sources = work.join("src");
    let product = work.join("product");
    create_dir(&product.join("bin"))?;
    for (name, content) in component.pins() {
        write(&sources.join(name), content)?;
    }

    let log = home.components().join(format!("build-{}.log", component.name));
    compile(component, &sources, &product.join("bin"), &log, progress)?;
    if let Some(image) = component.image {
        let archive = product.join(IMAGE_ARCHIVE);
        image(&product.join("bin"))
            .and_then(|image| image.write(File::create(&archive)?))
            .context(|| format!("writing {}", archive.display()))?;
    }
    fs::rename(&product, &result).context(|| format!("moving {} into place", component.name))?;
    fs::remove_dir_all(&work).context(|| format!("removing {}", work.display()))?;
    let _ = fs::remove_file(&log);
    Ok(result)
}

fn compile(
    component: &Component,
    sources: &Path,
    bin: &Path,
    log_path: &Path,
    progress: &dyn Progress,
) -> Result<()> {
    let what = || format!("building {}", component.name);
    let output = match component.program {
        Some(program) => bin.join(program),
        // The trailing slash makes it a directory to Go, also for a single package.
        None => bin.join(""),
    };
    let mut log = File::create(log_path).context(what)?;
    let mut compiler = Command::new("go")
        .args(["build", "-v"])
        .args(FLAGS.split_whitespace())
        .arg("-ldflags")
        .arg(component.linker_flags())
        .arg("-o")
        .arg(output)
        .args(component.packages)
        .current_dir(sources)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        // The compiler collects its garbage less often, which saves a seventh of its time.
        .envs(env::var_os("GOGC").is_none().then_some(("GOGC", "400")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context(what)?;

    // Without colour or terminal, Go writes one line a module that it fetches and one a package that it compiles.
    let (mut fetched, mut compiled) = (0_usize, 0_usize);
    let mut last_lines = std::collections::VecDeque::with_capacity(6);
    if let Some(stderr) = compiler.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line.context(what)?;
            writeln!(log, "{line}").context(what)?;
            if line.starts_with("go: downloading ") {
                fetched += 1;
            } else if !line.contains(' ') {
                compiled += 1;
            }
            progress
                .detail(component.name, &format!("{fetched} modules fetched, {compiled} packages compiled"));
            if last_lines.len() == 5 {
                last_lines.pop_front();
            }
            last_lines.push_back(line);
        }
    }
    if compiler.wait().context(what)?.success() {
        return Ok(());
    }
    let last_lines: Vec<String> = last_lines.into();
    if last_lines.iter().any(|line| line.contains("no space left on device")) {
        return Err(LabError::precondition(
            format!("the disk was full before {} was built", component.name),
            "free about 6 GB where GOCACHE, GOMODCACHE and XDG_CACHE_HOME are, or point them at another disk",
        ));
    }
    Err(LabError::Build {
        component: component.name.to_owned(),
        detail: last_lines.join("\n  "),
        log: log_path.to_owned(),
    })
}

fn require_go() -> Result<()> {
    let remedy = "install Go 1.26 or newer (https://go.dev/doc/install) and put `go` on PATH; \
                  from 1.21 on, Go fetches the version that it needs by itself";
    let output =
        Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output().map_err(|_| {
            LabError::precondition("the lab's components are built with Go, which is not here", remedy)
        })?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if parse_go_version(&version).is_some_and(|version| version >= OLDEST_GO) {
        return Ok(());
    }
    Err(LabError::precondition(format!("the Go on PATH is too old ({version})"), remedy))
}

fn parse_go_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("go")?.split(['.', '-', ' ']);
    let major = numbers.next()?.parse().ok()?;
    let minor: String = numbers.next()?.chars().take_while(char::is_ascii_digit).collect();
    Some((major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_are_read() {
        assert_eq!(parse_go_version("go1.26.8"), Some((1, 26)));
        assert_eq!(parse_go_version("go1.27rc1"), Some((1, 27)));
        assert_eq!(parse_go_version("devel"), None);
        assert!(parse_go_version("go1.19.8").unwrap() < OLDEST_GO);
    }
}
