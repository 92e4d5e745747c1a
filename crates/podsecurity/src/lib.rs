//! Pod Security Standards and clause IP-6, judged from a pod's JSON. No I/O, no clock.
//!
//! - [`workload`]: which pods an object carries (Pod, Deployment, CronJob, a custom kind by its path),
//!   and whether an update changes anything that is judged here;
//! - [`pod`]: the members of a pod that matter, read leniently (unknown members are ignored, `null` is
//!   absent, as the API server does) and strictly (a member of the wrong type is an error that names it);
//! - [`control`]: the nineteen controls of *baseline* and *restricted* with their versions;
//! - [`evaluate`]: a pod against a level of a version;
//! - [`user`]: the user a container would really run as, and who of them is a privileged user (特权用户);
//! - [`expressions`]: the controls as CEL, for a ValidatingAdmissionPolicy that holds while nobody else does;
//! - [`privilege`]: extra rights to the host's devices, network or files: privileged mode (特权模式).
//!
//! Behaviour follows the module `k8s.io/pod-security-admission`; its fixtures and its own evaluator
//! are what the tests compare with.
#![forbid(unsafe_code)]

pub mod control;
pub mod evaluate;
pub mod expressions;
pub mod level;
pub mod pod;
pub mod privilege;
mod shown;
pub mod user;
pub mod workload;

pub use control::Control;
pub use evaluate::{Finding, evaluate, evaluate_at, evaluate_control};
pub use expressions::native_policy;
pub use level::{Level, Version};
pub use pod::{Container, ContainerKind, Paths, PodMetadata, PodSpec, PodTemplate, ReadError};
pub use privilege::{Right, RightFinding, privileged_mode};
pub use user::{EffectiveUser, ImageUser, UserFinding, effective_user, privileged_user};
pub use workload::{Resource, Workload, relevant_change};
