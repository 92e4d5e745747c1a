//! Controls over volumes.

use super::Review;
use crate::shown::{plain, quoted};
use jinwu_model::Text;

impl Review<'_, '_> {
    pub(super) fn host_path_volumes(&mut self) {
        let spec = self.spec;
        for (n, volume) in spec.volumes.iter().enumerate() {
            let Some(host_path) = &volume.host_path else { continue };
            let (name, path) = (quoted(&volume.name), quoted(&host_path.path));
            let member = self.spec_path(&format!("volumes[{n}].hostPath"));
            self.pod(
                Text::new(format!("卷 {name} 挂载宿主机的 {path}"), format!("volume {name} mounts {path} of the host")),
                other_volume(&member),
            );
        }
    }

    pub(super) fn restricted_volumes(&mut self) {
        let spec = self.spec;
        for (n, volume) in spec.volumes.iter().enumerate().filter(|(_, v)| !v.is_allowed()) {
            let source = match &volume.other {
                Some(other) if volume.host_path.is_none() => plain(other),
                _ => "hostPath".to_owned(),
            };
            let name = quoted(&volume.name);
            let member = self.spec_path(&format!("volumes[{n}].{source}"));
            self.pod(Text::new(format!("卷 {name} 的类型为 {source}"), format!("volume {name} is of type {source}")), other_volume(&member));
        }
    }
}

fn other_volume(member: &str) -> Text {
    Text::new(
        format!("将 {member} 换为 configMap、secret、emptyDir、persistentVolumeClaim、projected、csi 等类型"),
        format!("replace {member} by configMap, secret, emptyDir, persistentVolumeClaim, projected, csi or the like"),
    )
}
