//! The issuer's process: what it serves over HTTPS, and what it is asked over its socket.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::keys::{Key, Keys};
use super::settings::Settings;
use super::socket::{self, IssuerRequest, TokenOrder};
use super::{Directory, PORT, claims, jose, reviewer};
use crate::error::{Context as _, LabError, Result};
use crate::internal::listen;
use crate::paths::LabPaths;

/// More than any request that is meant seriously.
const LARGEST_REQUEST: usize = 256 * 1024;

/// The keys of all directories, and the settings.
#[derive(Debug)]
pub(super) struct Issuer {
    keys: Mutex<[Keys; 2]>,
    settings: PathBuf,
}

/// Runs until it is killed.
pub(crate) async fn run(root: PathBuf) -> Result<()> {
    let paths = LabPaths::at(root);
    let [platform, partner] = Directory::ALL;
    let keys = [Keys::open(paths.root(), platform)?, Keys::open(paths.root(), partner)?];
    let issuer = Arc::new(Issuer { keys: Mutex::new(keys), settings: paths.issuer_settings() });
    let acceptor = acceptor(&paths.pki())?;
    let listener = TcpListener::bind(("127.0.0.1", PORT)).await.context(|| "listening for the API server")?;
    let requests = listen(&paths.issuer_socket())?;
    tokio::try_join!(serve(listener, acceptor, Arc::clone(&issuer)), socket::serve(requests, issuer))
        .map(drop)
}

fn acceptor(pki: &Path) -> Result<TlsAcceptor> {
    let unusable =
        |error: &dyn std::fmt::Display| LabError::component("issuer", format!("its certificate: {error}"));
    let certificates = CertificateDer::pem_file_iter(pki.join("issuer.crt"))
        .and_then(Iterator::collect)
        .map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_file(pki.join("issuer.key")).map_err(|error| unusable(&error))?;
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(|error| unusable(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, issuer: Arc<Issuer>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await.context(|| "accepting a connection")?;
        tokio::spawn(converse(stream, acceptor.clone(), Arc::clone(&issuer)));
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, issuer: Arc<Issuer>) {
    // Whoever hangs up in the middle has only itself to tell.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| {
        let issuer = Arc::clone(&issuer);
        async move { Ok::<_, Infallible>(issuer.respond(request).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a connection ended: {error}");
    }
}

impl Issuer {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let answer = match (request.method(), path.as_str()) {
            (&Method::POST, "/reviews") => {
                match Limited::new(request.into_body(), LARGEST_REQUEST).collect().await {
                    Ok(body) => self.reviewed(&body.to_bytes()),
                    Err(_) => Ok(None),
                }
            }
            (&Method::GET, path) => self.document(path),
            _ => Ok(None),
        };
        match answer {
            Ok(Some(document)) => answer_with(StatusCode::OK, &document),
            Ok(None) => answer_with(StatusCode::NOT_FOUND, &json!({ "error": "not_found" })),
            Err(error) => {
                tracing::warn!("{error}");
                answer_with(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "server_error" }))
            }
        }
    }

    fn document(&self, path: &str) -> Result<Option<Value>> {
        for directory in Directory::ALL {
            let Some(below) = path.strip_prefix('/').and_then(|path| path.strip_prefix(directory.name()))
            else {
                continue;
            };
            return match below {
                "/.well-known/openid-configuration" => Ok(Some(discovery(directory))),
                "/keys" => self.key_set(directory).map(Some),
                _ => Ok(None),
            };
        }
        Ok(None)
    }

    fn key_set(&self, directory: Directory) -> Result<Value> {
        let settings = Settings::read(&self.settings);
        self.with(directory, |keys| keys.set(settings.publish_withdrawn, settings.publish_new))
    }

    fn reviewed(&self, body: &[u8]) -> Result<Option<Value>> {
        let Ok(request) = serde_json::from_slice(body) else { return Ok(None) };
        let overlooked = Settings::read(&self.settings).reviewer_overlooks;
        let now = claims::now()?;
        self.with(Directory::Platform, |keys| Ok(Some(reviewer::review(&request, keys, &overlooked, now))))
    }

    /// Does what it is asked over the socket.
    pub(super) fn answer(&self, request: IssuerRequest) -> Result<String> {
        match request {
            IssuerRequest::Token(order) => {
                let claims = claims::of(&order, claims::now()?);
                self.with(order.directory, |keys| jose::signed(keys.newest()?, &claims))
            }
            IssuerRequest::Keys => self.key_set(Directory::Platform).map(|set| set.to_string()),
            IssuerRequest::Rotate => {
                self.with(Directory::Platform, Keys::rotate)?;
                self.answer(IssuerRequest::Keys)
            }
            IssuerRequest::UnknownKey => {
                let nobody = TokenOrder { user: "nobody".into(), lifetime: 60, ..TokenOrder::default() };
                jose::signed(&Key::generate()?, &claims::of(&nobody, claims::now()?))
            }
            IssuerRequest::Withdraw => {
                self.with(Directory::Platform, Keys::withdraw)?;
                self.answer(IssuerRequest::Keys)
            }
        }
    }

    fn with<T>(&self, directory: Directory, work: impl FnOnce(&mut Keys) -> Result<T>) -> Result<T> {
        let [platform, partner] = &mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        work(match directory {
            Directory::Platform => platform,
            Directory::Partner => partner,
        })
    }
}

/// The discovery document, as OpenID Connect Discovery has it.
fn discovery(directory: Directory) -> Value {
    let issuer = directory.issuer();
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "groups", "amr", "preferred_username"],
    })
}

fn answer_with(status: StatusCode, document: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
