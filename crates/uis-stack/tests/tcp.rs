//! TCP between two stacks on one wire.

use std::io;
use std::time::Duration;

use futures_lite::future::{block_on, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis_clock::{SystemClock, VirtualClock};
use uis_stack::{Stack, StackConfig, TcpStream};
use uis_vnic::{MTU_ETHERNET, Vnic};

/// Two stacks, back to back, on a virtual clock.
fn pair(config: StackConfig) -> (VirtualClock, Stack, Stack) {
    let clock = VirtualClock::new();
    let (a, b) = Vnic::pair(MTU_ETHERNET, clock.handle()).unwrap();
    let server =
        Stack::with_config(a, ["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()], config.clone());
    let client = Stack::with_config(b, ["10.0.0.2".parse().unwrap(), "2001:db8::2".parse().unwrap()], config);
    (clock, server.unwrap(), client.unwrap())
}

/// A connection: the accepted end, the dialled end.
async fn connected(server: &Stack, client: &Stack, at: &str) -> io::Result<(TcpStream, TcpStream)> {
    let listener = server.listen_tcp(at)?;
    let (accepted, dialled) = zip(listener.accept(), client.dial_tcp(at)).await;
    Ok((accepted?.0, dialled?))
}

fn noise(len: usize) -> Vec<u8> {
    let mut x = 0x2545_f491_4f6c_dd1d_u64;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 32) as u8
        })
        .collect()
}

#[test]
fn nothing_waits_for_a_timer() {
    let (clock, server, client) = pair(StackConfig::default());
    clock.block_on(async {
        let start = clock.now();
        let (mut a, mut b) = connected(&server, &client, "10.0.0.1:80").await.unwrap();
        let mut got = vec![0; 1 << 20];
        let send = async {
            a.write_all(&noise(1 << 20)).await.unwrap();
            a.close().await.unwrap();
        };
        zip(send, async { b.read_exact(&mut got).await.unwrap() }).await;
        b.write_all(b"thanks").await.unwrap();
        a.read_exact(&mut got[..6]).await.unwrap();
        b.close().await.unwrap();
        assert_eq!(a.read(&mut got).await.unwrap(), 0);
        assert_eq!(clock.now(), start);
    });
}

#[test]
fn a_megabyte_each_way() {
    for at in ["10.0.0.1:80", "[2001:db8::1]:80"] {
        let (clock, server, client) = pair(StackConfig::default());
        clock.block_on(async {
            let (a, b) = connected(&server, &client, at).await.unwrap();
            let data = noise(1 << 20);
            let send = async |stream: TcpStream| {
                let (mut read, mut write) = stream.into_split();
                let sending = async {
                    write.write_all(&data).await.unwrap();
                    write.close().await.unwrap();
                };
                let mut got = Vec::new();
                let receiving = async { read.read_to_end(&mut got).await.unwrap() };
                zip(sending, receiving).await;
                assert!(got == data);
            };
            zip(send(a), send(b)).await;
        });
    }
}

#[test]
fn halves_read_and_write_without_waiting() {
    let (clock, server, client) = pair(StackConfig::default());
    clock.block_on(async {
        let (a, b) = connected(&server, &client, "10.0.0.1:80").await.unwrap();
        let ((read, _a_write), (_b_read, write)) = (a.into_split(), b.into_split());
        let data = noise(4 << 20); // more than there is room for anywhere
        let mut buf = vec![0; 10_000];
        assert_eq!(read.try_read(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let sending = async {
            let (mut written, mut waits) = (0, 0);
            while written < data.len() {
                write.writable().await.unwrap();
                match write.try_write(&data[written..]) {
                    Ok(n) => written += n,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
                waits += 1;
            }
            assert_eq!(write.as_ref().peer_addr().unwrap(), read.local_addr().unwrap());
            drop(write);
            waits
        };
        let receiving = async {
            let mut got = Vec::new();
            loop {
                read.readable().await.unwrap();
                let peeked = read.peek(&mut buf).await.unwrap();
                assert!(data[got.len()..].starts_with(&buf[..peeked]));
                match read.try_read(&mut buf).unwrap() {
                    0 => break got,
                    n => got.extend_from_slice(&buf[..n]),
                }
            }
        };
        let (waits, got) = zip(sending, receiving).await;
        assert!(got == data && waits > 4, "{} bytes, {waits} writes", got.len());
        assert_eq!(read.as_ref().try_read(&mut buf).unwrap(), 0);
    });
}

#[test]
fn half_close_and_then_the_other_half() {
    let (clock, server, client) = pair(StackConfig::default());
    clock.block_on(async {
        let (mut a, mut b) = connected(&server, &client, "10.0.0.1:80").await.unwrap();
        b.write_all(b"question").await.unwrap();
        b.close().await.unwrap();
        let mut text = String::new();
        a.read_to_string(&mut text).await.unwrap();
        a.write_all(b"answer to ").await.unwrap();
        a.write_all(text.as_bytes()).await.unwrap();
        a.close().await.unwrap();
        text.clear();
        b.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "answer to question");
        assert_eq!(b.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(server.connections().len() + client.connections().len(), 0);
        assert_eq!((server.stats().time_wait, client.stats().time_wait), (0, 1));
        client.clock().sleep(Duration::from_secs(61)).await;
        assert_eq!(client.stats().time_wait, 0);
    });
}

#[test]
fn a_closed_port_refuses() {
    let (clock, server, client) = pair(StackConfig::default());
    clock.block_on(async {
        for at in ["10.0.0.1:81", "[2001:db8::1]:81"] {
            let error = client.dial_tcp(at).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            assert!(error.to_string().contains(at), "{error}");
        }
        assert_eq!(client.connections().len(), 0);
        drop(server);
    });
}

#[test]
fn nobody_answers() {
    let (clock, server, client) = pair(StackConfig::default());
    server.vnic().detach();
    clock.block_on(async {
        let start = client.clock().now();
        let error = client.dial_tcp("10.0.0.1:80").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("7 SYNs"), "{error}");
        // 1 + 2 + 4 + 8 + 16 + 32 + 64 seconds.
        assert_eq!((client.clock().now() - start).as_secs(), 127);
    });
}

#[test]
fn a_stack_talks_to_itself() {
    let (clock, server, _client) = pair(StackConfig::default());
    clock.block_on(async {
        let (mut a, mut b) = connected(&server, &server, "10.0.0.1:80").await.unwrap();
        let data = noise(300_000);
        let mut got = vec![0; data.len()];
        let send = async {
            a.write_all(&data).await.unwrap();
            a.close().await.unwrap();
        };
        let receive = async { b.read_exact(&mut got).await.unwrap() };
        zip(send, receive).await;
        assert!(got == data);
        assert_eq!(server.stats().sent, 0);
    });
}

#[test]
fn dropping_unread_data_resets() {
    let (clock, server, client) = pair(StackConfig::default());
    clock.block_on(async {
        let (a, mut b) = connected(&server, &client, "10.0.0.1:80").await.unwrap();
        b.write_all(b"never read").await.unwrap();
        drop(a);
        let error = b.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn closing_the_stack_ends_everything() {
    let (clock, server, client) = pair(StackConfig::default());
    clock.block_on(async {
        let listener = server.listen_tcp("0.0.0.0:80").unwrap();
        let (accepted, dialled) = zip(listener.accept(), client.dial_tcp("10.0.0.1:80")).await;
        let (mut a, mut b) = (accepted.unwrap().0, dialled.unwrap());
        let mut byte = [0];
        let (read, ()) = zip(a.read(&mut byte), async { server.close() }).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::NetworkDown);
        assert_eq!(listener.accept().await.unwrap_err().kind(), io::ErrorKind::NetworkDown);
        assert_eq!(b.read(&mut byte).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(server.listen_tcp("0.0.0.0:80").unwrap_err().kind(), io::ErrorKind::NetworkDown);
        assert_eq!(server.dial_tcp("10.0.0.2:80").await.unwrap_err().kind(), io::ErrorKind::NetworkDown);
    });
}

#[test]
fn on_the_system_clock_too() {
    let (a, b) = Vnic::pair(MTU_ETHERNET, SystemClock::new()).unwrap();
    let server = Stack::new(a, ["10.0.0.1".parse().unwrap()]).unwrap();
    let client = Stack::new(b, ["10.0.0.2".parse().unwrap()]).unwrap();
    block_on(async {
        let (mut a, mut b) = connected(&server, &client, "10.0.0.1:80").await.unwrap();
        for n in 0..1000_u32 {
            a.write_all(&n.to_be_bytes()).await.unwrap();
            let mut got = [0; 4];
            b.read_exact(&mut got).await.unwrap();
            assert_eq!(u32::from_be_bytes(got), n);
        }
    });
}

/// A waker of a user's that panics.
struct Panics;

impl std::task::Wake for Panics {
    fn wake(self: std::sync::Arc<Self>) {
        panic!("a waker of the user's");
    }
}

#[test]
fn a_waker_that_panics_harms_no_other_connection() {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use futures_lite::AsyncRead;

    let (clock, server, client) = pair(StackConfig::default());
    let (mut a, mut b, c) = clock.block_on(async {
        let (a, b) = connected(&server, &client, "10.0.0.1:80").await.unwrap();
        let (c, _) = connected(&server, &client, "10.0.0.1:81").await.unwrap();
        (a, b, c)
    });
    // Whoever writes next meets the waker of the other end's reader.
    let waker = Waker::from(std::sync::Arc::new(Panics));
    assert!(Pin::new(&mut b).poll_read(&mut Context::from_waker(&waker), &mut [0; 8]).is_pending());
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| a.try_write(b"hello"))).unwrap_err();
    // The same connection goes on, its timers included, and so does the other one; and all of them end.
    clock.block_on(async {
        let mut got = [0; 5];
        b.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hello");
        a.write_all(b"again").await.unwrap();
        b.read_exact(&mut got).await.unwrap();
        a.close().await.unwrap();
        b.close().await.unwrap();
        drop((a, b, c));
        client.clock().sleep(Duration::from_secs(61)).await;
        assert_eq!((server.connections().len(), client.connections().len()), (0, 0));
    });
}
