//! What the commands do.

use crate::output::{self, Format, Language};
use crate::source::{self, Access, Content, Credentials, Image};
use clap::Args;
use jinwu_model::report::ImageReport;
use jinwu_model::{Decision, DecisionId, Gate, Masked, ProtectionLevel};
use jinwu_policy::{Facts, ImageFacts, PolicySet, Scope, judge};
use jinwu_scan::client::{ComposeRequest, LayerOutcome, Pool, PoolConfig};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Args)]
pub(crate) struct ImageArguments {
    /// 镜像引用、OCI 布局、docker save 归档或根文件系统 / reference, OCI layout, docker-save archive or root file system
    image: String,
    /// 输出格式 / output format
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// 写入文件而非标准输出 / write to a file instead of standard output
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// 语言 / language
    #[arg(long, value_enum, default_value_t = Language::Zh)]
    lang: Language,
    /// 以该保护等级的内置策略判定,拒绝时退出码为 1 / judge by the built-in policies of this level; exit code 1 when refused
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    level: Option<u8>,
    /// 信任的 CA 证书(PEM)/ CA certificates to trust (PEM)
    #[arg(long)]
    ca: Vec<PathBuf>,
    /// 不校验服务器证书 / do not verify the server's certificate
    #[arg(long)]
    insecure_skip_tls_verify: bool,
    /// 以明文 HTTP 拉取 / pull over plain HTTP
    #[arg(long)]
    plain_http: bool,
    #[arg(long, env = "JINWU_REGISTRY_USERNAME")]
    username: Option<String>,
    /// 口令仅经环境变量给出 / the password is taken from the environment only
    #[arg(long, env = "JINWU_REGISTRY_PASSWORD", hide = true, hide_env_values = true)]
    password: Option<String>,
    /// 凭据文件(docker/podman 格式)/ credentials file as docker and podman write it
    #[arg(long)]
    authfile: Option<PathBuf>,
    /// 多平台镜像中选取的平台 / platform chosen from a multi-platform image
    #[arg(long, default_value_t = native_platform())]
    platform: String,
    /// 工作进程数 / worker processes
    #[arg(long, default_value_t = default_workers())]
    workers: usize,
    /// 单个工作进程内存上限(MiB)/ memory limit of one worker (MiB)
    #[arg(long, default_value_t = 1024)]
    memory: u64,
    /// 单层时限(秒)/ time limit of one layer (seconds)
    #[arg(long, default_value_t = 300)]
    timeout: u64,
}

fn native_platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux/{architecture}")
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(4))
}

pub(crate) fn image(arguments: &ImageArguments) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| format!("runtime: {e}"))?;
    let (image, report) = runtime.block_on(scan(arguments))?;
    let decision = arguments.level.map(|level| decide(level, &image, &report)).transpose()?;
    let text = output::render(arguments.format, arguments.lang, &image, &report, decision.as_ref())?;
    match &arguments.output {
        Some(path) => std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?,
        // A reader that went away, such as `head`, is no error of ours.
        None => drop(std::io::stdout().write_all(text.as_bytes())),
    }
    Ok(match decision {
        Some(decision) if decision.permit => ExitCode::SUCCESS,
        Some(_) => ExitCode::from(1),
        None if report.unscannable.is_empty() => ExitCode::SUCCESS,
        None => ExitCode::from(2),
    })
}

async fn scan(arguments: &ImageArguments) -> Result<(Image, ImageReport), String> {
    let program = std::env::current_exe().map_err(|e| format!("own program: {e}"))?;
    let mut config = PoolConfig::new(program);
    config.workers = arguments.workers.clamp(1, 64);
    config.eager = false;
    config.queue = 2000;
    config.memory_limit = arguments.memory << 20;
    config.layer_timeout = Duration::from_secs(arguments.timeout);
    // Workers inherit nothing else.
    for name in [crate::engines::DATABASE, crate::engines::DATABASE_KEY, jinwu_scan::worker::FAILPOINT] {
        if let Some(value) = std::env::var_os(name) {
            config.environment.push((name.into(), value));
        }
    }
    let pool = Pool::start(config).await.map_err(|e| e.to_string())?;
    for warning in pool.warnings() {
        eprintln!("jinwu-scan: 沙箱不完整 / incomplete sandbox: {warning}");
    }
    let (os, architecture) = arguments.platform.split_once('/').ok_or("--platform is not of the form linux/amd64")?;
    let access = Access {
        credentials: Credentials {
            username: arguments.username.clone(),
            password: arguments.password.clone().map(Masked::new),
            file: arguments.authfile.clone(),
        },
        ca: arguments.ca.clone(),
        insecure: arguments.insecure_skip_tls_verify,
        plain_http: arguments.plain_http,
        platform: (os.to_owned(), architecture.to_owned()),
    };
    let mut image = source::open(&arguments.image, &access, &pool).await?;
    let terminal = std::io::stderr().is_terminal();
    let total = image.layers.len();
    let mut layers = Vec::new();
    for (at, (descriptor, content)) in std::mem::take(&mut image.layers).into_iter().enumerate() {
        if terminal {
            eprint!("\r\x1b[K{} {}/{total} {}", arguments.lang.of("扫描层", "scanning layer"), at + 1, descriptor.digest.short());
        }
        let outcome = match content {
            Content::Running(pending) => pending.await,
            Content::Settled(outcome) => outcome,
        };
        layers.push((descriptor, outcome));
    }
    if terminal {
        eprint!("\r\x1b[K");
    }
    if let (true, Some((_, LayerOutcome::Analysis { diff_id, .. }))) = (image.bare, layers.first()) {
        image.config = serde_json::json!({ "os": os, "architecture": architecture, "rootfs": { "type": "layers", "diff_ids": [diff_id] } })
            .to_string()
            .into();
    }
    let request = ComposeRequest {
        image: image.digest.clone(),
        manifest: image.manifest.clone(),
        manifest_media_type: image.media_type.clone(),
        config: image.config.clone(),
        config_media_type: image.config_media_type.clone(),
        layers,
    };
    let mut report = pool.compose(request).await.map_err(|u| format!("{}: {}", arguments.image, u.detail))?;
    if image.bare {
        // There is no configuration to blame.
        report.configuration.runs_as_root = false;
        report.configuration.user_basis = "a root file system has no USER".into();
    }
    Ok((image, report))
}

/// Judges as the push gate would, with the built-in policies in the modes of the level.
fn decide(level: u8, image: &Image, report: &ImageReport) -> Result<Decision, String> {
    let level = ProtectionLevel::try_from(level)?;
    let set = PolicySet::load([]).map_err(|e| format!("built-in policies: {e}"))?;
    let repository: jinwu_model::RepositoryName = image.repository.parse().map_err(|e| format!("{}: {e}", image.repository))?;
    let facts = ImageFacts {
        project: image.repository.split('/').next().unwrap_or_default().to_owned(),
        repository,
        tags: image.tag.iter().cloned().collect(),
        digest: image.digest.clone(),
        media_type: image.media_type.clone(),
    };
    let facts = Facts::new(&facts, report)?;
    let scope = Scope { level, modes: &BTreeMap::new(), exceptions: &[], now: jiff::Timestamp::now().as_millisecond() };
    let id = DecisionId(uuid::Uuid::now_v7().to_string());
    Ok(judge(&set, Gate::Push, &scope, &facts, id))
}

pub(crate) fn database_info() -> Result<(), String> {
    let database = crate::engines::database()?;
    let mut text = format!("世代 / generation: {}\n", database.generation());
    text.push_str(&format!("公告 / advisories: {}\n", database.advisories()));
    for release in database.releases().map_err(|e| e.to_string())? {
        text.push_str(&format!("{release:?}\n"));
    }
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
