//! Where requests may go: to the provider's own host, on the internet.
//!
//! A DNS answer or a redirect to another address could reach servers that only this machine can reach. The resolver
//! that checks the addresses is also the one that connects, so that no second DNS answer can differ from the checked
//! one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, bail};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Url, redirect};
use service::secret::without_credentials;

/// Most redirects of one request.
const MAX_REDIRECTS: usize = 3;

/// Networks that are not on the internet: first address and prefix length (RFC 6890 and what it lists).
const SPECIAL_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Carrier-grade NAT.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, and the metadata servers of clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast and reserved.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];
/// The only IPv6 addresses that are assigned. IPv4 addresses within them are checked as such.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const SPECIAL_V6: &[(Ipv6Addr, u32)] = &[
    // Teredo and other protocol assignments.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an address is on the internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|(network, bits)| {
            let mask = u32::MAX << (32 - bits);
            address.to_bits() & mask == network.to_bits()
        }),
        IpAddr::V6(address) => {
            let is_in =
                |(network, bits): &(Ipv6Addr, u32)| (address.to_bits() ^ network.to_bits()) >> (128 - bits) == 0;
            match embedded(address) {
                Some(embedded) => is_public(IpAddr::V4(embedded)),
                None => is_in(&GLOBAL_V6) && !SPECIAL_V6.iter().any(is_in),
            }
        }
    }
}

/// The IPv4 address that an IPv6 address maps to: by mapping, NAT64 or 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => Some(low(a, b)),
        _ => None,
    }
}

/// Resolves names as the system does, and leaves out addresses that are not on the internet.
#[derive(Debug)]
pub(super) struct PublicAddresses;

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(format!("`{}` has no address on the internet", name.as_str()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Follows redirects to the same host and port over HTTPS; any other redirect is returned as the response.
pub(super) fn redirects() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let is_followed = attempt.previous().len() <= MAX_REDIRECTS
            && attempt.previous().last().is_some_and(|from| is_same_place(from, attempt.url()));
        if is_followed { attempt.follow() } else { attempt.stop() }
    })
}

fn is_same_place(from: &Url, to: &Url) -> bool {
    let place = |url: &Url| (url.scheme() == "https", url.host_str().map(str::to_owned), url.port_or_known_default());
    to.scheme() == "https" && to.username().is_empty() && place(from) == place(to)
}

/// Whether the address from a variable is on this machine; an error if it must not be used.
pub(super) fn check_address(variable: &str, own: &str, address: &str) -> anyhow::Result<bool> {
    let shown = without_credentials(address);
    let url = Url::parse(address);
    let url = url.with_context(|| format!("`{variable}` is `{shown}`, which is not an address"))?;
    let is_own = address == own;
    match url.scheme() {
        "https" => {}
        "http" if !is_own => {}
        // A folder: opening it shows whether it can be read.
        "file" if own.starts_with(sources::source::SCHEME) => return Ok(true),
        _ => bail!("`{variable}` is `{shown}`, which does not begin with `https://` or `http://`"),
    }
    Ok(matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")))
}

#[cfg(test)]
mod tests;
