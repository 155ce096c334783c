//! The same test body under every executor, and under none.

mod common;

use std::io;
use std::thread;

use common::*;
use futures_lite::future::{block_on, or, try_zip, zip};

const LEN: usize = 200_000;

/// A server and a client, as futures that can go anywhere: the client asks, the server answers in kind.
fn parties(
    internet: &Internet,
) -> (
    impl Future<Output = io::Result<()>> + Send + 'static,
    impl Future<Output = io::Result<()>> + Send + 'static,
) {
    let server = internet.new_stack(MTU_ETHERNET, SERVER.map(ip)).unwrap();
    let client = internet.new_stack(MTU_ETHERNET, CLIENT.map(ip)).unwrap();
    let listener = server.listen_tcp("[::]:80").unwrap();
    let serve = async move {
        for _ in AT {
            let (stream, _) = listener.accept().await?;
            let asked = receive(&stream).await?;
            send(&stream, &asked).await?;
        }
        Ok(())
    };
    let ask = async move {
        for (seed, at) in (1..).zip(AT) {
            let stream = client.dial_tcp(at).await?;
            let question = noise(seed, LEN);
            send(&stream, &question).await?;
            assert!(receive(&stream).await? == question);
        }
        Ok(())
    };
    (serve, ask)
}

/// All of it as one future.
async fn in_one_future(internet: Internet) {
    let (serve, ask) = parties(&internet);
    internet.route_until(try_zip(serve, ask), Internet::deliver).await.unwrap();
}

#[test]
fn block_on_of_futures_lite() {
    block_on(in_one_future(Internet::new()));
}

#[test]
fn block_on_of_the_virtual_clock() {
    let clock = VirtualClock::new();
    clock.block_on(in_one_future(Internet::builder().clock(&clock).build()));
}

#[test]
fn smol() {
    let executor = async_executor::Executor::new();
    let internet = Internet::new();
    let (serve, ask) = parties(&internet);
    let router = executor.spawn(async move { internet.route(Internet::deliver).await });
    let (serve, ask) = (executor.spawn(serve), executor.spawn(ask));
    block_on(executor.run(async { zip(serve, ask).await })).0.unwrap();
    drop(router);
}

#[test]
fn smol_with_threads() {
    let executor = async_executor::Executor::new();
    let internet = Internet::new();
    let (serve, ask) = parties(&internet);
    let router = executor.spawn(async move { internet.route(Internet::deliver).await });
    let tasks = zip(executor.spawn(serve), executor.spawn(ask));
    let (stop, stopped) = signal();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| block_on(executor.run(stopped())));
        }
        let (served, asked) = block_on(tasks);
        stop();
        served.unwrap();
        asked.unwrap();
    });
    drop(router);
}

/// A way to say stop, and futures that wait for it.
fn signal() -> (impl FnOnce(), impl AsyncFn() + Sync) {
    // An internet that closes is as good a signal as any.
    let internet = Internet::new();
    let in_flight = internet.in_flight();
    (move || internet.close(), async move || drop(in_flight.recv().await))
}

#[test]
fn plain_threads_and_a_spawned_router() {
    let internet = Internet::new();
    let router = internet.spawn_router(Internet::deliver);
    let (serve, ask) = parties(&internet);
    let server = thread::spawn(|| block_on(serve));
    block_on(ask).unwrap();
    server.join().unwrap().unwrap();
    router.stop().unwrap();
}

#[tokio::test]
async fn tokio_on_one_thread() {
    in_one_future(Internet::new()).await;
}

#[tokio::test]
async fn tokio_on_one_thread_with_tasks() {
    let internet = Internet::new();
    let (serve, ask) = parties(&internet);
    let router = tokio::spawn(async move { internet.route(Internet::deliver).await });
    let (serve, ask) = (tokio::spawn(serve), tokio::spawn(ask));
    ask.await.unwrap().unwrap();
    serve.await.unwrap().unwrap();
    router.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokio_on_many_threads() {
    let internet = Internet::new();
    let router = {
        let internet = internet.clone();
        tokio::spawn(async move { internet.route(Internet::deliver).await })
    };
    let (serve, ask) = parties(&internet);
    let (serve, ask) = (tokio::spawn(serve), tokio::spawn(ask));
    ask.await.unwrap().unwrap();
    serve.await.unwrap().unwrap();
    internet.close();
    router.await.unwrap();
}

#[test]
fn a_runtime_may_end_before_its_sockets() {
    let internet = Internet::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (serve, ask) = parties(&internet);
    let (serve, _ask) = (runtime.spawn(serve), runtime.spawn(ask));
    // Some packets move, and then everything is dropped in the middle of it.
    let in_flight = internet.in_flight();
    for _ in 0..20 {
        if let Some(frame) = block_on(or(in_flight.recv(), async { None })) {
            let _ = internet.deliver(frame);
        }
        thread::yield_now();
    }
    drop(runtime);
    assert!(block_on(serve).unwrap_err().is_cancelled());
}

#[cfg(feature = "tokio")]
mod tokio_clock {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn internet() -> Internet {
        Internet::builder().clock(TokioClock::new()).seed(7).build()
    }

    #[tokio::test]
    async fn in_real_time() {
        in_one_future(internet()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn paused() {
        let start = tokio::time::Instant::now();
        in_one_future(internet()).await;
        assert!(start.elapsed() < secs(60));
    }

    /// A lossy path of 50 ms each way, with tokio's own traits, time-outs and tasks.
    #[tokio::test(start_paused = true)]
    async fn paused_over_a_bad_path() {
        let internet = internet();
        let server = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.1")]).unwrap();
        let client = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.2")]).unwrap();
        let path = Faults { seed: 3, loss: 50, delay: ms(50), jitter: ms(5), ..Faults::default() };
        let mut path = path.path();
        let router = {
            let internet = internet.clone();
            tokio::spawn(async move { internet.route(|internet, frame| path(internet, frame)).await })
        };
        let listener = server.listen_tcp(AT[0]).unwrap();
        let data = noise(9, LEN);
        let serving = tokio::spawn({
            let data = data.clone();
            async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(&data).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        let start = tokio::time::Instant::now();
        let mut stream = client.dial_tcp(AT[0]).await.unwrap();
        let mut got = Vec::new();
        tokio::time::timeout(secs(600), stream.read_to_end(&mut got)).await.unwrap().unwrap();
        assert!(got == data);
        assert!(start.elapsed() >= ms(200), "{:?}", start.elapsed());
        serving.await.unwrap();
        drop(stream);
        // An hour later nothing is left, not even TIME-WAIT.
        tokio::time::sleep(secs(3600)).await;
        for stack in [&server, &client] {
            assert_eq!((stack.stats().connections, stack.stats().time_wait), (0, 0), "{:?}", stack.stats());
        }
        internet.close();
        router.await.unwrap();
    }

    /// Two hundred connections at once over such a path, each with a time-out of tokio's, and a server that sleeps in between.
    #[tokio::test(start_paused = true)]
    async fn paused_with_many_connections() {
        const CONNECTIONS: u64 = 200;
        let internet = internet();
        let server = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.1")]).unwrap();
        let client = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.2")]).unwrap();
        let path = Faults { seed: 4, loss: 30, delay: ms(150), jitter: ms(20), ..Faults::default() };
        let mut path = path.path();
        let router = {
            let internet = internet.clone();
            tokio::spawn(async move { internet.route(|internet, frame| path(internet, frame)).await })
        };
        let listener = server.listen_tcp(AT[0]).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    stream.read_to_end(&mut request).await.unwrap();
                    tokio::time::sleep(secs(5)).await;
                    request.reverse();
                    stream.write_all(&request).await.unwrap();
                    stream.shutdown().await.unwrap();
                });
            }
        });
        let start = tokio::time::Instant::now();
        let asking: Vec<_> = (0..CONNECTIONS)
            .map(|n| {
                let client = client.clone();
                let asking = async move {
                    tokio::time::sleep(ms(10 * n)).await;
                    let mut request = noise(n, 3000);
                    let mut stream = client.dial_tcp(AT[0]).await.unwrap();
                    stream.write_all(&request).await.unwrap();
                    stream.shutdown().await.unwrap();
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer).await.unwrap();
                    request.reverse();
                    assert!(answer == request, "connection {n} got something else");
                };
                tokio::spawn(tokio::time::timeout(secs(120), asking))
            })
            .collect();
        for asking in asking {
            asking.await.unwrap().expect("within two minutes of paused time");
        }
        assert!(start.elapsed() >= secs(7), "{:?}", start.elapsed());
        let stats = internet.stats();
        assert!(stats.withheld() > 20, "{stats:?}");
        // Nothing is left when their TIME-WAIT is over.
        tokio::time::sleep(secs(240)).await;
        for stack in [&server, &client] {
            assert_eq!((stack.stats().connections, stack.stats().time_wait), (0, 0), "{:?}", stack.stats());
        }
        internet.close();
        router.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_dial_that_nobody_answers_times_out_in_tokio_time() {
        let internet = internet();
        let client = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.2")]).unwrap();
        let start = tokio::time::Instant::now();
        let mut dial = std::pin::pin!(client.dial_tcp("10.0.0.1:80"));
        assert_eq!(kind(dial.as_mut().await), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 127);
    }
}

/// A connection with data under way that nobody delivers, and so with timers armed; made on `runtime`.
#[cfg(feature = "tokio")]
fn unfinished(runtime: &tokio::runtime::Runtime) -> (Internet, [Stack; 2], [TcpStream; 2]) {
    runtime.block_on(async {
        let internet = Internet::builder().clock(TokioClock::new()).build();
        let stacks = [SERVER, CLIENT].map(|addrs| internet.new_stack(MTU_ETHERNET, addrs.map(ip)).unwrap());
        let listener = stacks[0].listen_tcp(AT[0]).unwrap();
        let (a, b) = internet.route_until(connect(&listener, &stacks[1]), Internet::deliver).await;
        send(&a, b"never delivered").await.unwrap();
        (internet, stacks, [a, b])
    })
}

#[cfg(feature = "tokio")]
fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[cfg(feature = "tokio")]
#[test]
fn the_last_handle_may_be_dropped_on_another_runtime_or_on_none() {
    for place in ["the same", "another", "a thread without one", "one of another kind"] {
        let first = paused();
        let (internet, stacks, streams) = unfinished(&first);
        let vnics = [0, 1].map(|n| stacks[n].vnic().clone());
        let drop_all = move || drop((streams, stacks));
        match place {
            "the same" => first.block_on(async { drop_all() }),
            "another" => paused().block_on(async { drop_all() }),
            "a thread without one" => thread::spawn(drop_all).join().unwrap(),
            _ => block_on(async { drop_all() }),
        }
        // What is left has a time limit, by the timers of the first.
        first.block_on(internet.clock().sleep(secs(3600)));
        assert!(vnics.iter().all(Vnic::is_closed), "dropped on {place}, a stack did not close itself");
        drop((internet, first));
    }
}

#[cfg(feature = "tokio")]
#[test]
fn handles_may_outlive_the_runtime_and_be_dropped_on_another() {
    for inside in [false, true] {
        let first = paused();
        let (internet, stacks, streams) = unfinished(&first);
        let vnics = [0, 1].map(|n| stacks[n].vnic().clone());
        drop(first);
        // No timer can fire any more, so a stack is closed by its user or not at all.
        let close = move || {
            drop(streams);
            stacks.iter().for_each(Stack::close);
            drop(stacks);
        };
        if inside {
            paused().block_on(async { close() })
        } else {
            close()
        }
        assert!(vnics.iter().all(Vnic::is_closed));
        drop(internet);
    }
}
