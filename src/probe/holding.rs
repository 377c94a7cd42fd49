//! Connections that are held while policies change, and what new pods send from the first instant of their lives.

use std::time::Duration;

use plimsoll_agent::protocol::{Arrival, Hailed, HalfOpen, Held, Hold, Reply, Request, Round};

use super::attempt::Moment;
use super::fleet::Fleet;
use super::link::{AgentError, Conversation};
use super::matrix::{Source, Target};
use super::watching::{Clock, compare};

/// What an agent and the way to it may take on top of what it was asked for.
const SLACK: Duration = Duration::from_secs(15);

/// A connection that is held. Dropped, it ends.
#[derive(Debug)]
pub struct Holding {
    conversation: Conversation,
    told: Option<Held>,
    clock: Clock,
    client: String,
    server: Option<String>,
    round: Round,
    began: Moment,
    patience: Duration,
}

/// What came of a held connection, in terms of our clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldConnection {
    /// As the client told it.
    pub told: Held,
    /// When the last greeting that was answered had been sent.
    pub last_echo: Moment,
    /// When the first greeting was sent that was not answered, if there was one.
    pub first_silent: Option<Moment>,
    /// How far these times may be off.
    pub uncertainty: Duration,
    /// What the other end says of it, where it was asked.
    pub other_end: Option<Arrival>,
}

/// What arrived at one agent of one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// By nonce.
    pub arrivals: Vec<Arrival>,
    /// Connections whose handshake is not complete.
    pub half_open: Vec<HalfOpen>,
    /// Whether the agent still remembers all that arrived.
    pub complete: bool,
}

impl Fleet {
    /// Opens a connection and holds it, greeting over it every so often. Returns once the first greeting was answered.
    ///
    /// # Errors
    /// The agent could not be asked. That the connection could not be opened is none: then there is what was seen in its place.
    pub async fn hold(
        &self,
        source: &Source,
        target: &Target,
        every: Duration,
        patience: Duration,
        deadline: Duration,
    ) -> Result<Result<Holding, Held>, AgentError> {
        let agent =
            self.agent(&source.agent).ok_or_else(|| AgentError::Unknown { pod: source.agent.clone() })?;
        agent.identity().await?;
        let clock = compare(agent).await?;
        let round = Round(rand::random());
        let began = Moment::now();
        let hold =
            Hold { every_ms: millis(every), patience_ms: millis(patience), deadline_ms: millis(deadline) };
        let request = |id| Request::Hold { id, round, probe: target.to_probe(0), hold: hold.clone() };
        let mut conversation = agent.ask(request).await?;
        match conversation.next(patience * 2 + SLACK).await? {
            Reply::Holding { .. } => Ok(Ok(Holding {
                conversation,
                told: None,
                clock,
                client: source.agent.clone(),
                server: target.expect.first().cloned(),
                round,
                began,
                patience: patience + SLACK,
            })),
            Reply::Held { held, .. } => Ok(Err(held)),
            other => Err(refused(&source.agent, &other)),
        }
    }

    /// What has arrived at an agent of a round that began no earlier than that.
    ///
    /// # Errors
    /// The agent could not be asked.
    pub async fn heard(&self, name: &str, round: Round, began: Moment) -> Result<Heard, AgentError> {
        let agent = self.agent(name).ok_or_else(|| AgentError::Unknown { pod: name.to_owned() })?;
        let within_ms =
            u32::try_from(Moment::now().since(began).as_millis()).unwrap_or(u32::MAX).saturating_add(1);
        let mut conversation = agent.ask(|id| Request::Arrivals { id, round, within_ms }).await?;
        match conversation.next(SLACK).await? {
            Reply::Arrivals { arrivals, half_open, complete, .. } => {
                Ok(Heard { arrivals, half_open, complete })
            }
            other => Err(refused(name, &other)),
        }
    }

    /// What a pod knows of the hails that it began its life with.
    ///
    /// # Errors
    /// The agent could not be asked.
    pub async fn hails(&self, name: &str) -> Result<Vec<Hailed>, AgentError> {
        let agent = self.agent(name).ok_or_else(|| AgentError::Unknown { pod: name.to_owned() })?;
        let mut conversation = agent.ask(|id| Request::Hails { id }).await?;
        match conversation.next(SLACK).await? {
            Reply::Hails { hails, .. } => Ok(hails),
            other => Err(refused(name, &other)),
        }
    }
}

impl Holding {
    /// Whether it ends by itself within that time.
    ///
    /// # Errors
    /// The agent could not be asked.
    pub async fn ends_within(&mut self, wait: Duration) -> Result<bool, AgentError> {
        if self.told.is_none() {
            let reply = self.conversation.within(wait).await?;
            self.told = reply.map(|reply| held(&self.client, reply)).transpose()?;
        }
        Ok(self.told.is_some())
    }

    /// How many greetings have arrived at the other end so far; none where it cannot be asked.
    ///
    /// # Errors
    /// The agent could not be asked.
    pub async fn arrived(&self, fleet: &Fleet) -> Result<u32, AgentError> {
        let Some(server) = &self.server else { return Ok(0) };
        let heard = fleet.heard(server, self.round, self.began).await?;
        Ok(heard.arrivals.first().map_or(0, |arrival| arrival.times))
    }

    /// Ends it now, unless it has ended, and tells what came of it. The other end is asked, too.
    ///
    /// # Errors
    /// The agent could not be asked.
    pub async fn end(mut self, fleet: &Fleet) -> Result<HeldConnection, AgentError> {
        let told = if let Some(told) = self.told {
            told
        } else {
            // A stream that has ended shows when its reply is waited for.
            let _ = self.conversation.cancel();
            held(&self.client, self.conversation.next(self.patience).await?)?
        };
        let other_end = match &self.server {
            Some(server) => fleet.heard(server, self.round, self.began).await?.arrivals.into_iter().next(),
            None => None,
        };
        let moment = |us: u64| self.clock.ours_of(us);
        Ok(HeldConnection {
            last_echo: moment(told.last_echo_us),
            first_silent: (told.first_silent_us != 0).then(|| moment(told.first_silent_us)),
            uncertainty: self.clock.uncertainty,
            other_end,
            told,
        })
    }
}

/// What is told at the end of a connection.
fn held(pod: &str, said: Reply) -> Result<Held, AgentError> {
    match said {
        Reply::Held { held, .. } => Ok(held),
        other => Err(refused(pod, &other)),
    }
}

fn refused(pod: &str, said: &Reply) -> AgentError {
    AgentError::Refused { pod: pod.to_owned(), why: format!("it said {said:?}") }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
