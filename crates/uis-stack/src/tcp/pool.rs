//! Engines to use again: a megabyte of buffer costs more to make and to drop than a connection does to run.

use parking_lot::Mutex;

use super::engine::Engine;

/// Bytes that a stack keeps for connections to come.
const MAX_BYTES: usize = 64 << 20;

/// What an engine takes besides its buffers, and the beginnings of these.
const ENGINE: usize = 16 << 10;

/// The spare engines of a stack, all with buffers of the sizes of its configuration. Its lock is a leaf.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Spares>);

#[derive(Debug, Default)]
#[allow(clippy::vec_box)] // an engine is made in its box and stays there
struct Spares {
    engines: Vec<Box<Engine>>,
    bytes: usize,
}

impl Pool {
    /// A spare, if there is one.
    pub(crate) fn take(&self) -> Option<Box<Engine>> {
        let mut spares = self.0.lock();
        let engine = spares.engines.pop()?;
        spares.bytes -= weight(&engine);
        Some(engine)
    }

    /// Keeps an engine, if it is fit for it and there is room.
    pub(crate) fn give(&self, engine: Box<Engine>) {
        let Some(spare) = engine.into_spare() else { return };
        let mut spares = self.0.lock();
        let bytes = spares.bytes + weight(&spare);
        if bytes <= MAX_BYTES {
            spares.bytes = bytes;
            spares.engines.push(spare);
        }
    }

    /// Drops all spares.
    pub(crate) fn clear(&self) {
        let spares = std::mem::take(&mut *self.0.lock());
        drop(spares);
    }
}

fn weight(engine: &Engine) -> usize {
    ENGINE + engine.touched()
}
