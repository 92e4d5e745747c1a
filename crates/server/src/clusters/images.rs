//! What is known about an image reference, for gates.
//!
//! An answer is made once for an image and a generation of engines, policies and exceptions, and
//! kept in memory. Whoever asks meanwhile waits for the same work; whoever cannot wait that long is
//! told so and finds the answer ready later.

mod index;
mod judge;
mod reference;
mod signer;

use super::verdict;
use crate::app::App;
use crate::gate::is_index;
use futures::future::{BoxFuture, FutureExt as _, Shared};
use jinwu_admission::protocol::{ImageAnswer, ImageQuestion, Knowledge};
use jinwu_model::{Digest, Reference, RepositoryName, Tag, Text};
use jinwu_registry::Registry;
use jinwu_registry::meta::StoredManifest;
use judge::Obstacle;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Answers and work in progress.
pub(crate) struct Images {
    known: Mutex<HashMap<Key, Knowledge>>,
    running: Mutex<HashMap<Key, Work>>,
    /// Images looked at at once: an answer that is not ready must not starve pushes of workers.
    room: Arc<Semaphore>,
}

/// Everything an answer depends on. The tag is among it because policies may read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) repository: RepositoryName,
    pub(crate) tag: Option<Tag>,
    pub(crate) digest: Digest,
    pub(crate) platform: Option<String>,
    generation: String,
}

type Work = Shared<BoxFuture<'static, Result<Knowledge, Text>>>;

/// Answers kept; beyond that those of other generations are forgotten, and then all.
const MAX_KNOWN: usize = 10_000;
/// Images in progress; more are told to ask again.
const MAX_RUNNING: usize = 256;
/// Images looked at at once.
const AT_ONCE: usize = 4;
/// Longest wait of one question. A gate's own caller, the API server, waits 30 s at most.
const WAIT: Duration = Duration::from_secs(20);
/// Milliseconds for which nothing known stays nothing known: the image may be pushed any moment.
const UNKNOWN: i64 = 5_000;

impl Default for Images {
    fn default() -> Self {
        Images { known: Mutex::default(), running: Mutex::default(), room: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// What is known about the image, and what it was looked up as where it is one of ours.
pub(crate) async fn answer(app: &App, question: &ImageQuestion) -> (ImageAnswer, Option<Key>) {
    let verdicts = verdict::present(app);
    let unknown = |digest: Option<Digest>, why: Text| ImageAnswer {
        reference: question.reference.clone(),
        digest,
        signers: Vec::new(),
        knowledge: Knowledge::Unknown { why },
        verdict_generation: verdicts.generation.clone(),
        valid_until: app.now() + UNKNOWN,
    };
    let (key, manifest) = match find(app, question, &verdicts.generation) {
        Ok(found) => found,
        Err(why) => return (unknown(None, why), None),
    };
    let digest = key.digest.clone();
    match tokio::time::timeout(WAIT, known(app, &key, manifest)).await {
        Ok(Ok(knowledge)) => {
            let (signers, all) = signers(app, &key).await;
            let valid_until = match &knowledge {
                // A signature may be pushed any moment as well.
                _ if !all => app.now() + UNKNOWN,
                Knowledge::Unknown { .. } => app.now() + UNKNOWN,
                Knowledge::Judged { .. } => {
                    let age = app.now() + i64::try_from(app.config.max_scan_age).unwrap_or(i64::MAX / 2000).saturating_mul(1000);
                    verdicts.until.map_or(age, |until| until.min(age))
                }
            };
            let reference = question.reference.clone();
            (ImageAnswer { reference, digest: Some(digest), signers, knowledge, verdict_generation: verdicts.generation, valid_until }, Some(key))
        }
        Ok(Err(why)) => (unknown(Some(digest), why), None),
        Err(_) => (unknown(Some(digest), Text::new("镜像仍在检查,请稍后重试", "the image is still being examined; try again in a moment")), None),
    }
}

/// Keys of the base platform that have signed the image, and whether all have that must.
async fn signers(app: &App, key: &Key) -> (Vec<String>, bool) {
    let wanted = signer::wanted(app, &key.digest);
    if wanted.is_empty() {
        return (Vec::new(), true);
    }
    let Ok(registry) = registry(app) else { return (Vec::new(), false) };
    let (repository, digest, count) = (key.repository.clone(), key.digest.clone(), wanted.len());
    let found = tokio::task::spawn_blocking(move || signer::verified(&registry, &repository, &digest, &wanted)).await.unwrap_or_default();
    let all = found.len() == count;
    (found, all)
}

/// The manifest a reference stands for now.
fn find(app: &App, question: &ImageQuestion, generation: &str) -> Result<(Key, Arc<StoredManifest>), Text> {
    let wanted = reference::read(&question.reference, &app.own_registries())?;
    let manifest = lookup(app, &wanted.repository, &wanted.reference)?.ok_or_else(|| {
        let what = match &wanted.reference {
            Reference::Tag(tag) => format!("{}:{tag}", wanted.repository),
            Reference::Digest(digest) => format!("{}@{digest}", wanted.repository),
        };
        Text::new(format!("仓库中没有 {what};先推送该镜像"), format!("the registry has no {what}; push the image first"))
    })?;
    let key = Key {
        repository: wanted.repository,
        tag: wanted.tag,
        digest: manifest.digest.clone(),
        platform: question.platform.clone(),
        generation: generation.to_owned(),
    };
    Ok((key, manifest))
}

fn registry(app: &App) -> Result<Registry, Text> {
    app.registry().cloned().ok_or_else(|| Text::new("镜像仓库正在启动,请稍后重试", "the registry is starting; try again in a moment"))
}

fn lookup(app: &App, repository: &RepositoryName, reference: &Reference) -> Result<Option<Arc<StoredManifest>>, Text> {
    registry(app)?.meta().manifest(repository, reference).map_err(|e| {
        tracing::error!(error = %e, "registry metadata");
        Text::new("镜像仓库暂时无法读取,请稍后重试", "the registry cannot be read now; try again in a moment")
    })
}

/// What is known about the image by what it was looked up as before, under the present generation;
/// `None` where it is gone, `Err` for what may be otherwise in a moment.
pub(crate) async fn again(
    app: &App,
    repository: &RepositoryName,
    tag: Option<&Tag>,
    digest: &Digest,
    platform: Option<&str>,
) -> Result<Option<Knowledge>, Text> {
    let Some(manifest) = lookup(app, repository, &Reference::Digest(digest.clone()))? else { return Ok(None) };
    let key = Key {
        repository: repository.clone(),
        tag: tag.cloned(),
        digest: digest.clone(),
        platform: platform.map(str::to_owned),
        generation: verdict::present(app).generation,
    };
    known(app, &key, manifest).await.map(Some)
}

/// From memory, from work in progress, or by looking now. The work goes on when nobody waits any more.
async fn known(app: &App, key: &Key, manifest: Arc<StoredManifest>) -> Result<Knowledge, Text> {
    let images = &app.clusters.images;
    if let Some(found) = images.known.lock().get(key) {
        return Ok(found.clone());
    }
    let work = {
        let mut running = images.running.lock();
        match running.get(key) {
            Some(work) => work.clone(),
            None if running.len() >= MAX_RUNNING => {
                return Err(Text::new("正在检查的镜像过多,请稍后重试", "too many images are being examined; try again in a moment"));
            }
            None => {
                let work = start(app.clone(), key.clone(), manifest);
                running.insert(key.clone(), work.clone());
                work
            }
        }
    };
    work.await
}

fn start(app: App, key: Key, manifest: Arc<StoredManifest>) -> Work {
    let task = tokio::spawn(async move {
        let room = app.clusters.images.room.clone();
        let _permit = room.acquire_owned().await;
        let result = look(&app, &key, &manifest).await;
        let images = &app.clusters.images;
        let answer = match result {
            Ok(knowledge) => {
                let present = verdict::present(&app).generation;
                let mut known = images.known.lock();
                if known.len() >= MAX_KNOWN {
                    known.retain(|k, _| k.generation == present);
                }
                if known.len() >= MAX_KNOWN {
                    known.clear();
                }
                known.insert(key.clone(), knowledge.clone());
                Ok(knowledge)
            }
            Err(why) => Err(why),
        };
        images.running.lock().remove(&key);
        answer
    });
    async move {
        task.await.unwrap_or_else(|_| Err(Text::new("内部错误,请稍后重试", "internal error; try again in a moment")))
    }
    .boxed()
    .shared()
}

/// `Err` for what may be otherwise in a moment.
async fn look(app: &App, key: &Key, manifest: &Arc<StoredManifest>) -> Result<Knowledge, Text> {
    let registry = registry(app)?;
    let manifests = if is_index(&manifest.media_type) {
        let children = match index::candidates(&manifest.body, key.platform.as_deref()) {
            Ok(children) => children,
            Err(why) => return Ok(Knowledge::Unknown { why }),
        };
        let mut manifests = Vec::new();
        for digest in children {
            match lookup(app, &key.repository, &Reference::Digest(digest.clone()))? {
                Some(child) if is_index(&child.media_type) => {
                    let why = Text::new("索引中还有索引;按摘要引用具体平台的镜像", "the index holds another index; name the platform's image by digest");
                    return Ok(Knowledge::Unknown { why });
                }
                Some(child) => manifests.push(child),
                None => {
                    return Err(Text::new(
                        format!("索引中的 {digest} 不在仓库中;先推送它"),
                        format!("{digest} of the index is not in the registry; push it first"),
                    ));
                }
            }
        }
        manifests
    } else {
        vec![manifest.clone()]
    };
    let mut images = Vec::new();
    for manifest in manifests {
        match judge::judge(app, &registry, &key.repository, key.tag.as_ref(), &manifest).await {
            Ok(image) => images.extend(image),
            Err(Obstacle::Lasting(why)) => return Ok(Knowledge::Unknown { why }),
            Err(Obstacle::Passing(why)) => return Err(why),
        }
    }
    Ok(match judge::worst(images) {
        Some(image) => Knowledge::Judged { uid: image.uid, user_basis: image.user_basis, findings: image.findings },
        None => {
            let on = key.platform.as_deref().unwrap_or("*");
            Knowledge::Unknown {
                why: Text::new(
                    format!("其中没有可在 {on} 上运行的镜像;检查引用是否指向镜像,索引是否含该平台"),
                    format!("it holds no image that runs on {on}; check that the reference names an image and that the index has the platform"),
                ),
            }
        }
    })
}
