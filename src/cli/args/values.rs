//! Values of arguments that are more than a string.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::Format;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ColorChoice {
    /// Where the output is a terminal that wants it.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `-o`: the form of listings on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Columns that fit 80 characters
    #[default]
    Table,
    /// All columns
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// Names alone, one a line
    Name,
}

impl OutputFormat {
    /// Whether a program reads it: then there is always something, be it an empty list.
    pub(crate) const fn is_data(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

/// What a report can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportForm {
    /// Rendered from the report's model.
    Rendered(Format),
    /// The bundle itself: journal, profile and versions in one file.
    Bundle,
}

impl ReportForm {
    /// The words, in the order of the documentation.
    fn words() -> String {
        let mut words: Vec<&str> = Format::ALL.into_iter().map(Format::word).collect();
        words.push("bundle");
        words.join(", ")
    }
}

impl fmt::Display for ReportForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rendered(format) => f.write_str(format.word()),
            Self::Bundle => f.write_str("bundle"),
        }
    }
}

/// `--report FORMAT=PATH`; `-` as the path is stdout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportTarget {
    /// What.
    pub form: ReportForm,
    /// Where to; none for stdout.
    pub path: Option<PathBuf>,
}

impl FromStr for ReportTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((word, path)) = text.split_once('=') else {
            return Err(format!("expected FORMAT=PATH with FORMAT one of {}", ReportForm::words()));
        };
        let form =
            match word {
                "bundle" => ReportForm::Bundle,
                word => ReportForm::Rendered(word.parse().map_err(|_| {
                    format!("unknown format '{word}': expected one of {}", ReportForm::words())
                })?),
            };
        match path {
            "" => Err(format!("the path after '{word}=' is empty: name a file, or - for stdout")),
            "-" => Ok(Self { form, path: None }),
            path => Ok(Self { form, path: Some(PathBuf::from(path)) }),
        }
    }
}

/// `--cluster`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterName {
    /// The embedded lab, by name.
    Lab(Option<String>),
    /// A kind cluster, by name.
    Kind(Option<String>),
    /// A context of the kubeconfig.
    Context(String),
}

impl FromStr for ClusterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (head, name) = match text.split_once(':') {
            // A context's name may hold colons (EKS uses ARNs): only our own two words are prefixes.
            Some((head @ ("lab" | "kind"), name)) => (head, Some(name)),
            _ => (text, None),
        };
        if name == Some("") {
            return Err(format!("the name after '{head}:' is empty"));
        }
        let name = name.map(str::to_owned);
        match head {
            "" => Err("expected lab, kind or the name of a context".to_owned()),
            "lab" => Ok(Self::Lab(name)),
            "kind" => Ok(Self::Kind(name)),
            context => Ok(Self::Context(context.to_owned())),
        }
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, name) = match self {
            Self::Lab(name) => ("lab", name),
            Self::Kind(name) => ("kind", name),
            Self::Context(context) => return f.write_str(context),
        };
        match name {
            Some(name) => write!(f, "{head}:{name}"),
            None => f.write_str(head),
        }
    }
}

/// `--peer NAME=CLUSTER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTarget {
    /// Its name in the profile.
    pub name: String,
    /// Where it is.
    pub cluster: ClusterName,
}

impl FromStr for PeerTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, cluster)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), cluster: cluster.parse()? })
            }
            _ => Err("expected NAME=CLUSTER, with the name of one of the profile's `peers`".to_owned()),
        }
    }
}

/// A duration as kubectl writes it: `30s`, `2m`, `1h30m`, or a bare number of seconds.
pub(in crate::cli) fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration.is_zero() { Err("expected more than nothing".to_owned()) } else { Ok(duration) }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a duration such as 30s, 2m or 1h30m, not '{text}'");
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(u64::from(seconds)));
    }
    let duration: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(duration).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn report_targets() {
        assert_eq!(
            "html=a=b.html".parse(),
            Ok(ReportTarget {
                form: ReportForm::Rendered(Format::Html),
                path: Some(PathBuf::from("a=b.html"))
            })
        );
        assert_eq!(
            "json=-".parse(),
            Ok(ReportTarget { form: ReportForm::Rendered(Format::Json), path: None })
        );
        for wrong in ["html", "html=", "pdf=x", "=x", ""] {
            assert!(wrong.parse::<ReportTarget>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn clusters() {
        assert_eq!("lab".parse(), Ok(ClusterName::Lab(None)));
        assert_eq!("lab:two".parse(), Ok(ClusterName::Lab(Some("two".into()))));
        assert_eq!("kind-two".parse(), Ok(ClusterName::Context("kind-two".into())));
        let arn = "arn:aws:eks:eu-central-1:1:cluster/dev";
        assert_eq!(arn.parse(), Ok(ClusterName::Context(arn.into())));
        assert!("lab:".parse::<ClusterName>().is_err());
        assert!("".parse::<ClusterName>().is_err());
    }

    #[test]
    fn peers() {
        let peer: PeerTarget = "production=lab:two".parse().unwrap();
        assert_eq!((peer.name.as_str(), peer.cluster), ("production", ClusterName::Lab(Some("two".into()))));
        for wrong in ["", "lab", "=lab", "production=", "production=lab:"] {
            assert!(wrong.parse::<PeerTarget>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "0", "-1s", "soon", "1 fortnight"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_cluster_reads_back_as_written(text in "[a-z0-9:@/_.-]{1,40}") {
            if let Ok(cluster) = text.parse::<ClusterName>() {
                prop_assert_eq!(cluster.to_string(), text);
            }
        }
    }
}
