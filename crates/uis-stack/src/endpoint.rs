//! Addresses as callers write them, and as sockets show them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What names an endpoint: an address and a port.
///
/// A literal only, such as `"10.0.0.1:80"` or `"[2001:db8::1]:443"`: nothing is ever looked up.
///
/// ```
/// use uis_stack::ToEndpoint;
///
/// assert_eq!("10.0.0.1:80".to_endpoint()?, ([10, 0, 0, 1], 80).to_endpoint()?);
/// let error = "example.com:80".to_endpoint().unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
/// # std::io::Result::Ok(())
/// ```
pub trait ToEndpoint {
    /// The endpoint.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a string that is no `ip:port` literal, a host name for instance.
    fn to_endpoint(&self) -> io::Result<SocketAddr>;
}

impl ToEndpoint for SocketAddr {
    fn to_endpoint(&self) -> io::Result<SocketAddr> {
        Ok(*self)
    }
}

impl ToEndpoint for SocketAddrV4 {
    fn to_endpoint(&self) -> io::Result<SocketAddr> {
        Ok((*self).into())
    }
}

impl ToEndpoint for SocketAddrV6 {
    fn to_endpoint(&self) -> io::Result<SocketAddr> {
        Ok((*self).into())
    }
}

impl ToEndpoint for (IpAddr, u16) {
    fn to_endpoint(&self) -> io::Result<SocketAddr> {
        Ok((*self).into())
    }
}

impl ToEndpoint for (Ipv4Addr, u16) {
    fn to_endpoint(&self) -> io::Result<SocketAddr> {
        Ok((*self).into())
    }
}

impl ToEndpoint for (Ipv6Addr, u16) {
    fn to_endpoint(&self) -> io::Result<SocketAddr> {
        Ok((*self).into())
    }
}

impl ToEndpoint for ([u8; 4], u16) {
    fn to_endpoint(&self) -> io::Result<SocketAddr> {
        Ok((*self).into())
    }
}

impl ToEndpoint for str {
    fn to_endpoint(&self) -> io::Result<SocketAddr> {
        self.parse().map_err(|_| {
            let text = format!("{self:?} is no IP address and port; names are not looked up");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })
    }
}

impl ToEndpoint for String {
    fn to_endpoint(&self) -> io::Result<SocketAddr> {
        self.as_str().to_endpoint()
    }
}

impl<T: ToEndpoint + ?Sized> ToEndpoint for &T {
    fn to_endpoint(&self) -> io::Result<SocketAddr> {
        (**self).to_endpoint()
    }
}

/// `addr` as a socket that stands for both families shows it (RFC 3493 §3.7).
pub(crate) fn shown(addr: SocketAddr, mapped: bool) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if mapped => SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port()),
        _ => addr,
    }
}

/// `addr` as it is on the wire: without a flow label or scope, and v4-mapped addresses as what they map.
pub(crate) fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// Whether `ip` can be the address of one host.
pub(crate) fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && ip.octets()[0] < 240,
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    }
}

/// An endpoint to send to: of a unicast address and a port that is not 0.
pub(crate) fn check_peer(to: SocketAddr) -> io::Result<SocketAddr> {
    let to = plain(to);
    if to.port() == 0 || !is_unicast(to.ip()) {
        return Err(invalid(format!("{to} is no address and port to send to")));
    }
    Ok(to)
}

/// An `InvalidInput` error.
pub(crate) fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_nothing_else() {
        assert_eq!("[::1]:5".to_endpoint().unwrap(), (Ipv6Addr::LOCALHOST, 5).to_endpoint().unwrap());
        assert_eq!(String::from("1.2.3.4:5").to_endpoint().unwrap(), SocketAddr::from(([1, 2, 3, 4], 5)));
        for bad in
            ["", "localhost:80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "::1:80:x", "1.2.3.4:http", ":80"]
        {
            assert_eq!(bad.to_endpoint().unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
    }

    #[test]
    fn peers() {
        assert_eq!(check_peer("[::ffff:1.2.3.4]:5".parse().unwrap()).unwrap(), "1.2.3.4:5".parse().unwrap());
        for bad in [
            "1.2.3.4:0",
            "0.0.0.0:1",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "240.0.0.1:1",
            "[::]:1",
            "[ff02::1]:1",
        ] {
            assert_eq!(
                check_peer(bad.parse().unwrap()).unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "{bad}"
            );
        }
    }
}
