//! The paths of an API server, asked for one by one.

use std::collections::BTreeSet;

use http::Request;
use kube::{Client, Error};
use serde::Deserialize;

use super::access::Served;

/// The API server's own list of its paths.
#[derive(Deserialize)]
struct RootPaths {
    paths: Vec<String>,
}

/// Every path that the API server lists, and one of each kind of object that can be listed.
pub async fn known(client: &Client, served: &[Served]) -> Result<BTreeSet<String>, Error> {
    let listed: RootPaths = client.request(request("/", &[])?).await?;
    let mut paths: BTreeSet<String> = listed.paths.into_iter().collect();
    paths.extend(["/", "/version", "/api", "/apis"].map(str::to_owned));
    for one in served.iter().filter(|one| one.verbs.contains("list") && !one.resource.contains('/')) {
        let root = if one.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", one.group) };
        paths.insert(format!("{root}/{}/{}?limit=1", one.version, one.resource));
    }
    Ok(paths)
}

fn request(path: &str, headers: &[(&str, &str)]) -> Result<Request<Vec<u8>>, Error> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Vec::new()).map_err(|error| Error::Service(error.into()))
}

/// Asks for a path. Of the few that say much, no more is read than whether the server has let the request in.
pub async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Result<(), Error> {
    const LONG: [&str; 4] = ["/debug", "/logs", "/metrics", "/openapi"];
    let request = request(path, headers)?;
    if LONG.iter().any(|start| path.starts_with(start)) {
        client.request_stream(request).await.map(drop)
    } else {
        // Read to its end, so that the connection serves the next request, too.
        client.request_text(request).await.map(drop)
    }
}
