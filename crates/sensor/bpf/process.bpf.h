/* Programs and processes: they start and end. */
#pragma once

#include "lib/record.bpf.h"

static __always_inline __u64 nanoseconds(struct inode *inode, bool content)
{
	if (bpf_core_field_exists(inode->i_ctime_sec))
		return content ? BPF_CORE_READ(inode, i_mtime_sec) * 1000000000ull + BPF_CORE_READ(inode, i_mtime_nsec)
			       : BPF_CORE_READ(inode, i_ctime_sec) * 1000000000ull + BPF_CORE_READ(inode, i_ctime_nsec);
	struct timespec64 time = {};
	struct inode___times *times = (void *)inode;
	struct inode___mtime *mtime = (void *)inode;
	if (content && bpf_core_field_exists(mtime->__i_mtime))
		bpf_core_read(&time, sizeof(time), &mtime->__i_mtime);
	else if (content)
		bpf_core_read(&time, sizeof(time), &times->i_mtime);
	else if (bpf_core_field_exists(mtime->__i_ctime))
		bpf_core_read(&time, sizeof(time), &mtime->__i_ctime);
	else
		bpf_core_read(&time, sizeof(time), &times->i_ctime);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static __always_inline bool network_fd(struct task_struct *task, int fd)
{
	struct file *file = file_of(task, fd);
	struct sock *sk = file ? sock_of(file) : NULL;
	return sk && network(sk);
}

static __always_inline void describe_program(struct scratch *s, struct task_struct *task)
{
	struct program *p = (void *)s->texts;
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct tty_struct *tty = BPF_CORE_READ(signal, tty);
	struct pid *own = BPF_CORE_READ(task, thread_pid);
	struct pid *group = NULL, *session = NULL;
	unsigned int level = BPF_CORE_READ(own, level);
	struct pid_namespace *pids = NULL;

	__builtin_memset(p, 0, sizeof(*p));
	bpf_core_read(&group, sizeof(group), &signal->pids[2]);
	bpf_core_read(&session, sizeof(session), &signal->pids[3]);
	bpf_probe_read_kernel(&p->effective, 8, (char *)cred + bpf_core_field_offset(struct cred, cap_effective));
	bpf_probe_read_kernel(&p->permitted, 8, (char *)cred + bpf_core_field_offset(struct cred, cap_permitted));
	bpf_probe_read_kernel(&p->inheritable, 8, (char *)cred + bpf_core_field_offset(struct cred, cap_inheritable));
	p->login = bpf_core_field_exists(task->loginuid) ? BPF_CORE_READ(task, loginuid.val) : (__u32)-1;
	if (tty) {
		__u32 minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);
		p->terminal = (minor & 0xff) | ((__u32)BPF_CORE_READ(tty, driver, major) << 8) | (minor & ~0xffu) << 12;
	}
	p->session = node_number(session);
	p->group = node_number(group);
	p->own_session = own_number(task, session);
	p->own_group = own_number(task, group);
	if (level < 32)
		bpf_probe_read_kernel(&pids, sizeof(pids), (char *)own + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid) +
								   bpf_core_field_offset(struct upid, ns));
	p->pid_namespace = BPF_CORE_READ(pids, ns.inum);
	p->mount_namespace = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	p->network_namespace = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	p->user_namespace = BPF_CORE_READ(cred, user_ns, ns.inum);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old, struct linux_binprm *bprm)
{
	struct scratch *s = scratch();
	if (!s)
		return 0;
	fill(s, CALL_EXECVE, ORIGIN_SCHEDULER, task);
	s->head.texts_at = sizeof(struct record) + sizeof(struct program);
	describe_program(s, task);

	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct file *file = BPF_CORE_READ(mm, exe_file);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct program *p = (void *)s->texts;
	p->changed = nanoseconds(inode, false);
	p->modified = nanoseconds(inode, true);
	describe_inode(s, inode);
	if (is_memfd(file))
		s->head.flags |= FLAG_MEMFD;
	if (BPF_CORE_READ(bprm, filename) != BPF_CORE_READ(bprm, interp))
		s->head.flags |= FLAG_SCRIPT;
	if (network_fd(task, 0))
		s->head.flags |= FLAG_STDIN_SOCKET;
	if (network_fd(task, 1) || network_fd(task, 2))
		s->head.flags |= FLAG_STDOUT_SOCKET;

	__u32 at = sizeof(struct program);
	unsigned long arguments = BPF_CORE_READ(mm, arg_start), environment = BPF_CORE_READ(mm, env_start);
	append_kernel(s, &at, 0, BPF_CORE_READ(bprm, filename));
	APPEND_BYTES(s, at, 1, ARGS_MAX, bpf_probe_read_user, arguments, BPF_CORE_READ(mm, arg_end) - arguments);
	append_path(s, &at, 2, task, &BPF_CORE_READ(task, fs)->pwd);
	APPEND_BYTES(s, at, 3, ENV_MAX, bpf_probe_read_user, environment, BPF_CORE_READ(mm, env_end) - environment);
	append_path(s, &at, 4, task, &file->f_path);
	send(s, at, true);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	if (BPF_CORE_READ(parent, tgid) == BPF_CORE_READ(child, tgid))
		return 0;
	struct scratch *s = scratch();
	if (!s)
		return 0;
	fill(s, CALL_CLONE, ORIGIN_SCHEDULER, child);
	s->head.args[0] = BPF_CORE_READ(parent, tgid);
	s->head.args[1] = started(parent);
	send(s, 0, true);
	return 0;
}

struct signal_live { int counter; } LAYOUT;

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	/* The last thread: the leader may be gone before it. */
	struct signal_struct___live { struct signal_live live; } LAYOUT;
	struct signal_struct___live *signal = (void *)BPF_CORE_READ(task, signal);
	if (BPF_CORE_READ(signal, live.counter))
		return 0;
	struct scratch *s = scratch();
	if (!s)
		return 0;
	fill(s, CALL_PROCEXIT, ORIGIN_SCHEDULER, task);
	s->head.result = BPF_CORE_READ(task, exit_code);
	send(s, 0, true);
	return 0;
}

struct cgroup_root { int hierarchy_id; } LAYOUT;
struct cgroup___root { struct cgroup_root *root; } LAYOUT;

static __always_inline int cgroup_changed(struct cgroup *cgroup, const char *path, __u16 call)
{
	struct cgroup___root *in = (void *)cgroup;
	if (BPF_CORE_READ(in, root, hierarchy_id) != hierarchy_id)
		return 0;
	struct scratch *s = scratch();
	if (!s)
		return 0;
	__u32 at = 0;
	fill(s, call, ORIGIN_TRACEPOINT, (void *)bpf_get_current_task());
	s->head.cgroup = BPF_CORE_READ(cgroup, kn, id);
	append_kernel(s, &at, 0, path);
	send(s, at, true);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup, const char *path)
{
	return cgroup_changed(cgroup, path, CALL_CGROUP_MKDIR);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_removed, struct cgroup *cgroup, const char *path)
{
	return cgroup_changed(cgroup, path, CALL_CGROUP_RMDIR);
}
