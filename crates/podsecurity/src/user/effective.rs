//! From pod and image to the user.

use super::{EffectiveUser, ImageUser, RunsAs, UserSource};
use crate::pod::{ContainerAt, PodSpec};
use crate::shown::quoted;
use jinwu_model::Text;

/// The largest id Kubernetes allows.
const MAX_ID: i64 = i32::MAX as i64;

/// Groups that are kept for the report.
const MAX_GROUPS: usize = 16;

/// Who every container of the pod would really run as. `image_user` is asked only where the pod says
/// nothing.
pub fn effective_user(spec: &PodSpec<'_>, image_user: impl Fn(&ContainerAt<'_, '_>) -> ImageUser) -> Vec<EffectiveUser> {
    let windows = spec.is_windows();
    let pod = spec.security_context.as_ref();
    spec.all_containers()
        .map(|at| {
            let (runs_as, source) = if windows { windows_user(spec, &at, &image_user) } else { linux_user(spec, &at, &image_user) };
            EffectiveUser {
                container: at.container.name.to_string(),
                kind: at.kind,
                index: at.index,
                runs_as,
                source,
                run_as_non_root: at.container.security(|s| s.run_as_non_root).or(pod.and_then(|p| p.run_as_non_root)),
                own_users: spec.has_own_users(),
                windows,
                group: at.container.security(|s| s.run_as_group).or(pod.and_then(|p| p.run_as_group)),
                fs_group: pod.and_then(|p| p.fs_group),
                supplemental_groups: pod.map_or(&[][..], |p| &p.supplemental_groups).iter().copied().take(MAX_GROUPS).collect(),
            }
        })
        .collect()
}

fn linux_user(spec: &PodSpec<'_>, at: &ContainerAt<'_, '_>, image_user: impl Fn(&ContainerAt<'_, '_>) -> ImageUser) -> (RunsAs, UserSource) {
    if let Some(uid) = at.container.security(|s| s.run_as_user) {
        return (valid(uid), UserSource::Container);
    }
    if let Some(uid) = spec.security_context.as_ref().and_then(|s| s.run_as_user) {
        return (valid(uid), UserSource::Pod);
    }
    let runs_as = match image_user(at) {
        ImageUser::Uid(uid) => RunsAs::Uid(uid),
        ImageUser::Name(name) => {
            let name = quoted(&name);
            RunsAs::Unknown(Text::new(format!("用户名 {name} 未能解析为用户号"), format!("nobody could look up the user name {name}")))
        }
        ImageUser::Unknown { reason } => RunsAs::Unknown(reason),
    };
    (runs_as, UserSource::Image)
}

/// A number that is no user id may be cut to one by whoever reads it: 4294967296 to 0.
fn valid(uid: i64) -> RunsAs {
    match u32::try_from(uid) {
        Ok(id) if uid <= MAX_ID => RunsAs::Uid(id),
        _ => RunsAs::Unknown(Text::new(format!("{uid} 不是用户号(0 至 {MAX_ID})"), format!("{uid} is no user id (0 to {MAX_ID})"))),
    }
}

fn windows_user(spec: &PodSpec<'_>, at: &ContainerAt<'_, '_>, image_user: impl Fn(&ContainerAt<'_, '_>) -> ImageUser) -> (RunsAs, UserSource) {
    let container = at.container.security(|s| s.windows_options.as_ref()).and_then(|o| o.run_as_user_name.as_ref());
    if let Some(name) = container {
        return (RunsAs::WindowsUser(name.to_string()), UserSource::Container);
    }
    let pod = spec.security_context.as_ref().and_then(|s| s.windows_options.as_ref()).and_then(|o| o.run_as_user_name.as_ref());
    if let Some(name) = pod {
        return (RunsAs::WindowsUser(name.to_string()), UserSource::Pod);
    }
    let runs_as = match image_user(at) {
        ImageUser::Name(name) => RunsAs::WindowsUser(name),
        ImageUser::Uid(uid) => RunsAs::Unknown(Text::new(
            format!("Windows 容器没有用户号,镜像却给出 {uid}"),
            format!("Windows containers have no user ids, but the image names {uid}"),
        )),
        ImageUser::Unknown { reason } => RunsAs::Unknown(reason),
    };
    (runs_as, UserSource::Image)
}
