//! Engines to use again: a megabyte of buffer costs more to make and to drop than a connection does to run.

use parking_lot::Mutex;

use super::engine::Engine;

/// Bytes of buffer that a stack keeps for connections to come.
const MAX_BYTES: usize = 64 << 20;

/// The spare engines of a stack, all with buffers of the sizes of its configuration. Its lock is a leaf.
#[derive(Debug, Default)]
#[allow(clippy::vec_box)] // an engine is made in its box and stays there
pub(crate) struct Pool(Mutex<Vec<Box<Engine>>>);

impl Pool {
    /// A spare, if there is one.
    pub(crate) fn take(&self) -> Option<Box<Engine>> {
        self.0.lock().pop()
    }

    /// Keeps an engine, if it is fit for it and there is room.
    pub(crate) fn give(&self, engine: Box<Engine>) {
        let Some(spare) = engine.into_spare() else { return };
        let mut spares = self.0.lock();
        if (spares.len() + 1).saturating_mul(spare.buffers()) <= MAX_BYTES {
            spares.push(spare);
        }
    }

    /// Drops all spares.
    pub(crate) fn clear(&self) {
        let spares = std::mem::take(&mut *self.0.lock());
        drop(spares);
    }
}
