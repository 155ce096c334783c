//! `TokioClock` inside real runtimes: paused, running, shut down.
