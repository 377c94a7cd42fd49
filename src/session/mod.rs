//! One run from end to end: profile, plan, cluster, tenants, scenarios, journal, reports, exit code.
