//! The examples of uis; see the `[[example]]` entries.
