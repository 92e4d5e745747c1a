//! What the tests share.

pub(crate) mod textproto;

use jinwu_cel::{Opaque, Value};

/// A value written so that two implementations can be compared; `lab/cel/golden.go` writes the same.
pub(crate) fn show(value: &Value<'_>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => format!("{value}u"),
        Value::Double(value) => format!("double({:016x})", value.to_bits()),
        Value::String(text) => format!("{}s", hex(text.as_str().as_bytes())),
        Value::Bytes(bytes) => format!("{}b", hex(bytes)),
        Value::Timestamp(time) => format!("timestamp({}.{:09})", time.second(), time.subsecond()),
        Value::Duration(duration) => format!("duration({})", duration.nanoseconds()),
        Value::Type(name) => format!("type({name})"),
        Value::Optional(None) => "none".into(),
        Value::Optional(Some(inner)) => format!("some({})", show(inner)),
        Value::List(list) => format!("[{}]", list.iter().map(|v| show(&v)).collect::<Vec<_>>().join(",")),
        Value::Map(map) => {
            let mut entries: Vec<String> = map.iter().map(|(k, v)| format!("{}:{}", show(&k), show(&v))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
        Value::Opaque(opaque) => match opaque.as_ref() {
            Opaque::Ip(address) => format!("ip({address})"),
            Opaque::Cidr(cidr) => format!("cidr({cidr})"),
            _ => value.type_name().into(),
        },
    }
}
