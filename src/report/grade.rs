//! The suite's grade, as a file of results: which sabotages were noticed, by whom and for which reason. A machine
//! format of its own, with a checked-in schema; members may be added, never changed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::engine::{Evidence, EvidenceBody};

/// Version of [`Grade`].
pub const GRADE_SCHEMA: &str = "plimsoll.dev/grade/v1";

/// A file that is no grade.
#[derive(Debug, thiserror::Error)]
pub enum GradeError {
    /// Not what the schema says.
    #[error("it is no grade by the schema {GRADE_SCHEMA}")]
    Malformed(#[from] serde_json::Error),
    /// Of another version.
    #[error("it is of the schema `{0}`, and this program reads {GRADE_SCHEMA}")]
    Version(String),
}

/// A grade that goes with a run's report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GivenGrade {
    /// SHA-256 of the file's bytes.
    pub sha256: String,
    /// Whether the run's journal holds it.
    pub recorded: bool,
    /// The grade.
    pub grade: Grade,
}

impl GivenGrade {
    /// Reads a file of results.
    pub fn read(bytes: &[u8]) -> Result<Self, GradeError> {
        let grade: Grade = serde_json::from_slice(bytes)?;
        if grade.schema != GRADE_SCHEMA {
            return Err(GradeError::Version(grade.schema));
        }
        Ok(Self { sha256: hex::encode(Sha256::digest(bytes)), recorded: false, grade })
    }

    /// As evidence of a run.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            title: "the suite's own grade".to_owned(),
            body: EvidenceBody::Object {
                reference: format!("{GRADE_SCHEMA} sha256:{}", self.sha256),
                object: serde_json::to_value(&self.grade).unwrap_or_default(),
            },
        }
    }

    /// Reads it back from the evidence of a run; none where this is evidence of something else.
    pub(super) fn of_evidence(evidence: &Evidence) -> Option<Self> {
        let EvidenceBody::Object { reference, object } = &evidence.body else { return None };
        let sha256 = reference.strip_prefix(GRADE_SCHEMA)?.strip_prefix(" sha256:")?.to_owned();
        Some(Self { sha256, recorded: true, grade: serde_json::from_value(object.clone()).ok()? })
    }
}

/// What one scenario made of a sabotage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kill")]
pub enum Kill {
    /// It turned red, for the stated reason.
    Killed {
        /// The reason.
        reason: String,
    },
    /// It turned red, but for another reason.
    WrongReason {
        /// The reason.
        reason: String,
    },
    /// It did not turn red.
    Survived {
        /// Its outcome.
        outcome: String,
        /// Its reason, where it had one.
        reason: Option<String>,
    },
}

/// What became of a sabotage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SabotageVerdict {
    /// Every scenario that was to notice turned red, for the stated reason.
    Killed,
    /// Some scenario turned red for another reason, the others for the stated one.
    WrongReason,
    /// Some scenario did not turn red.
    Survived,
    /// It could not be put into effect, so that there was nothing to notice.
    NotEffective,
}

impl SabotageVerdict {
    /// The word that stands in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Killed => "noticed",
            Self::WrongReason => "WRONG REASON",
            Self::Survived => "SURVIVED",
            Self::NotEffective => "NOT IN EFFECT",
        }
    }
}

/// One sabotage with what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Graded {
    /// Its name.
    pub name: String,
    /// What it broke.
    pub breaks: String,
    /// The requirements that were to notice.
    pub requirements: Vec<String>,
    /// What became of it.
    pub verdict: SabotageVerdict,
    /// What showed that it was in effect, or why it was not.
    pub effect: Vec<String>,
    /// By scenario.
    pub scenarios: BTreeMap<String, Kill>,
    /// Milliseconds from the first change to the last scenario's end.
    pub took_ms: u64,
}

impl Graded {
    /// Every scenario that was to notice did, for the stated reason.
    pub fn is_killed(&self) -> bool {
        self.verdict == SabotageVerdict::Killed
    }
}

/// The sabotages of one requirement, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KillRate {
    /// The requirement.
    pub requirement: String,
    /// How many were noticed.
    pub killed: usize,
    /// How many were tried.
    pub tried: usize,
}

/// A scenario that did not pass though nothing was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FalseAlarm {
    /// The scenario.
    pub scenario: String,
    /// In which run, from 1.
    pub run: usize,
    /// The seed of that run.
    pub seed: u64,
    /// Its outcome.
    pub outcome: String,
    /// Its reason.
    pub reason: Option<String>,
}

/// The same scenarios on the sound platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sound {
    /// How many runs there were.
    pub runs: usize,
    /// How many scenarios each had.
    pub scenarios: usize,
    /// What did not pass; scenarios that do not apply to the platform are not counted.
    pub false_alarms: Vec<FalseAlarm>,
}

/// The suite's grade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Grade {
    /// [`GRADE_SCHEMA`].
    pub schema: String,
    /// Version of the program.
    pub version: String,
    /// Name of the profile.
    pub profile: String,
    /// SHA-256 of the profile's bytes.
    pub profile_sha256: String,
    /// Context or name of the cluster.
    pub context: String,
    /// Version of its API server.
    pub server_version: String,
    /// UTC, RFC 3339.
    pub started: String,
    /// Milliseconds of all of it.
    pub took_ms: u64,
    /// Seed of all randomness.
    pub seed: u64,
    /// Whether everything that was asked for has been tried, except for what could not be (`not_tried`).
    pub complete: bool,
    /// By name.
    pub sabotages: Vec<Graded>,
    /// Those that need something that the grading had not, by name, with what they lack. They count neither way.
    #[serde(default)]
    pub not_tried: BTreeMap<String, String>,
    /// By requirement.
    pub requirements: Vec<KillRate>,
    /// Names of those that were not noticed, or not for the stated reason.
    pub survivors: Vec<String>,
    /// The sound platform; none where that was not asked for.
    pub sound: Option<Sound>,
}

impl Grade {
    /// Sorts what was graded, and counts it.
    pub fn tally(&mut self) {
        self.sabotages.sort_by(|a, b| a.name.cmp(&b.name));
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for one in &self.sabotages {
            for requirement in &one.requirements {
                let count = counts.entry(requirement).or_default();
                count.0 += usize::from(one.is_killed());
                count.1 += 1;
            }
        }
        self.requirements = counts
            .into_iter()
            .map(|(requirement, (killed, tried))| KillRate {
                requirement: requirement.to_owned(),
                killed,
                tried,
            })
            .collect();
        self.survivors =
            self.sabotages.iter().filter(|one| !one.is_killed()).map(|one| one.name.clone()).collect();
    }

    /// How many were noticed.
    pub fn killed(&self) -> usize {
        self.sabotages.iter().filter(|one| one.is_killed()).count()
    }

    /// Everything was tried, every sabotage was noticed, and nothing else was.
    pub fn is_perfect(&self) -> bool {
        self.complete
            && self.survivors.is_empty()
            && self.sound.as_ref().is_none_or(|sound| sound.false_alarms.is_empty())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn sample() -> Grade {
        let graded = |name: &str, requirements: &[&str], verdict, kill: Option<Kill>| Graded {
            name: name.into(),
            breaks: format!("breaks | {name}"),
            requirements: requirements.iter().map(|&id| id.to_owned()).collect(),
            verdict,
            effect: vec!["read back: v1/ConfigMap x".into()],
            scenarios: kill.into_iter().map(|kill| ("network/a/b".to_owned(), kill)).collect(),
            took_ms: 2_500,
        };
        let reason = || "expected DROPPED, saw OPEN".to_owned();
        let mut grade = Grade {
            schema: GRADE_SCHEMA.into(),
            version: "0.1.0".into(),
            profile: "lab".into(),
            profile_sha256: "00".into(),
            context: "lab".into(),
            server_version: "v1.36.3".into(),
            started: "2026-01-31T09:30:00Z".into(),
            took_ms: 65_000,
            seed: 7,
            complete: true,
            sabotages: vec![
                graded(
                    "b-noticed",
                    &["NET-01", "NET-02"],
                    SabotageVerdict::Killed,
                    Some(Kill::Killed { reason: reason() }),
                ),
                graded(
                    "a-survived",
                    &["NET-02"],
                    SabotageVerdict::Survived,
                    Some(Kill::Survived { outcome: "passed".into(), reason: None }),
                ),
                graded(
                    "c-other",
                    &["TEN-03"],
                    SabotageVerdict::WrongReason,
                    Some(Kill::WrongReason { reason: "something <else>".into() }),
                ),
                graded("d-nothing", &["IAM-04"], SabotageVerdict::NotEffective, None),
            ],
            not_tried: BTreeMap::new(),
            requirements: Vec::new(),
            survivors: Vec::new(),
            sound: Some(Sound {
                runs: 50,
                scenarios: 40,
                false_alarms: vec![FalseAlarm {
                    scenario: "tenancy/quota/x".into(),
                    run: 3,
                    seed: 10,
                    outcome: "inconclusive".into(),
                    reason: Some("a pod was stuck".into()),
                }],
            }),
        };
        grade.tally();
        grade
    }

    #[test]
    fn a_file_goes_into_the_journal_and_comes_back_with_its_hash() {
        let bytes = serde_json::to_vec(&sample()).unwrap();
        let given = GivenGrade::read(&bytes).unwrap();
        let back = GivenGrade::of_evidence(&given.evidence()).unwrap();
        assert_eq!(back, GivenGrade { recorded: true, ..given });
        assert!(GivenGrade::read(b"{}").is_err());
        let other = GivenGrade::read(&serde_json::to_vec(&Grade { schema: "x".into(), ..sample() }).unwrap());
        assert!(matches!(other, Err(GradeError::Version(_))));
    }

    #[test]
    fn the_grade_holds_to_its_schema() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../reports/schemas/grade.schema.json")).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        let mut value = serde_json::to_value(sample()).unwrap();
        assert!(schema.is_valid(&value));
        value["sabotages"][0]["verdict"] = "fine".into();
        assert!(!schema.is_valid(&value), "the schema refuses nothing");
    }

    #[test]
    fn it_is_counted_by_requirement() {
        let grade = sample();
        let rates: Vec<_> = grade
            .requirements
            .iter()
            .map(|rate| (rate.requirement.as_str(), rate.killed, rate.tried))
            .collect();
        assert_eq!(rates, [("IAM-04", 0, 1), ("NET-01", 1, 1), ("NET-02", 1, 2), ("TEN-03", 0, 1)]);
        assert_eq!(grade.survivors, ["a-survived", "c-other", "d-nothing"]);
        assert!(!grade.is_perfect());
    }
}
