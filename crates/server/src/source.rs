//! The true source address of a request.
//!
//! X-Forwarded-For is believed only from trusted proxies, and only its last entry that is not
//! itself a trusted proxy: what a client writes there is never believed.

use crate::config::ConfigError;
use http::HeaderMap;
use std::net::IpAddr;

/// A network by prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl std::str::FromStr for Cidr {
    type Err = ConfigError;
    fn from_str(s: &str) -> Result<Self, ConfigError> {
        let bad = || ConfigError::Proxy(s.to_owned());
        let (address, prefix) = s.split_once('/').map_or((s, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), |p| p.parse().map_err(|_| bad()))?;
        if prefix > most { Err(bad()) } else { Ok(Cidr { address, prefix }) }
    }
}

impl Cidr {
    pub fn contains(&self, ip: IpAddr) -> bool {
        fn bits(ip: IpAddr) -> (u128, u8) {
            match ip {
                IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
                IpAddr::V6(v6) => (u128::from(v6), 128),
            }
        }
        let ((a, width), (b, other)) = (bits(self.address), bits(ip.to_canonical()));
        width == other && (self.prefix == 0 || (a ^ b) >> (128 - u32::from(self.prefix)) == 0)
    }
}

/// The address a request came from, past trusted proxies.
pub fn true_source(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.iter().any(|c| c.contains(peer)) {
        return peer;
    }
    let mut source = peer;
    let entries = headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    for entry in entries.collect::<Vec<_>>().into_iter().rev() {
        let Ok(ip) = entry.trim().parse::<IpAddr>() else { break };
        source = ip.to_canonical();
        if !trusted.iter().any(|c| c.contains(source)) {
            break;
        }
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<Cidr> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "1.2.3.4, 198.51.100.7, 10.1.1.1".parse().unwrap());
        let source = |peer: &str| true_source(peer.parse().unwrap(), &headers, &trusted).to_string();
        assert_eq!(source("203.0.113.9"), "203.0.113.9", "an untrusted peer speaks for itself");
        assert_eq!(source("10.9.9.9"), "198.51.100.7", "the last entry that is no proxy; what the client wrote before it is ignored");
        assert_eq!(source("fd00::1"), "198.51.100.7");
        assert_eq!(source("::ffff:10.0.0.1"), "198.51.100.7", "mapped addresses are the same addresses");
        headers.insert("x-forwarded-for", "nonsense".parse().unwrap());
        assert_eq!(true_source("10.0.0.1".parse().unwrap(), &headers, &trusted).to_string(), "10.0.0.1");
        for bad in ["10.0.0.0/33", "x/8", "", "10.0.0.0/-1"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
