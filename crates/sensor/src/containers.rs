//! Cgroups and the containers they are.

use crate::bundle;
use crate::cgroup::{Place, place};
use jinwu_event::{Container, Pod, Process};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long events wait for a container to become known.
pub const PATIENCE: Duration = Duration::from_millis(200);
/// Between two looks for a bundle.
const PAUSE: Duration = Duration::from_millis(20);

struct Cgroup {
    path: String,
    container: Arc<Container>,
    /// When it was seen first, and looked for last.
    first: Instant,
    looked: Option<Instant>,
    /// Its runtime's bundle was found, or it is none.
    settled: bool,
}

/// What is known of a node's cgroups.
pub struct Containers {
    root: PathBuf,
    /// Mount point of the hierarchy that names containers.
    mount: PathBuf,
    /// Only containers below this cgroup are this sensor's.
    scope: String,
    /// And none whose cgroup's path begins so.
    except: Option<String>,
    cgroups: HashMap<u64, Cgroup>,
    by_id: HashMap<String, Arc<Container>>,
    node: Arc<Container>,
}

/// Whose a cgroup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Node,
    Container,
    Foreign,
}

/// How a cgroup stands.
#[derive(Clone, Debug)]
pub enum Known {
    Settled(Arc<Container>),
    /// Its container is looked for still.
    Waiting(Arc<Container>),
    /// Not this sensor's.
    Foreign,
}

// === impl Containers ===

impl Containers {
    /// `root` is where the node's file system is seen, `mount` the mount point of the cgroup hierarchy.
    /// Containers outside of the cgroup `scope` (`/` for the whole node), and those whose path begins with `except`, are
    /// somebody else's.
    pub fn new(root: PathBuf, mount: PathBuf, scope: &str, except: Option<String>) -> Self {
        let scope = scope.trim_end_matches('/').to_owned();
        Containers { root, mount, scope, except, cgroups: HashMap::new(), by_id: HashMap::new(), node: Arc::new(Container::node()) }
    }

    /// Every cgroup there is, told with whose it is.
    pub fn look(&mut self, mut tell: impl FnMut(u64, Whose)) {
        let mount = self.mount.clone();
        self.walk(&mount, "", 0, &mut tell);
    }

    fn walk(&mut self, folder: &Path, path: &str, depth: usize, tell: &mut dyn FnMut(u64, Whose)) {
        use std::os::unix::fs::MetadataExt as _;
        if let Ok(metadata) = folder.metadata() {
            let whose = self.made(metadata.ino(), if path.is_empty() { "/" } else { path });
            tell(metadata.ino(), whose);
        }
        if depth > 16 {
            return;
        }
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                let path = format!("{path}/{}", entry.file_name().to_string_lossy());
                self.walk(&entry.path(), &path, depth + 1, tell);
            }
        }
    }

    /// A cgroup is there; answers whose it is.
    pub fn made(&mut self, id: u64, path: &str) -> Whose {
        let Place { container, runtime, pod } = place(path);
        let (container, settled) = match container {
            None => (self.node.clone(), true),
            Some(id) => match self.by_id.get(&id) {
                Some(known) => (known.clone(), known.resolved),
                None => {
                    let pod = pod.map(|uid| Pod { uid, ..Pod::default() });
                    (Arc::new(Container { id, runtime, pod, ..Container::default() }), false)
                }
            },
        };
        let whose = match () {
            () if container.is_node() => Whose::Node,
            () if self.except.as_deref().is_some_and(|e| path.starts_with(e)) => Whose::Foreign,
            () if path.strip_prefix(self.scope.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) => Whose::Container,
            () => Whose::Foreign,
        };
        if whose != Whose::Foreign {
            self.cgroups.insert(id, Cgroup { path: path.to_owned(), container, first: Instant::now(), looked: None, settled });
        }
        whose
    }

    pub fn removed(&mut self, id: u64) -> Option<Arc<Container>> {
        let gone = self.cgroups.remove(&id)?.container;
        if gone.is_node() || self.cgroups.values().any(|c| c.container.id == gone.id) {
            return None;
        }
        self.by_id.remove(&gone.id);
        Some(gone)
    }

    /// The container of a cgroup. `process` is one in it, to find its path if it is not known yet, `ancestors` who
    /// started it, to find the bundle by.
    pub fn of(&mut self, id: u64, pid: u32, ancestors: &[Arc<Process>]) -> Known {
        if !self.cgroups.contains_key(&id) {
            match self.path_of(pid, id) {
                Some(path) => {
                    if self.made(id, &path) == Whose::Foreign {
                        return Known::Foreign;
                    }
                }
                None => return Known::Settled(self.node.clone()),
            }
        }
        let Some(cgroup) = self.cgroups.get_mut(&id) else { return Known::Settled(self.node.clone()) };
        if cgroup.settled {
            return Known::Settled(cgroup.container.clone());
        }
        if cgroup.looked.is_none_or(|l| l.elapsed() >= PAUSE) {
            cgroup.looked = Some(Instant::now());
            let places = bundle::near(&cgroup.container.id, ancestors.iter().map(|a| &**a));
            if let Some(mut found) = bundle::find(&self.root, &cgroup.container.id, &places) {
                if found.runtime == jinwu_event::Runtime::Unknown {
                    found.runtime = cgroup.container.runtime;
                }
                if found.pod.is_none() {
                    found.pod.clone_from(&cgroup.container.pod);
                }
                let found = Arc::new(found);
                self.by_id.insert(found.id.clone(), found.clone());
                cgroup.container = found.clone();
                cgroup.settled = true;
                return Known::Settled(found);
            }
        }
        if cgroup.first.elapsed() >= PATIENCE {
            cgroup.settled = true;
            tracing::warn!(container = %cgroup.container.id, "no runtime knows this container: its events name only its id");
            return Known::Settled(cgroup.container.clone());
        }
        Known::Waiting(cgroup.container.clone())
    }

    pub fn node(&self) -> Arc<Container> {
        self.node.clone()
    }

    /// Cgroups of a container.
    pub fn cgroups(&self, container: &str) -> Vec<u64> {
        self.cgroups.iter().filter(|(_, c)| c.container.id == container).map(|(id, _)| *id).collect()
    }

    /// Folder of a container's cgroup: the outermost of those it has, which holds the others.
    pub fn folder(&self, container: &str) -> Option<PathBuf> {
        let paths = self.cgroups.values().filter(|c| c.container.id == container).map(|c| c.path.as_str());
        paths.min_by_key(|p| p.len()).map(|p| self.mount.join(p.trim_start_matches('/')))
    }

    /// Every container of this sensor's, once.
    pub fn known(&self) -> std::collections::BTreeMap<&str, &Arc<Container>> {
        self.cgroups.values().map(|c| &c.container).filter(|c| !c.is_node()).map(|c| (c.id.as_str(), c)).collect()
    }

    /// The container whose id begins so, or whose name this is; none if there are several.
    pub fn find(&self, text: &str) -> Option<Arc<Container>> {
        let all = self.known();
        let mut found = all.values().filter(|c| !text.is_empty() && (c.id.starts_with(text) || c.name == text));
        let first = found.next()?;
        found.next().is_none().then(|| Arc::clone(first))
    }

    /// Every cgroup with its container; those of the node too.
    pub fn all(&self) -> impl Iterator<Item = (u64, &Arc<Container>)> {
        self.cgroups.iter().map(|(id, c)| (*id, &c.container))
    }

    /// Folder of a cgroup in the hierarchy that names containers.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// Of the hierarchy at `mount`: the line without controllers, or that of the first controller of its name.
    fn path_of(&self, pid: u32, id: u64) -> Option<String> {
        use std::os::unix::fs::MetadataExt as _;
        let lines = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mut paths = lines.lines().filter_map(|l| l.splitn(3, ':').nth(2));
        paths.find(|p| self.mount.join(p.trim_start_matches('/')).metadata().is_ok_and(|m| m.ino() == id)).map(str::to_owned)
    }
}
