//! CVSS v3.0 and v3.1 vectors, read strictly (FIRST, CVSS v3.1 specification, section 6).
//!
//! A vector is `CVSS:3.x/` and `name:value` pairs in any order, each name at most once, all eight base
//! metrics present. Temporal and environmental metrics are checked and forgotten: GB/T 30279-2020
//! grades from the base metrics and has its own environment factors. Other versions are refused; their
//! factors differ.

use std::fmt;
use std::str::FromStr;

/// The base metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BaseVector {
    pub attack_vector: AttackVector,
    pub attack_complexity: AttackComplexity,
    pub privileges_required: PrivilegesRequired,
    pub user_interaction: UserInteraction,
    pub scope: Scope,
    pub confidentiality: Impact,
    pub integrity: Impact,
    pub availability: Impact,
    /// 0 or 1, of 3.0 or 3.1. The base metrics mean the same in both.
    pub minor: u8,
}

/// Why a text is not a CVSS v3 vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CvssError {
    #[error("{0:?} does not begin with CVSS:3.0/ or CVSS:3.1/; only these versions can be graded")]
    Version(String),
    #[error("{0:?} is not name:value of a CVSS v3 metric")]
    Metric(String),
    #[error("metric {0} is given twice")]
    Twice(&'static str),
    #[error("base metric {0} is missing")]
    Missing(&'static str),
    #[error("a vector of {0} bytes is longer than any CVSS v3 vector")]
    Length(usize),
}

macro_rules! metric {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $letter:literal),+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The letter of the vector, which is also the letter of GB/T 30279's factor.
            pub fn letter(self) -> char {
                match self { $($name::$variant => $letter),+ }
            }

            fn from_value(value: &str) -> Option<Self> {
                let mut chars = value.chars();
                let letter = chars.next()?;
                if chars.next().is_some() { return None; }
                Self::ALL.iter().copied().find(|m| m.letter() == letter)
            }
        }
    };
}

metric!(/// AV, 访问路径.
    AttackVector { Network = 'N', Adjacent = 'A', Local = 'L', Physical = 'P' });
metric!(/// AC, 触发要求.
    AttackComplexity { Low = 'L', High = 'H' });
metric!(/// PR, 权限需求.
    PrivilegesRequired { None = 'N', Low = 'L', High = 'H' });
metric!(/// UI, 交互条件.
    UserInteraction { None = 'N', Required = 'R' });
metric!(/// S: no counterpart in GB/T 30279.
    Scope { Unchanged = 'U', Changed = 'C' });
metric!(/// C, I, A: 保密性, 完整性, 可用性 (严重 H, 一般 L, 无 N).
    Impact { High = 'H', Low = 'L', None = 'N' });

/// Temporal and environmental metrics with their values, checked only.
const OTHERS: &[(&str, &[&str])] = &[
    ("E", &["X", "U", "P", "F", "H"]),
    ("RL", &["X", "O", "T", "W", "U"]),
    ("RC", &["X", "U", "R", "C"]),
    ("CR", &["X", "L", "M", "H"]),
    ("IR", &["X", "L", "M", "H"]),
    ("AR", &["X", "L", "M", "H"]),
    ("MAV", &["X", "N", "A", "L", "P"]),
    ("MAC", &["X", "L", "H"]),
    ("MPR", &["X", "N", "L", "H"]),
    ("MUI", &["X", "N", "R"]),
    ("MS", &["X", "U", "C"]),
    ("MC", &["X", "N", "L", "H"]),
    ("MI", &["X", "N", "L", "H"]),
    ("MA", &["X", "N", "L", "H"]),
];

/// All 22 metrics with their longest values fit in 133 bytes.
const MAX_LENGTH: usize = 160;

// === impl BaseVector ===

impl FromStr for BaseVector {
    type Err = CvssError;

    fn from_str(s: &str) -> Result<Self, CvssError> {
        if s.len() > MAX_LENGTH {
            return Err(CvssError::Length(s.len()));
        }
        let (minor, metrics) = match (s.strip_prefix("CVSS:3.0/"), s.strip_prefix("CVSS:3.1/")) {
            (Some(rest), _) => (0, rest),
            (_, Some(rest)) => (1, rest),
            _ => return Err(CvssError::Version(s.chars().take(16).collect())),
        };
        let (mut av, mut ac, mut pr, mut ui, mut scope) = (None, None, None, None, None);
        let (mut c, mut i, mut a) = (None, None, None);
        let mut seen = 0u32;
        for part in metrics.split('/') {
            let bad = || CvssError::Metric(part.to_owned());
            let (name, value) = part.split_once(':').ok_or_else(bad)?;
            match name {
                "AV" => set(&mut av, "AV", AttackVector::from_value(value).ok_or_else(bad)?)?,
                "AC" => set(&mut ac, "AC", AttackComplexity::from_value(value).ok_or_else(bad)?)?,
                "PR" => set(&mut pr, "PR", PrivilegesRequired::from_value(value).ok_or_else(bad)?)?,
                "UI" => set(&mut ui, "UI", UserInteraction::from_value(value).ok_or_else(bad)?)?,
                "S" => set(&mut scope, "S", Scope::from_value(value).ok_or_else(bad)?)?,
                "C" => set(&mut c, "C", Impact::from_value(value).ok_or_else(bad)?)?,
                "I" => set(&mut i, "I", Impact::from_value(value).ok_or_else(bad)?)?,
                "A" => set(&mut a, "A", Impact::from_value(value).ok_or_else(bad)?)?,
                _ => {
                    let at = OTHERS.iter().position(|(n, values)| *n == name && values.contains(&value)).ok_or_else(bad)?;
                    if seen & 1 << at != 0 {
                        return Err(CvssError::Twice(OTHERS[at].0));
                    }
                    seen |= 1 << at;
                }
            }
        }
        Ok(BaseVector {
            attack_vector: av.ok_or(CvssError::Missing("AV"))?,
            attack_complexity: ac.ok_or(CvssError::Missing("AC"))?,
            privileges_required: pr.ok_or(CvssError::Missing("PR"))?,
            user_interaction: ui.ok_or(CvssError::Missing("UI"))?,
            scope: scope.ok_or(CvssError::Missing("S"))?,
            confidentiality: c.ok_or(CvssError::Missing("C"))?,
            integrity: i.ok_or(CvssError::Missing("I"))?,
            availability: a.ok_or(CvssError::Missing("A"))?,
            minor,
        })
    }
}

impl BaseVector {
    /// The base score, 0.0 to 10.0 (CVSS v3.1 specification, sections 7.1 and 7.4; v3.0 rounds up by
    /// `ceil`). For people who know the number: grades never come from it.
    pub fn base_score(&self) -> f64 {
        let weight = |i: Impact| match i {
            Impact::High => 0.56,
            Impact::Low => 0.22,
            Impact::None => 0.0,
        };
        let changed = self.scope == Scope::Changed;
        let iss: f64 = 1.0 - (1.0 - weight(self.confidentiality)) * (1.0 - weight(self.integrity)) * (1.0 - weight(self.availability));
        let impact = if changed { 7.52 * (iss - 0.029) - 3.25 * (iss - 0.02).powi(15) } else { 6.42 * iss };
        let av = match self.attack_vector {
            AttackVector::Network => 0.85,
            AttackVector::Adjacent => 0.62,
            AttackVector::Local => 0.55,
            AttackVector::Physical => 0.2,
        };
        let ac = if self.attack_complexity == AttackComplexity::Low { 0.77 } else { 0.44 };
        let pr = match (self.privileges_required, changed) {
            (PrivilegesRequired::None, _) => 0.85,
            (PrivilegesRequired::Low, false) => 0.62,
            (PrivilegesRequired::Low, true) => 0.68,
            (PrivilegesRequired::High, false) => 0.27,
            (PrivilegesRequired::High, true) => 0.5,
        };
        let ui = if self.user_interaction == UserInteraction::None { 0.85 } else { 0.62 };
        if impact <= 0.0 {
            return 0.0;
        }
        let raw = impact + 8.22 * av * ac * pr * ui;
        let capped = f64::min(if changed { 1.08 * raw } else { raw }, 10.0);
        if self.minor == 0 {
            return (capped * 10.0 - 1e-9).ceil() / 10.0;
        }
        let whole = (capped * 100_000.0).round() as i64;
        if whole % 10_000 == 0 { whole as f64 / 100_000.0 } else { ((whole / 10_000) as f64 + 1.0) / 10.0 }
    }
}

impl fmt::Display for BaseVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CVSS:3.{}/AV:{}/AC:{}/PR:{}/UI:{}/S:{}/C:{}/I:{}/A:{}",
            self.minor,
            self.attack_vector.letter(),
            self.attack_complexity.letter(),
            self.privileges_required.letter(),
            self.user_interaction.letter(),
            self.scope.letter(),
            self.confidentiality.letter(),
            self.integrity.letter(),
            self.availability.letter()
        )
    }
}

fn set<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), CvssError> {
    if slot.replace(value).is_some() { Err(CvssError::Twice(name)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_any_order_and_names_the_fault() {
        let v: BaseVector = "CVSS:3.1/A:H/I:H/C:H/S:U/UI:N/PR:N/AC:L/AV:N/E:P".parse().unwrap();
        assert_eq!(v.to_string(), "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H");
        let error = |s: &str| s.parse::<BaseVector>().unwrap_err();
        assert_eq!(error("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H"), CvssError::Missing("A"));
        assert_eq!(error("CVSS:3.1/AV:N/AV:N"), CvssError::Twice("AV"));
        assert_eq!(error("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P/E:P"), CvssError::Twice("E"));
        assert!(matches!(error("CVSS:4.0/AV:N"), CvssError::Version(_)));
        assert!(matches!(error("CVSS:3.1/AV:NN"), CvssError::Metric(_)));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(s in ".*") { let _ = s.parse::<BaseVector>(); }

        #[test]
        fn never_panics_near_a_vector(s in "CVSS:3\\.[01](/[A-Z]{0,3}:[A-Z]{0,2}){0,30}") { let _ = s.parse::<BaseVector>(); }
    }
}
