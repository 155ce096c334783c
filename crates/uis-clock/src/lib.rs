//! The clocks of uis: system time, virtual time and tokio's time behind one handle
