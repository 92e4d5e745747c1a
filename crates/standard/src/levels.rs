//! From which protection level each clause applies, and how strongly.
//!
//! The chapters of the standard that say so were not available. What is certain: all 33 clauses apply
//! at level 4, because the interpretation is that of level 4. Levels 1 to 3 are derived (6, 20 and 32
//! clauses) and every answer about them carries [`Certainty::Guess`] so that reports print 待核.
//! The table is data (`content/standard/levels.toml`); a customer who holds the standard loads the
//! real one with [`LevelTable::parse`].

use crate::catalogue;
use jinwu_model::{ClauseId, Grade, ProtectionLevel, Text};
use serde::Deserialize;
use std::sync::LazyLock;

/// Rows for every clause, validated.
#[derive(Clone, Debug)]
pub struct LevelTable {
    rows: Vec<Row>,
}

/// One clause with one strength.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub clause: ClauseId,
    /// First level at which this strength is asked.
    pub from: ProtectionLevel,
    pub strength: Text,
    /// Lowest grade that must be repaired from this level on (IP-2 only).
    #[serde(default)]
    pub threshold: Option<Grade>,
    pub status: Status,
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Stands in a published text.
    Sourced,
    /// Derived; to be shown as 待核.
    Guess,
}

/// How far an answer about applicability can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certainty {
    Sourced,
    /// 待核. `confidence` is L, M or H; `basis` names the analogue it was derived from.
    Guess { confidence: String, basis: String },
}

/// What a level asks of one clause.
#[derive(Clone, Debug)]
pub struct Requirement<'t> {
    pub clause: &'t ClauseId,
    /// Strengths asked at this level, weakest first. They add up.
    pub strengths: Vec<&'t Text>,
    pub certainty: Certainty,
}

/// Why a level table is refused.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    #[error("level table cannot be read: {0}")]
    Toml(String),
    #[error("level table, row {row}: {clause} is not one of the 33 clauses")]
    UnknownClause { row: usize, clause: ClauseId },
    #[error("level table has no row for {0}; give the level from which it applies")]
    Missing(ClauseId),
}

static BUILTIN: LazyLock<LevelTable> = LazyLock::new(|| {
    // Part of the program, read by the tests below: cannot fail in a build that passed them.
    LevelTable::parse(include_str!("../../../content/standard/levels.toml")).expect("levels.toml is well-formed")
});

// === impl LevelTable ===

impl LevelTable {
    /// The table that ships: sourced for level 4, derived below.
    pub fn builtin() -> &'static LevelTable {
        &BUILTIN
    }

    /// Reads a table in the form of `content/standard/levels.toml`. Every clause needs a row.
    pub fn parse(text: &str) -> Result<Self, LevelError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            row: Vec<Row>,
        }
        let mut file: File = toml::from_str(text).map_err(|e| LevelError::Toml(e.to_string()))?;
        for (i, row) in file.row.iter().enumerate() {
            if catalogue::clause(&row.clause).is_none() {
                return Err(LevelError::UnknownClause { row: i + 1, clause: row.clause.clone() });
            }
        }
        if let Some(c) = catalogue::clauses().iter().find(|c| !file.row.iter().any(|r| r.clause == c.id)) {
            return Err(LevelError::Missing(c.id.clone()));
        }
        file.row.sort_by_key(|r| r.from);
        Ok(LevelTable { rows: file.row })
    }

    /// What `level` asks of `clause`; `None` when the clause does not apply there.
    pub fn requirement(&self, clause: &ClauseId, level: ProtectionLevel) -> Option<Requirement<'_>> {
        let rows: Vec<&Row> = self.rows.iter().filter(|r| &r.clause == clause && r.from <= level).collect();
        let first = rows.first()?;
        let sourced = level == ProtectionLevel::FOUR || rows.iter().all(|r| r.status == Status::Sourced);
        let certainty = if sourced {
            Certainty::Sourced
        } else {
            let known = catalogue::clause(clause);
            Certainty::Guess {
                confidence: known.map(|c| c.level_confidence.clone()).unwrap_or_default(),
                basis: known.map(|c| c.level_basis.clone()).unwrap_or_default(),
            }
        };
        Some(Requirement { clause: &first.clause, strengths: rows.iter().map(|r| &r.strength).collect(), certainty })
    }

    /// Everything `level` asks, in the order of the standard.
    pub fn requirements(&self, level: ProtectionLevel) -> Vec<Requirement<'_>> {
        catalogue::clauses().iter().filter_map(|c| self.requirement(&c.id, level)).collect()
    }

    /// The lowest grade IP-2 wants repaired at `level`: 超危 at 1 … 低危 at 4 in the built-in table.
    /// Without a threshold in the table, 低危: everything.
    pub fn repair_threshold(&self, level: ProtectionLevel) -> Grade {
        let asked = self.rows.iter().filter(|r| r.from <= level).filter_map(|r| r.threshold);
        asked.min_by_key(|g| g.rank()).unwrap_or(Grade::Low)
    }
}

// === impl Certainty ===

impl Certainty {
    /// 待核 with its reason, for reports; `None` when sourced.
    pub fn mark(&self) -> Option<Text> {
        match self {
            Certainty::Sourced => None,
            Certainty::Guess { confidence, basis } => Some(Text::new(
                format!("待核:适用级别为推定(可信度 {confidence};依据:{basis})"),
                format!("to be verified: level applicability is derived (confidence {confidence}; from: {basis})"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_per_level_and_certainty() {
        let table = LevelTable::builtin();
        let totals = ProtectionLevel::ALL.map(|l| table.requirements(l).len());
        assert_eq!(totals, [6, 20, 32, 33]);
        assert!(table.requirements(ProtectionLevel::FOUR).iter().all(|r| r.certainty == Certainty::Sourced));
        for level in [ProtectionLevel::ONE, ProtectionLevel::TWO, ProtectionLevel::THREE] {
            for r in table.requirements(level) {
                let mark = r.certainty.mark().expect("levels 1 to 3 are derived").zh;
                assert!(mark.starts_with("待核") && !mark.contains("依据:)"), "{mark}");
            }
        }
    }

    #[test]
    fn levels_only_add() {
        let table = LevelTable::builtin();
        for c in catalogue::clauses() {
            let counts = ProtectionLevel::ALL.map(|l| table.requirement(&c.id, l).map_or(0, |r| r.strengths.len()));
            assert!(counts.is_sorted(), "{} {counts:?}", c.id);
        }
        assert!(table.requirement(&"AC-5".parse().unwrap(), ProtectionLevel::THREE).is_none());
    }

    #[test]
    fn repair_thresholds_fall_with_the_level() {
        let t = ProtectionLevel::ALL.map(|l| LevelTable::builtin().repair_threshold(l));
        assert_eq!(t, [Grade::Critical, Grade::High, Grade::Medium, Grade::Low]);
    }

    #[test]
    fn a_customers_table_is_checked() {
        let error = LevelTable::parse("row = []").unwrap_err().to_string();
        assert!(error.contains("IA-1"), "{error}");
        let text = include_str!("../../../content/standard/levels.toml").replacen("\"IA-1\"", "\"IA-9\"", 1);
        assert!(LevelTable::parse(&text).unwrap_err().to_string().contains("IA-9"));
        let sourced = include_str!("../../../content/standard/levels.toml").replace("\"guess\"", "\"sourced\"");
        let table = LevelTable::parse(&sourced).unwrap();
        assert!(table.requirements(ProtectionLevel::TWO).iter().all(|r| r.certainty.mark().is_none()));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(s in ".*") { let _ = LevelTable::parse(&s); }
    }
}
