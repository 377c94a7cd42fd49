//! How long things may take: deadlines end a wait, bounds judge a measurement.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timespan;

macro_rules! deadlines {
    ($($(#[doc = $doc:literal])+ $name:ident = $seconds:literal,)+) => {
        /// How long each kind of wait may take. A wait that passes its deadline makes the scenario
        /// inconclusive, and is reported with what was last seen.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
        pub struct Deadlines {
            $($(#[doc = $doc])+ pub $name: Timespan,)+
        }

        impl Default for Deadlines {
            fn default() -> Self {
                Self { $($name: Timespan::from_secs($seconds),)+ }
            }
        }
    };
}

deadlines! {
    /// One request to the API server, from sending it to its answer (60s).
    api_request = 60,
    /// One pod, from created to Ready (60s).
    pod_ready = 60,
    /// One tenant, from the first request to usable, its workload included (120s).
    tenant_ready = 120,
    /// A namespace, from delete to gone (90s).
    namespace_removed = 90,
    /// A policy, from accepted by the API server to enforced on every node (20s).
    policy_convergence = 20,
    /// A right, from granted or withdrawn to acted upon (15s).
    rights_convergence = 15,
    /// The counters of a quota, from a change to the exact value (30s).
    quota_settled = 30,
    /// A volume, from its claim's being made to bound, or from its claim's deletion to gone (60s).
    volume_settled = 60,
    /// One scenario, unless its tag says otherwise (120s). Where it is longer, the deadlines of tags grow with it.
    scenario = 120,
    /// The whole run; what has not started by then is `not-run` (1h).
    run = 3600,
    /// After a first interrupt: undoing faults and removing tenants (120s).
    teardown = 120,
}

/// Bounds on what is measured. A bound that is absent is not judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Bounds {
    /// Median of onboarding a tenant, its workload not included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onboarding_p50: Option<Timespan>,
    /// 99th percentile of onboarding a tenant, its workload not included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onboarding_p99: Option<Timespan>,
    /// Median of removing one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offboarding_p50: Option<Timespan>,
    /// 99th percentile of removing one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offboarding_p99: Option<Timespan>,
    /// 99th percentile of a bystander's probes while another tenant uses all of its quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bystander_p99: Option<Timespan>,
    /// 99th percentile from a policy's creation to its being enforced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_enforced_p99: Option<Timespan>,
    /// How many packets of a new pod may get through before its policy applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaked_packets: Option<u32>,
    /// Largest difference between our clock and the API server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew: Option<Timespan>,
}
