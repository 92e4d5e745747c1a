//! What is known of images: kept by digest, asked of the server otherwise.
//!
//! An answer is kept only for a reference that names a digest: a tag may stand for something else the
//! next moment. It holds while the generation of verdicts is the same and its time has not passed.

use crate::server::Server;
use crate::state::now;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, join_all};
use jinwu_admission::Rules;
use jinwu_admission::protocol::{ImageAnswer, ImageQuestion};
use jinwu_admission::reference::ImageReference;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Answers kept; beyond it the one that ends first goes.
const MOST: usize = 20_000;

type Asked = Shared<BoxFuture<'static, Option<ImageAnswer>>>;

#[derive(Clone)]
pub(crate) struct Images(Arc<Inner>);

struct Inner {
    server: Arc<Server>,
    file: PathBuf,
    patience: Duration,
    known: Mutex<HashMap<String, ImageAnswer>>,
    asked: Mutex<HashMap<String, Asked>>,
    changed: AtomicBool,
    /// The gate's own image.
    own: Option<String>,
}

impl Images {
    /// With what an earlier process kept in `file`; `own` is the gate's own image, by digest.
    pub(crate) fn open(server: Arc<Server>, file: &Path, patience: Duration, own: Option<&str>) -> Self {
        let kept: Vec<ImageAnswer> = std::fs::read(file).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
        let known = kept.into_iter().map(|a| (a.reference.clone(), a)).collect();
        Images(Arc::new(Inner {
            server,
            file: file.to_owned(),
            patience,
            known: Mutex::new(known),
            asked: Mutex::default(),
            changed: AtomicBool::new(false),
            own: own.and_then(ImageReference::parse).filter(|r| r.digest.is_some()).map(|r| r.full()),
        }))
    }

    /// Asks about the gate's own image, so that its verdict is at hand when a pod of the gate is made.
    pub(crate) async fn about_own(&self, rules: &Rules) -> Option<ImageAnswer> {
        let own = self.0.own.as_deref().and_then(ImageReference::parse)?;
        self.about(&[own], rules).await.into_values().next()
    }

    /// What another gate was told about this image. An own answer is newer.
    pub(crate) fn recall_own(&self, answer: ImageAnswer) {
        if self.0.own.as_ref() == Some(&answer.reference) {
            self.0.known.lock().entry(answer.reference.clone()).or_insert(answer);
        }
    }

    /// The last word about the gate's own image, however old: without it no pod of the gate could be made again
    /// while the server is away. It is bound to a digest, and no other image gains by it.
    fn last_of_own(&self, full: &str) -> Option<ImageAnswer> {
        (self.0.own.as_deref() == Some(full)).then(|| self.0.known.lock().get(full).cloned())?
    }

    /// What is known of these, as far as it can be had in time. Registries that are not ours are not
    /// asked about: the server would only say so.
    pub(crate) async fn about(&self, references: &[ImageReference], rules: &Rules) -> HashMap<String, ImageAnswer> {
        let mut answers = HashMap::new();
        let mut asking = Vec::new();
        for reference in references {
            let full = reference.full();
            if answers.contains_key(&full) || !rules.is_allowed_registry(&reference.registry) {
                continue;
            }
            match self.kept(&full, rules) {
                Some(answer) => {
                    answers.insert(full, answer);
                }
                None if asking.iter().all(|(name, _)| *name != full) => {
                    let asked = self.ask(&full, reference.digest.is_some());
                    asking.push((full, asked));
                }
                None => {}
            }
        }
        if !asking.is_empty() {
            let all = join_all(asking.into_iter().map(|(name, asked)| async move {
                let answer = tokio::time::timeout(self.0.patience, asked).await.ok().flatten();
                let answer = answer.or_else(|| self.last_of_own(&name));
                (name, answer)
            }));
            answers.extend(all.await.into_iter().filter_map(|(name, answer)| Some((name, answer?))));
        }
        answers
    }

    fn kept(&self, full: &str, rules: &Rules) -> Option<ImageAnswer> {
        let known = self.0.known.lock();
        let answer = known.get(full)?;
        // While the server is away its last word holds to its end.
        (answer.verdict_generation == rules.bundle.verdict_generation && now() < answer.valid_until).then(|| answer.clone())
    }

    /// Those who want the same at once ask once.
    fn ask(&self, full: &str, keep: bool) -> Asked {
        let mut asked = self.0.asked.lock();
        if let Some(running) = asked.get(full) {
            return running.clone();
        }
        let (this, name) = (self.clone(), full.to_owned());
        let future = async move {
            let answer = this.0.server.image(&ImageQuestion { reference: name.clone(), platform: None }).await;
            this.0.asked.lock().remove(&name);
            match answer {
                Ok(answer) => {
                    if keep && answer.digest.is_some() {
                        this.keep(answer.clone());
                    }
                    Some(answer)
                }
                Err(error) => {
                    tracing::warn!(image = name, %error, "the server does not say what an image is");
                    None
                }
            }
        };
        let shared = future.boxed().shared();
        asked.insert(full.to_owned(), shared.clone());
        // It goes on when whoever asked first gives up.
        tokio::spawn(shared.clone());
        shared
    }

    fn keep(&self, answer: ImageAnswer) {
        let mut known = self.0.known.lock();
        if known.len() >= MOST
            && let Some(first) = known.values().filter(|a| self.0.own.as_ref() != Some(&a.reference)).min_by_key(|a| a.valid_until).map(|a| a.reference.clone())
        {
            known.remove(&first);
        }
        known.insert(answer.reference.clone(), answer);
        self.0.changed.store(true, Ordering::Relaxed);
    }

    /// Keeps on disk what has changed, every few seconds.
    pub(crate) async fn save_regularly(self) {
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            if !self.0.changed.swap(false, Ordering::Relaxed) {
                continue;
            }
            let list: Vec<ImageAnswer> = self.0.known.lock().values().filter(|a| now() < a.valid_until || self.0.own.as_ref() == Some(&a.reference)).cloned().collect();
            let file = self.0.file.clone();
            let saved = tokio::task::spawn_blocking(move || jinwu_trust::files::write(&file, &serde_json::to_vec(&list).unwrap_or_default(), 0o600)).await;
            if let Ok(Err(error)) = saved {
                tracing::warn!(%error, "image verdicts could not be kept");
            }
        }
    }
}
