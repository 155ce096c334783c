//! What the application of the stack under test does, and what it has to see.

use std::io::{self, ErrorKind};

use super::Script;
use super::segment::stream;

impl Script {
    pub fn listen(&mut self) {
        self.note("#", "listen");
        self.host.listen();
    }

    /// A connection is there, and is accepted.
    #[track_caller]
    pub fn accept(&mut self) {
        self.note("#", "accept");
        if !self.host.accept() {
            self.fail("expected a connection to accept");
        }
        self.collect();
    }

    /// No connection is there to be accepted.
    #[track_caller]
    pub fn accept_none(&mut self) {
        if self.host.accept() {
            self.fail("expected no connection");
        }
    }

    /// Dials the peer.
    pub fn connect(&mut self) {
        self.note("#", "connect");
        self.host.connect();
        self.collect();
    }

    /// The dial has succeeded.
    #[track_caller]
    pub fn connected(&mut self) {
        self.note("#", "connected?");
        match self.host.connected() {
            Some(Ok(())) => {}
            other => self.fail(&format!("expected the dial to have succeeded, not {other:?}")),
        }
    }

    /// The dial has not ended.
    #[track_caller]
    pub fn connecting(&mut self) {
        if let Some(result) = self.host.connected() {
            self.fail(&format!("expected the dial to go on, not {result:?}"));
        }
    }

    /// The dial has failed.
    #[track_caller]
    pub fn connect_fails(&mut self, kind: ErrorKind) {
        self.note("#", "connected?");
        match self.host.connected() {
            Some(Err(error)) if error.kind() == kind => {}
            other => self.fail(&format!("expected the dial to fail with {kind:?}, not {other:?}")),
        }
    }

    /// Writes that many bytes, all of which are taken.
    #[track_caller]
    pub fn write(&mut self, len: usize) {
        let taken = self.write_some(len);
        if taken != len {
            self.fail(&format!("expected {len} bytes to be taken, not {taken}"));
        }
    }

    /// Writes up to that many bytes, and says how many were taken.
    #[track_caller]
    pub fn write_some(&mut self, len: usize) -> usize {
        self.note("#", &format!("write {len}"));
        match self.host.write(&stream(self.written, len)) {
            Ok(n) => {
                self.written += n as i64;
                self.collect();
                n
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => self.fail(&format!("the write failed: {error:?}")),
        }
    }

    /// A write fails.
    #[track_caller]
    pub fn write_fails(&mut self, kind: ErrorKind) {
        self.note("#", "write?");
        match self.host.write(b"x") {
            Err(error) if error.kind() == kind => {}
            other => self.fail(&format!("expected the write to fail with {kind:?}, not {other:?}")),
        }
    }

    /// Reads exactly that many bytes, which are there and are the right ones.
    #[track_caller]
    pub fn read(&mut self, len: usize) {
        let all = self.read_up_to(len);
        if all != len {
            self.fail(&format!("expected {len} bytes to read, not {all}"));
        }
    }

    /// Reads what there is, up to that many bytes.
    #[track_caller]
    pub fn read_up_to(&mut self, len: usize) -> usize {
        self.note("#", &format!("read {len}"));
        let mut got = 0;
        while got < len {
            let mut buf = vec![0; len - got];
            match self.host.read(&mut buf) {
                Ok(0) => break,
                Ok(n) => {
                    if buf[..n] != stream(self.read, n) {
                        self.fail(&format!("wrong bytes at {}", self.read));
                    }
                    got += n;
                    self.read += n as i64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => self.fail(&format!("the read failed: {error:?}")),
            }
        }
        self.collect();
        got
    }

    /// There is nothing to read, and the stream is not over.
    #[track_caller]
    pub fn read_none(&mut self) {
        match self.try_read() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => self.fail(&format!("expected nothing to read, not {other:?}")),
        }
    }

    /// The stream has ended.
    #[track_caller]
    pub fn read_eof(&mut self) {
        self.note("#", "end?");
        match self.try_read() {
            Ok(0) => {}
            other => self.fail(&format!("expected the end of the stream, not {other:?}")),
        }
    }

    /// The stream has broken.
    #[track_caller]
    pub fn read_fails(&mut self, kind: ErrorKind) {
        self.note("#", "broken?");
        match self.try_read() {
            Err(error) if error.kind() == kind => {}
            other => self.fail(&format!("expected the read to fail with {kind:?}, not {other:?}")),
        }
    }

    fn try_read(&mut self) -> io::Result<usize> {
        let result = self.host.read(&mut [0; 64]);
        self.collect();
        result
    }

    /// Closes the send half.
    pub fn close(&mut self) {
        self.note("#", "close");
        self.host.close();
        self.collect();
    }

    pub fn abort(&mut self) {
        self.note("#", "abort");
        self.host.abort();
        self.collect();
    }

    /// Lets go of the connection.
    pub fn drop_stream(&mut self) {
        self.note("#", "drop");
        self.host.drop_stream();
        self.collect();
    }
}
