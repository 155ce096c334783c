//! The thread that owns the writer. Whatever the writer does (fail, block, panic) stays in here, and
//! comes out as one `io::Error`.

use std::any::Any;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crate::format::Format;
use crate::queue::Queue;

/// Starts the thread. If there is no thread to be had, that is the trace's first error.
pub(crate) fn spawn(queue: &Arc<Queue>, format: Format, writer: impl Write + Send + 'static) {
    let theirs = Arc::clone(queue);
    let spawned = thread::Builder::new().name("uis-pcap".into()).spawn(move || run(&theirs, format, writer));
    if let Err(error) = spawned {
        queue.abandon();
        queue.finish(Err(error));
    }
}

fn run(queue: &Queue, format: Format, mut writer: impl Write) {
    queue.writer_started();
    let written = guarded(|| write_all(queue, format, &mut writer));
    // Before anything else that may take its time: after an error nothing more is taken in.
    queue.abandon();
    let dropped = guarded(|| {
        drop(writer);
        Ok(())
    });
    queue.finish(written.and(dropped));
}

fn write_all(queue: &Queue, format: Format, writer: &mut impl Write) -> io::Result<()> {
    writer.write_all(&format.header()?)?;
    while let Some(chunk) = queue.next() {
        writer.write_all(chunk.bytes())?;
        queue.written(chunk);
    }
    writer.flush()
}

/// Runs what is the caller's code and turns its panic into an error.
fn guarded(work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    // Unwind safety: after a panic the writer is only dropped, and the queue is only told so.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panic_error(&*panic)))
}

fn panic_error(panic: &(dyn Any + Send)) -> io::Error {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    io::Error::other(format!("the capture's writer panicked: {message}"))
}
