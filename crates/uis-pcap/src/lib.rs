//! Packet captures for uis: pcap files of raw IP packets
