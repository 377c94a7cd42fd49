//! The lab's identity provider: a small OpenID Connect issuer.
//!
//! It stands in for the directory of a company. Discovery document and keys are served over HTTPS, to the API server;
//! people have no page to log in at: `lab token` takes the place of it, over a socket that only root can open. A
//! second directory, `partner`, has keys of its own and is trusted by nobody: it is there to be refused.

mod claims;
mod jose;
mod keys;
mod reviewer;
mod server;
mod settings;
mod socket;

use serde::{Deserialize, Serialize};

pub(crate) use server::run;
pub(crate) use settings::{DEFAULT_SETTINGS, Settings as IssuerSettings};
pub use socket::TokenOrder;
pub(crate) use socket::{IssuerAnswer, IssuerRequest};

/// The port of the issuer, on the lab's own loopback: no pod can reach it.
const PORT: u16 = 5556;

/// The audience of tokens for the lab's API server.
pub const AUDIENCE: &str = "plimsoll-lab";

/// What the API server puts before users and groups of the issuer.
pub const PREFIX: &str = "oidc:";

/// Who is logged in by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Directory {
    /// The platform's own people.
    #[default]
    Platform,
    /// Those of somebody else: the API server does not trust their tokens.
    Partner,
}

impl Directory {
    const ALL: [Self; 2] = [Self::Platform, Self::Partner];

    const fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Partner => "partner",
        }
    }

    /// The value of `iss` in its tokens.
    pub fn issuer(self) -> String {
        format!("https://127.0.0.1:{PORT}/{}", self.name())
    }
}

/// Where the API server has tokens reviewed, if it is told to.
pub(crate) fn reviewer_url() -> String {
    format!("https://127.0.0.1:{PORT}/reviews")
}
