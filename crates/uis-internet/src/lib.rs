//! The virtual internet of uis: routes, packets in flight, delivery
