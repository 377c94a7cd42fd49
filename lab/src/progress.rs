//! How the long operations say what they are doing.

/// Listens to a long operation. Called from several threads.
pub trait Progress: Send + Sync {
    /// A step begins; `remaining` are the steps that follow.
    fn begin(&self, step: &str, remaining: &[String]);
    /// The step goes on: how far it is.
    fn detail(&self, step: &str, detail: &str);
    /// The step is done.
    fn done(&self, step: &str);
    /// Something worth a line that is no step.
    fn note(&self, text: &str);
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _: &str, _: &[String]) {}
    fn detail(&self, _: &str, _: &str) {}
    fn done(&self, _: &str) {}
    fn note(&self, _: &str) {}
}
