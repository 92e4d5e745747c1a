//! IP addresses and networks: since Kubernetes 1.30.

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::types::Signature::{self as S, Bool, Int, Opaque, String};
use crate::value::{self, Value};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const IP: S = Opaque("net.IP");
const CIDR: S = Opaque("net.CIDR");

const fn method(function: &'static str, id: &'static str, parameters: &'static [S], result: S, run: super::Run) -> Overload {
    Overload::method(function, id, parameters, result, run).since(30)
}

pub(super) static TABLE: &[Overload] = &[
    Overload::function("ip", "string_to_ip", &[String], IP, ip).since(30),
    Overload::function("isIP", "is_ip", &[String], Bool, is_ip).since(30),
    Overload::function("ip.isCanonical", "ip_is_canonical", &[String], Bool, is_canonical).since(30),
    method("family", "ip_family", &[IP], Int, family),
    method("isUnspecified", "ip_is_unspecified", &[IP], Bool, is_unspecified),
    method("isLoopback", "ip_is_loopback", &[IP], Bool, is_loopback),
    method("isLinkLocalMulticast", "ip_is_link_local_multicast", &[IP], Bool, is_link_local_multicast),
    method("isLinkLocalUnicast", "ip_is_link_local_unicast", &[IP], Bool, is_link_local_unicast),
    method("isGlobalUnicast", "ip_is_global_unicast", &[IP], Bool, is_global_unicast),
    Overload::function("cidr", "string_to_cidr", &[String], CIDR, cidr).since(30),
    Overload::function("isCIDR", "is_cidr", &[String], Bool, is_cidr).since(30),
    method("containsIP", "cidr_contains_ip_string", &[CIDR, String], Bool, contains_ip),
    method("containsIP", "cidr_contains_ip_ip", &[CIDR, IP], Bool, contains_ip),
    method("containsCIDR", "cidr_contains_cidr_string", &[CIDR, String], Bool, contains_cidr),
    method("containsCIDR", "cidr_contains_cidr", &[CIDR, CIDR], Bool, contains_cidr),
    method("ip", "cidr_ip", &[CIDR], IP, cidr_ip),
    method("prefixLength", "cidr_prefix_length", &[CIDR], Int, prefix_length),
    method("masked", "cidr_masked", &[CIDR], CIDR, masked),
];

/// An address with the number of bits that name the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub(crate) address: IpAddr,
    pub(crate) length: u8,
}

// === impl Cidr ===

impl Cidr {
    fn read(text: &str) -> Option<Cidr> {
        let (address, length) = text.rsplit_once('/')?;
        let address = address_of(address)?;
        let plain = !length.is_empty() && length.len() <= 3 && length.bytes().all(|b| b.is_ascii_digit());
        if !plain || (length.len() > 1 && length.starts_with('0')) {
            return None;
        }
        let length: u8 = length.parse().ok()?;
        (length <= if address.is_ipv4() { 32 } else { 128 }).then_some(Cidr { address, length })
    }

    fn masked(self) -> Cidr {
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Cidr { address, length: self.length }
    }

    fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Cidr { address, ..self }.masked() == self.masked()
    }

    fn covers(self, other: Cidr) -> bool {
        self.length <= other.length && self.contains(other.address)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// An address without zone; IPv4 written as IPv6 is refused.
fn address_of(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => None,
        address => Some(address),
    }
}

fn text<'v>(arguments: &'v [Value<'_>]) -> Outcome<&'v str> {
    match arguments {
        [Value::String(text)] => Ok(text.as_str()),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn shown(text: &str) -> std::string::String {
    text.chars().take(64).collect()
}

fn required_address(text: &str) -> Outcome<IpAddr> {
    match address_of(text) {
        Some(address) => Ok(address),
        None => fail(format!("{:?} is no IP address; zones and IPv4-mapped IPv6 are not allowed", shown(text))),
    }
}

fn required_cidr(text: &str) -> Outcome<Cidr> {
    match Cidr::read(text) {
        Some(cidr) => Ok(cidr),
        None => fail(format!("{:?} is no network such as 192.0.2.0/24", shown(text))),
    }
}

fn the_ip(arguments: &[Value<'_>]) -> Outcome<IpAddr> {
    match arguments.first() {
        Some(Value::Opaque(opaque)) => match opaque.as_ref() {
            value::Opaque::Ip(address) => Ok(*address),
            _ => Err(EvaluationError::no_overload()),
        },
        _ => Err(EvaluationError::no_overload()),
    }
}

fn the_cidr(arguments: &[Value<'_>]) -> Outcome<Cidr> {
    match arguments.first() {
        Some(Value::Opaque(opaque)) => match opaque.as_ref() {
            value::Opaque::Cidr(cidr) => Ok(*cidr),
            _ => Err(EvaluationError::no_overload()),
        },
        _ => Err(EvaluationError::no_overload()),
    }
}

fn ip<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::opaque(value::Opaque::Ip(required_address(text(arguments)?)?)))
}

fn is_ip<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(address_of(text(arguments)?).is_some()))
}

fn is_canonical<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let text = text(arguments)?;
    Ok(Value::Bool(required_address(text)?.to_string() == text))
}

fn family<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Int(if the_ip(arguments)?.is_ipv4() { 4 } else { 6 }))
}

fn is_unspecified<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(the_ip(arguments)?.is_unspecified()))
}

fn is_loopback<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(the_ip(arguments)?.is_loopback()))
}

fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_link_local_multicast<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(match the_ip(arguments)? {
        IpAddr::V4(v4) => v4.octets().starts_with(&[224, 0, 0]),
        IpAddr::V6(v6) => v6.segments().first().is_some_and(|s| s & 0xff0f == 0xff02),
    }))
}

fn is_link_local_unicast<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(link_local(the_ip(arguments)?)))
}

fn is_global_unicast<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let address = the_ip(arguments)?;
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    Ok(Value::Bool(!(broadcast || address.is_unspecified() || address.is_loopback() || address.is_multicast() || link_local(address))))
}

fn cidr<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::opaque(value::Opaque::Cidr(required_cidr(text(arguments)?)?)))
}

fn is_cidr<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(Cidr::read(text(arguments)?).is_some()))
}

fn contains_ip<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let cidr = the_cidr(arguments)?;
    let rest = arguments.get(1..).unwrap_or_default();
    let address = match rest {
        [Value::String(text)] => required_address(text.as_str())?,
        rest => the_ip(rest)?,
    };
    Ok(Value::Bool(cidr.contains(address)))
}

fn contains_cidr<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let cidr = the_cidr(arguments)?;
    let rest = arguments.get(1..).unwrap_or_default();
    let other = match rest {
        [Value::String(text)] => required_cidr(text.as_str())?,
        rest => the_cidr(rest)?,
    };
    Ok(Value::Bool(cidr.covers(other)))
}

fn cidr_ip<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::opaque(value::Opaque::Ip(the_cidr(arguments)?.address)))
}

fn prefix_length<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Int(i64::from(the_cidr(arguments)?.length)))
}

fn masked<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::opaque(value::Opaque::Cidr(the_cidr(arguments)?.masked())))
}
