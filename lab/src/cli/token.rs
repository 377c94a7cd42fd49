//! Tokens and keys of the identity provider.

use std::io::Read as _;

use serde_json::json;

use super::arguments::{KeysCommand, TokenArgs, WhichArgs};
use super::run::print;
use crate::error::{Context as _, Result};
use crate::issuer::TokenOrder;
use crate::lab::Lab;

pub(super) fn which(arguments: &WhichArgs) -> Result<Lab> {
    match &arguments.context {
        Some(context) => Lab::of_context(context),
        None => Lab::open(&arguments.name.name),
    }
}

/// Prints a token in the form that clients of Kubernetes take from a command. They keep one until it is about to end.
pub(super) async fn issue(arguments: TokenArgs) -> Result<()> {
    let lab = which(&arguments.which)?;
    let order = TokenOrder {
        directory: arguments.directory,
        user: arguments.user,
        groups: arguments.groups.into_iter().filter(|group| !group.is_empty()).collect(),
        mfa: arguments.mfa,
        audience: arguments.audience,
        lifetime: arguments.lifetime,
        not_before: arguments.not_before,
        id: random_id()?,
    };
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": { "token": lab.token(order).await? },
    });
    print(&format!("{credential}\n"))
}

/// Shows or changes the keys; prints those that are published then.
pub(super) async fn keys(command: &KeysCommand) -> Result<()> {
    let keys = match command {
        KeysCommand::Show(arguments) => which(arguments)?.token_keys().await?,
        KeysCommand::Rotate(arguments) => which(arguments)?.rotate_token_keys().await?,
        KeysCommand::Withdraw(arguments) => which(arguments)?.withdraw_token_keys().await?,
    };
    print(&format!("{keys}\n"))
}

fn random_id() -> Result<String> {
    let mut bytes = [0; 12];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context(|| "reading random bytes")?;
    Ok(hex::encode(bytes))
}
