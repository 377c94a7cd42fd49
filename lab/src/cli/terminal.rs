//! Progress for people: a moving line on a terminal, one line a step elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::progress::Progress;

/// Shows the progress on standard error.
#[derive(Debug)]
pub struct Terminal {
    started: Instant,
    line: Option<ProgressBar>,
    steps: Mutex<Vec<(String, Instant)>>,
    last_detail: Mutex<Instant>,
}

/// Without a terminal, a step that goes on is heard of this often.
const QUIET: Duration = Duration::from_secs(15);

impl Terminal {
    /// Starts to count the time.
    #[allow(clippy::new_without_default, reason = "it draws on the terminal: that is no default")]
    pub fn new() -> Self {
        let line = std::io::stderr().is_terminal().then(|| {
            let line = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed:>5}") {
                line.set_style(style);
            }
            line.enable_steady_tick(Duration::from_millis(120));
            line
        });
        let now = Instant::now();
        Self { started: now, line, steps: Mutex::default(), last_detail: Mutex::new(now) }
    }

    /// How long it has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes the moving line away.
    pub fn finish(&self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        match &self.line {
            Some(line) => line.println(text),
            None => say(format_args!("{text}")),
        }
    }
}

/// A line of progress; where nobody can read it, the work goes on all the same.
fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

impl Progress for Terminal {
    fn begin(&self, step: &str, remaining: &[String]) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push((step.to_owned(), Instant::now()));
        let left =
            if remaining.is_empty() { String::new() } else { format!("; then {}", remaining.join(", ")) };
        match &self.line {
            Some(line) => line.set_message(format!("{step}{left}")),
            None => say(format_args!("  ...... {step}{left}")),
        }
    }

    fn detail(&self, step: &str, detail: &str) {
        if let Some(line) = &self.line {
            line.set_message(format!("{step}: {detail}"));
            return;
        }
        // Elsewhere than on a terminal, a line for each detail would bury the steps.
        let mut last = self.last_detail.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() > QUIET {
            *last = Instant::now();
            say(format_args!("{:>6.1}s. {step}: {detail}", self.started.elapsed().as_secs_f64()));
        }
    }

    fn done(&self, step: &str) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = steps.iter().position(|(name, _)| name == step) else { return };
        let (_, began) = steps.remove(at);
        drop(steps);
        self.say(&format!("{:>6.1}s  {step}", began.elapsed().as_secs_f64()));
    }

    fn note(&self, text: &str) {
        self.say(&format!("  note   {text}"));
    }
}
