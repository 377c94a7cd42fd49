//! Does what the arguments say.

use std::io::Write as _;
use std::sync::Arc;

use super::arguments::{
    BuildArgs, DefectArgs, DownArgs, ImageCommand, KubeconfigArgs, LabCommand, LoadArgs, StatusArgs,
    StatusFormat, UpArgs,
};
use super::terminal::Terminal;
use super::{audit, logs, render, token};
use crate::component;
use crate::error::{Context as _, LabError, Result};
use crate::lab::{Lab, UpOptions, blocking};
use crate::paths::Home;
use crate::progress::Progress;

/// Runs one command of the lab: data on standard output, progress on standard error.
pub async fn run(command: LabCommand) -> Result<()> {
    match command {
        LabCommand::Up(arguments) => up(arguments).await,
        LabCommand::Down(arguments) => down(arguments).await,
        LabCommand::Status(arguments) => status(arguments).await,
        LabCommand::Kubeconfig(arguments) => kubeconfig(&arguments),
        LabCommand::Logs(arguments) => logs::run(&arguments).await,
        LabCommand::Audit(arguments) => audit::run(&arguments),
        LabCommand::Token(arguments) => token::issue(arguments).await,
        LabCommand::Keys(command) => token::keys(&command).await,
        LabCommand::Image(ImageCommand::Load(arguments)) => load(arguments).await,
        LabCommand::Build(arguments) => build(arguments).await,
        LabCommand::Defect(arguments) => defect(arguments).await,
    }
}

async fn up(arguments: UpArgs) -> Result<()> {
    let lab = Lab::open(&arguments.name.name)?;
    let terminal = Arc::new(Terminal::new());
    let options = UpOptions {
        nodes: arguments.nodes,
        api_port: arguments.api_port,
        cni: arguments.cni,
        environment: arguments.environment,
        patience: arguments.patience,
    };
    let outcome = lab.up(options, Arc::clone(&terminal) as Arc<dyn Progress>).await;
    terminal.finish();
    let report = outcome?;
    print(&render::up(&report, terminal.elapsed()))
}

async fn down(arguments: DownArgs) -> Result<()> {
    let labs =
        if arguments.all { Lab::all(&Home::from_env()?) } else { vec![Lab::open(&arguments.name.name)?] };
    for lab in labs {
        let ended = lab.down().await?;
        print(&format!("lab \"{}\" {}\n", lab.name(), if ended { "is gone" } else { "was not there" }))?;
    }
    Ok(())
}

async fn status(arguments: StatusArgs) -> Result<()> {
    let labs = match &arguments.name {
        Some(name) => vec![Lab::open(name)?],
        None => Lab::all(&Home::from_env()?),
    };
    let mut reports = Vec::new();
    for lab in &labs {
        reports.push(lab.status().await?);
    }
    print(&match arguments.output {
        StatusFormat::Table => render::status(&reports),
        StatusFormat::Json => render::json(&reports)?,
    })
}

fn kubeconfig(arguments: &KubeconfigArgs) -> Result<()> {
    let lab = Lab::open(&arguments.name.name)?;
    if !lab.is_running() {
        return Err(LabError::NotRunning(lab.name().to_owned()));
    }
    let path = lab.kubeconfig_path();
    if !arguments.raw {
        return print(&format!("{}\n", path.display()));
    }
    print(&std::fs::read_to_string(&path).context(|| format!("reading {}", path.display()))?)
}

async fn load(arguments: LoadArgs) -> Result<()> {
    let lab = Lab::open(&arguments.name.name)?;
    lab.load_image(&arguments.archive).await?;
    print(&format!("{} is on every node of lab \"{}\"\n", arguments.archive.display(), lab.name()))
}

async fn build(arguments: BuildArgs) -> Result<()> {
    let mut wanted = Vec::new();
    for name in &arguments.components {
        wanted.push(component::find(name).ok_or_else(|| {
            let names: Vec<&str> = component::ALL.iter().map(|component| component.name).collect();
            LabError::Usage(format!("there is no component \"{name}\"; there are {}", names.join(", ")))
        })?);
    }
    if wanted.is_empty() {
        wanted.extend(component::ALL.iter().filter(|component| !component.optional));
    }
    let home = Home::from_env()?;
    let terminal = Arc::new(Terminal::new());
    for (index, component) in wanted.iter().enumerate() {
        let remaining: Vec<String> =
            wanted[index + 1..].iter().map(|component| component.name.to_owned()).collect();
        let (component, home, listener) = (*component, home.clone(), Arc::clone(&terminal));
        terminal.begin(component.name, &remaining);
        let built = blocking(move || component::build(component, &home, &*listener)).await;
        if built.is_ok() {
            terminal.done(component.name);
        }
        terminal.finish();
        print(&format!("{}\n", built?.display()))?;
    }
    Ok(())
}

async fn defect(arguments: DefectArgs) -> Result<()> {
    let lab = Lab::open(&arguments.name.name)?;
    if arguments.defect.is_some() || arguments.remove {
        lab.plant(arguments.defect).await?;
        let name = lab.name();
        return print(&match arguments.defect {
            Some(defect) => {
                format!("lab \"{name}\" is broken on purpose: {}: {}\n", defect.name(), defect.breaks())
            }
            None => format!("lab \"{name}\" is sound again\n"),
        });
    }
    print(&render::defects(if lab.is_running() { lab.planted().await? } else { None }))
}

/// Writes to standard output; a reader that has gone away is no error.
pub(super) fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context(|| "writing the answer")
        }
        _ => Ok(()),
    }
}
