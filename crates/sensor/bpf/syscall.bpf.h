/* System calls, seen when they end. Only where the kernel has no better hook: it slows every call of the node. */
#pragma once

#include "lib/record.bpf.h"

#define TS_COMPAT 2
#define O_ACCMODE 3
#define O_CREAT 0100
#define O_TRUNC 01000
#define FMODE_CREATED 0x100000

static __always_inline unsigned long argument(struct pt_regs *regs, __u32 place)
{
#ifdef __TARGET_ARCH_x86
	switch (place) {
	case 0: return BPF_CORE_READ(regs, di);
	case 1: return BPF_CORE_READ(regs, si);
	case 2: return BPF_CORE_READ(regs, dx);
	case 3: return BPF_CORE_READ(regs, r10);
	case 4: return BPF_CORE_READ(regs, r8);
	default: return BPF_CORE_READ(regs, r9);
	}
#else
	return place ? BPF_CORE_READ(regs, regs[place & 7]) : BPF_CORE_READ(regs, orig_x0);
#endif
}

static __always_inline long number_of(struct pt_regs *regs)
{
#ifdef __TARGET_ARCH_x86
	return BPF_CORE_READ(regs, orig_ax);
#else
	return BPF_CORE_READ(regs, syscallno);
#endif
}

/* One of the arguments kept in a record. */
static __always_inline unsigned long kept(struct record *r, __u8 place)
{
	return place < 6 ? r->args[place] : 0;
}

/* Whether an equal call was told within the window; counts it then. */
static __always_inline bool folded(struct record *r, __u64 more, __u16 flags)
{
	struct fold_key key = { .process = r->started ^ ((__u64)r->pid << 40), .inode = r->inode, .more = more, .device = r->device, .call = r->call, .flags = flags };
	struct fold *fold = bpf_map_lookup_elem(&folds, &key);
	if (fold && r->time - fold->since < FOLD_WINDOW) {
		__sync_fetch_and_add(&fold->count, 1);
		return true;
	}
	struct fold fresh = { .since = r->time };
	if (fold)
		r->repeat = fold->count;
	bpf_map_update_elem(&folds, &key, &fresh, BPF_ANY);
	return false;
}

static __always_inline __u64 remote_of(struct record *r)
{
	return *(__u64 *)r->remote ^ *(__u64 *)(r->remote + 8) * 31 ^ (__u64)r->remote_port << 48;
}

static __always_inline bool is_open(__u16 call)
{
	return call == CALL_OPEN || call == CALL_OPENAT || call == CALL_OPENAT2 || call == CALL_OPEN_BY_HANDLE_AT;
}

static __always_inline bool is_send(__u16 call)
{
	return call == CALL_SENDTO || call == CALL_SENDMSG || call == CALL_SENDMMSG;
}

/* The directory a relative path begins at. */
static __always_inline void append_directory(struct scratch *s, __u32 *at, __u32 slot, struct task_struct *task, __u8 directory)
{
	int fd = (int)kept(&s->head, directory);
	if (directory == NO_ARGUMENT || fd == -100) {
		append_path(s, at, slot, task, &BPF_CORE_READ(task, fs)->pwd);
		return;
	}
	struct file *file = file_of(task, fd);
	if (file)
		append_path(s, at, slot, task, &file->f_path);
}

static __always_inline bool relative(struct scratch *s, __u32 text_at, __u32 slot)
{
	return s->head.lengths[slot & 7] && text_at < ROOM && s->texts[text_at] != '/';
}

SEC("tp_btf/sys_exit")
int BPF_PROG(call_exit, struct pt_regs *regs, long result)
{
	__u32 number = number_of(regs);
	struct capture *capture = bpf_map_lookup_elem(&captures, &number);
	if (!capture || !capture->call)
		return 0;
	struct task_struct *task = (void *)bpf_get_current_task();
	__u16 call = capture->call;
	if ((call == CALL_EXECVE || call == CALL_EXECVEAT) && result >= 0)
		return 0;
	if (bpf_get_current_pid_tgid() >> 32 == agent)
		return 0;
#ifdef __TARGET_ARCH_x86
	/* Numbers of 32-bit calls are others. */
	if (BPF_CORE_READ(task, thread_info.status) & TS_COMPAT)
		return 0;
#endif
	__u64 group = cgroup_of(task);
	struct cgroup_info *info = bpf_map_lookup_elem(&cgroups, &group);
	if (info && (info->what == CGROUP_FOREIGN || (info->what == CGROUP_NODE && !capture->node)))
		return 0;

	struct scratch *s = scratch();
	if (!s)
		return 0;
	struct record *r = &s->head;
	__u32 at = 0, first = 0, second = 0;
	fill(s, call, ORIGIN_SYSCALL, task);
	r->result = result;
#pragma unroll
	for (int i = 0; i < 6; i++)
		r->args[i] = argument(regs, i);
	if (capture->open_how < 6) {
		__u64 how[2] = {};
		bpf_probe_read_user(how, sizeof(how), (void *)kept(r, capture->open_how));
		r->args[2] = how[0];
		r->args[3] = how[1];
	}

	struct file *file = NULL;
	if (capture->returns_fd && result >= 0)
		file = file_of(task, result);
	else if (capture->fd < 6)
		file = file_of(task, (int)kept(r, capture->fd));
	struct sock *sk = file ? sock_of(file) : NULL;

	if (is_open(call) && file) {
		/* Opened to be read, and told a moment ago. */
		__u64 flags = call == CALL_OPEN ? r->args[1] : r->args[2];
		describe_inode(s, BPF_CORE_READ(file, f_inode));
		if (BPF_CORE_READ(file, f_mode) & FMODE_CREATED)
			r->flags |= FLAG_CREATED;
		if (!(flags & (O_ACCMODE | O_CREAT | O_TRUNC)) && capture->fold && folded(r, 0, flags & O_ACCMODE))
			return 0;
	}
	if (is_send(call)) {
		__u32 length = 0;
		unsigned long address = 0;
		if (!sk || !network(sk))
			return 0;
		describe_socket(s, sk);
		if (r->socket != SOCK_DGRAM)
			return 0;
		if (capture->address < 6) {
			address = kept(r, capture->address);
			length = kept(r, capture->address + 1);
		} else if (capture->message < 6) {
			struct user_msghdr message = {};
			bpf_probe_read_user(&message, sizeof(message), (void *)kept(r, capture->message));
			address = (unsigned long)message.msg_name;
			length = message.msg_namelen;
		}
		if (!address)
			return 0;
		describe_address(s, &at, address, length);
		if (r->family == AF_UNIX || folded(r, remote_of(r), 0))
			return 0;
		send(s, at, false);
		return 0;
	}

	if (capture->text[0] < 6)
		append_user(s, &at, 0, kept(r, capture->text[0]));
	second = at;
	if (capture->text[1] < 6)
		append_user(s, &at, 1, kept(r, capture->text[1]));
	if (relative(s, first, 0))
		append_directory(s, &at, 2, task, capture->directory[0]);
	if (relative(s, second, 1))
		append_directory(s, &at, 3, task, capture->directory[1]);
	else if (capture->buffer < 6 && result > 0)
		APPEND_BYTES(s, at, 3, DATA_MAX, bpf_probe_read_user, kept(r, capture->buffer), (__u64)result);

	if (sk) {
		describe_socket(s, sk);
		if (call == CALL_CONNECT) {
			describe_address(s, &at, kept(r, capture->address), kept(r, capture->address + 1));
			if (capture->fold && r->family != AF_UNIX && folded(r, remote_of(r), result != 0))
				return 0;
		}
	} else if (file) {
		describe_file(s, &at, task, file);
	}
	send(s, at, capture->urgent);
	return 0;
}
