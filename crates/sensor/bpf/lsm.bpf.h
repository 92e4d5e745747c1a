/*
 * Security hooks: what containers do is judged here, before it has an effect, and told from here. They see what no
 * system call shows: io_uring, 32-bit programs, the object behind a name.
 */
#pragma once

#include "drift.bpf.h"
#include "guard.bpf.h"

#define BPF_LINK_UPDATE_COMMAND 29
#define BPF_LINK_GET_FD_BY_ID_COMMAND 30
#define BPF_LINK_DETACH_COMMAND 34

/* Functions that the verifier looks at once take numbers: a hook's pointer made one. */
static __always_inline void *number(const void *pointer)
{
	void *number = NULL;
	bpf_probe_read_kernel(&number, sizeof(number), &pointer);
	return number;
}

/* The verifier wants to see that a hook answers 0 or an error. */
#define ANSWER(DECISION_) (conclude(DECISION_) ? -EPERM : 0)

static __always_inline void about_entry(struct act *a, struct vfsmount *mount, struct dentry *dentry)
{
	a->dentry = (__u64)dentry;
	a->mount = (__u64)mount;
	a->inode = (__u64)BPF_CORE_READ(dentry, d_inode);
}

/* A name comes, changes or goes. */
static __always_inline int entry(struct vfsmount *mount, struct dentry *dentry, const char *text, __u32 calls, __u32 operation)
{
	dentry = number(dentry);
	GUARD(calls, operation, against_name((__u64)dentry));
	if (!begin(calls, operation))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	about_entry(a, mount, dentry);
	a->text = (__u64)text;
	return ANSWER(worse(judge_operation(a), judge_name((__u64)dentry, (__u64)mount, operation)));
}

static __always_inline int two_entries(struct vfsmount *mount, struct dentry *dentry, struct vfsmount *to_mount, struct dentry *to, __u32 calls, __u32 operation)
{
	dentry = number(dentry);
	to = number(to);
	GUARD(calls, operation, against_name((__u64)dentry) || against_name((__u64)to));
	if (!begin(calls, operation))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	about_entry(a, mount, dentry);
	a->other_dentry = (__u64)to;
	a->other_mount = (__u64)to_mount;
	__u64 decision = worse(judge_operation(a), judge_name((__u64)dentry, (__u64)mount, operation));
	return ANSWER(worse(decision, judge_name((__u64)to, (__u64)to_mount, operation)));
}

/* Something that is no file. */
static __always_inline int plain(__u32 calls, __u32 operation, __u64 first, __u64 second)
{
	if (!begin(calls, operation))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	a->args[0] = first;
	a->args[1] = second;
	return ANSWER(judge_operation(a));
}

SEC("?lsm/path_unlink")
int BPF_PROG(on_unlink, struct path *dir, struct dentry *dentry)
{
	return entry(BPF_CORE_READ(dir, mnt), dentry, NULL, CALLS(CALL_UNLINK, CALL_UNLINK, CALL_UNLINKAT), OP_UNLINK);
}

SEC("?lsm/path_rmdir")
int BPF_PROG(on_rmdir, struct path *dir, struct dentry *dentry)
{
	return entry(BPF_CORE_READ(dir, mnt), dentry, NULL, CALLS(CALL_RMDIR, CALL_UNLINKAT, CALL_RMDIR), OP_UNLINK);
}

SEC("?lsm/path_mkdir")
int BPF_PROG(on_mkdir, struct path *dir, struct dentry *dentry)
{
	return entry(BPF_CORE_READ(dir, mnt), dentry, NULL, CALLS(CALL_MKDIR, CALL_MKDIR, CALL_MKDIRAT), OP_MKDIR);
}

SEC("?lsm/path_mknod")
int BPF_PROG(on_mknod, struct path *dir, struct dentry *dentry, unsigned short mode)
{
	__u32 calls = CALLS(CALL_MKNOD, CALL_MKNOD, CALL_MKNODAT);
	struct vfsmount *mount = BPF_CORE_READ(dir, mnt);
	if (!S_ISREG(mode) && mode & S_IFMT)
		return entry(mount, dentry, NULL, calls, OP_CREATE);
	/* By a call that opens it; the open tells that it was made. */
	calls = CALLS(CALL_OPEN, CALL_OPEN, CALL_OPEN_BY_HANDLE_AT);
	dentry = number(dentry);
	GUARD(calls, OP_CREATE, against_name((__u64)dentry));
	if (!begin(calls, OP_CREATE))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	about_entry(a, mount, dentry);
	a->tell = 0;
	return ANSWER(worse(judge_operation(a), judge_name((__u64)dentry, (__u64)mount, OP_CREATE)));
}

SEC("?lsm/path_symlink")
int BPF_PROG(on_symlink, struct path *dir, struct dentry *dentry, const char *target)
{
	dentry = number(dentry);
	GUARD(CALLS(CALL_SYMLINK, CALL_SYMLINK, CALL_SYMLINKAT), OP_CREATE, against_name((__u64)dentry));
	if (!begin(CALLS(CALL_SYMLINK, CALL_SYMLINK, CALL_SYMLINKAT), OP_CREATE))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	a->text = (__u64)target;
	a->other_dentry = (__u64)dentry;
	a->other_mount = (__u64)BPF_CORE_READ(dir, mnt);
	return ANSWER(worse(judge_operation(a), judge_name(a->other_dentry, a->other_mount, OP_CREATE)));
}

SEC("?lsm/path_link")
int BPF_PROG(on_link, struct dentry *old, struct path *dir, struct dentry *dentry)
{
	struct vfsmount *mount = BPF_CORE_READ(dir, mnt);
	return two_entries(mount, old, mount, dentry, CALLS(CALL_LINK, CALL_LINK, CALL_LINKAT), OP_LINK);
}

SEC("?lsm/path_rename")
int BPF_PROG(on_rename, struct path *from, struct dentry *old, struct path *to, struct dentry *dentry)
{
	return two_entries(BPF_CORE_READ(from, mnt), old, BPF_CORE_READ(to, mnt), dentry, CALLS(CALL_RENAME, CALL_RENAME, CALL_RENAMEAT2), OP_RENAME);
}

SEC("?lsm/path_chmod")
int BPF_PROG(on_chmod, struct path *path)
{
	return entry(BPF_CORE_READ(path, mnt), BPF_CORE_READ(path, dentry), NULL, CALLS(CALL_CHMOD, CALL_CHMOD, CALL_FCHMODAT2), OP_CHMOD);
}

SEC("?lsm/path_chown")
int BPF_PROG(on_chown, struct path *path)
{
	return entry(BPF_CORE_READ(path, mnt), BPF_CORE_READ(path, dentry), NULL, CALLS(CALL_CHOWN, CALL_CHOWN, CALL_FCHOWNAT), OP_CHOWN);
}

#define TRUNCATE_CALLS CALLS(CALL_TRUNCATE, CALL_TRUNCATE, CALL_FTRUNCATE)

/* Opening a file may truncate it: that is told by the open. */
static __always_inline int truncated(struct vfsmount *mount, struct dentry *dentry)
{
	GUARD(TRUNCATE_CALLS, OP_WRITE, against_name((__u64)dentry));
	if (!begin(TRUNCATE_CALLS, OP_WRITE))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	about_entry(a, mount, dentry);
	a->own = 1;
	__u64 decision = worse(judge_operation(a), judge_name((__u64)dentry, (__u64)mount, OP_WRITE));
	if (conclude(decision))
		return -EPERM;
	content_changes(a->inode);
	return 0;
}

SEC("?lsm/path_truncate")
int BPF_PROG(on_truncate, struct path *path)
{
	return truncated(BPF_CORE_READ(path, mnt), BPF_CORE_READ(path, dentry));
}

/* Since 6.2. */
SEC("?lsm/file_truncate")
int BPF_PROG(on_file_truncate, struct file *file)
{
	return truncated(BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry));
}

SEC("?lsm/inode_setxattr")
int BPF_PROG(on_setxattr, void *space, struct dentry *dentry, const char *name)
{
	dentry = number(dentry);
	if (!begin(CALLS(CALL_SETXATTR, CALL_SETXATTR, CALL_FSETXATTR), OP_XATTR))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	about_entry(a, NULL, dentry);
	a->text = (__u64)name;
	a->text_at = 1;
	return ANSWER(worse(judge_operation(a), judge_name((__u64)dentry, 0, OP_XATTR)));
}

SEC("?lsm/path_chroot")
int BPF_PROG(on_chroot, struct path *path)
{
	return entry(BPF_CORE_READ(path, mnt), BPF_CORE_READ(path, dentry), NULL, CALLS(CALL_CHROOT, CALL_CHROOT, CALL_CHROOT), OP_CHROOT);
}

/* An interpreter opens what it was given. Once that is one of the image's, the rest of its arguments are data. */
static __always_inline __u64 judge_script(struct act *a, struct file *file, struct inode *inode)
{
	struct member *member = bpf_task_storage_get(&members, bpf_get_current_task_btf(), 0, 0);
	if (!member || !member->interpreter || !S_ISREG(BPF_CORE_READ(inode, i_mode)))
		return 0;
	if (!is_argument((__u64)BPF_CORE_READ(file, f_path.dentry)))
		return 0;
	__u64 decision = judge_content((__u64)inode, REASON_SCRIPT);
	if (!decision)
		member->interpreter = 0;
	return decision;
}

#define OPEN_CALLS CALLS(CALL_OPEN, CALL_OPEN, CALL_OPEN_BY_HANDLE_AT)

SEC("?lsm/file_open")
int BPF_PROG(on_open, struct file *file)
{
	struct guard *g = guard();
	__u32 mode = BPF_CORE_READ(file, f_mode), flags = BPF_CORE_READ(file, f_flags);
	bool writes = mode & FMODE_WRITE || flags & O_TRUNC;
	if (!g || mode & FMODE_NOACCOUNT)
		return 0;
	if (writes) {
		struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
		GUARD(OPEN_CALLS, OP_WRITE, against_name((__u64)dentry) || (against_cgroup(g, file) && !trusted(g)));
	}
	__u32 operation = (writes ? OP_WRITE : 0) | (mode & 1 ? OP_READ : 0);
	bool wanted = begin(OPEN_CALLS, operation);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	if (!wanted) {
		/* A task of the node writes into a container. */
		if (writes && !by_agent(g) && BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAYFS_SUPER_MAGIC)
			content_changes((__u64)inode);
		return 0;
	}
	struct act *a = act();
	if (!a)
		return -EPERM;
	a->file = 1;
	a->dentry = (__u64)BPF_CORE_READ(file, f_path.dentry);
	a->mount = (__u64)BPF_CORE_READ(file, f_path.mnt);
	a->inode = (__u64)inode;
	a->args[1] = flags;
	if (mode & FMODE_CREATED)
		a->flags |= FLAG_CREATED;
	__u64 decision = judge_operation(a);
	decision = worse(decision, judge_name(a->dentry, a->mount, operation));
	if (!writes && a->container)
		decision = worse(decision, judge_script(a, file, inode));
	/* A file that is opened to be run is told by what runs it. */
	if (!decision && flags & FMODE_EXEC_FLAG)
		return 0;
	if (writes && (decision & 255) != VERDICT_DENIED)
		content_changes((__u64)inode);
	return ANSWER(decision);
}

SEC("?lsm/bprm_check_security")
int BPF_PROG(on_exec, struct linux_binprm *bprm)
{
	struct guard *g = guard();
	if (!begin(EXEC_CALLS, OP_EXEC))
		return 0;
	struct act *a = act();
	if (!a || !g)
		return -EPERM;
	if (!a->container)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file = BPF_CORE_READ(bprm, file);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct inode *inode = shown(file);
	struct container *c = bpf_map_lookup_elem(&containers, &a->container);
	if (c && !c->root_device && !a->outside) {
		c->root_device = BPF_CORE_READ(task, fs, root.dentry, d_sb, s_dev);
		a->root_device = c->root_device;
	}
	struct member *member = bpf_task_storage_get(&members, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (member) {
		char name[16] = {};
		bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
		member->container = a->container;
		member->interpreter = interprets(name);
		member->started |= !a->outside;
	}
	a->tell = 0;
	/* The runtime's own program, on its way in. */
	if (a->outside)
		return 0;
	a->file = 1;
	a->dentry = (__u64)dentry;
	a->mount = (__u64)BPF_CORE_READ(file, f_path.mnt);
	a->inode = (__u64)inode;
	__u64 decision = judge_operation(a);
	decision = worse(decision, judge_name(a->dentry, a->mount, OP_EXEC));
	return ANSWER(worse(decision, judge_content((__u64)inode, REASON_DRIFT)));
}

/* Credentials of the new program are settled: what it would run as. */
SEC("?lsm/bprm_creds_from_file")
int BPF_PROG(on_credentials, struct linux_binprm *bprm, struct file *file)
{
	if (!begin(EXEC_CALLS, OP_EXEC))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	if (!a->container || a->outside || !(mode_of(a, MODE_ROOT) | mode_of(a, MODE_PRIVILEGED)))
		return 0;
	__u64 capabilities = 0, decision = 0;
	const struct cred *cred = BPF_CORE_READ(bprm, cred);
	bpf_probe_read_kernel(&capabilities, 8, (char *)cred + bpf_core_field_offset(struct cred, cap_permitted));
	/* CAP_SYS_MODULE, CAP_SYS_RAWIO and CAP_SYS_ADMIN together. */
	__u64 privileged = 1 << 16 | 1 << 17 | 1 << 21;
	if ((capabilities & privileged) == privileged)
		decision = by_mode(mode_of(a, MODE_PRIVILEGED), REASON_PRIVILEGED, 0);
	if (!BPF_CORE_READ(cred, euid.val))
		decision = worse(decision, by_mode(mode_of(a, MODE_ROOT), REASON_ROOT, 0));
	a->tell = 0;
	a->file = 1;
	a->dentry = (__u64)BPF_CORE_READ(file, f_path.dentry);
	a->mount = (__u64)BPF_CORE_READ(file, f_path.mnt);
	a->inode = (__u64)shown(file);
	return ANSWER(decision);
}

/* Memory becomes executable, of a file or of the process's own making. */
static __always_inline int executable(struct file *file, __u64 prot, __u64 flags, __u32 call)
{
	if (!begin(CALLS(call, call, call), file ? OP_EXEC : OP_JIT))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	__u64 decision;
	a->args[2] = prot;
	a->args[3] = flags;
	if (file) {
		struct inode *inode = shown(file);
		a->file = 1;
		a->dentry = (__u64)BPF_CORE_READ(file, f_path.dentry);
		a->mount = (__u64)BPF_CORE_READ(file, f_path.mnt);
		a->inode = (__u64)inode;
		decision = worse(judge_name(a->dentry, a->mount, OP_EXEC), judge_content((__u64)inode, REASON_DRIFT));
	} else {
		decision = judge_operation(a);
	}
	return ANSWER(decision);
}

SEC("?lsm/mmap_file")
int BPF_PROG(on_mmap, struct file *file, unsigned long asked, unsigned long prot, unsigned long flags)
{
	file = number(file);
	if (file && prot & PROT_WRITE && (flags & MAP_SHARED_TYPES) != MAP_PRIVATE && begin(CALLS(CALL_MMAP, 0, 0), OP_WRITE))
		content_changes((__u64)shown(file));
	if (!(prot & PROT_EXEC) || (!file && !(prot & PROT_WRITE)))
		return 0;
	return executable(file, prot, flags, CALL_MMAP);
}

SEC("?lsm/file_mprotect")
int BPF_PROG(on_mprotect, struct vm_area_struct *area, unsigned long asked, unsigned long prot)
{
	if (!(prot & PROT_EXEC) || BPF_CORE_READ(area, vm_flags) & VM_EXEC)
		return 0;
	return executable(BPF_CORE_READ(area, vm_file), prot, 0, CALL_MPROTECT);
}

/* A file that is neither opened nor named by a path of the caller: modules, policies. */
SEC("?lsm/kernel_read_file")
int BPF_PROG(on_kernel_file, struct file *file, int what)
{
	/* READING_MODULE */
	if (what != 2 || !begin(CALLS(CALL_FINIT_MODULE, CALL_FINIT_MODULE, CALL_FINIT_MODULE), OP_MODULE))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	a->file = 1;
	a->dentry = (__u64)BPF_CORE_READ(file, f_path.dentry);
	a->mount = (__u64)BPF_CORE_READ(file, f_path.mnt);
	a->inode = (__u64)BPF_CORE_READ(file, f_inode);
	return ANSWER(judge_operation(a));
}

SEC("?lsm/kernel_load_data")
int BPF_PROG(on_kernel_data, int what)
{
	/* LOADING_MODULE */
	return what == 2 ? plain(CALLS(CALL_INIT_MODULE, CALL_INIT_MODULE, CALL_INIT_MODULE), OP_MODULE, 0, 0) : 0;
}

SEC("?lsm/sb_mount")
int BPF_PROG(on_mount, const char *device, struct path *path, const char *type, unsigned long flags)
{
	struct dentry *dentry = BPF_CORE_READ(path, dentry);
	GUARD(CALLS(CALL_MOUNT, CALL_MOUNT, CALL_MOUNT), OP_MOUNT, against_name((__u64)dentry));
	if (!begin(CALLS(CALL_MOUNT, CALL_MOUNT, CALL_MOUNT), OP_MOUNT))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	a->text = (__u64)device;
	a->other_dentry = (__u64)dentry;
	a->other_mount = (__u64)BPF_CORE_READ(path, mnt);
	a->args[3] = flags;
	a->third = (__u64)type;
	return ANSWER(worse(judge_operation(a), judge_name(a->other_dentry, a->other_mount, OP_MOUNT)));
}

SEC("?lsm/move_mount")
int BPF_PROG(on_move_mount, struct path *from, struct path *to)
{
	return two_entries(BPF_CORE_READ(from, mnt), BPF_CORE_READ(from, dentry), BPF_CORE_READ(to, mnt), BPF_CORE_READ(to, dentry),
			   CALLS(CALL_MOVE_MOUNT, CALL_MOVE_MOUNT, CALL_MOVE_MOUNT), OP_MOUNT);
}

SEC("?lsm/sb_umount")
int BPF_PROG(on_umount, struct vfsmount *mount, int flags)
{
	struct guard *g = guard();
	struct task_struct *task = (void *)bpf_get_current_task();
	/* Elsewhere it is a copy that goes with its mount namespace. */
	GUARD(CALLS(CALL_UMOUNT2, CALL_UMOUNT2, CALL_UMOUNT2), OP_MOUNT,
	      g && g->device && !by_agent(g) && BPF_CORE_READ(mount, mnt_sb, s_dev) == g->device &&
		      BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum) == g->mount_namespace);
	return plain(CALLS(CALL_UMOUNT2, CALL_UMOUNT2, CALL_UMOUNT2), OP_MOUNT, 0, flags);
}

SEC("?lsm/sb_pivotroot")
int BPF_PROG(on_pivot, struct path *old, struct path *new)
{
	return two_entries(BPF_CORE_READ(new, mnt), BPF_CORE_READ(new, dentry), BPF_CORE_READ(old, mnt), BPF_CORE_READ(old, dentry),
			   CALLS(CALL_PIVOT_ROOT, CALL_PIVOT_ROOT, CALL_PIVOT_ROOT), OP_MOUNT);
}

SEC("?lsm/ptrace_access_check")
int BPF_PROG(on_ptrace, struct task_struct *child, unsigned int mode)
{
	struct guard *g = guard();
	if (!(mode & PTRACE_MODE_ATTACH))
		return 0;
	__u32 calls = CALLS(CALL_PTRACE, CALL_PTRACE, CALL_PROCESS_VM_WRITEV);
	__u32 pid = BPF_CORE_READ(child, tgid);
	GUARD(calls, OP_PTRACE, g && g->agent && pid == g->agent && !by_agent(g));
	return plain(calls, OP_PTRACE, 0, pid);
}

SEC("?lsm/task_kill")
int BPF_PROG(on_kill, struct task_struct *target, void *info, int signal)
{
	struct guard *g = guard();
	__u32 calls = CALLS(CALL_KILL, CALL_KILL, CALL_TGKILL);
	__u32 pid = BPF_CORE_READ(target, tgid);
	GUARD(calls, OP_KILL, signal && g && g->agent && pid == g->agent && !trusted(g));
	/* To itself is no message to anybody. */
	if (pid == bpf_get_current_pid_tgid() >> 32)
		return 0;
	return plain(calls, OP_KILL, pid, signal);
}

SEC("?lsm/bpf")
int BPF_PROG(on_bpf, int command, union bpf_attr *attr)
{
	struct guard *g = guard();
	__u32 calls = CALLS(CALL_BPF, CALL_BPF, CALL_BPF);
	__u32 id = 0;
	if (g && !by_agent(g) && attr) {
		if (command == BPF_LINK_GET_FD_BY_ID_COMMAND) {
			bpf_probe_read_kernel(&id, sizeof(id), attr);
		} else if (command == BPF_LINK_UPDATE_COMMAND || command == BPF_LINK_DETACH_COMMAND) {
			__u32 fd = 0;
			bpf_probe_read_kernel(&fd, sizeof(fd), attr);
			struct file *file = file_of((void *)bpf_get_current_task(), fd);
			struct bpf_link *link = file ? BPF_CORE_READ(file, private_data) : NULL;
			id = link ? BPF_CORE_READ(link, id) : 0;
		}
		GUARD(calls, OP_BPF, id && against_handle(g, OURS_LINK, id));
	}
	return plain(calls, OP_BPF, command, 0);
}

SEC("?lsm/bpf_map")
int BPF_PROG(on_bpf_map, struct bpf_map *map)
{
	struct guard *g = guard();
	GUARD(CALLS(CALL_BPF, CALL_BPF, CALL_BPF), OP_BPF, g && against_handle(g, OURS_MAP, BPF_CORE_READ(map, id)));
	return 0;
}

SEC("?lsm/bpf_prog")
int BPF_PROG(on_bpf_prog, struct bpf_prog *prog)
{
	struct guard *g = guard();
	GUARD(CALLS(CALL_BPF, CALL_BPF, CALL_BPF), OP_BPF, g && against_handle(g, OURS_PROG, BPF_CORE_READ(prog, aux, id)));
	return 0;
}

SEC("?lsm/userns_create")
int BPF_PROG(on_userns, const struct cred *cred)
{
	/* CLONE_NEWUSER */
	return plain(CALLS(CALL_UNSHARE, CALL_UNSHARE, CALL_UNSHARE), OP_USERNS, 0x10000000, 0);
}

SEC("?lsm/task_fix_setuid")
int BPF_PROG(on_setuid, struct cred *new, const struct cred *old)
{
	return plain(CALLS(CALL_SETUID, CALL_SETUID, CALL_SETRESUID), OP_SETID, BPF_CORE_READ(new, uid.val), 0);
}

SEC("?lsm/task_fix_setgid")
int BPF_PROG(on_setgid, struct cred *new, const struct cred *old)
{
	return plain(CALLS(CALL_SETGID, CALL_SETGID, CALL_SETRESGID), OP_SETID, BPF_CORE_READ(new, gid.val), 0);
}

SEC("?lsm/socket_create")
int BPF_PROG(on_socket, int family, int type, int protocol, int kern)
{
	if (kern || !begin(CALLS(CALL_SOCKET, CALL_SOCKET, CALL_SOCKET), OP_SOCKET))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	a->args[0] = family;
	a->args[1] = type;
	a->args[2] = protocol;
	return ANSWER(judge_operation(a));
}

/* `address` is the kernel's copy. */
static __always_inline int to_address(struct socket *socket, void *address, int length, __u32 calls, __u32 operation)
{
	if (!begin(calls, operation))
		return 0;
	struct act *a = act();
	if (!a)
		return -EPERM;
	struct sock *sk = BPF_CORE_READ(socket, sk);
	a->socket = (__u64)sk;
	if (address && length >= 2) {
		__u32 size = length > 28 ? 28 : length;
		barrier_var(size);
		size &= 31;
		if (size <= sizeof(a->address) && !bpf_probe_read_kernel(a->address, size, address))
			a->length = size;
	}
	if (*(__u16 *)a->address == AF_UNIX || (!a->length && operation == OP_SEND))
		a->length = 0;
	__u64 decision = judge_operation(a);
	if (a->length)
		decision = worse(decision, judge_address(operation));
	/* Datagrams of a socket that is connected have no address of their own. */
	if (a->length && operation == OP_CONNECT && BPF_CORE_READ(socket, type) == SOCK_DGRAM)
		decision = worse(decision, judge_address(OP_SEND));
	return ANSWER(decision);
}

SEC("?lsm/socket_connect")
int BPF_PROG(on_connect, struct socket *socket, void *address, int length)
{
	return to_address(socket, address, length, CALLS(CALL_CONNECT, CALL_CONNECT, CALL_CONNECT), OP_CONNECT);
}

SEC("?lsm/socket_bind")
int BPF_PROG(on_bind, struct socket *socket, void *address, int length)
{
	return to_address(socket, address, length, CALLS(CALL_BIND, CALL_BIND, CALL_BIND), OP_BIND);
}

SEC("?lsm/socket_sendmsg")
int BPF_PROG(on_send, struct socket *socket, struct msghdr *message)
{
	void *address = BPF_CORE_READ(message, msg_name);
	if (!address)
		return 0;
	/* With an address a stream is connected by this. */
	bool stream = BPF_CORE_READ(socket, type) == SOCK_STREAM;
	return to_address(socket, address, BPF_CORE_READ(message, msg_namelen), CALLS(CALL_SENDTO, CALL_SENDTO, CALL_SENDMMSG), stream ? OP_CONNECT : OP_SEND);
}

SEC("?lsm/socket_accept")
int BPF_PROG(on_accept, struct socket *socket)
{
	return to_address(socket, NULL, 0, CALLS(CALL_ACCEPT, CALL_ACCEPT, CALL_ACCEPT4), OP_ACCEPT);
}

SEC("?lsm/perf_event_open")
int BPF_PROG(on_perf)
{
	return plain(CALLS(CALL_PERF_EVENT_OPEN, CALL_PERF_EVENT_OPEN, CALL_PERF_EVENT_OPEN), OP_PERF, 0, 0);
}

SEC("?lsm/socket_listen")
int BPF_PROG(on_listen, struct socket *socket, int backlog)
{
	return to_address(socket, NULL, 0, CALLS(CALL_LISTEN, CALL_LISTEN, CALL_LISTEN), OP_LISTEN);
}

/* What a task is of, its children are of. */
SEC("?lsm/task_alloc")
int BPF_PROG(on_fork, struct task_struct *task)
{
	struct member *own = bpf_task_storage_get(&members, bpf_get_current_task_btf(), 0, 0);
	if (!own || !own->container)
		return 0;
	struct member *member = bpf_task_storage_get(&members, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (member) {
		member->container = own->container;
		member->interpreter = own->interpreter;
		member->started = own->started;
	}
	return 0;
}

SEC("?lsm/task_free")
int BPF_PROG(on_gone, struct task_struct *task)
{
	struct guard *g = guard();
	__u32 pid = BPF_CORE_READ(task, tgid);
	if (g && g->agent && pid == g->agent && BPF_CORE_READ(task, pid) == pid)
		g->agent = 0;
	if (g && g->starter && pid == g->starter && BPF_CORE_READ(task, pid) == pid)
		g->starter = 0;
	return 0;
}

/* A ring of requests is made; what is asked by it, hooks see like anything else. */
SEC("?tp_btf/io_uring_create")
int BPF_PROG(on_ring, int fd)
{
	if (!begin(CALLS(CALL_IO_URING_SETUP, CALL_IO_URING_SETUP, CALL_IO_URING_SETUP), 0))
		return 0;
	conclude(0);
	return 0;
}
