//! Engines to use again: a megabyte of buffer costs more to make and to drop than a connection does to run.

use parking_lot::Mutex;

use super::engine::Engine;

/// Bytes that a stack keeps for connections to come.
const MAX_BYTES: usize = 64 << 20;

/// What an engine takes.
const ENGINE: usize = 4 << 10;
/// What its rings take before anything is written to them.
const RINGS: usize = 12 << 10;

/// The spare engines of a stack, with rings of the sizes of its configuration, or without any. Its lock is a leaf.
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
    let rings = if engine.has_rings() { RINGS } else { 0 };
    ENGINE + rings + engine.touched()
}
