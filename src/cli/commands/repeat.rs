//! `plimsoll run --repeat`: whether a suite agrees with itself.

use super::run::Prepared;
use crate::cli::failure::Failure;
use crate::cli::{output, recorded};
use crate::cluster::{Cluster, RunId};
use crate::evidence::{self, Journal};
use crate::exit::Exit;
use crate::report::Agreement;
use crate::session::{self, Signals};
use crate::tenant::AgentImage;

/// How often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub runs: u64,
    pub until_disagreement: bool,
}

/// Runs one after the other, each with a seed of its own, and says where they differ.
pub(super) async fn run(
    prepared: &Prepared,
    times: Times,
    cluster: &Cluster,
    image: &AgentImage,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let mut agreement = Agreement::default();
    let mut worst = Exit::Conformant;
    for index in 0..times.runs {
        let order = prepared.order(RunId::random(), prepared.seed.wrapping_add(index), None);
        let mut stage = prepared.stage(cluster, image);
        let ended = session::run(order, &mut stage, signals)
            .await
            .map_err(|error| Failure::diagnostic(Exit::Usage, error))?;
        for trouble in &ended.troubles {
            output::note(format_args!("warning: {trouble}"));
        }
        if matches!(ended.exit, Exit::Interrupted | Exit::Terminated) {
            // Half a run agrees with nothing and contradicts nothing.
            worst = ended.exit;
            break;
        }
        let journal = evidence::read(&ended.directory.join(Journal::FILE)).map_err(recorded::unreadable)?;
        output::note(format_args!("{}", agreement.add(&recorded::model(&journal)?)));
        worst = heavier(worst, ended.exit);
        if times.until_disagreement && !agreement.holds() {
            break;
        }
    }
    output::print(&agreement.render())?;
    Ok(verdict(worst, agreement.holds()))
}

/// Runs that contradict each other tell nothing, whatever each of them says.
const fn verdict(worst: Exit, agree: bool) -> Exit {
    match worst {
        Exit::Interrupted | Exit::Terminated => worst,
        _ if !agree => Exit::Inconclusive,
        _ => worst,
    }
}

fn heavier(a: Exit, b: Exit) -> Exit {
    let weight = |exit: Exit| match exit {
        Exit::Conformant => 0,
        Exit::Leftovers => 1,
        Exit::Inconclusive => 2,
        _ => 3,
    };
    if weight(b) > weight(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_itself_is_inconclusive() {
        assert_eq!(verdict(Exit::Conformant, true), Exit::Conformant);
        assert_eq!(verdict(Exit::Failed, false), Exit::Inconclusive);
        assert_eq!(verdict(Exit::Failed, true), Exit::Failed);
        assert_eq!(verdict(Exit::Interrupted, false), Exit::Interrupted);
        assert_eq!(heavier(Exit::Leftovers, Exit::Failed), Exit::Failed);
        assert_eq!(heavier(Exit::Failed, Exit::Inconclusive), Exit::Failed);
    }
}
