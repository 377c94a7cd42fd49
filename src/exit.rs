//! The exit codes: the one place where they are defined. They are the same in every output format.

use std::process::ExitCode;

/// How a run of the program ended, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exit {
    /// Every selected requirement is proven (waivers in force included).
    Conformant,
    /// At least one requirement failed.
    Failed,
    /// The caller's mistake: arguments, profile, features, or a missing prerequisite. Nothing was touched.
    Usage,
    /// The cluster or the harness could not tell.
    Inconclusive,
    /// Nothing was selected.
    NothingSelected,
    /// The verdict is fine, but something was left behind.
    Leftovers,
    /// Interrupted by SIGINT: faults undone, tenants removed, report written.
    Interrupted,
    /// Interrupted by SIGTERM: as [`Exit::Interrupted`].
    Terminated,
}

impl Exit {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Conformant,
        Self::Failed,
        Self::Usage,
        Self::Inconclusive,
        Self::NothingSelected,
        Self::Leftovers,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Conformant => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::NothingSelected => 4,
            Self::Leftovers => 5,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// One line for help, manual and documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Conformant => "conformant",
            Self::Failed => "a requirement failed",
            Self::Usage => "usage, configuration or feature error; nothing was touched",
            Self::Inconclusive => "inconclusive: the cluster or the harness could not tell",
            Self::NothingSelected => "nothing was selected",
            Self::Leftovers => "verdict fine, but something was left behind",
            Self::Interrupted => "interrupted (SIGINT): faults undone, tenants removed, report written",
            Self::Terminated => "terminated (SIGTERM): as 130",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
