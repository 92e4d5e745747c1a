//! Medians and ranges, and the tables they stand in.

/// What was measured of one thing in several rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(Vec<f64>);

/// A markdown table that is printed and may be kept.
pub(crate) struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

// === impl Series ===

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Middle value; the mean of the middle two of an even number.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        match (n, sorted.get(n / 2)) {
            (0, _) | (_, None) => f64::NAN,
            (_, Some(upper)) if n % 2 == 1 => *upper,
            (_, Some(upper)) => (sorted.get(n / 2 - 1).unwrap_or(upper) + upper) / 2.0,
        }
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::min)
    }

    pub(crate) fn most(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::max)
    }

    /// `median (least–most)`.
    pub(crate) fn text(&self) -> String {
        if self.0.is_empty() {
            return "–".into();
        }
        format!("{} ({}–{})", number(self.median()), number(self.least()), number(self.most()))
    }
}

/// Three significant digits.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => {
            let whole = format!("{value:.0}");
            let mut out = String::new();
            for (i, c) in whole.chars().enumerate() {
                if i > 0 && (whole.len() - i).is_multiple_of(3) && !out.ends_with('-') {
                    out.push(' ');
                }
                out.push(c);
            }
            out
        }
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

// === impl Table ===

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Table {
        Table { heading: heading.iter().map(|h| (*h).to_owned()).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut out = line(&self.heading);
        out.push_str(&format!("|{}\n", "---|".repeat(self.heading.len())));
        self.rows.iter().for_each(|r| out.push_str(&line(r)));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_numbers() {
        let mut series = Series::default();
        assert_eq!(series.text(), "–");
        for v in [3.0, 1.0, 2.0] {
            series.push(v);
        }
        assert_eq!(series.text(), "2.00 (1.00–3.00)");
        series.push(4.0);
        assert_eq!(series.median(), 2.5);
        assert_eq!(number(1_234_567.4), "1 234 567");
        assert_eq!(number(123.4), "123");
        assert_eq!(number(12.34), "12.3");
    }

    #[test]
    fn markdown() {
        let mut table = Table::new(&["a", "b"]);
        table.row(vec!["1".into(), "2".into()]);
        assert_eq!(table.markdown(), "| a | b |\n|---|---|\n| 1 | 2 |\n");
    }
}
