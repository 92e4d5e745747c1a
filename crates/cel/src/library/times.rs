//! Timestamps and durations: reading, writing, their parts.

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::types::Signature::{self as S, Duration, Int, String, Timestamp};
use crate::value::{self, Value};
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use std::sync::LazyLock;

const fn part(function: &'static str, id: &'static str, parameters: &'static [S], run: super::Run) -> Overload {
    Overload::method(function, id, parameters, Int, run)
}

/// The forms of one part of a timestamp, in UTC and in a named zone.
macro_rules! parts {
    ($function:literal, $short:literal, $long:literal, $run:ident) => {
        [part($function, $short, &[Timestamp], $run), part($function, $long, &[Timestamp, String], $run)]
    };
}

static PARTS: [[Overload; 2]; 10] = [
    parts!("getFullYear", "timestamp_to_year", "timestamp_to_year_with_tz", year),
    parts!("getMonth", "timestamp_to_month", "timestamp_to_month_with_tz", month),
    parts!("getDayOfYear", "timestamp_to_day_of_year", "timestamp_to_day_of_year_with_tz", day_of_year),
    parts!("getDayOfMonth", "timestamp_to_day_of_month", "timestamp_to_day_of_month_with_tz", day_of_month),
    parts!("getDate", "timestamp_to_day_of_month_1_based", "timestamp_to_day_of_month_1_based_with_tz", date),
    parts!("getDayOfWeek", "timestamp_to_day_of_week", "timestamp_to_day_of_week_with_tz", day_of_week),
    parts!("getHours", "timestamp_to_hours", "timestamp_to_hours_with_tz", hours),
    parts!("getMinutes", "timestamp_to_minutes", "timestamp_to_minutes_with_tz", minutes),
    parts!("getSeconds", "timestamp_to_seconds", "timestamp_to_seconds_with_tz", seconds),
    parts!("getMilliseconds", "timestamp_to_milliseconds", "timestamp_to_milliseconds_with_tz", milliseconds),
];

pub(super) static TABLE: &[Overload] = PARTS.as_flattened();

pub(super) static DURATIONS: &[Overload] = &[
    part("getHours", "duration_to_hours", &[Duration], hours),
    part("getMinutes", "duration_to_minutes", &[Duration], minutes),
    part("getSeconds", "duration_to_seconds", &[Duration], seconds),
    part("getMilliseconds", "duration_to_milliseconds", &[Duration], milliseconds),
];

const SECOND: i64 = 1_000_000_000;

/// A timestamp's civil time, or a duration's nanoseconds.
enum Parts {
    Civil(DateTime),
    Span(i64),
}

fn parts(arguments: &[Value<'_>]) -> Outcome<Parts> {
    let (time, zone) = match arguments {
        [Value::Duration(duration)] => return Ok(Parts::Span(duration.nanoseconds())),
        [Value::Timestamp(time)] => (time, TimeZone::UTC),
        [Value::Timestamp(time), Value::String(name)] => (time, zone(name.as_str())?),
        _ => return Err(EvaluationError::no_overload()),
    };
    civil_in(*time, &zone).map(Parts::Civil).ok_or_else(|| EvaluationError::failed("timestamp overflow"))
}

/// Zones by name, as they are in the program: an answer does not depend on the machine.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

fn utc(time: value::Timestamp) -> Option<DateTime> {
    EPOCH.checked_add(SignedDuration::new(time.second(), time.subsecond() as i32)).ok()
}

fn civil_in(time: value::Timestamp, zone: &TimeZone) -> Option<DateTime> {
    // The last day of year 9999 is beyond what zones are kept for; its offset is that of the day before.
    let within = time.second().clamp(jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
    let offset = zone.to_offset(jiff::Timestamp::from_second(within).ok()?);
    utc(time)?.checked_add(SignedDuration::from_secs(i64::from(offset.seconds()))).ok()
}

/// A zone by its IANA name, or an offset as `+01:00`, `-8:30`, `02:00`.
fn zone(name: &str) -> Outcome<TimeZone> {
    if name.is_empty() || name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    if let Some((hours, minutes)) = name.split_once(':') {
        let unknown = || EvaluationError::failed(format!("unknown time zone {:?}", name.chars().take(32).collect::<std::string::String>()));
        let hours: i32 = hours.parse().map_err(|_| unknown())?;
        let minutes: i32 = minutes.parse().map_err(|_| unknown())?;
        let negative = name.starts_with('-');
        let magnitude = hours.abs().checked_mul(3600).and_then(|h| h.checked_add(minutes.checked_mul(60)?)).ok_or_else(unknown)?;
        let offset = Offset::from_seconds(if negative { -magnitude } else { magnitude }).map_err(|_| unknown())?;
        return Ok(TimeZone::fixed(offset));
    }
    match ZONES.get(name) {
        Ok(zone) => Ok(zone),
        Err(_) => fail(format!("unknown time zone {:?}", name.chars().take(32).collect::<std::string::String>())),
    }
}

fn civil<'a>(arguments: &[Value<'a>], get: impl Fn(DateTime) -> i64) -> Outcome<Value<'a>> {
    match parts(arguments)? {
        Parts::Civil(time) => Ok(Value::Int(get(time))),
        Parts::Span(_) => Err(EvaluationError::no_overload()),
    }
}

fn either<'a>(arguments: &[Value<'a>], get: impl Fn(DateTime) -> i64, span: impl Fn(i64) -> i64) -> Outcome<Value<'a>> {
    Ok(Value::Int(match parts(arguments)? {
        Parts::Civil(time) => get(time),
        Parts::Span(nanoseconds) => span(nanoseconds),
    }))
}

fn year<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    civil(arguments, |t| i64::from(t.year()))
}

fn month<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    civil(arguments, |t| i64::from(t.month()) - 1)
}

fn day_of_year<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    civil(arguments, |t| i64::from(t.day_of_year()) - 1)
}

fn day_of_month<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    civil(arguments, |t| i64::from(t.day()) - 1)
}

fn date<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    civil(arguments, |t| i64::from(t.day()))
}

fn day_of_week<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    civil(arguments, |t| i64::from(t.weekday().to_sunday_zero_offset()))
}

fn hours<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    either(arguments, |t| i64::from(t.hour()), |n| n / (3600 * SECOND))
}

fn minutes<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    either(arguments, |t| i64::from(t.minute()), |n| n / (60 * SECOND))
}

fn seconds<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    either(arguments, |t| i64::from(t.second()), |n| n / SECOND)
}

fn milliseconds<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    // The API server's CEL gives a duration's whole length here, not the part below a second.
    either(arguments, |t| i64::from(t.subsec_nanosecond()) / 1_000_000, |n| n / 1_000_000)
}

pub(super) fn timestamp<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let time = match arguments {
        [Value::Timestamp(time)] => *time,
        [Value::Int(second)] => match value::Timestamp::from_second(*second) {
            Some(time) => time,
            None => return fail("timestamp overflow: years 1 to 9999 are possible"),
        },
        [Value::String(text)] => read_timestamp(text.as_str())?,
        _ => return Err(EvaluationError::no_overload()),
    };
    Ok(Value::Timestamp(time))
}

/// RFC 3339 with `T` between date and time, years 1 to 9999.
fn read_timestamp(text: &str) -> Outcome<value::Timestamp> {
    let wrong = || {
        let shown: std::string::String = text.chars().take(64).collect();
        EvaluationError::failed(format!("type conversion error: {shown:?} is no timestamp such as 2006-01-02T15:04:05Z"))
    };
    let bytes = text.as_bytes();
    let digits = |at: &[usize]| at.iter().all(|i| bytes.get(*i).is_some_and(u8::is_ascii_digit));
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let shaped = digits(&[0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]) && marks.iter().all(|(i, b)| bytes.get(*i) == Some(b));
    // Civil time has a leap second, the API server's timestamps have none.
    let shaped = shaped && text.get(17..19) <= Some("59");
    let (civil, offset) = match text.strip_suffix('Z') {
        Some(civil) => (Some(civil), Some(0)),
        None => text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)).map_or((None, None), |(c, o)| (Some(c), offset_of(o))),
    };
    let (Some(civil), Some(offset), true) = (civil, offset, shaped && text.len() <= 40) else { return Err(wrong()) };
    let civil: DateTime = civil.parse().map_err(|_| wrong())?;
    let nanosecond = civil.duration_since(EPOCH).as_nanos() - i128::from(offset) * 1_000_000_000;
    value::Timestamp::from_nanosecond(nanosecond).ok_or_else(|| EvaluationError::failed("timestamp overflow: years 1 to 9999 are possible"))
}

/// Seconds of an offset such as `+08:00`.
fn offset_of(text: &str) -> Option<i32> {
    let (sign, clock) = text.split_at_checked(1)?;
    let (hours, minutes) = clock.split_once(':')?;
    let two = |s: &str| if s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit()) { s.parse::<i32>().ok() } else { None };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let magnitude = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
    match sign {
        "+" => Some(magnitude),
        "-" => Some(-magnitude),
        _ => None,
    }
}

pub(super) fn timestamp_text(time: value::Timestamp) -> std::string::String {
    utc(time).map(|civil| format!("{civil}Z")).unwrap_or_default()
}

pub(super) fn duration<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [Value::Duration(duration)] => Ok(Value::Duration(*duration)),
        [Value::String(text)] => match read_duration(text.as_str()) {
            Some(nanoseconds) => Ok(Value::Duration(value::Duration::from_nanoseconds(nanoseconds))),
            None => fail("type conversion error from 'string' to 'google.protobuf.Duration'"),
        },
        _ => Err(EvaluationError::no_overload()),
    }
}

/// Numbers with units, one after another: `-1h2.5m3s`. Nanoseconds, or `None`.
fn read_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() || rest.len() > 256 {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, after) = (rest.get(..number)?, rest.get(number..)?);
        let length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let unit: i128 = match after.get(..length)? {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total += amount(digits, unit)?;
        if total > i128::from(i64::MAX) + 1 {
            return None;
        }
        rest = after.get(length..)?;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn amount(digits: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let whole = whole.checked_mul(unit)?;
    let mut part = 0i128;
    let mut scale = unit;
    for digit in fraction.bytes() {
        scale /= 10;
        part += i128::from(digit - b'0') * scale;
        if scale == 0 {
            break;
        }
    }
    // Units are no powers of ten above a second, so the part is exact only for those; minutes and
    // hours are divisible often enough for the digits a duration can hold.
    whole.checked_add(part)
}

/// Seconds with as many digits as needed, and `s`.
pub(super) fn duration_text(duration: value::Duration) -> std::string::String {
    let nanoseconds = duration.nanoseconds();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let magnitude = nanoseconds.unsigned_abs();
    let (seconds, rest) = (magnitude / 1_000_000_000, magnitude % 1_000_000_000);
    if rest == 0 {
        return format!("{sign}{seconds}s");
    }
    let digits = format!("{rest:09}");
    format!("{sign}{seconds}.{}s", digits.trim_end_matches('0'))
}
