//! Controls over the user, as the standards word them: what the pod *says*. Who it really runs as is
//! [`crate::user`].

use super::{Review, set};
use jinwu_model::Text;

const RUN_AS_NON_ROOT: &str = "securityContext.runAsNonRoot";
const RUN_AS_USER: &str = "securityContext.runAsUser";

impl Review<'_, '_> {
    pub(super) fn run_as_non_root(&mut self) {
        if self.own_users_since(35) {
            return;
        }
        let spec = self.spec;
        let pod = spec.security_context.as_ref().and_then(|s| s.run_as_non_root);
        let pod_path = self.spec_path(RUN_AS_NON_ROOT);
        if pod == Some(false) {
            self.pod(Text::new("Pod 允许以 root 运行", "the pod allows running as root"), set(&pod_path, "true"));
        }
        for at in spec.all_containers() {
            let path = at.path(self.paths, RUN_AS_NON_ROOT);
            match at.container.security(|s| s.run_as_non_root) {
                Some(false) => self.container(&at, Text::new("允许以 root 运行", "allows running as root"), set(&path, "true")),
                None if pod != Some(true) => self.container(
                    &at,
                    Text::new("没有禁止以 root 运行", "does not forbid running as root"),
                    Text::new(format!("将 {pod_path} 或 {path} 设为 true"), format!("set {pod_path} or {path} to true")),
                ),
                _ => {}
            }
        }
    }

    pub(super) fn run_as_user(&mut self) {
        if self.own_users_since(35) {
            return;
        }
        let spec = self.spec;
        let advice = |path: &str| {
            Text::new(format!("将 {path} 设为非 0 的用户号,例如 1000"), format!("set {path} to a user id other than 0, for example 1000"))
        };
        if spec.security_context.as_ref().and_then(|s| s.run_as_user) == Some(0) {
            let path = self.spec_path(RUN_AS_USER);
            self.pod(Text::new("Pod 指定用户 0(root)", "the pod names user 0 (root)"), advice(&path));
        }
        for at in spec.all_containers().filter(|at| at.container.security(|s| s.run_as_user) == Some(0)) {
            let path = at.path(self.paths, RUN_AS_USER);
            self.container(&at, Text::new("指定用户 0(root)", "names user 0 (root)"), advice(&path));
        }
    }
}
