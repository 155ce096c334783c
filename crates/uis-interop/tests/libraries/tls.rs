//! TLS with rustls: handshakes and records, with HTTP inside and without.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::http::{Version, ask_http1, ask_http2, serve};
use crate::{AT, BODY, noise, under_tokio};

pub(crate) const NAME: &str = "server.example";

/// What a server has and a client believes: a certificate that signs itself.
pub(crate) fn configs(version: &'static SupportedProtocolVersion) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    // Signatures and numbers of one length, so that a seed gives the same packets but for what is random in them.
    let signing_key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut params = CertificateParams::new([NAME.to_string()]).unwrap();
    params.serial_number = Some(7.into());
    let cert = params.self_signed(&signing_key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (Arc::new(server), client(provider, version, Some(cert.der().clone())))
}

fn client(
    provider: Arc<rustls::crypto::CryptoProvider>,
    version: &'static SupportedProtocolVersion,
    believed: Option<CertificateDer<'static>>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(believed);
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

pub(crate) fn name() -> ServerName<'static> {
    NAME.try_into().unwrap()
}

/// Bodies in both directions at once, closed as TLS wants it: neither side sees more or less than was sent.
#[tokio::test(start_paused = true)]
async fn streams() {
    for (seed, version) in [(1, &version::TLS13), (2, &version::TLS12)] {
        under_tokio(seed, async |lab| {
            let (server, client) = configs(version);
            let listener = lab.server.listen_tcp(AT).unwrap();
            let serving = tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                exchange(TlsAcceptor::from(server).accept(stream).await.unwrap(), 1, 2).await;
            });
            let stream = lab.client.dial_tcp(AT).await.unwrap();
            exchange(TlsConnector::from(client).connect(name(), stream).await.unwrap(), 2, 1).await;
            serving.await.unwrap();
        })
        .await;
    }
}

async fn exchange<S>(stream: S, own: u64, others: u64)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let sending = async {
        writer.write_all(&noise(own)).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut received = Vec::with_capacity(BODY);
    let ((), outcome) = tokio::join!(sending, reader.read_to_end(&mut received));
    outcome.unwrap(); // an end without close_notify is UnexpectedEof
    assert!(received == noise(others));
}

#[tokio::test(start_paused = true)]
async fn https() {
    for (seed, http) in [(3, Version::Http1), (4, Version::Http2)] {
        under_tokio(seed, async |lab| {
            let (server, mut client) = configs(&version::TLS13);
            Arc::make_mut(&mut client).alpn_protocols =
                vec![if http == Version::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
            let listener = lab.server.listen_tcp(AT).unwrap();
            let serving = tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let stream = TlsAcceptor::from(server).accept(stream).await.unwrap();
                let agreed = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Version::Http2,
                    _ => Version::Http1,
                };
                assert_eq!(agreed, http);
                serve(stream, agreed).await.unwrap();
            });
            let stream = lab.client.dial_tcp(AT).await.unwrap();
            let stream = TlsConnector::from(client).connect(name(), stream).await.unwrap();
            match http {
                Version::Http1 => ask_http1(stream).await,
                Version::Http2 => ask_http2(stream).await,
            }
            serving.await.unwrap();
        })
        .await;
    }
}

/// A client that does not believe the certificate says so to the server, in an alert that arrives in spite of all.
#[tokio::test(start_paused = true)]
async fn alerts_arrive() {
    for seed in 20..40 {
        let lab = crate::Lab::new(uis::TokioClock::new(), seed);
        let (internet, path) = (lab.internet.clone(), lab.bad_path(seed));
        let router = tokio::spawn(async move { internet.route(path).await });
        let (server, _) = configs(&version::TLS13);
        let doubting = client(server.crypto_provider().clone(), &version::TLS13, None);
        let listener = lab.server.listen_tcp(AT).unwrap();
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            TlsAcceptor::from(server).accept(stream).await.unwrap_err()
        });
        let stream = lab.client.dial_tcp(AT).await.unwrap();
        let refused = TlsConnector::from(doubting).connect(name(), stream).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidData, "{refused}");
        let told = tls_error(&serving.await.unwrap());
        let alert = rustls::AlertDescription::UnknownCA;
        assert_eq!(told, Some(rustls::Error::AlertReceived(alert)), "{seed}");
        router.abort();
    }
}

fn tls_error(error: &io::Error) -> Option<rustls::Error> {
    error.get_ref()?.downcast_ref().cloned()
}
