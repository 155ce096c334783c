//! What tests of programs that get nowhere have in common.
#![allow(unreachable_pub)]

use std::io;

use futures_lite::future::try_zip;
use uis_sim::{Sim, Stuck};
use uis_stack::{StackConfig, TcpStream};

/// The report says all of this.
#[track_caller]
pub fn assert_tells(stuck: &Stuck, parts: &[&str]) {
    let text = stuck.to_string();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

/// A connection: the end of the server at 10.0.0.1:80, and that of the client at 10.0.0.2.
pub async fn connect(sim: &Sim, config: StackConfig) -> io::Result<(TcpStream, TcpStream)> {
    let host = |addr: &str| sim.new_stack_with(1500, [addr.parse().unwrap()], config.clone());
    let (server, client) = (host("10.0.0.1")?, host("10.0.0.2")?);
    let listener = server.listen_tcp("10.0.0.1:80")?;
    let ((accepted, _), dialled) = try_zip(listener.accept(), client.dial_tcp("10.0.0.1:80")).await?;
    Ok((accepted, dialled))
}
