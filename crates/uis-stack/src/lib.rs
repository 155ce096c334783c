//! The TCP/IP stack of uis: streams, listeners and datagram sockets over a virtual network interface
