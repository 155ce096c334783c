//! HTTP with hyper, as clients and servers use it.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, client, server};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{AT, Lab, noise, under_tokio};

/// What bodies are made of, here and in requests.
pub(crate) type Body = http_body_util::Either<Full<Bytes>, Incoming>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// Gives the body that the path names by its seed, and whatever is posted, while it is still coming in.
pub(crate) async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let body = match (request.method(), request.uri().path()[1..].parse()) {
        (&Method::POST, _) => Body::Right(request.into_body()),
        (_, Ok(seed)) => Body::Left(Full::new(noise(seed).into())),
        _ => {
            let mut response = Response::new(Body::Left(Full::default()));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        }
    };
    Ok(Response::new(body))
}

/// Serves one connection to its end.
pub(crate) async fn serve<S>(stream: S, version: Version) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, service) = (TokioIo::new(stream), service_fn(answer));
    match version {
        Version::Http1 => server::conn::http1::Builder::new().serve_connection(io, service).await,
        Version::Http2 => {
            server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
        }
    }
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", AT).body(Full::default()).unwrap()
}

pub(crate) fn post(body: &[u8]) -> Request<Full<Bytes>> {
    Request::post("/echo").header("host", AT).body(Full::new(body.to_vec().into())).unwrap()
}

/// The status of a response and its body.
pub(crate) async fn whole(response: Response<Incoming>) -> (StatusCode, Bytes) {
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}

/// One after the other on one connection: a download, an upload that comes back, and a page that is not there.
pub(crate) async fn ask_http1<S>(stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let (status, body) = whole(sender.send_request(get("/7")).await.unwrap()).await;
    assert!(status == StatusCode::OK && body == noise(7));
    sender.ready().await.unwrap();
    let (status, body) = whole(sender.send_request(post(&noise(8))).await.unwrap()).await;
    assert!(status == StatusCode::OK && body == noise(8));
    sender.ready().await.unwrap();
    let (status, body) = whole(sender.send_request(get("/none")).await.unwrap()).await;
    assert_eq!((status, &*body), (StatusCode::NOT_FOUND, &b""[..]));
    drop(sender);
    connection.await.unwrap().unwrap();
}

/// All at once on one connection: downloads and uploads.
pub(crate) async fn ask_http2<S>(stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let (sender, connection) = client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut requests = tokio::task::JoinSet::new();
    for seed in 0..6 {
        let mut sender = sender.clone();
        requests.spawn(async move {
            let uri = format!("http://{AT}/{seed}");
            let mut request = if seed % 2 == 0 { get(&uri) } else { post(&noise(seed)) };
            *request.uri_mut() = uri.parse().unwrap();
            let (status, body) = whole(sender.send_request(request).await.unwrap()).await;
            assert!(status == StatusCode::OK && body == noise(seed), "{seed}");
        });
    }
    while let Some(outcome) = requests.join_next().await {
        outcome.unwrap();
    }
    drop(sender);
    connection.await.unwrap().unwrap();
}

/// A server for `n` connections, in tasks of their own.
fn spawn_server(lab: &Lab, version: Version, n: usize) -> tokio::task::JoinHandle<()> {
    let listener = lab.server.listen_tcp(AT).unwrap();
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        for _ in 0..n {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(serve(stream, version));
        }
        while let Some(outcome) = connections.join_next().await {
            outcome.unwrap().unwrap();
        }
    })
}

#[tokio::test(start_paused = true)]
async fn http1() {
    under_tokio(1, async |lab| {
        let server = spawn_server(lab, Version::Http1, 3);
        let clients = [(); 3].map(|()| {
            let dial = lab.client.dial_tcp(AT);
            tokio::spawn(async move { ask_http1(dial.await.unwrap()).await })
        });
        for client in clients {
            client.await.unwrap();
        }
        server.await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn http2() {
    under_tokio(2, async |lab| {
        let server = spawn_server(lab, Version::Http2, 1);
        ask_http2(lab.client.dial_tcp(AT).await.unwrap()).await;
        server.await.unwrap();
    })
    .await;
}

/// A server that goes away in the middle of a body: hyper says so, and does not take it for the end.
#[tokio::test(start_paused = true)]
async fn a_truncated_body_is_an_error() {
    under_tokio(3, async |lab| {
        let listener = lab.server.listen_tcp(AT).unwrap();
        let (began, has_begun) = tokio::sync::oneshot::channel();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let kept = stream.clone();
            let serving = tokio::spawn(serve(stream, Version::Http1));
            has_begun.await.unwrap();
            kept.abort();
            assert!(serving.await.unwrap().is_err());
        });
        let io = TokioIo::new(lab.client.dial_tcp(AT).await.unwrap());
        let (mut sender, connection) = client::conn::http1::handshake(io).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::get("/1").header("host", AT).body(Empty::<Bytes>::new()).unwrap();
        let mut body = sender.send_request(request).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        began.send(()).unwrap();
        let error = body.collect().await.unwrap_err();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::ConnectionReset), "{error:?}");
        drop(sender);
        let _ = connection.await.unwrap();
        server.await.unwrap();
    })
    .await;
}
