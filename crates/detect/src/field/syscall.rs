//! Fields of node events (`syscall`): the names, types and restrictions of libsinsp and of the
//! container plugin for every field the default rules use, their close kin, and `jinwu.*`, which
//! Falco does not know.
//!
//! `jinwu-event` answers them. Durations and times are nanoseconds, `fd.*net` are the addresses that
//! a network is asked to hold.

use super::{Definition, FieldId, Kind, Takes};

macro_rules! fields {
    ($($variant:ident $name:literal $kind:ident $takes:ident $use:ident,)*) => {
        /// A field of node events; the variant is the field's name in camel case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum SyscallField {
            $(#[doc = $name] $variant,)*
        }

        /// Name, field, type, argument, and whether it may stand in `val()` and transformers.
        const TABLE: &[(&str, SyscallField, Kind, Takes, bool)] = &[
            $(($name, SyscallField::$variant, Kind::$kind, Takes::$takes, movable!($use)),)*
        ];
    };
}

macro_rules! movable {
    (free) => {
        true
    };
    (fixed) => {
        false
    };
}

fields! {
    ContainerDuration "container.duration" Number Nothing free,
    ContainerFullId "container.full_id" Text Nothing free,
    ContainerHostIpc "container.host_ipc" Flag Nothing free,
    ContainerHostNetwork "container.host_network" Flag Nothing free,
    ContainerHostPid "container.host_pid" Flag Nothing free,
    ContainerId "container.id" Text Nothing free,
    ContainerImage "container.image" Text Nothing free,
    ContainerImageDigest "container.image.digest" Text Nothing free,
    ContainerImageId "container.image.id" Text Nothing free,
    ContainerImageRepository "container.image.repository" Text Nothing free,
    ContainerImageTag "container.image.tag" Text Nothing free,
    ContainerInfo "container.info" Text Nothing free,
    ContainerIp "container.ip" Text Nothing free,
    ContainerLabel "container.label" Text Key free,
    ContainerMount "container.mount" Text Key free,
    ContainerMountDest "container.mount.dest" Text Key free,
    ContainerMountMode "container.mount.mode" Text Key free,
    ContainerMountSource "container.mount.source" Text Key free,
    ContainerMounts "container.mounts" Text Nothing free,
    ContainerName "container.name" Text Nothing free,
    ContainerPrivileged "container.privileged" Flag Nothing free,
    ContainerStartTs "container.start_ts" Number Nothing free,
    ContainerType "container.type" Text Nothing free,
    EvtAbspath "evt.abspath" Text MaybeKey free,
    EvtArg "evt.arg" Text Key free,
    EvtArgs "evt.args" Text Nothing free,
    EvtBuffer "evt.buffer" Bytes Nothing free,
    EvtCategory "evt.category" Text Nothing free,
    EvtCount "evt.count" Number Nothing free,
    EvtCpu "evt.cpu" Number Nothing free,
    EvtFailed "evt.failed" Flag Nothing free,
    EvtInfo "evt.info" Text Nothing free,
    EvtIsIo "evt.is_io" Flag Nothing free,
    EvtIsOpenCreate "evt.is_open_create" Flag Nothing free,
    EvtIsOpenExec "evt.is_open_exec" Flag Nothing free,
    EvtIsOpenRead "evt.is_open_read" Flag Nothing free,
    EvtIsOpenWrite "evt.is_open_write" Flag Nothing free,
    EvtRawarg "evt.rawarg" Text Key fixed,
    EvtRawres "evt.rawres" Number Nothing free,
    EvtRes "evt.res" Text Nothing free,
    EvtType "evt.type" Text Nothing free,
    FdCip "fd.cip" Address Nothing free,
    FdCipName "fd.cip.name" Text Nothing fixed,
    FdCnet "fd.cnet" Network Nothing fixed,
    FdConnected "fd.connected" Flag Nothing free,
    FdContainername "fd.containername" Text Nothing free,
    FdCport "fd.cport" Number Nothing free,
    FdCproto "fd.cproto" Text Nothing free,
    FdDev "fd.dev" Number Nothing free,
    FdDevMajor "fd.dev.major" Number Nothing free,
    FdDevMinor "fd.dev.minor" Number Nothing free,
    FdDirectory "fd.directory" Text Nothing free,
    FdFilename "fd.filename" Text Nothing free,
    FdIno "fd.ino" Number Nothing free,
    FdIp "fd.ip" Address Nothing fixed,
    FdIsLowerLayer "fd.is_lower_layer" Flag Nothing free,
    FdIsServer "fd.is_server" Flag Nothing free,
    FdIsUpperLayer "fd.is_upper_layer" Flag Nothing free,
    FdL4proto "fd.l4proto" Text Nothing free,
    FdLip "fd.lip" Address Nothing free,
    FdLipName "fd.lip.name" Text Nothing fixed,
    FdLnet "fd.lnet" Network Nothing fixed,
    FdLport "fd.lport" Number Nothing free,
    FdLproto "fd.lproto" Text Nothing free,
    FdName "fd.name" Text Nothing free,
    FdNameChanged "fd.name_changed" Flag Nothing free,
    FdNameraw "fd.nameraw" Text Nothing free,
    FdNet "fd.net" Network Nothing fixed,
    FdNum "fd.num" Number Nothing free,
    FdPort "fd.port" Number Nothing fixed,
    FdProto "fd.proto" Text Nothing free,
    FdRip "fd.rip" Address Nothing free,
    FdRipName "fd.rip.name" Text Nothing fixed,
    FdRnet "fd.rnet" Network Nothing fixed,
    FdRport "fd.rport" Number Nothing free,
    FdRproto "fd.rproto" Text Nothing free,
    FdSip "fd.sip" Address Nothing free,
    FdSipName "fd.sip.name" Text Nothing fixed,
    FdSnet "fd.snet" Network Nothing fixed,
    FdSockfamily "fd.sockfamily" Text Nothing free,
    FdSport "fd.sport" Number Nothing free,
    FdSproto "fd.sproto" Text Nothing free,
    FdType "fd.type" Text Nothing free,
    FdTypechar "fd.typechar" Text Nothing free,
    FdUid "fd.uid" Text Nothing free,
    FsPathName "fs.path.name" Text Nothing free,
    FsPathNameraw "fs.path.nameraw" Text Nothing free,
    FsPathSource "fs.path.source" Text Nothing free,
    FsPathSourceraw "fs.path.sourceraw" Text Nothing free,
    FsPathTarget "fs.path.target" Text Nothing free,
    FsPathTargetraw "fs.path.targetraw" Text Nothing free,
    GroupGid "group.gid" Number Nothing free,
    GroupName "group.name" Text Nothing free,
    JinwuCompat "jinwu.compat" Flag Nothing free,
    JinwuContainerHandler "jinwu.container.handler" Text Nothing free,
    JinwuContainerResolved "jinwu.container.resolved" Flag Nothing free,
    JinwuDnsName "jinwu.dns.name" Text Nothing free,
    JinwuDnsType "jinwu.dns.type" Text Nothing free,
    JinwuFileCreated "jinwu.file.created" Flag Nothing free,
    JinwuFileLayer "jinwu.file.layer" Text Nothing free,
    JinwuFileType "jinwu.file.type" Text Nothing free,
    JinwuFileWritten "jinwu.file.written" Flag Nothing free,
    JinwuIoUring "jinwu.io_uring" Flag Nothing free,
    JinwuOrigin "jinwu.origin" Text Nothing free,
    JinwuProcEntered "jinwu.proc.entered" Flag Nothing free,
    JinwuProcLayer "jinwu.proc.layer" Text Nothing free,
    JinwuProcMountNamespace "jinwu.proc.mount_namespace" Number Nothing free,
    JinwuProcParentUid "jinwu.proc.parent_uid" Number Nothing free,
    JinwuProcPidNamespace "jinwu.proc.pid_namespace" Number Nothing free,
    JinwuProcSetuid "jinwu.proc.setuid" Flag Nothing free,
    JinwuProcStdinSocket "jinwu.proc.stdin_socket" Flag Nothing free,
    JinwuProcStdoutSocket "jinwu.proc.stdout_socket" Flag Nothing free,
    JinwuProcUserNamespace "jinwu.proc.user_namespace" Number Nothing free,
    JinwuProcWritten "jinwu.proc.written" Flag Nothing free,
    JinwuRemote "jinwu.remote" Text Nothing free,
    JinwuResult "jinwu.result" Text Nothing free,
    JinwuTargetExepath "jinwu.target.exepath" Text Nothing free,
    JinwuTargetName "jinwu.target.name" Text Nothing free,
    JinwuTargetPid "jinwu.target.pid" Number Nothing free,
    JinwuVerdict "jinwu.verdict" Text Nothing free,
    K8sDeploymentName "k8s.deployment.name" Text Nothing free,
    K8sNsLabel "k8s.ns.label" Text Key free,
    K8sNsName "k8s.ns.name" Text Nothing free,
    K8sPodId "k8s.pod.id" Text Nothing free,
    K8sPodIp "k8s.pod.ip" Text Nothing free,
    K8sPodLabel "k8s.pod.label" Text Key free,
    K8sPodLabels "k8s.pod.labels" Text Nothing free,
    K8sPodName "k8s.pod.name" Text Nothing free,
    K8sPodSandboxId "k8s.pod.sandbox_id" Text Nothing free,
    K8sPodUid "k8s.pod.uid" Text Nothing free,
    K8sRsName "k8s.rs.name" Text Nothing free,
    ProcAcmdline "proc.acmdline" Text Index fixed,
    ProcAenv "proc.aenv" Text Index fixed,
    ProcAexe "proc.aexe" Text Index fixed,
    ProcAexepath "proc.aexepath" Text Index fixed,
    ProcAname "proc.aname" Text Index fixed,
    ProcApid "proc.apid" Number Index fixed,
    ProcArgs "proc.args" Text Index free,
    ProcCmdlenargs "proc.cmdlenargs" Number Nothing free,
    ProcCmdline "proc.cmdline" Text Nothing free,
    ProcCmdnargs "proc.cmdnargs" Number Nothing free,
    ProcCwd "proc.cwd" Text Nothing free,
    ProcDuration "proc.duration" Number Nothing free,
    ProcEnv "proc.env" Text MaybeKey free,
    ProcExe "proc.exe" Text Nothing free,
    ProcExeIno "proc.exe_ino" Number Nothing free,
    ProcExeInoCtime "proc.exe_ino.ctime" Number Nothing free,
    ProcExeInoCtimeDurationProcStart "proc.exe_ino.ctime_duration_proc_start" Number Nothing free,
    ProcExeInoMtime "proc.exe_ino.mtime" Number Nothing free,
    ProcExeline "proc.exeline" Text Nothing free,
    ProcExepath "proc.exepath" Text Nothing free,
    ProcIsContainerHealthcheck "proc.is_container_healthcheck" Flag Nothing free,
    ProcIsContainerLivenessProbe "proc.is_container_liveness_probe" Flag Nothing free,
    ProcIsContainerReadinessProbe "proc.is_container_readiness_probe" Flag Nothing free,
    ProcIsExeFromMemfd "proc.is_exe_from_memfd" Flag Nothing free,
    ProcIsExeLowerLayer "proc.is_exe_lower_layer" Flag Nothing free,
    ProcIsExeUpperLayer "proc.is_exe_upper_layer" Flag Nothing free,
    ProcIsExeWritable "proc.is_exe_writable" Flag Nothing free,
    ProcIsPgidLeader "proc.is_pgid_leader" Flag Nothing free,
    ProcIsSidLeader "proc.is_sid_leader" Flag Nothing free,
    ProcIsVpgidLeader "proc.is_vpgid_leader" Flag Nothing free,
    ProcLoginshellid "proc.loginshellid" Number Nothing free,
    ProcName "proc.name" Text Nothing free,
    ProcPcmdline "proc.pcmdline" Text Nothing free,
    ProcPexe "proc.pexe" Text Nothing free,
    ProcPexepath "proc.pexepath" Text Nothing free,
    ProcPgid "proc.pgid" Number Nothing free,
    ProcPgidExe "proc.pgid.exe" Text Nothing free,
    ProcPgidExepath "proc.pgid.exepath" Text Nothing free,
    ProcPgidName "proc.pgid.name" Text Nothing free,
    ProcPid "proc.pid" Number Nothing free,
    ProcPidTs "proc.pid.ts" Number Nothing free,
    ProcPname "proc.pname" Text Nothing free,
    ProcPpid "proc.ppid" Number Nothing free,
    ProcPpidDuration "proc.ppid.duration" Number Nothing free,
    ProcPpidTs "proc.ppid.ts" Number Nothing free,
    ProcPvpid "proc.pvpid" Number Nothing free,
    ProcSexe "proc.sexe" Text Nothing free,
    ProcSexepath "proc.sexepath" Text Nothing free,
    ProcSid "proc.sid" Number Nothing free,
    ProcSidExe "proc.sid.exe" Text Nothing free,
    ProcSidExepath "proc.sid.exepath" Text Nothing free,
    ProcSname "proc.sname" Text Nothing free,
    ProcTty "proc.tty" Number Nothing free,
    ProcVpgid "proc.vpgid" Number Nothing free,
    ProcVpgidExe "proc.vpgid.exe" Text Nothing free,
    ProcVpgidExepath "proc.vpgid.exepath" Text Nothing free,
    ProcVpgidName "proc.vpgid.name" Text Nothing free,
    ProcVpid "proc.vpid" Number Nothing free,
    SyscallType "syscall.type" Text Nothing free,
    ThreadCapEffective "thread.cap_effective" Text Nothing free,
    ThreadCapInheritable "thread.cap_inheritable" Text Nothing free,
    ThreadCapPermitted "thread.cap_permitted" Text Nothing free,
    ThreadCgroup "thread.cgroup" Text Key free,
    ThreadCgroups "thread.cgroups" Text Nothing free,
    ThreadIsmain "thread.ismain" Flag Nothing free,
    ThreadTid "thread.tid" Number Nothing free,
    ThreadVtid "thread.vtid" Number Nothing free,
    UserHomedir "user.homedir" Text Nothing free,
    UserLoginname "user.loginname" Text Nothing free,
    UserLoginuid "user.loginuid" Number Nothing free,
    UserName "user.name" Text Nothing free,
    UserShell "user.shell" Text Nothing free,
    UserUid "user.uid" Number Nothing free,
}

/// Every name, in order, with its type.
pub fn names() -> impl Iterator<Item = (&'static str, Kind)> {
    TABLE.iter().map(|(name, _, kind, ..)| (*name, *kind))
}

pub(super) fn lookup(name: &str) -> Option<Definition> {
    let position = TABLE.binary_search_by(|(n, ..)| (*n).cmp(name)).ok()?;
    let (_, id, kind, takes, movable) = TABLE.get(position)?;
    let definition = Definition::new(FieldId::Syscall(*id), *kind).takes(*takes);
    Some(if *movable { definition } else { definition.fixed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_for_the_search() {
        assert!(TABLE.windows(2).all(|w| w[0].0 < w[1].0));
    }
}
