//! Address families and CIDR blocks.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

/// IPv4 or IPv6: nftables keeps their sets apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// That of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// A block of addresses, with its host bits cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

/// Not a block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a CIDR block: {0:?} (expected for example 198.18.64.0/24)")]
pub struct CidrError(String);

impl Cidr {
    /// Its family.
    pub fn family(&self) -> Family {
        Family::of(self.0.addr())
    }

    /// The block of twice the size that it is a half of; itself, if there is none.
    pub(super) fn wider(self) -> Self {
        Self(self.0.supernet().unwrap_or(self.0))
    }

    /// True if the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        text.parse::<IpNet>().map(|net| Self(net.trunc())).map_err(|_| CidrError(text.to_owned()))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
