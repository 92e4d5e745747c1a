//! The ledger: verified offline, searched through the server.

use crate::output::say;
use crate::client::escape;
use crate::{Common, output, session};
use anyhow::Context as _;
use clap::Subcommand;
use jinwu_identity::AdminRole::AuditAdministrator as Audit;
use jinwu_ledger::Head;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Ledger {
    /// 离线校验,不需要服务 / verify offline; needs no server
    Verify {
        /// 段文件与公钥所在目录,缺省 <data>/ledger / folder of segments and public key
        #[arg(long)]
        dir: Option<PathBuf>,
        /// 另存的链头文件:可发现截尾与整体重写 / file of heads kept elsewhere: reveals cuts and rewrites
        #[arg(long)]
        head: Option<PathBuf>,
    },
    /// 检索 / search
    Search {
        /// 起始时间:2026-11-25、2026-11-25T08:00:00Z、30m、24h、7d / from when
        #[arg(long)]
        since: Option<String>,
        #[arg(long)]
        until: Option<String>,
        #[arg(long)]
        subject: Option<String>,
        #[arg(long)]
        object: Option<String>,
        #[arg(long)]
        kind: Option<String>,
        #[arg(long)]
        outcome: Option<String>,
        #[arg(long)]
        source: Option<String>,
        /// 同一裁决的全部记录 / all records of one decision
        #[arg(long)]
        decision: Option<String>,
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// 当前链头,可另行保管 / the present head, for safekeeping elsewhere
    Head,
    /// 立即封存当前段 / seal the open segment now
    Seal,
}

pub(crate) async fn ledger(common: &Common, command: Ledger) -> anyhow::Result<ExitCode> {
    match command {
        Ledger::Verify { dir, head } => verify(common, dir, head),
        Ledger::Head => {
            output::json(&session::open(common, Audit).await?.get("/ledger/head").await?);
            Ok(ExitCode::SUCCESS)
        }
        Ledger::Seal => {
            output::json(&session::open(common, Audit).await?.post("/ledger/seal", &json!({})).await?);
            Ok(ExitCode::SUCCESS)
        }
        Ledger::Search { since, until, subject, object, kind, outcome, source, decision, limit } => {
            let mut query = vec![format!("limit={limit}")];
            let mut add = |name: &str, value: Option<String>| query.extend(value.map(|v| format!("{name}={}", escape(&v))));
            add("since", since.map(|t| moment(&t)).transpose()?.map(|t| t.to_string()));
            add("until", until.map(|t| moment(&t)).transpose()?.map(|t| t.to_string()));
            add("subject", subject);
            add("object", object);
            add("kind", kind);
            add("outcome", outcome);
            add("source", source);
            add("decision", decision);
            let answer = session::open(common, Audit).await?.get(&format!("/ledger?{}", query.join("&"))).await?;
            show(common, &answer);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(common: &Common, answer: &Value) {
    let records = answer["records"].as_array().cloned().unwrap_or_default();
    if common.json {
        say!("{}", Value::Array(records));
        return;
    }
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|r| {
            let subject = match (r["subject"]["kind"].as_str(), r["subject"]["name"].as_str()) {
                (Some("user"), Some(name)) => name.to_owned(),
                (Some(kind), Some("")) => kind.to_owned(),
                (Some(kind), Some(name)) => format!("{kind}:{name}"),
                _ => String::new(),
            };
            let decision = output::text(r, "decision");
            vec![
                output::text(r, "seq"),
                output::time(r["time"].as_i64().unwrap_or_default()),
                output::text(r, "kind"),
                subject,
                output::text(r, "action"),
                output::text(r, "object"),
                output::text(r, "source"),
                output::text(r, "outcome"),
                decision.get(decision.len().saturating_sub(12)..).unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    let header = match common.lang {
        output::Lang::Zh => ["序号", "时间", "类别", "主体", "动作", "客体", "来源", "结果", "裁决"],
        output::Lang::En => ["seq", "time", "kind", "subject", "action", "object", "source", "outcome", "decision"],
    };
    output::table(&header, &rows);
}

fn verify(common: &Common, dir: Option<PathBuf>, head: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let dir = dir.unwrap_or_else(|| common.data.join("ledger"));
    let heads = head.map(|path| Head::read_all(&path).with_context(|| path.display().to_string())).transpose()?;
    let result = jinwu_ledger::verify(&dir, heads.as_deref())?;
    let value = serde_json::to_value(&result)?;
    if common.json {
        output::json(&value);
    } else {
        let lang = common.lang;
        say!(
            "{}: {}",
            dir.display(),
            if result.intact { lang.pick("完整", "intact") } else { lang.pick("已被破坏", "DAMAGED") }
        );
        say!("{}: {}", lang.pick("记录数", "records"), output::text(&value, "records"));
        for fault in value["faults"].as_array().into_iter().flatten() {
            say!(
                "  {} {} {} {}: {}",
                output::text(fault, "file"),
                lang.pick("偏移", "offset"),
                output::text(fault, "offset"),
                lang.pick("自记录", "from record").to_owned() + " " + &output::text(fault, "record"),
                output::text(fault, "detail")
            );
        }
        for text in value["cannot_exclude"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            say!("{}: {text}", lang.pick("不能排除", "cannot exclude"));
        }
    }
    Ok(if result.intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Unix milliseconds of a date, a time, or a span back from now.
pub(super) fn moment(text: &str) -> anyhow::Result<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(number);
    }
    let now = jiff::Timestamp::now();
    let unit = text.chars().last().and_then(|u| match u {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3600),
        'd' => Some(86_400),
        _ => None,
    });
    if let (Some(unit), Ok(n)) = (unit, text[..text.len() - text.chars().last().map_or(0, char::len_utf8)].parse::<i64>()) {
        return Ok(now.as_millisecond().saturating_sub(n.saturating_mul(unit * 1000)));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let local = text
        .parse::<jiff::civil::DateTime>()
        .or_else(|_| text.parse::<jiff::civil::Date>().map(|d| d.at(0, 0, 0, 0)))
        .with_context(|| format!("{text:?} 不是时间:用 2026-11-25、2026-11-25T08:00:00Z 或 24h / is no time: use 2026-11-25, 2026-11-25T08:00:00Z or 24h"))?;
    Ok(local.to_zoned(jiff::tz::TimeZone::system())?.timestamp().as_millisecond())
}
