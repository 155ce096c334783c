//! Whole hosts: stacks with a Vnic and a route each.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

use uis_stack::{Stack, StackConfig};

use crate::Internet;

impl Internet {
    /// A host: a stack with these addresses, of either family, on a Vnic of its own, and the routes to it.
    ///
    /// When the stack closes, its addresses are free again.
    ///
    /// # Errors
    ///
    /// - [`AddrInUse`](io::ErrorKind::AddrInUse) if another host has one of the addresses.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput) if one of them is not the address of a host, or given twice; if
    ///   `mtu` is not within 576–65,535 bytes, or below 1280 with an IPv6 address.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown) after [`close`](Self::close).
    ///
    /// Then nothing of it is left behind.
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use futures_lite::future::try_zip;
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use uis_internet::Internet;
    /// use uis_vnic::MTU_ETHERNET;
    ///
    /// let internet = Internet::new();
    /// let server = internet.new_stack(MTU_ETHERNET, ["10.0.0.1".parse()?])?;
    /// let client = internet.new_stack(MTU_ETHERNET, ["10.0.0.2".parse()?])?;
    ///
    /// let listener = server.listen_tcp("10.0.0.1:80")?;
    /// let serve = async {
    ///     let (mut conn, _peer) = listener.accept().await?;
    ///     conn.write_all(b"Hello, world!").await?;
    ///     conn.close().await
    /// };
    /// let fetch = async {
    ///     let mut conn = client.dial_tcp("10.0.0.1:80").await?;
    ///     let mut text = String::new();
    ///     conn.read_to_string(&mut text).await?;
    ///     std::io::Result::Ok(text)
    /// };
    /// let ((), text) = internet.route_until(try_zip(serve, fetch), Internet::deliver).await?;
    /// assert_eq!(text, "Hello, world!");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[doc(alias("host", "node"))]
    pub fn new_stack(&self, mtu: u32, addrs: impl IntoIterator<Item = IpAddr>) -> io::Result<Stack> {
        self.new_stack_with(mtu, addrs, StackConfig::default())
    }

    /// As [`new_stack`](Self::new_stack), with settings. If they have no seed, the stack gets one that follows from the
    /// internet's and from how many stacks this internet was asked for before.
    ///
    /// # Errors
    ///
    /// As those of [`new_stack`](Self::new_stack), and [`InvalidInput`](io::ErrorKind::InvalidInput) for settings that
    /// no stack can work with.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// # use uis_vnic::MTU_ETHERNET;
    /// use uis_stack::StackConfig;
    ///
    /// let internet = Internet::new();
    /// let config = StackConfig::small().ttl(3);
    /// let stack = internet.new_stack_with(MTU_ETHERNET, ["fd00::1".parse()?], config)?;
    /// # drop(stack);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new_stack_with(
        &self,
        mtu: u32,
        addrs: impl IntoIterator<Item = IpAddr>,
        config: StackConfig,
    ) -> io::Result<Stack> {
        let addrs: Vec<IpAddr> = addrs.into_iter().collect();
        let ordinal = self.inner.stacks.fetch_add(1, Ordering::Relaxed);
        let vnic = self.new_vnic(mtu)?;
        let config = config.seed_or(derived_seed(self.seed(), ordinal));
        let stack = Stack::with_config(vnic, addrs.iter().copied(), config)?;
        // Last, so that nothing is delivered to a stack that is not there yet.
        self.add_route(stack.vnic(), addrs).inspect_err(|_| stack.close())?;
        Ok(stack)
    }

    /// Gives a stack one more address: the address and the route to it, or neither.
    ///
    /// # Errors
    ///
    /// - [`AddrInUse`](io::ErrorKind::AddrInUse) if some host has it already, be it this one.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not the address of a host, or of IPv6 while the MTU is
    ///   below 1280.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown) if the stack or the internet is closed.
    ///
    /// ```
    /// # use std::net::IpAddr;
    /// # use uis_internet::Internet;
    /// # use uis_vnic::MTU_ETHERNET;
    /// let internet = Internet::new();
    /// let old = internet.new_stack(MTU_ETHERNET, ["10.0.0.1".parse()?, "10.0.0.9".parse()?])?;
    /// let new = internet.new_stack(MTU_ETHERNET, ["10.0.0.2".parse()?])?;
    ///
    /// // The address moves from one host to the other.
    /// let service: IpAddr = "10.0.0.9".parse()?;
    /// internet.unassign(&old, service)?;
    /// internet.assign(&new, service)?;
    /// assert!(new.addrs().contains(&service));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn assign(&self, to: &Stack, addr: IpAddr) -> io::Result<()> {
        // The route first: whether the address is free is known here only.
        self.add_route(to.vnic(), [addr])?;
        to.add_addr(addr).inspect_err(|_| {
            self.inner.routes.remove(addr, Some(to.vnic().id()));
        })
    }

    /// Takes an address from a stack, and the route to it with it. Its connections are not told.
    ///
    /// # Errors
    ///
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if the stack does not have it.
    ///
    /// ```
    /// # use std::io;
    /// # use std::net::IpAddr;
    /// # use uis_internet::Internet;
    /// # use uis_vnic::MTU_ETHERNET;
    /// # let internet = Internet::new();
    /// let addr: IpAddr = "10.0.0.1".parse()?;
    /// let stack = internet.new_stack(MTU_ETHERNET, [addr])?;
    /// internet.unassign(&stack, addr)?;
    /// assert_eq!(internet.unassign(&stack, addr).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unassign(&self, from: &Stack, addr: IpAddr) -> io::Result<()> {
        from.remove_addr(addr)?;
        self.inner.routes.remove(addr, Some(from.vnic().id()));
        Ok(())
    }
}

/// A seed for the stack with this number. A bijection for each seed of the internet, so no two of its stacks share one.
fn derived_seed(seed: u64, ordinal: u64) -> u64 {
    mix(mix(seed).wrapping_add(ordinal))
}

/// Sebastiano Vigna's SplitMix64 step. What it makes of a seed is part of what a replay relies on.
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_promised_and_distinct() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf, "the first of SplitMix64 with seed 0");
        let mut seeds: Vec<u64> =
            (0..8).flat_map(|seed| (0..100).map(move |n| derived_seed(seed, n))).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 800);
    }
}
