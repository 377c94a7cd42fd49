//! The identity provider, as a client of it sees it, and as a forger of its tokens would.

mod forgery;
mod keys;
mod provider;
mod token;

pub use forgery::{Forged, Forgery};
pub use keys::{KeySet, PublicKey};
pub use provider::{IdentityProvider, Login, Mint};
pub use token::Token;
