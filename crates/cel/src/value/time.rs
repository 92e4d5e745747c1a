//! Durations and the range of time.

/// First second a timestamp may have: 0001-01-01T00:00:00Z.
pub(crate) const MIN_SECOND: i64 = -62_135_596_800;
/// Last second a timestamp may have: 9999-12-31T23:59:59Z.
pub(crate) const MAX_SECOND: i64 = 253_402_300_799;

/// A span of time in nanoseconds, about ±292 years: the range the API server's CEL has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(i64);

// === impl Duration ===

impl Duration {
    pub fn from_nanoseconds(nanoseconds: i64) -> Duration {
        Duration(nanoseconds)
    }

    pub fn nanoseconds(self) -> i64 {
        self.0
    }
}
