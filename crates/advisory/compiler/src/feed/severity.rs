//! What is known per CVE: CVSS vectors (tables derived from CISA vulnrichment and from Bitnami's database; the
//! former wins where both have one) and known exploitation (CISA KEV).

use super::{Advisories, FeedError, archive, day, is_id};
use serde::Deserialize;

/// Tab-separated with a heading: `cve, vector, base_score, source, other_vectors`. The first vector counts:
/// the table prefers the CNA's over CISA's own.
pub(super) fn vectors(file: &str, bytes: &[u8], all: &mut Advisories) -> Result<(), FeedError> {
    let text = archive::text(file, bytes)?;
    for (n, line) in text.lines().enumerate().skip(1).filter(|(_, l)| !l.is_empty()) {
        let mut fields = line.split('\t');
        let (cve, vector) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let source = fields.nth(1).unwrap_or_default();
        if !is_id(cve) || !cve.starts_with("CVE-") || !vector.starts_with("CVSS:") || vector.len() > 160 || source.len() > 80 {
            let detail = format!("expected CVE, vector, score, source; got {:?}", line.chars().take(80).collect::<String>());
            return Err(FeedError::Malformed { file: format!("{file}, line {}", n + 1), detail });
        }
        all.cves.entry(cve.to_owned()).or_default().vector.get_or_insert_with(|| (vector.to_owned(), source.to_owned()));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Catalogue {
    vulnerabilities: Vec<Exploited>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exploited {
    #[serde(rename = "cveID")]
    cve: String,
    date_added: String,
}

pub(super) fn exploited(file: &str, bytes: &[u8], all: &mut Advisories) -> Result<(), FeedError> {
    let wants = |path: &str| path.ends_with("known_exploited_vulnerabilities.json");
    archive::members(file, bytes, wants, |path, text, _| {
        let malformed = |detail: String| FeedError::Malformed { file: format!("{file}: {path}"), detail };
        let catalogue: Catalogue = serde_json::from_str(text).map_err(|e| malformed(e.to_string()))?;
        for row in catalogue.vulnerabilities {
            match (is_id(&row.cve), day(&row.date_added)) {
                (true, Some(day)) => all.cves.entry(row.cve).or_default().exploited = Some(day),
                _ => return Err(malformed(format!("{:?} added {:?}", row.cve, row.date_added))),
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_meet_on_one_cve() {
        let mut all = Advisories::default();
        let tsv = "cve\tvector\tbase_score\tsource\tother_vectors\nCVE-2025-1\tCVSS:3.1/AV:N\t9.8\tcna\t\n";
        vectors("t", &zstd::encode_all(tsv.as_bytes(), 1).unwrap(), &mut all).unwrap();
        let other = tsv.replace("AV:N", "AV:L").replace("cna", "bitnami");
        vectors("u", &zstd::encode_all(other.as_bytes(), 1).unwrap(), &mut all).unwrap();
        let kev = br#"{"vulnerabilities":[{"cveID":"CVE-2025-1","dateAdded":"2025-08-25"}]}"#;
        exploited("k", &archive::tests::pack(&[("known_exploited_vulnerabilities.json", kev)]), &mut all).unwrap();
        let cve = &all.cves["CVE-2025-1"];
        assert_eq!((cve.vector.as_ref().unwrap().1.as_str(), cve.exploited), ("cna", Some(20250825)));
        let error = vectors("t", &zstd::encode_all(&b"h\nx\ty\n"[..], 1).unwrap(), &mut all).unwrap_err();
        assert!(error.to_string().contains("t, line 2"));
    }
}
