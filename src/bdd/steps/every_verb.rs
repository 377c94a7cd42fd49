//! IAM-04: every verb done, and not only asked about.

use std::collections::{BTreeMap, BTreeSet};

use cucumber::{then, when};

use super::{
    access::{Holder, everything_served, rights},
    support::{
        denials::{self, Sandwich, Tried, summarised},
        tenants::{self, Role},
        ways::{self, Way},
    },
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::{Evidence, EvidenceBody, ReasonKind},
    oracle::{AccessScope, ExpectedAccess},
    probe::{Accepted, Attempt, NotOpen, Open, VerdictKind, access::Served},
    profile::LoadedPlatform,
};

/// One verb on one resource in one place.
struct Deed {
    verb: String,
    promised: bool,
    way: Way,
}

/// What the profile promises, and what came of it.
#[derive(Debug)]
struct Promised(Vec<Attempt>);

fn deeds(
    served: &[Served],
    places: &[(AccessScope, Option<&str>)],
    expected: ExpectedAccess<'_>,
) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for one in served {
        let version =
            if one.group.is_empty() { one.version.clone() } else { format!("{}/{}", one.group, one.version) };
        let root = if one.group.is_empty() { format!("/api/{version}") } else { format!("/apis/{version}") };
        let (plural, sub) =
            one.resource.split_once('/').map_or((one.resource.as_str(), None), |(a, b)| (a, Some(b)));
        for (scope, namespace) in places {
            if namespace.is_some() != one.namespaced {
                continue;
            }
            let (collection, place) = match namespace {
                Some(namespace) => {
                    (format!("{root}/namespaces/{namespace}/{plural}"), format!("in {namespace}"))
                }
                None => (format!("{root}/{plural}"), "on the cluster".to_owned()),
            };
            for verb in &one.verbs {
                let dot = if one.group.is_empty() { "" } else { "." };
                let what = format!("{verb} {}{dot}{} {place}", one.resource, one.group);
                if let Some(way) = Way::verb(what, verb, &collection, sub, (&version, &one.kind)) {
                    let promised = expected.allows(*scope, &one.group, &one.resource, verb);
                    deeds.push(Deed { verb: verb.clone(), promised, way });
                }
            }
        }
    }
    deeds
}

#[when(
    expr = "the administrator of {string} does every verb to every kind of object that the cluster serves, in its own namespace, in that of {string} and on the cluster"
)]
async fn every_verb(world: &mut World, own: String, other: String) -> StepResult {
    let (own, other) = (tenants::named(world, &own)?, tenants::named(world, &other)?);
    let cluster = world.service::<Cluster>()?;
    let profile = world.service::<LoadedPlatform>()?;
    let actor = tenants::actor(&own, Role::Administrator)?;
    let who_may = tenants::cluster_administrator(world)?;
    let served = everything_served(&cluster).await?;
    let rights = rights(&profile, Holder::Role(Role::Administrator))?;
    let places = [
        (AccessScope::Own, Some(own.namespace())),
        (AccessScope::Other, Some(other.namespace())),
        (AccessScope::Cluster, None),
    ];
    let deeds = deeds(&served, &places, ExpectedAccess::new(&rights));
    let verbs: BTreeSet<_> = deeds.iter().map(|deed| deed.verb.as_str()).collect();
    const EVERY: [&str; 8] =
        ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    if let Some(missing) = EVERY.into_iter().find(|verb| !verbs.contains(verb)) {
        return Err(
            StepError::trouble(format!("nothing that the cluster serves knows the verb {missing}")).into()
        );
    }
    let mut count: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    for deed in &deeds {
        *count.entry((&deed.verb, deed.promised)).or_default() += 1;
    }
    world.record(Evidence {
        title: format!("{} verbs on {} resources, done to what is not there", deeds.len(), served.len()),
        body: EvidenceBody::Text {
            lines: count
                .into_iter()
                .map(|((verb, promised), count)| {
                    format!(
                        "{verb}: {count} that the profile {}",
                        if promised { "promises" } else { "does not promise" }
                    )
                })
                .collect(),
        },
    });
    let (promised, refused): (Vec<_>, Vec<_>) = deeds.into_iter().partition(|deed| deed.promised);
    let ways = |deeds: Vec<Deed>| deeds.into_iter().map(|deed| deed.way).collect::<Vec<_>>();
    let (promised, refused) = (ways(promised), ways(refused));
    let open = ways::all(&promised, &actor).await;
    let before = ways::all(&refused, &who_may).await;
    let tried = ways::all(&refused, &actor).await;
    let after = ways::all(&refused, &who_may).await;
    let sandwiches = before
        .into_iter()
        .zip(tried)
        .zip(after)
        .map(|((before, attempt), after)| Sandwich { before, attempt, after })
        .collect();
    world.slots.insert(Promised(open));
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

#[then("everything that the profile promises is OPEN")]
async fn promised(world: &mut World) -> StepResult {
    let attempts = world.slots.require::<Promised>("attempts")?.0.clone();
    if attempts.is_empty() {
        return Err(StepError::trouble("the profile promises nothing of what the cluster serves").into());
    }
    let wrong: Vec<NotOpen> =
        attempts.into_iter().filter_map(|attempt| Open::try_from(attempt).err()).collect();
    let failed = wrong.iter().any(|no| !no.is_unclear());
    let kind = if failed { ReasonKind::Requirement } else { ReasonKind::Trouble };
    let lines: Vec<_> =
        wrong.iter().filter(|no| no.is_unclear() != failed).map(ToString::to_string).collect();
    if lines.is_empty() { Ok(()) } else { Err(summarised(kind, lines).into()) }
}

#[then("everything else is FORBIDDEN")]
async fn others(world: &mut World) -> StepResult {
    Ok(denials::each_is_without_evidence(world, &Accepted::only(VerdictKind::Forbidden))?)
}

#[then(
    "everything that was refused was OPEN for the administrator of the cluster just before and just after"
)]
async fn controls(world: &mut World) -> StepResult {
    Ok(denials::each_was_open_without_evidence(world)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::RoleRights;

    #[test]
    fn each_place_is_tried_where_the_kind_lives() {
        let one = |resource: &str, namespaced: bool, verbs: &[&str]| Served {
            group: "apps".into(),
            resource: resource.into(),
            namespaced,
            version: "v1".into(),
            kind: "Thing".into(),
            verbs: verbs.iter().map(ToString::to_string).collect(),
        };
        let served = [
            one("things", true, &["get", "watch", "bind"]),
            one("things/scale", true, &["update"]),
            one("wholes", false, &["list"]),
        ];
        let rights = RoleRights::default();
        let places = [(AccessScope::Own, Some("a")), (AccessScope::Cluster, None)];
        let deeds = deeds(&served, &places, ExpectedAccess::new(&rights));
        let what: Vec<_> = deeds.iter().map(|deed| deed.way.what.as_str()).collect();
        assert_eq!(
            what,
            [
                "get things.apps in a",
                "watch things.apps in a",
                "update things/scale.apps in a",
                "list wholes.apps on the cluster"
            ]
        );
        assert!(deeds.iter().all(|deed| !deed.promised));
    }
}
