//! What a run says while it runs: one line a scenario, detail only where something is wrong, and everything
//! that is wrong again at the end, with the command that repeats it.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::github::{self, Annotation};
use super::palette::Palette;
use super::repeat;
use super::words::{BY_WEIGHT, count, duration_ms, one_line, tally};
use crate::engine::{Event, Outcome, PlannedScenario, Reason, StepStatus};
use crate::exit::Exit;

/// How a run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveOptions {
    /// With colours.
    pub color: bool,
    /// With a bar that is redrawn.
    pub progress: bool,
    /// With annotations of GitHub Actions.
    pub github: bool,
}

impl LiveOptions {
    /// What fits standard error: colours unless `NO_COLOR`, a bar only on a terminal and not in CI.
    pub fn detect() -> Self {
        let ci = is_ci::cached();
        Self {
            color: supports_color::on_cached(supports_color::Stream::Stderr).is_some(),
            progress: std::io::stderr().is_terminal() && !ci,
            github: std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
        }
    }
}

/// Lines of detail shown of one scenario; the report has all of them.
const MOST_DETAILS: usize = 10;

/// Columns before the text of a detail: those of the status word.
const INDENT: &str = "               ";

/// Shows events as they come. Trouble with the terminal never troubles the run.
pub struct LiveReporter {
    options: LiveOptions,
    palette: Palette,
    out: Box<dyn Write + Send>,
    bar: Option<ProgressBar>,
    plan: Vec<PlannedScenario>,
    places: HashMap<String, usize>,
    command: Vec<String>,
    seed: u64,
    finished: usize,
    /// Names of what runs now, in the order of their start.
    running: Vec<String>,
    /// The step that stopped a scenario, by scenario.
    stopped: HashMap<String, usize>,
    troubles: Vec<(usize, Outcome, Reason)>,
    leftovers: Vec<(String, String)>,
}

impl std::fmt::Debug for LiveReporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveReporter").field("options", &self.options).finish_non_exhaustive()
    }
}

impl LiveReporter {
    /// Shows on standard error.
    pub fn stderr() -> Self {
        Self::new(LiveOptions::detect(), Box::new(std::io::stderr()))
    }

    /// Shows on `out`; the bar, where there is one, is always on standard error.
    pub fn new(options: LiveOptions, out: Box<dyn Write + Send>) -> Self {
        Self {
            options,
            palette: Palette(options.color),
            out,
            bar: None,
            plan: Vec::new(),
            places: HashMap::new(),
            command: Vec::new(),
            seed: 0,
            finished: 0,
            running: Vec::new(),
            stopped: HashMap::new(),
            troubles: Vec::new(),
            leftovers: Vec::new(),
        }
    }

    /// Takes the next event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { run_id, version, seed, command, profile, .. } => {
                self.command.clone_from(command);
                self.seed = *seed;
                let head = self.palette.strong(&format!("plimsoll {version}"));
                self.say(&format!("{head}: run {run_id}, profile {profile}, seed {seed}\n"));
            }
            Event::Planned { plan } => {
                self.plan.clone_from(&plan.scenarios);
                self.places = plan.scenarios.iter().enumerate().map(|(at, s)| (s.id.0.clone(), at)).collect();
                let scenarios = count(self.plan.len(), "scenario", "scenarios");
                let suite =
                    plan.selection.suite.as_deref().map_or_else(String::new, |s| format!(" of suite {s}"));
                self.say(&format!("plan: {scenarios}{suite}\n"));
                self.open_bar();
            }
            Event::ClusterSeen { provider, context, server, server_version, nodes, stand_ins } => {
                let nodes = count(nodes.len(), "node", "nodes");
                self.say(&format!("cluster: {provider} {context}, {server}, {server_version}, {nodes}\n"));
                if !stand_ins.is_empty() {
                    let label = self.palette.warn("stand-ins");
                    self.say(&format!("{label}: {}\n", stand_ins.join("; ")));
                }
            }
            Event::CapabilityChecked { name, claimed: true, detected: Some(false), probe } => {
                self.warn(&format!("the profile claims `{name}`, but it is not there: {probe}"));
            }
            Event::ScenarioStarted { id } => {
                self.running.push(id.0.clone());
                self.redraw();
            }
            Event::StepFinished { id, step, status: StepStatus::Stopped, .. } => {
                self.stopped.insert(id.0.clone(), *step);
            }
            Event::ScenarioFinished { id, outcome, reason, took_ms } => {
                self.running.retain(|running| *running != id.0);
                self.finished += 1;
                let text = self.scenario(&id.0, *outcome, reason.as_ref(), *took_ms);
                self.say(&text);
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
                self.redraw();
            }
            Event::Warning { message } => self.warn(message),
            Event::Interrupted { signal } => {
                self.warn(&format!("{signal}: nothing new starts; undoing and removing what there is"));
            }
            Event::Leftover { reference, why } => self.leftovers.push((reference.clone(), why.clone())),
            Event::RunFinished { tally, exit, took_ms } => {
                self.close_bar();
                let text = self.end(tally, *exit, *took_ms);
                self.say(&text);
            }
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        let out = &mut self.out;
        let mut write = move || {
            // A closed standard error ends no run.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn warn(&mut self, message: &str) {
        let label = self.palette.warn("warning");
        self.say(&format!("{label}: {}\n", one_line(message)));
    }

    /// The line of a scenario, with its detail where it did not pass. What is wrong is kept for the end.
    fn scenario(&mut self, id: &str, outcome: Outcome, reason: Option<&Reason>, took_ms: u64) -> String {
        let place = self.places.get(id).copied();
        let (requirements, name) = place.map_or((String::new(), id), |place| {
            let scenario = &self.plan[place];
            (scenario.requirements.join(" "), scenario.name.as_str())
        });
        let word = self.palette.outcome(outcome, &format!("{:>14}", outcome.word()));
        let total = self.plan.len();
        let width = total.to_string().len();
        let seconds = took_ms as f64 / 1e3;
        let requirements = self.palette.strong(&requirements);
        let mut text =
            format!("{word} [{seconds:>8.3}s] ({:>width$}/{total}) {requirements} {name}\n", self.finished);
        let Some(reason) = reason.filter(|_| outcome != Outcome::Passed) else { return text };
        let wrong = matches!(outcome, Outcome::Failed | Outcome::Inconclusive);
        if wrong && let Some(step) = self.stopped.get(id).and_then(|step| self.plan[place?].steps.get(*step))
        {
            let at = place.map_or_else(String::new, |p| format!(" ({}:{})", self.plan[p].file, step.line));
            let step = format!("{} {}{at}", step.keyword, one_line(&step.text));
            text += &format!("{INDENT}{}\n", self.palette.dim(&step));
        }
        text += &format!("{INDENT}{}\n", one_line(&reason.message));
        if wrong {
            for detail in reason.details.iter().take(MOST_DETAILS) {
                text += &format!("{INDENT}- {}\n", one_line(detail));
            }
            if let Some(more) = reason.details.len().checked_sub(MOST_DETAILS).filter(|more| *more > 0) {
                text += &format!("{INDENT}- and {more} more, in the report\n");
            }
            if let Some(hint) = &reason.hint {
                text += &format!("{INDENT}hint: {}\n", one_line(hint));
            }
            if let Some(place) = place {
                self.troubles.push((place, outcome, reason.clone()));
            }
        }
        text
    }

    /// Everything that is wrong, once more, and the counts.
    fn end(&mut self, counts: &crate::engine::Tally, exit: u8, took_ms: u64) -> String {
        let mut text = String::new();
        self.troubles
            .sort_by_key(|(place, outcome, _)| (BY_WEIGHT.iter().position(|other| other == outcome), *place));
        if !self.troubles.is_empty() {
            text += &format!("\n{}\n", self.palette.strong("not proven:"));
        }
        for (place, outcome, reason) in &self.troubles {
            let scenario = &self.plan[*place];
            let word = self.palette.outcome(*outcome, &format!("{:>14}", outcome.word()));
            let requirements = self.palette.strong(&scenario.requirements.join(" "));
            text += &format!("{word} {requirements} {}\n", scenario.name);
            text += &format!("{INDENT}{}\n", one_line(&reason.message));
            let repeat = repeat::command(&self.command, &scenario.id.0, self.seed);
            text += &format!("{INDENT}repeat: {repeat}\n");
        }
        if !self.leftovers.is_empty() {
            text += &format!("\n{}\n", self.palette.warn("left behind:"));
        }
        for (reference, why) in &self.leftovers {
            text += &format!("{INDENT}{reference}: {}\n", one_line(why));
        }
        if self.options.github {
            for command in github::commands(self.annotations()) {
                text += &format!("{command}\n");
            }
        }
        let meaning = Exit::ALL.iter().find(|e| e.code() == exit).map_or("unknown", |e| e.meaning());
        let summary = format!(
            "{} in {}: {}",
            count(counts.total(), "scenario", "scenarios"),
            duration_ms(took_ms),
            tally(counts)
        );
        text += &format!("\n{}\nexit {exit}: {meaning}\n", self.palette.strong(&summary));
        text
    }

    fn annotations(&self) -> Vec<Annotation> {
        let annotations = self.troubles.iter().map(|(place, outcome, reason)| {
            let scenario = &self.plan[*place];
            let step = self.stopped.get(&scenario.id.0).and_then(|step| scenario.steps.get(*step));
            Annotation {
                outcome: *outcome,
                id: scenario.id.clone(),
                requirements: scenario.requirements.join(" "),
                file: scenario.file.clone(),
                line: step.map_or(scenario.line, |step| step.line),
                message: reason.message.clone(),
            }
        });
        annotations.collect()
    }

    fn open_bar(&mut self) {
        if !self.options.progress || self.bar.is_some() {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(self.plan.len() as u64), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>7} [{bar:24}] {pos}/{len} {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        // The elapsed time moves on while nothing happens: a stuck run is seen to be alive.
        bar.enable_steady_tick(Duration::from_millis(250));
        self.bar = Some(bar);
    }

    fn redraw(&self) {
        let Some(bar) = &self.bar else { return };
        bar.set_message(match self.running.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        });
    }

    fn close_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::sample;
    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn shown(options: LiveOptions, events: &[(u64, Event)]) -> String {
        let out = Shared::default();
        let mut live = LiveReporter::new(options, Box::new(out.clone()));
        for (_, event) in events {
            live.event(event);
        }
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_status_has_its_line() {
        insta::assert_snapshot!(shown(LiveOptions::default(), &sample::events()));
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let colored = shown(LiveOptions { color: true, ..LiveOptions::default() }, &sample::events());
        let mut plain = String::new();
        let mut rest = colored.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain += before;
            rest = after.split_once('m').unwrap().1;
        }
        plain += rest;
        assert_ne!(colored, plain);
        assert_eq!(plain, shown(LiveOptions::default(), &sample::events()));
    }

    #[test]
    fn github_gets_its_annotations() {
        let options = LiveOptions { github: true, ..LiveOptions::default() };
        let lines = shown(options, &sample::events());
        let annotations: Vec<&str> = lines.lines().filter(|line| line.starts_with("::")).collect();
        insta::assert_snapshot!(annotations.join("\n"));
    }

    #[test]
    fn details_are_bounded() {
        let mut events = sample::events();
        for (_, event) in &mut events {
            if let Event::ScenarioFinished { outcome: Outcome::Failed, reason: Some(reason), .. } = event {
                reason.details = (0..500).map(|n| format!("deviation {n}\nsecond line")).collect();
            }
        }
        let text = shown(LiveOptions::default(), &events);
        assert!(text.contains("- deviation 9 second line"));
        assert!(!text.contains("deviation 10 "));
        assert!(text.contains("- and 490 more, in the report"));
    }

    #[test]
    fn events_without_a_plan_do_no_harm() {
        let events: Vec<_> =
            sample::events().into_iter().filter(|(_, e)| !matches!(e, Event::Planned { .. })).collect();
        assert!(shown(LiveOptions::default(), &events).contains("exit 130"));
    }
}
