//! Timestamps and durations.

/// A moment from year 1 to year 9999, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    second: i64,
    nanosecond: u32,
}

/// First second a timestamp may have: 0001-01-01T00:00:00Z.
pub(crate) const MIN_SECOND: i64 = -62_135_596_800;
/// Last second a timestamp may have: 9999-12-31T23:59:59Z.
pub(crate) const MAX_SECOND: i64 = 253_402_300_799;

/// A span of time in nanoseconds, about ±292 years: the range the API server's CEL has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(i64);

const NANOSECONDS: i128 = 1_000_000_000;

// === impl Timestamp ===

impl Timestamp {
    /// From seconds since 1970; `None` outside years 1 to 9999.
    pub fn from_second(second: i64) -> Option<Timestamp> {
        (MIN_SECOND..=MAX_SECOND).contains(&second).then_some(Timestamp { second, nanosecond: 0 })
    }

    /// From nanoseconds since 1970; `None` outside years 1 to 9999.
    pub fn from_nanosecond(nanosecond: i128) -> Option<Timestamp> {
        let second = i64::try_from(nanosecond.div_euclid(NANOSECONDS)).ok()?;
        let whole = Timestamp::from_second(second)?;
        Some(Timestamp { nanosecond: nanosecond.rem_euclid(NANOSECONDS) as u32, ..whole })
    }

    /// Seconds since 1970, rounded down.
    pub fn second(self) -> i64 {
        self.second
    }

    /// Nanoseconds above the second.
    pub fn subsecond(self) -> u32 {
        self.nanosecond
    }

    /// Nanoseconds since 1970.
    pub fn nanosecond(self) -> i128 {
        i128::from(self.second) * NANOSECONDS + i128::from(self.nanosecond)
    }
}

// === impl Duration ===

impl Duration {
    pub fn from_nanoseconds(nanoseconds: i64) -> Duration {
        Duration(nanoseconds)
    }

    pub fn nanoseconds(self) -> i64 {
        self.0
    }
}
