/* Building a record and sending it. */
#pragma once

#include "maps.bpf.h"
#include <bpf/bpf_endian.h>

static __always_inline struct scratch *scratch(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&scratches, &zero);
}

static __always_inline __u64 cgroup_of(struct task_struct *task)
{
	if (!hierarchy)
		return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *state = NULL;
	__u32 index = hierarchy - 1;
	if (index < 16)
		bpf_core_read(&state, sizeof(state), &set->subsys[index]);
	return BPF_CORE_READ(state, cgroup, kn, id);
}

static __always_inline __u64 started(struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	if (bpf_core_field_exists(leader->start_boottime))
		return BPF_CORE_READ(leader, start_boottime);
	struct task_struct___start *old = (void *)leader;
	return BPF_CORE_READ(old, real_start_time);
}

/* Number of `pid` in the task's own pid namespace. */
static __always_inline __u32 own_number(struct task_struct *task, struct pid *pid)
{
	unsigned int level = BPF_CORE_READ(task, thread_pid, level);
	int number = 0;
	if (!pid || level > 32 || BPF_CORE_READ(pid, level) < level)
		return 0;
	bpf_probe_read_kernel(&number, sizeof(number), (char *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid) +
							       bpf_core_field_offset(struct upid, nr));
	return number;
}

static __always_inline __u32 node_number(struct pid *pid)
{
	return pid ? BPF_CORE_READ(pid, numbers[0].nr) : 0;
}

/* Who: the current task. */
static __always_inline void fill(struct scratch *s, __u16 call, __u8 origin, struct task_struct *task)
{
	struct record *r = &s->head;
	__builtin_memset(r, 0, sizeof(*r));
	const struct cred *cred = BPF_CORE_READ(task, cred);
	r->time = bpf_ktime_get_boot_ns();
	r->cgroup = cgroup_of(task);
	r->started = started(task);
	r->pid = BPF_CORE_READ(task, tgid);
	r->tid = BPF_CORE_READ(task, pid);
	r->parent = BPF_CORE_READ(task, real_parent, tgid);
	r->own_pid = own_number(BPF_CORE_READ(task, group_leader), BPF_CORE_READ(task, group_leader, thread_pid));
	r->uid = BPF_CORE_READ(cred, euid.val);
	r->gid = BPF_CORE_READ(cred, egid.val);
	r->call = call;
	r->origin = origin;
	r->texts_at = sizeof(struct record);
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
		r->flags |= FLAG_KERNEL;
	bpf_core_read(r->comm, sizeof(r->comm), &task->comm);
}

/* Appends `length` bytes of a text that is read by `READ`; lengths end up in slot `SLOT`. */
#define APPEND(S, AT, SLOT, LIMIT, READ, FROM)                                         \
	do {                                                                           \
		__u32 place_ = (AT);                                                   \
		if (place_ < ROOM) {                                                   \
			long got_ = READ((S)->texts + place_, LIMIT, (void *)(FROM));  \
			if (got_ > 1 && got_ <= (LIMIT)) {                             \
				if (got_ == (LIMIT))                                   \
					(S)->head.flags |= FLAG_CUT;                   \
				(S)->head.lengths[SLOT] = got_ - 1;                    \
				(AT) = place_ + (__u32)got_ - 1;                       \
			}                                                              \
		}                                                                      \
	} while (0)

static __always_inline void append_user(struct scratch *s, __u32 *at, __u32 slot, unsigned long from)
{
	APPEND(s, *at, slot & 7, TEXT_MAX, bpf_probe_read_user_str, from);
}

static __always_inline void append_kernel(struct scratch *s, __u32 *at, __u32 slot, const void *from)
{
	APPEND(s, *at, slot & 7, TEXT_MAX, bpf_probe_read_kernel_str, from);
}

/* Bytes as they are, `length` of them, at most LIMIT (a power of two). */
#define APPEND_BYTES(S, AT, SLOT, LIMIT, READ, FROM, LENGTH)                                     \
	do {                                                                                     \
		__u32 place_ = (AT);                                                             \
		__u64 length_ = (LENGTH);                                                        \
		if (length_ > (LIMIT) - 1) {                                                     \
			length_ = (LIMIT) - 1;                                                   \
			(S)->head.flags |= FLAG_CUT;                                             \
		}                                                                                \
		barrier_var(length_);                                                            \
		length_ &= (LIMIT) - 1;                                                          \
		if (length_ && place_ < ROOM && !READ((S)->texts + place_, length_, (void *)(FROM))) { \
			(S)->head.lengths[SLOT] = length_;                                       \
			(AT) = place_ + length_;                                                 \
		}                                                                                \
	} while (0)

/*
 * Path of a dentry as seen from `root`, into the walk's buffer, written from its end. Answers where it begins; names
 * are of the kernel's own objects, so nobody can exchange them. A file without a place gives its name alone. Not static:
 * the verifier looks at it once, not at each call.
 */
#define DEPTH 40
__noinline __u32 walk_path(__u64 dentry_at, __u64 mount_at, __u64 root_dentry, __u64 root_mount)
{
	__u32 zero = 0;
	struct walk *w = bpf_map_lookup_elem(&walks, &zero);
	struct dentry *dentry = (void *)dentry_at;
	struct vfsmount *vfsmount = (void *)mount_at;
	__u32 at = PATH_MAX_BYTES;
	if (!w)
		return at;
	struct mount *mount = (void *)((char *)vfsmount - bpf_core_field_offset(struct mount, mnt));
	for (int i = 0; i < DEPTH; i++) {
		if ((__u64)dentry == root_dentry && (__u64)&mount->mnt == root_mount)
			break;
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		if (dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);
			if (above == mount || !above)
				break;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			vfsmount = (void *)((char *)mount + bpf_core_field_offset(struct mount, mnt));
			continue;
		}
		__u32 length = BPF_CORE_READ(dentry, d_name.len) & 255;
		const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
		if (dentry == parent) {
			/* Root of something that is mounted nowhere, a pipe or memfd. */
			if (at == PATH_MAX_BYTES && length > 1) {
				at -= length;
				bpf_probe_read_kernel(w->bytes + (at & (PATH_MAX_BYTES - 1)), length, name);
			}
			break;
		}
		if (at < length + 1)
			break;
		at -= length + 1;
		at &= PATH_MAX_BYTES - 1;
		w->bytes[at] = '/';
		bpf_probe_read_kernel(w->bytes + at + 1, length, name);
		dentry = parent;
	}
	return at;
}

/* The path of `dentry` on `mount`, below the task's root, as text `slot`. */
static __always_inline void append_walk(struct scratch *s, __u32 *at, __u32 slot, struct task_struct *task, struct dentry *dentry, struct vfsmount *mount)
{
	__u32 zero = 0;
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	if (!dentry)
		return;
	__u32 from = walk_path((__u64)dentry, (__u64)mount, (__u64)BPF_CORE_READ(fs, root.dentry), (__u64)BPF_CORE_READ(fs, root.mnt));
	struct walk *w = bpf_map_lookup_elem(&walks, &zero);
	if (!w || from > PATH_MAX_BYTES)
		return;
	__u32 place = *at;
	if (place >= ROOM)
		return;
	if (from == PATH_MAX_BYTES) {
		s->texts[place] = '/';
		s->head.lengths[slot & 7] = 1;
		*at = place + 1;
		return;
	}
	__u64 length = PATH_MAX_BYTES - from;
	if (length > 2047) {
		from += length - 2047;
		length = 2047;
		s->head.flags |= FLAG_CUT;
	}
	barrier_var(length);
	length &= 2047;
	if (!bpf_probe_read_kernel(s->texts + place, length, w->bytes + (from & (PATH_MAX_BYTES - 1)))) {
		s->head.lengths[slot & 7] = length;
		*at = place + length;
	}
}

static __always_inline void append_path(struct scratch *s, __u32 *at, __u32 slot, struct task_struct *task, struct path *path)
{
	append_walk(s, at, slot, task, BPF_CORE_READ(path, dentry), BPF_CORE_READ(path, mnt));
}

/* Which layer of an overlay an inode is of: the upper dentry stands behind the embedded inode. */
static __always_inline __u32 layer_of(struct inode *inode)
{
	if (BPF_CORE_READ(inode, i_sb, s_magic) != OVERLAYFS_SUPER_MAGIC)
		return FLAG_OUTSIDE;
	struct dentry *upper = NULL;
	bpf_probe_read_kernel(&upper, sizeof(upper), (char *)inode + bpf_core_type_size(struct inode));
	return upper && BPF_CORE_READ(upper, d_inode) ? FLAG_UPPER : FLAG_LOWER;
}

static __always_inline void describe_inode(struct scratch *s, struct inode *inode)
{
	s->head.inode = BPF_CORE_READ(inode, i_ino);
	s->head.device = BPF_CORE_READ(inode, i_sb, s_dev);
	s->head.mode = BPF_CORE_READ(inode, i_mode);
	s->head.flags |= FLAG_FILE | layer_of(inode);
}

static __always_inline bool is_memfd(struct file *file)
{
	char name[8] = {};
	bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
	return BPF_CORE_READ(file, f_inode, i_sb, s_magic) == TMPFS_MAGIC && BPF_CORE_READ(file, f_inode, __i_nlink) == 0 &&
	       name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' && name[4] == 'd' && name[5] == ':';
}

static __always_inline void describe_socket(struct scratch *s, struct sock *sk)
{
	struct record *r = &s->head;
	r->flags |= FLAG_SOCKET;
	r->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (bpf_core_field_exists(sk->sk_protocol)) {
		r->protocol = BPF_CORE_READ(sk, sk_protocol);
		r->socket = BPF_CORE_READ(sk, sk_type);
	}
	if (r->family == AF_INET) {
		BPF_CORE_READ_INTO((__u32 *)r->local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__u32 *)r->remote, sk, __sk_common.skc_daddr);
	} else if (r->family == AF_INET6) {
		BPF_CORE_READ_INTO(&r->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&r->remote, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	}
	if (r->family == AF_INET || r->family == AF_INET6) {
		r->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
		r->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	}
}

/* A remote address of the caller's, for calls that name one. */
static __always_inline void describe_address(struct scratch *s, __u32 *at, unsigned long address, __u32 length)
{
	struct record *r = &s->head;
	__u8 raw[28] = {};
	if (!address || length < 2 || bpf_probe_read_user(raw, length > sizeof(raw) ? sizeof(raw) : length & 31, (void *)address))
		return;
	__u16 family = *(__u16 *)raw;
	r->flags |= FLAG_SOCKET;
	if (!r->family)
		r->family = family;
	if (family == AF_INET && length >= 8) {
		r->remote_port = (__u16)raw[2] << 8 | raw[3];
		__builtin_memset(r->remote, 0, 16);
		__builtin_memcpy(r->remote, raw + 4, 4);
		r->family = AF_INET;
	} else if (family == AF_INET6 && length >= 24) {
		r->remote_port = (__u16)raw[2] << 8 | raw[3];
		__builtin_memcpy(r->remote, raw + 8, 16);
		r->family = AF_INET6;
	} else if (family == AF_UNIX) {
		/* An abstract name begins with a zero byte, shown as @. */
		__u32 place = *at;
		if (place >= ROOM)
			return;
		if (raw[2]) {
			append_user(s, at, 4, address + 2);
		} else if (length > 3) {
			s->texts[place] = '@';
			__u32 more = (length - 3) & 127;
			if (!bpf_probe_read_user(s->texts + place + 1, more, (void *)(address + 3))) {
				s->head.lengths[4] = more + 1;
				*at = place + more + 1;
			}
		}
	}
}

static __always_inline struct file *file_of(struct task_struct *task, int fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = NULL;
	if (fd < 0 || (__u32)fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

static __always_inline struct sock *sock_of(struct file *file)
{
	if (!S_ISSOCK(BPF_CORE_READ(file, f_inode, i_mode)))
		return NULL;
	struct socket *socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

static __always_inline bool network(struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	return family == AF_INET || family == AF_INET6;
}

/* File or socket behind an open file. */
static __always_inline void describe_file(struct scratch *s, __u32 *at, struct task_struct *task, struct file *file)
{
	if (!file)
		return;
	struct sock *sk = sock_of(file);
	if (sk) {
		describe_socket(s, sk);
		return;
	}
	describe_inode(s, BPF_CORE_READ(file, f_inode));
	if (is_memfd(file))
		s->head.flags |= FLAG_MEMFD;
	append_path(s, at, 4, task, &file->f_path);
}

static __always_inline void lost(struct record *r, __u16 reason)
{
	struct loss_key key = { .cgroup = r->cgroup, .call = r->call, .reason = reason };
	__u64 one = 1;
	__u64 *count = bpf_map_lookup_elem(&losses, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&losses, &key, &one, BPF_ANY);
}

static __always_inline void send(struct scratch *s, __u32 texts, bool now)
{
	if (texts > ROOM)
		texts = ROOM;
	__u64 size = sizeof(struct record) + texts;
	if (now) {
		if (bpf_ringbuf_output(&urgent, s, size, BPF_RB_FORCE_WAKEUP))
			lost(&s->head, LOSS_FULL);
		return;
	}
	__u64 waiting = bpf_ringbuf_query(&telemetry, BPF_RB_AVAIL_DATA);
	if (bpf_ringbuf_output(&telemetry, s, size, waiting >= wake_at ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP))
		lost(&s->head, LOSS_FULL);
}
