//! Who reaches whom by `networking.k8s.io/v1`, and which policy or rule says so.
//!
//! Read from the API's own text and from nothing else: it shares no code with any dataplane, the lab's included, so
//! that it can be a second opinion to what is measured. Pure.

mod predict;
mod read;
mod scene;
mod selector;

#[cfg(test)]
mod tests;

pub use predict::{Flow, Forecast, Isolation, Oracle, Ruling, Undefined};
pub use read::{Nonsense, policy_violations};
pub use scene::{Direction, NamedPort, Protocol, Scene, SceneNamespace, ScenePod};
