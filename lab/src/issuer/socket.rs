//! What the command asks the issuer: JSON, one message a line, over a socket in the lab's own directory.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::Directory;
use super::server::Issuer;
use crate::error::{Context as _, LabError, Result};

/// Whom a token is to be for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TokenOrder {
    /// Who issues it.
    pub directory: Directory,
    /// The user, as the issuer knows it.
    pub user: String,
    /// Its groups, as the issuer knows them.
    pub groups: Vec<String>,
    /// Whether the user showed a second factor.
    pub mfa: bool,
    /// For whom, if not for the lab's API server.
    pub audience: Option<String>,
    /// For how many seconds; a negative number gives one that is over.
    pub lifetime: i64,
    /// In how many seconds it begins.
    pub not_before: i64,
    /// Told apart from every other by this.
    pub id: String,
}

/// What the issuer can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum IssuerRequest {
    /// Issue a token.
    Token(TokenOrder),
    /// The key set of the platform's people.
    Keys,
    /// Make a new key, and sign with it.
    Rotate,
    /// Withdraw every key but the newest.
    Withdraw,
    /// Issue a token for nobody by a key that is published nowhere. The API server fetches the keys when it meets an id
    /// that it does not know, and only then.
    UnknownKey,
}

/// What it answers: a token or a key set.
pub(crate) type IssuerAnswer = std::result::Result<String, String>;

/// Answers until the process ends.
pub(super) async fn serve(listener: UnixListener, issuer: Arc<Issuer>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await.context(|| "taking requests")?;
        let issuer = Arc::clone(&issuer);
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &issuer).await {
                tracing::warn!("{error}");
            }
        });
    }
}

async fn converse(stream: UnixStream, issuer: &Issuer) -> Result<()> {
    let what = || "answering a request";
    let (input, mut output) = stream.into_split();
    let mut lines = BufReader::new(input).lines();
    while let Some(line) = lines.next_line().await.context(what)? {
        let answer: IssuerAnswer = match serde_json::from_str(&line) {
            Ok(request) => issuer.answer(request).map_err(|error| error.to_string()),
            Err(error) => Err(format!("the request cannot be read: {error}")),
        };
        let mut answer =
            serde_json::to_vec(&answer).map_err(|error| LabError::component("issuer", error.to_string()))?;
        answer.push(b'\n');
        output.write_all(&answer).await.context(what)?;
    }
    Ok(())
}
