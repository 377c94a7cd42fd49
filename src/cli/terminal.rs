//! What the two output streams can show: colour, width, movement.

use std::io::{self, IsTerminal};

use super::args::ColorChoice;

/// The terminal, or what is in its place.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Colour on stdout.
    pub stdout_color: bool,
    /// Colour on stderr.
    pub stderr_color: bool,
    /// Whether progress may move (a terminal, and not CI).
    pub interactive: bool,
    /// Whether a CI system runs us.
    pub ci: bool,
}

impl Terminal {
    /// Looks at the streams and at NO_COLOR, FORCE_COLOR, CI and the like.
    pub(super) fn detect(choice: ColorChoice) -> Self {
        let ci = is_ci::cached();
        let color = |stream| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => supports_color::on(stream).is_some_and(|level| level.has_basic),
        };
        Self {
            stdout_color: color(supports_color::Stream::Stdout),
            stderr_color: color(supports_color::Stream::Stderr),
            interactive: io::stderr().is_terminal() && !ci,
            ci,
        }
    }

    /// How clap shall colour help and errors.
    pub(super) fn clap_color(self) -> clap::ColorChoice {
        if self.stderr_color && self.stdout_color {
            clap::ColorChoice::Always
        } else {
            clap::ColorChoice::Never
        }
    }

    /// How diagnostics look that are shown many at once.
    pub(super) fn diagnostics(self) -> miette::GraphicalReportHandler {
        let theme = if self.stderr_color {
            miette::GraphicalTheme::unicode()
        } else {
            miette::GraphicalTheme::unicode_nocolor()
        };
        miette::GraphicalReportHandler::new_themed(theme).with_width(80).with_links(false)
    }

    /// Sets up how diagnostics look.
    pub(super) fn install(self) {
        let handler = move |_: &_| -> Box<dyn miette::ReportHandler> {
            Box::new(
                miette::MietteHandlerOpts::new()
                    .color(self.stderr_color)
                    .unicode(true)
                    .terminal_links(false)
                    .width(80)
                    .build(),
            )
        };
        // Fails only where one has been set already (tests in one process): that one stays.
        let _ = miette::set_hook(Box::new(handler));
    }
}
