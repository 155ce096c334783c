//! The link layer of uis: raw IP frames and the virtual network interfaces that exchange them
