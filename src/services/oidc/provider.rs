//! Logging in, by the programs that the profile names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::keys::KeySet;
use super::token::Token;
use crate::cluster::Cluster;
use crate::profile::{LoadedPlatform, Oidc, ProgramCall};
use crate::services::CommandError;
use crate::services::command::{Surroundings, answer};

/// How long an ordinary token is good.
const LIFETIME: i64 = 600;

/// Somebody who logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user, as the issuer knows it.
    pub user: String,
    /// Its groups, as the issuer knows them.
    pub groups: Vec<String>,
    /// Whether a second factor is shown.
    pub mfa: bool,
}

/// What is out of the ordinary about a token of the trusted issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mint {
    /// Nothing.
    Ordinary,
    /// It is for somebody else.
    OtherAudience,
    /// It is over.
    Expired,
    /// It has not begun.
    NotYet,
}

/// Whom a token of another audience is for.
const OTHER_AUDIENCE: &str = "plimsoll-other-audience";

/// The identity provider of one cluster.
#[derive(Clone, Debug)]
pub struct IdentityProvider {
    oidc: Oidc,
    directory: PathBuf,
    context: String,
    kubeconfig: String,
}

impl IdentityProvider {
    /// The one of the profile, for a cluster; none where the profile names none.
    pub fn of(profile: &LoadedPlatform, cluster: &Cluster) -> Option<Self> {
        Some(Self {
            oidc: profile.platform.spec.identity.as_ref()?.oidc.clone(),
            directory: profile.directory.clone(),
            context: cluster.context().to_owned(),
            kubeconfig: cluster.kubeconfig().to_owned(),
        })
    }

    /// What the profile says about it.
    pub const fn promise(&self) -> &Oidc {
        &self.oidc
    }

    /// What the API server has to call the user of a token.
    pub fn user(&self, token: &Token) -> Option<String> {
        let mapping = &self.oidc.claims.username;
        Some(format!("{}{}", mapping.prefix, token.claim(&mapping.claim)?))
    }

    /// What the API server has to call the groups of a token, sorted.
    pub fn groups(&self, token: &Token) -> Vec<String> {
        let mapping = &self.oidc.claims.groups;
        token.claim_list(&mapping.claim).iter().map(|group| format!("{}{group}", mapping.prefix)).collect()
    }

    /// Why such a token cannot be had, if it cannot.
    pub fn cannot_mint(&self, mint: Mint) -> Option<String> {
        let needed = match mint {
            Mint::Ordinary => return None,
            Mint::OtherAudience => "audience",
            Mint::Expired => "lifetime",
            Mint::NotYet => "notBefore",
        };
        (!self.oidc.token.takes(needed)).then(|| {
            format!("the profile's `identity.oidc.token.command` takes no `${{{needed}}}`: its issuer cannot mint such a token")
        })
    }

    /// Why nobody can log in with and without a second factor, if nobody can.
    pub fn cannot_choose_mfa(&self) -> Option<String> {
        (!self.oidc.token.takes("mfa"))
            .then(|| "the profile's `identity.oidc.token.command` takes no `${mfa}`".to_owned())
    }

    /// A token.
    pub async fn log_in(&self, login: &Login, mint: Mint) -> Result<Token, CommandError> {
        self.mint(&self.oidc.token, login, mint).await
    }

    /// A token of an issuer that exists and is not trusted, with the same claims; none where the profile names no such
    /// issuer.
    pub async fn log_in_elsewhere(&self, login: &Login) -> Option<Result<Token, CommandError>> {
        let call = self.oidc.stranger.as_ref()?;
        Some(self.mint(call, login, Mint::Ordinary).await)
    }

    async fn mint(&self, call: &ProgramCall, login: &Login, mint: Mint) -> Result<Token, CommandError> {
        let (lifetime, not_before) = match mint {
            Mint::Ordinary | Mint::OtherAudience => (LIFETIME, 0),
            // More than the leeway that verifiers grant: five minutes with some.
            Mint::Expired => (-LIFETIME, 0),
            Mint::NotYet => (LIFETIME, 3600),
        };
        let audience = if mint == Mint::OtherAudience { OTHER_AUDIENCE } else { self.oidc.audience.as_str() };
        let values = BTreeMap::from([
            ("user", login.user.clone()),
            ("groups", login.groups.join(",")),
            ("mfa", login.mfa.to_string()),
            ("audience", audience.to_owned()),
            ("lifetime", lifetime.to_string()),
            ("notBefore", not_before.to_string()),
        ]);
        let text = self.answer(call, &values).await?;
        Token::read(&text).map_err(|why| wrong(call, "a token", why))
    }

    /// The issuer's key set; none where the profile does not say how to get it.
    pub async fn keys(&self) -> Option<Result<KeySet, CommandError>> {
        let call = self.oidc.keys.as_ref()?;
        Some(self.key_set(call).await)
    }

    async fn key_set(&self, call: &ProgramCall) -> Result<KeySet, CommandError> {
        let text = self.answer(call, &BTreeMap::new()).await?;
        KeySet::read(&text).map_err(|why| wrong(call, "a key set", why))
    }

    /// Runs one of the programs by which keys are rotated.
    pub async fn run(&self, call: &ProgramCall) -> Result<(), CommandError> {
        self.answer(call, &BTreeMap::new()).await.map(drop)
    }

    async fn answer(
        &self,
        call: &ProgramCall,
        values: &BTreeMap<&str, String>,
    ) -> Result<String, CommandError> {
        let mut all: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.push(("context", &self.context));
        let around = Surroundings { directory: &self.directory, kubeconfig: &self.kubeconfig };
        answer(call, &all, around).await
    }
}

fn wrong(call: &ProgramCall, what: &'static str, why: String) -> CommandError {
    let program = call.command.first().cloned().unwrap_or_default();
    CommandError::Answer { program, what, why }
}
