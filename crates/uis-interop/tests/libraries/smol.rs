//! With the traits of futures, on a virtual clock.

use async_executor::LocalExecutor;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::zip};
use futures_rustls::{TlsAcceptor, TlsConnector};
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper::{StatusCode, client, server};
use rustls::version;
use smol_hyper::rt::FuturesIo;
use uis::VirtualClock;

use crate::http::{answer, get, post, whole};
use crate::tls::{configs, name};
use crate::{AT, LONG, Lab, noise};

/// Runs a test on virtual time, with tasks, on a bad path, and then waits until every connection has to be gone.
fn on_virtual_time(seed: u64, test: impl AsyncFnOnce(&Lab, &LocalExecutor<'_>)) {
    let clock = VirtualClock::new();
    let lab = Lab::new(&clock, seed);
    let path = lab.bad_path(seed);
    let time = lab.internet.clock();
    let tasks = LocalExecutor::new();
    let limited = async {
        time.timeout(LONG, test(&lab, &tasks)).await.expect("it takes too long");
        time.sleep(LONG).await;
    };
    clock.block_on(lab.internet.route_until(tasks.run(limited), path));
    lab.check();
}

/// Raw streams in both directions at once, and the half-close of TLS.
#[test]
fn rustls() {
    on_virtual_time(1, async |lab, tasks| {
        let (server, client) = configs(&version::TLS13);
        let listener = lab.server.listen_tcp(AT).unwrap();
        let serving = tasks.spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            exchange(TlsAcceptor::from(server).accept(stream).await.unwrap(), 1, 2).await;
        });
        let stream = lab.client.dial_tcp(AT).await.unwrap();
        exchange(TlsConnector::from(client).connect(name(), stream).await.unwrap(), 2, 1).await;
        serving.await;
    });
}

async fn exchange<S>(stream: S, own: u64, others: u64)
where
    S: futures_lite::AsyncRead + futures_lite::AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = futures_lite::io::split(stream);
    let sending = async {
        writer.write_all(&noise(own)).await.unwrap();
        writer.close().await.unwrap();
    };
    let mut received = Vec::new();
    let ((), outcome) = zip(sending, reader.read_to_end(&mut received)).await;
    outcome.unwrap();
    assert!(received == noise(others));
}

/// hyper over rustls, without tokio.
#[test]
fn https() {
    on_virtual_time(2, async |lab, tasks| {
        let (server, client) = configs(&version::TLS13);
        let listener = lab.server.listen_tcp(AT).unwrap();
        let serving = tasks.spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let io = FuturesIo::new(TlsAcceptor::from(server).accept(stream).await.unwrap());
            server::conn::http1::Builder::new().serve_connection(io, service_fn(answer)).await.unwrap();
        });
        let stream = lab.client.dial_tcp(AT).await.unwrap();
        let io = FuturesIo::new(TlsConnector::from(client).connect(name(), stream).await.unwrap());
        let (mut sender, connection) = client::conn::http1::handshake(io).await.unwrap();
        let connection = tasks.spawn(connection);
        for seed in 0..3 {
            let (status, body) = whole(sender.send_request(post(&noise(seed))).await.unwrap()).await;
            assert!(status == StatusCode::OK && body == noise(seed), "{seed}");
            sender.ready().await.unwrap();
        }
        let (status, body) = whole(sender.send_request(get("/9")).await.unwrap()).await;
        assert!(status == StatusCode::OK && body == noise(9));
        drop(sender);
        connection.await.unwrap();
        serving.await;
    });
}

/// The same seed gives the same packets at the same times, whatever libraries are in between.
#[test]
fn http_replays() {
    let run = || {
        let clock = VirtualClock::new();
        let lab = Lab::new(&clock, 5);
        let mut path = lab.bad_path(5);
        let mut packets = Vec::new();
        let listener = lab.server.listen_tcp(AT).unwrap();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let io = FuturesIo::new(stream);
            // The date would be the machine's.
            let mut server = server::conn::http1::Builder::new();
            server.auto_date_header(false).serve_connection(io, service_fn(answer)).await.unwrap();
        };
        let ask = async {
            let io = FuturesIo::new(lab.client.dial_tcp(AT).await.unwrap());
            let (mut sender, connection) = client::conn::http1::handshake(io).await.unwrap();
            let ask = async move {
                let response = sender.send_request(get("/3")).await.unwrap();
                assert!(response.into_body().collect().await.unwrap().to_bytes() == noise(3));
            };
            zip(ask, async { connection.await.unwrap() }).await;
        };
        clock.block_on(lab.internet.route_until(zip(serve, ask), |internet, frame| {
            packets.push((frame.sent_at(), frame.packet().to_vec()));
            path(internet, frame);
        }));
        packets
    };
    let (one, other) = (run(), run());
    assert!(one.len() > 700, "{}", one.len());
    assert!(one == other, "the runs differ");
}
