//! HTTP/1.1: the echo as JSON, with the headers that arrived.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::serve::State;
use super::tcp;
use crate::protocol::NONCE_HEADER;

pub(super) async fn listen(port: u16, state: Arc<State>) -> io::Result<()> {
    let listener = tcp::bind(port).await?;
    tokio::spawn(async move {
        loop {
            let (stream, peer) = tcp::accept(&listener).await;
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                let answer = service_fn(|request| {
                    let response = respond(&request, peer, port, &state);
                    async move { Ok::<_, Infallible>(response) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .max_headers(64)
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    });
    Ok(())
}

fn respond(request: &Request<Incoming>, peer: SocketAddr, port: u16, state: &State) -> Response<Full<Bytes>> {
    if request.uri().path() == "/healthz" {
        return Response::new(Full::from("ok\n"));
    }
    let nonce = request.headers().get(NONCE_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    let Some(nonce) = nonce else {
        let mut response = Response::new(Full::from(format!("no nonce in header {NONCE_HEADER}\n")));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let mut echo = state.echo(nonce, peer, port);
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        let all = echo.headers.entry(name.to_string()).or_default();
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(&value);
    }
    // An echo is plain data: it always serialises.
    let body = serde_json::to_vec(&echo).unwrap_or_default();
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
