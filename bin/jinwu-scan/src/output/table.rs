//! The report as text: a summary, then what was found, worst first.

use super::{Language, place, printable};
use crate::source::Image;
use jinwu_model::report::{Coverage, ImageReport, Location};
use jinwu_model::{Decision, Grade, Mode};

/// Rows shown of one kind; the other formats have all.
const MAX_ROWS: usize = 200;

pub(super) fn render(language: Language, image: &Image, report: &ImageReport, decision: Option<&Decision>) -> String {
    let mut out = Out { text: String::new(), language };
    out.summary(image, report);
    out.vulnerabilities(report);
    let secrets = report.secrets.iter().map(|s| {
        let title = language.text(&s.title);
        format!("{title}({}) {}{} {}", s.rule, s.variable.as_ref().map(|v| format!("{v}=")).unwrap_or_default(), s.masked, located(language, &s.location))
    });
    out.list("密钥与口令", "secrets", secrets);
    let malware = report.malware.iter().map(|m| format!("{} [{}] {} ({})", m.rule, m.category, located(language, &m.location), m.origin));
    out.list("恶意代码", "malware", malware);
    out.configuration(report);
    let faults = report.faults.iter().map(|f| format!("{:?} {}: {}", f.kind, place(&f.location), f.detail));
    out.list("完整性", "integrity", faults);
    let unscannable = report.unscannable.iter().map(|u| {
        format!("{:?} {}: {}", u.reason, u.layer.as_ref().map(|d| d.short().to_owned()).unwrap_or_default(), u.detail)
    });
    out.list("无法扫描", "unscannable", unscannable);
    out.list("扫描不完整", "incomplete", report.truncated.iter().cloned());
    if let Some(decision) = decision {
        out.decision(decision);
    }
    out.text
}

struct Out {
    text: String,
    language: Language,
}

impl Out {
    fn line(&mut self, line: &str) {
        self.text.push_str(&printable(line));
        self.text.push('\n');
    }

    fn list(&mut self, zh: &str, en: &str, rows: impl Iterator<Item = String>) {
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            return;
        }
        let title = self.language.of(zh, en).to_owned();
        self.text.push('\n');
        self.line(&format!("{title} ({})", rows.len()));
        for row in rows.iter().take(MAX_ROWS) {
            self.line(&format!("  {row}"));
        }
        if rows.len() > MAX_ROWS {
            let more = self.language.of("其余见 --format json", "the rest with --format json").to_owned();
            self.line(&format!("  … {} {more}", rows.len() - MAX_ROWS));
        }
    }

    fn summary(&mut self, image: &Image, report: &ImageReport) {
        let l = self.language;
        self.line(&format!("{}  {}", l.of("镜像", "image"), image.name));
        self.line(&format!("{}  {}", l.of("摘要", "digest"), report.image));
        let os = match &report.os {
            Some(os) if !os.name.is_empty() => os.name.clone(),
            Some(os) => format!("{} {}", os.id, os.version),
            None => l.of("未识别", "not recognised").to_owned(),
        };
        self.line(&format!("{}  {os}  {}", l.of("系统", "system"), report.architecture));
        let coverage = match &report.coverage {
            Coverage::Covered => l.of("已覆盖", "covered").to_owned(),
            Coverage::NotCovered { reason } => format!("{}:{reason}", l.of("未覆盖(不等于无漏洞)", "NOT COVERED (which is not clean)")),
            Coverage::NoPackages => l.of("没有软件包", "no packages").to_owned(),
        };
        let mut data = format!("{}  {coverage}", l.of("漏洞数据", "advisories"));
        if let Some(day) = &report.advisories_as_of {
            data.push_str(&format!("  {} {day}", l.of("截至", "as of")));
        }
        if !report.unknown_packages.is_empty() {
            let count = report.unknown_packages.len();
            data.push_str(&match l {
                Language::Zh => format!("  {count} 个软件源无数据(未知,不等于无漏洞)"),
                Language::En => format!("  no data about {count} sources (unknown, which is not clean)"),
            });
        }
        self.line(&data);
        let counts: Vec<_> = Grade::ALL
            .iter()
            .map(|g| format!("{} {}", l.of(g.zh(), g.as_str()), report.vulnerabilities.iter().filter(|v| v.grade == *g).count()))
            .collect();
        self.line(&format!(
            "{}  {} {}, {} {} ({}), {} {}, {} {}",
            l.of("合计", "totals"),
            l.of("软件包", "packages"),
            report.packages.len(),
            l.of("漏洞", "vulnerabilities"),
            report.vulnerabilities.len(),
            counts.join(" "),
            l.of("密钥", "secrets"),
            report.secrets.len(),
            l.of("恶意代码", "malware"),
            report.malware.len(),
        ));
    }

    fn vulnerabilities(&mut self, report: &ImageReport) {
        let language = self.language;
        let mut sorted: Vec<_> = report.vulnerabilities.iter().collect();
        sorted.sort_by_key(|v| (std::cmp::Reverse(v.grade.rank()), &v.package.name, &v.id));
        let width = sorted.iter().map(|v| v.package.name.len()).max().unwrap_or(0).min(40);
        let rows = sorted.into_iter().map(|v| {
            let fixed = match &v.fixed_version {
                Some(version) => format!("→ {version}"),
                None => language.of("尚无修复", "no fix known").to_owned(),
            };
            let grade = language.of(v.grade.zh(), v.grade.as_str());
            format!("{grade}  {:<18} {:<width$} {} {fixed}  {}", v.id, v.package.name, v.package.version, v.grade_basis)
        });
        let rows: Vec<_> = rows.collect();
        self.list("漏洞", "vulnerabilities", rows.into_iter());
    }

    fn configuration(&mut self, report: &ImageReport) {
        let c = &report.configuration;
        let l = self.language;
        let mut rows = Vec::new();
        if c.runs_as_root {
            rows.push(format!("{}:{}", l.of("以 root 运行", "runs as root"), c.user_basis));
        }
        rows.extend(c.ssh.iter().map(|s| format!("{} {}", l.of("暴露 SSH", "SSH exposed"), place(s))));
        rows.extend(c.setuid.iter().map(|s| format!("{} {}", l.of("setuid 文件不属于任何软件包", "setuid file owned by no package"), located(l, s))));
        self.list("配置", "configuration", rows.into_iter());
    }

    fn decision(&mut self, decision: &Decision) {
        let l = self.language;
        self.text.push('\n');
        let verdict = if decision.permit { l.of("通过", "PASSED") } else { l.of("拒绝", "REFUSED") };
        self.line(&format!("{} {verdict}", l.of("裁决", "decision")));
        for violation in decision.violations.iter().filter(|v| v.mode != Mode::Allow).take(MAX_ROWS) {
            let mode = l.of(violation.mode.zh(), violation.mode.as_str());
            self.line(&format!("  [{mode}] {}: {}", violation.policy, l.text(&violation.finding)));
            self.line(&format!("      {}", l.text(&violation.advice)));
        }
    }
}

fn located(language: Language, location: &Location) -> String {
    let mut text = place(location);
    if let Some(owner) = &location.owner {
        text.push_str(&format!(" {{{owner}}}"));
    }
    if let Some(layer) = &location.layer {
        text.push_str(&format!(" [{}]", layer.short()));
    }
    if location.deleted {
        text.push_str(language.of(" (上层已删除,仍可提取)", " (deleted by an upper layer, still extractable)"));
    }
    text
}
