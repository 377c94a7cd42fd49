//! The codes of lint: one table, from which `explain` and the documentation come. A code is never re-used.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $text:literal;)+) => {
        /// What lint can find.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $name,)+
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code: `PL001`.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// One line.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// Why it matters and what to do.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

codes! {
    Syntax = "PL001", "a feature cannot be read",
        "The file is not Gherkin. Nothing in it can be run, so nothing that it promises would be proven. The place \
         is where the reader gave up; what is wrong is there or on the line before.";
    UndefinedStep = "PL002", "no step definition fits",
        "The scenario could not be run to its end. Use the words of an existing step (`plimsoll list steps`), or \
         write its definition under `src/bdd/steps/`.";
    AmbiguousStep = "PL003", "more than one step definition fits",
        "Which one would run is not defined. Make one of the two expressions narrower.";
    EmptyExamples = "PL004", "an outline without rows",
        "Cucumber runs an outline once a row: without a row nothing runs and nothing fails. Add rows, or make it a \
         plain scenario.";
    UnknownPlaceholder = "PL005", "a placeholder without a column",
        "`<name>` in an outline stands for the column `name` of its examples. Correct the name or add the column.";
    UnknownTag = "PL006", "a tag outside the vocabulary",
        "Tags select, decide what a scenario may do and say what it needs; a misspelled one would silently do \
         none of it. The vocabulary: a requirement's id, must, should, needs-CAPABILITY, risk-none, risk-load, \
         risk-fault, serial, slow, lock-NAME, deadline-TIME.";
    NoRequirement = "PL007", "a scenario that proves no requirement",
        "Each scenario carries the id of at least one requirement, itself or through its feature: a report is \
         about promises, and this result would belong to none.";
    UnknownRequirement = "PL008", "an unknown requirement",
        "The id is not in the list of requirements (`plimsoll list requirements`).";
    WrongLevel = "PL009", "the level does not match the requirement",
        "A scenario is tagged with exactly one of must and should, and it is the level of every requirement that \
         it names.";
    UnprovenRequirement = "PL010", "a requirement without a scenario",
        "No scenario carries its id, so no run could ever prove it. A requirement that is yet to be done is marked \
         `planned: true`.";
    DuplicateScenario = "PL011", "two scenarios with one id",
        "An id is made of the feature's path and the scenario's name; selections, waivers and comparisons go by \
         it. Rename one of the two.";
    DenialWithoutControl = "PL012", "a denial without its positive control",
        "That something could not be done proves isolation only if the same thing could be done where it should \
         be: a broken client is denied everywhere. Add the step that names the control, such as \"each denied path \
         was OPEN for the control tenant just before and just after\".";
    NotDeclarative = "PL013", "a step with manifests, ports or waits in it",
        "A feature is read aloud by people who own the promise, and holds on every platform. YAML, port numbers \
         and waiting times belong into step definitions and the profile.";
    SuiteSelectsNothing = "PL014", "a suite that refers to nothing",
        "A selector of the suite matches no scenario, so the suite proves less than it says.";
    NoSteps = "PL015", "a scenario without steps",
        "It would pass without having done anything. Write its steps or remove it.";
    StrayLine = "PL016", "a line that reads like a step but is none",
        "Gherkin takes what stands between a heading and the first step for a description, so a step with a \
         misspelled keyword silently disappears. Correct the keyword, or word the description differently.";
    SuiteSyntax = "PL017", "a suite cannot be read",
        "The file is not a suite: `apiVersion: plimsoll.dev/v1alpha1`, `kind: Suite`, `metadata`, `spec`.";
    ConflictingTags = "PL018", "tags that contradict each other",
        "At most one risk and one deadline apply to a scenario, inherited ones included.";
    NoFeatures = "PL019", "a folder without features",
        "The folder that was named holds no `.feature` file, so it adds nothing to the run.";
    NoName = "PL020", "a feature or scenario without a name",
        "Names make ids and reports.";
    UnusedColumn = "PL021", "a column that no step uses",
        "Rows that differ only in such a column run the same thing several times under different names.";
    NoAssertion = "PL022", "a scenario that asserts nothing",
        "Without a Then step nothing can fail but the setting up.";
    PlannedButProven = "PL023", "a planned requirement that has scenarios",
        "`planned: true` says that no scenario proves the requirement yet. Now some do: take the mark away, so that \
         lint minds if they get lost.";
    UnknownWaived = "PL024", "a waiver of something that there is not",
        "No requirement has this id, or no scenario matches this pattern, so the waiver accepts nothing, and what it \
         was meant for fails. Correct the name, or remove the waiver where its subject is gone.";
}

impl Code {
    /// The code by its id, in any case.
    pub fn find(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.id().eq_ignore_ascii_case(id))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}
