//! Shows logs.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use super::arguments::LogsArgs;
use super::run::print;
use crate::error::{Context as _, LabError, Result};
use crate::lab::Lab;

/// Lists the logs, or shows one.
pub(super) async fn run(arguments: &LogsArgs) -> Result<()> {
    let lab = Lab::open(&arguments.name.name)?;
    let names = lab.log_names();
    let Some(component) = &arguments.component else {
        if names.is_empty() {
            return Err(LabError::NotRunning(lab.name().to_owned()));
        }
        return print(&format!("{}\n", names.join("\n")));
    };
    if !names.contains(component) {
        return Err(LabError::Usage(format!(
            "the lab \"{}\" has no log \"{component}\"; it has: {}",
            lab.name(),
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        )));
    }
    let path = lab.log_path(component);
    let what = || format!("reading {}", path.display());
    let mut file = std::fs::File::open(&path).context(what)?;
    loop {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).context(what)?;
        print(&String::from_utf8_lossy(&bytes))?;
        if !arguments.follow || !lab.is_running() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        // A log that became shorter was begun anew.
        let read = file.stream_position().context(what)?;
        if std::fs::metadata(&path).context(what)?.len() < read {
            file.seek(SeekFrom::Start(0)).context(what)?;
        }
    }
}
