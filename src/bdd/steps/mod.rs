//! The steps, one file a domain. Each is a few lines: it parses words and calls `tenant`, `probe`, `oracle`.

mod access;
mod admission;
mod anonymous;
mod audit;
mod cluster_admin;
mod cluster_policy;
mod dual_stack;
mod every_verb;
mod guard_rails;
mod identity;
mod images;
mod insides;
mod key_rotation;
mod labels;
mod names;
mod neighbours;
mod network;
mod newcomers;
mod offboarding;
mod open_connections;
mod ownership;
mod promptness;
mod quota;
mod self_service;
mod services;
mod side_doors;
mod standard;
mod storage;
mod support;
mod tenants;
mod turnover;
mod ways_up;
mod words;

use super::{Polarity, StepPolarity};

/// Which steps deny, and which are controls of a denial, beyond what their words say. `lint` holds every scenario to
/// it.
pub const POLARITY: &[StepPolarity] = &[
    StepPolarity {
        text: "^after deletion the usage is exactly what it was, and there is room again$",
        polarity: Polarity::Controls,
    },
    StepPolarity { text: "^nothing on the cluster belongs to it", polarity: Polarity::Denies },
    StepPolarity {
        text: "^the listing had found its namespaces and what they hold$",
        polarity: Polarity::Controls,
    },
    StepPolarity { text: "no longer reaches", polarity: Polarity::Denies },
    // That the path was open under the policy is what an earlier step of the scenario asserts.
    StepPolarity { text: "^without it the path was", polarity: Polarity::DeniesWithControl },
    StepPolarity {
        text: "^of the new pods of the tenant no more packets arrive",
        polarity: Polarity::Denies,
    },
    StepPolarity {
        text: "^those of the control tenant arrived just before and just after$",
        polarity: Polarity::Controls,
    },
    StepPolarity {
        text: "^it is let in, unless the cluster is a production cluster$",
        polarity: Polarity::DeniesWithControl,
    },
    StepPolarity { text: "^nothing is on the volume of", polarity: Polarity::Denies },
    StepPolarity { text: "^the mark is found there once", polarity: Polarity::Controls },
];
