//! The settings as resolved: flag, then environment, then file, then default, each with its origin.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::args::{ClusterName, ColorChoice, GlobalArgs, JOBS};
use super::failure::Failure;
use crate::exit::Exit;
use crate::session::RunOrder;

/// The file of settings. Every key is optional; a flag or an environment variable goes before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigFile {
    /// Cluster to use: lab[:NAME], kind[:NAME] or a context of the kubeconfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Path of the kubeconfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// Path of the platform's profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<PathBuf>,
    /// Suite to run where nothing else is selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// Directories of further features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<PathBuf>>,
    /// Directory for the results of runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports_dir: Option<PathBuf>,
    /// Scenarios at the same time.
    #[serde(default, deserialize_with = "some_jobs", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub jobs: Option<u16>,
    /// When to use colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<ColorChoice>,
}

/// As many as `--jobs` takes.
fn some_jobs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    match Option::<u16>::deserialize(deserializer)? {
        Some(jobs) if !JOBS.contains(&jobs) => Err(D::Error::custom(format!(
            "`jobs` is {jobs}; it is a number from {} to {}",
            JOBS.start(),
            JOBS.end()
        ))),
        jobs => Ok(jobs),
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A flag.
    Flag,
    /// An environment variable.
    Environment,
    /// The file of settings.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value with its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

/// The layers below the flags: environment (which clap has read already) and file.
#[derive(Debug)]
pub struct Layers {
    /// The file, where there is one.
    file: Option<(PathBuf, ConfigFile)>,
    /// Ids of the arguments that came by an environment variable.
    from_environment: Vec<String>,
    color: Setting<ColorChoice>,
}

impl Layers {
    /// Reads the file of settings and notes what came by the environment.
    pub(super) fn read(global: &GlobalArgs, matches: &ArgMatches) -> Result<Self, Failure> {
        let file = match &global.config {
            Some(path) => Some((path.clone(), read_file(path)?)),
            None => match default_file() {
                Some(path) => Some((path.clone(), read_file(&path)?)),
                None => None,
            },
        };
        let mut from_environment = Vec::new();
        let mut level = Some(matches);
        while let Some(matches) = level {
            for id in matches.ids() {
                if matches.value_source(id.as_str()) == Some(ValueSource::EnvVariable) {
                    from_environment.push(id.as_str().to_owned());
                }
            }
            level = matches.subcommand().map(|(_, matches)| matches);
        }
        let mut layers = Self {
            file,
            from_environment,
            color: Setting { value: ColorChoice::Auto, origin: Origin::Default },
        };
        layers.color = layers.resolve("color", global.color, |file| file.color, ColorChoice::Auto);
        Ok(layers)
    }

    /// The colour asked for.
    pub(super) const fn color(&self) -> ColorChoice {
        self.color.value
    }

    /// Resolves one value; `id` is its name among clap's arguments.
    fn resolve<T>(
        &self,
        id: &str,
        typed: Option<T>,
        from_file: impl FnOnce(&ConfigFile) -> Option<T>,
        default: T,
    ) -> Setting<T> {
        if let Some(value) = typed {
            let by_environment = self.from_environment.iter().any(|known| known == id);
            let origin = if by_environment { Origin::Environment } else { Origin::Flag };
            return Setting { value, origin };
        }
        if let Some((path, file)) = &self.file
            && let Some(value) = from_file(file)
        {
            return Setting { value, origin: Origin::File(path.clone()) };
        }
        Setting { value: default, origin: Origin::Default }
    }

    /// The cluster, where one is named; none means the default.
    pub(super) fn cluster(
        &self,
        typed: Option<ClusterName>,
    ) -> Result<Setting<Option<ClusterName>>, Failure> {
        let setting = self.resolve(
            "cluster",
            typed.map(|cluster| Some(cluster.to_string())),
            |file| file.cluster.clone().map(Some),
            None,
        );
        let value = match setting.value {
            Some(text) => Some(text.parse::<ClusterName>().map_err(|why| {
                Failure::usage(format!("the setting 'cluster' of {} is no cluster: {why}", setting.origin))
            })?),
            None => None,
        };
        Ok(Setting { value, origin: setting.origin })
    }

    /// The kubeconfig, where one is named.
    pub(super) fn kubeconfig(&self, typed: Option<PathBuf>) -> Setting<Option<PathBuf>> {
        self.resolve("kubeconfig", typed.map(Some), |file| self.beside_file(file.kubeconfig.as_ref()), None)
    }

    /// The profile, where one is named.
    pub(super) fn profile(&self, typed: Option<PathBuf>) -> Setting<Option<PathBuf>> {
        self.resolve("profile", typed.map(Some), |file| self.beside_file(file.profile.as_ref()), None)
    }

    /// The suite, where one is named.
    pub(super) fn suite(&self, typed: Option<String>) -> Setting<Option<String>> {
        self.resolve("suite", typed.map(Some), |file| file.suite.clone().map(Some), None)
    }

    /// The directories of further features.
    pub(super) fn features(&self, typed: Vec<PathBuf>) -> Setting<Vec<PathBuf>> {
        let typed = if typed.is_empty() { None } else { Some(typed) };
        let from_file = |file: &ConfigFile| {
            file.features
                .as_ref()
                .map(|paths| paths.iter().filter_map(|path| self.beside_file(Some(path)).flatten()).collect())
        };
        self.resolve("features", typed, from_file, Vec::new())
    }

    /// The directory for the results of runs, where one is named.
    pub(super) fn reports_dir(&self, typed: Option<PathBuf>) -> Setting<Option<PathBuf>> {
        self.resolve("reports_dir", typed.map(Some), |file| self.beside_file(file.reports_dir.as_ref()), None)
    }

    /// How many scenarios at the same time, where it is said.
    pub(super) fn jobs(&self, typed: Option<u16>) -> Setting<Option<u16>> {
        self.resolve("jobs", typed.map(Some), |file| file.jobs.map(Some), None)
    }

    /// Every setting that has a value of its own or a default, for `plimsoll config`.
    pub(super) fn all(&self) -> Result<Vec<(&'static str, Setting<String>)>, Failure> {
        fn shown<T>(
            setting: Setting<Option<T>>,
            default: &str,
            show: impl Fn(&T) -> String,
        ) -> Setting<String> {
            let value = setting.value.as_ref().map_or_else(|| default.to_owned(), show);
            Setting { value, origin: setting.origin }
        }
        #[expect(clippy::ptr_arg, reason = "passed as a function over settings that hold a PathBuf")]
        fn path(path: &PathBuf) -> String {
            path.display().to_string()
        }
        let typed = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        // These come by the environment, if at all, since the command itself takes none of the flags.
        let from = |id: &str| self.from_environment.iter().any(|known| known == id);
        let mark = |name: &str, setting: Setting<String>| {
            if typed(name).is_some() || from(name) {
                Setting { value: setting.value, origin: Origin::Environment }
            } else {
                setting
            }
        };
        let cluster = match typed("PLIMSOLL_CLUSTER") {
            Some(text) => Some(
                text.parse::<ClusterName>()
                    .map_err(|why| Failure::usage(format!("PLIMSOLL_CLUSTER is no cluster: {why}")))?,
            ),
            None => None,
        };
        let features = self.features(Vec::new());
        Ok(vec![
            ("cluster", mark("PLIMSOLL_CLUSTER", shown(self.cluster(cluster)?, "lab", ToString::to_string))),
            ("kubeconfig", shown(self.kubeconfig(None), "as kubectl", path)),
            (
                "profile",
                mark(
                    "PLIMSOLL_PROFILE",
                    shown(self.profile(typed("PLIMSOLL_PROFILE").map(PathBuf::from)), "the lab's own", path),
                ),
            ),
            (
                "suite",
                mark("PLIMSOLL_SUITE", shown(self.suite(typed("PLIMSOLL_SUITE")), "smoke", Clone::clone)),
            ),
            (
                "features",
                Setting {
                    value: features.value.iter().map(path).collect::<Vec<_>>().join(", "),
                    origin: features.origin,
                },
            ),
            (
                "reportsDir",
                mark(
                    "PLIMSOLL_REPORTS",
                    shown(
                        self.reports_dir(typed("PLIMSOLL_REPORTS").map(PathBuf::from)),
                        "reports/runs",
                        path,
                    ),
                ),
            ),
            ("jobs", shown(self.jobs(None), &RunOrder::CONCURRENCY.to_string(), ToString::to_string)),
            (
                "color",
                Setting {
                    value: format!("{:?}", self.color.value).to_lowercase(),
                    origin: self.color.origin.clone(),
                },
            ),
        ])
    }

    /// Paths in the file are meant from the file's own directory.
    #[allow(clippy::option_option, reason = "the outer one is the file's, the inner one the setting's")]
    fn beside_file(&self, path: Option<&PathBuf>) -> Option<Option<PathBuf>> {
        let path = path?;
        let base = self.file.as_ref().and_then(|(file, _)| file.parent());
        Some(Some(base.map_or_else(|| path.clone(), |base| base.join(path))))
    }
}

/// `./plimsoll.yaml`, else the user's `plimsoll/config.yaml`.
fn default_file() -> Option<PathBuf> {
    let mut candidates = vec![PathBuf::from("plimsoll.yaml")];
    candidates.extend(xdg("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("plimsoll/config.yaml")));
    candidates.into_iter().find(|path| path.is_file())
}

/// A base directory of the XDG specification.
pub(super) fn xdg(variable: &str, below_home: &str) -> Option<PathBuf> {
    // The specification says that a relative path is to be ignored.
    let own = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    own.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(below_home)))
}

fn read_file(path: &Path) -> Result<ConfigFile, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("cannot read the settings {}", path.display())).because(error)
    })?;
    // Its own snippet would take the place of the diagnostic's, and lose the name of the file.
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
        let diagnostic = serde_saphyr::miette::to_miette_report(&error, &text, &path.display().to_string());
        Failure::located(Exit::Usage, diagnostic)
    })
}
