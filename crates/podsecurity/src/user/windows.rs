//! Privileged users of Windows containers.

/// Whether a Windows account is all-powerful in its container, or on the host for host processes. Case
/// does not matter to Windows; neither does the domain of the two administrators.
pub(super) fn is_privileged(name: &str) -> bool {
    let lower = name.trim().to_ascii_lowercase();
    let account = lower.rsplit('\\').next().unwrap_or_default();
    // An empty name is the image's default, which for most base images is the administrator.
    matches!(account, "" | "containeradministrator" | "administrator" | "administrators" | "system" | "localsystem")
}

#[cfg(test)]
mod tests {
    use super::is_privileged;

    #[test]
    fn administrators_and_the_system_are_privileged() {
        for name in ["ContainerAdministrator", "containeradministrator", "USER MANAGER\\ContainerAdministrator", "NT AUTHORITY\\SYSTEM", ""] {
            assert!(is_privileged(name), "{name}");
        }
        for name in ["ContainerUser", "NT AUTHORITY\\Local service", "app", "SYSTEM\\app"] {
            assert!(!is_privileged(name), "{name}");
        }
    }
}
