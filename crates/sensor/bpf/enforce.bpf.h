/*
 * What containers may not do. User space says it in maps; security hooks decide by them, on the kernel's own objects.
 * These maps and the links of the hooks are pinned: they hold while nobody of user space is there.
 */
#pragma once

#include "syscall.bpf.h"

/* Operations a policy can name. */
#define OP_EXEC (1u << 0)
#define OP_READ (1u << 1)
#define OP_WRITE (1u << 2)
#define OP_CREATE (1u << 3)
#define OP_UNLINK (1u << 4)
#define OP_RENAME (1u << 5)
#define OP_MKDIR (1u << 6)
#define OP_LINK (1u << 7)
#define OP_CHMOD (1u << 8)
#define OP_CHOWN (1u << 9)
#define OP_XATTR (1u << 10)
#define OP_MOUNT (1u << 11)
#define OP_PTRACE (1u << 12)
#define OP_KILL (1u << 13)
#define OP_MODULE (1u << 14)
#define OP_BPF (1u << 15)
#define OP_SOCKET (1u << 16)
#define OP_CONNECT (1u << 17)
#define OP_SEND (1u << 18)
#define OP_BIND (1u << 19)
#define OP_LISTEN (1u << 20)
#define OP_USERNS (1u << 21)
#define OP_SETID (1u << 22)
/* Memory that is both made by the process and executable. */
#define OP_JIT (1u << 23)
#define OP_CHROOT (1u << 24)
#define OP_ACCEPT (1u << 25)
#define OP_PERF (1u << 26)

/* What a mode of a container concerns; each has two bits. */
#define MODE_DRIFT 0
#define MODE_HELD 2
#define MODE_ROOT 4
#define MODE_PRIVILEGED 6
#define ALLOW 0
#define ALARM 1
#define BLOCK 2

struct container {
	__u32 policy;
	__u32 modes;
	/* Device of its root file system; found when its first program starts, unless user space said it. */
	__u32 root_device;
	/* More was written than the kernel's programs could remember: of the upper layer nothing is trusted. */
	__u32 strict;
};
MAP(containers, BPF_MAP_TYPE_HASH, __u64, struct container, 16384);

struct policy {
	/* Operations refused, told. */
	__u32 block;
	__u32 alarm;
	/* Operations for which there are rules by file, by address. */
	__u32 files;
	__u32 addresses;
};
MAP(policies, BPF_MAP_TYPE_HASH, __u32, struct policy, 4096);

struct rule {
	__u32 id;
	__u32 block;
	__u32 alarm;
	__u32 spare;
};

/* Prefixes of paths, a zero byte at the end where it is the whole path. */
#define PATH_KEY 248
struct path_key { __u32 length; __u32 policy; __u8 path[PATH_KEY]; };
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct path_key);
	__type(value, struct rule);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} path_rules SEC(".maps");
MAP(path_keys, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct path_key, 1);
/* Counts who uses a processor's buffers. */
MAP(turns, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 1);

/* A file, whatever it is called. */
struct file_key { __u64 inode; __u32 device; __u32 policy; };
MAP(file_rules, BPF_MAP_TYPE_HASH, struct file_key, struct rule, 16384);

/* Addresses, IPv4 as ::ffff:a.b.c.d; port 0: any. */
struct address_key { __u32 length; __u32 policy; __u32 operation; __u32 port; __u8 address[16]; };
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct address_key);
	__type(value, struct rule);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} address_rules SEC(".maps");
#define ADDRESS_FIXED 96

/* Which container a task is in, wherever it goes. */
struct member {
	__u64 container;
	__u32 interpreter;
	/* A program of the container runs. Until then it is its runtime's work, which is not judged. */
	__u32 started;
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct member);
} members SEC(".maps");

/* The agent that is protected, and what is between it and the programs. */
struct guard {
	/* Records up to then have been read (boot time). */
	__u64 told;
	/* Nothing is refused until then (boot time). */
	__u64 open_until;
	/* The agent's cgroup. */
	__u64 cgroup;
	/* The directory of our pins. */
	__u64 directory;
	__u32 device;
	/* Its process; 0 when it is gone. */
	__u32 agent;
	/* Mount namespace of the node: what is there is no container's program yet. */
	__u32 mount_namespace;
	/* What started the agent: the service manager, the container's runtime. */
	__u32 starter;
};
MAP(guards, BPF_MAP_TYPE_ARRAY, __u32, struct guard, 1);

/* The last denials, for an agent that was not there. */
#define DENIALS 256
#define DENIAL_TEXTS 272
struct denial { __u64 number; struct record head; __u8 texts[DENIAL_TEXTS]; };
MAP(denials, BPF_MAP_TYPE_ARRAY, __u32, struct denial, DENIALS);
MAP(denial_counts, BPF_MAP_TYPE_ARRAY, __u32, __u64, 1);

/* What is being judged. */
struct act {
	__u64 container;
	__u64 dentry, mount;
	__u64 other_dentry, other_mount;
	__u64 inode;
	__u64 socket;
	__u64 text;
	/* Behind the second name. */
	__u64 third;
	__u64 args[6];
	__u32 policy;
	__u32 modes;
	__u32 root_device;
	__u32 operation;
	__u32 calls;
	__u32 flags;
	__u16 call;
	__u8 strict;
	__u8 tell;
	__u8 fold;
	/* The file is what the call is about, not a name alone. */
	__u8 file;
	/* Told only if a call of its own is running. */
	__u8 own;
	__u8 text_at;
	__u8 length;
	__u8 spare[3];
	__u8 address[28];
	__u32 outside;
	/* Of the path, as looked up last. */
	__u32 found;
	struct rule rule;
};
/* Of the task, not of the processor: where kernels preempt, another task is judged between two of its steps. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct act);
} acts SEC(".maps");

static __always_inline struct act *act(void)
{
	return bpf_task_storage_get(&acts, bpf_get_current_task_btf(), 0, 0);
}

static __always_inline struct guard *guard(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&guards, &zero);
}

static __always_inline bool by_agent(struct guard *g)
{
	return g && g->agent && (bpf_get_current_pid_tgid() >> 32) == g->agent;
}

#define DECISION(VERDICT, REASON, RULE) ((__u64)(VERDICT) | (__u64)(REASON) << 8 | (__u64)(RULE) << 32)

static __always_inline __u64 by_mode(__u32 mode, __u32 reason, __u32 rule)
{
	return mode >= BLOCK ? DECISION(VERDICT_DENIED, reason, rule) : mode == ALARM ? DECISION(VERDICT_ALARMED, reason, rule) : 0;
}

static __always_inline __u32 mode_of(struct act *a, __u32 what)
{
	return a->modes >> what & 3;
}

#define ANCESTORS 10
/* Container of a cgroup: its own or that of the nearest one above. */
static __always_inline __u64 container_above(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup *cgroup = NULL;
	if (!hierarchy) {
		cgroup = BPF_CORE_READ(set, dfl_cgrp);
	} else if (hierarchy - 1 < 16) {
		struct cgroup_subsys_state *state = NULL;
		bpf_core_read(&state, sizeof(state), &set->subsys[hierarchy - 1]);
		cgroup = BPF_CORE_READ(state, cgroup);
	}
	for (int i = 0; i < ANCESTORS && cgroup; i++) {
		__u64 id = BPF_CORE_READ(cgroup, kn, id);
		if (bpf_map_lookup_elem(&containers, &id))
			return id;
		if (!i) {
			struct cgroup_info *info = bpf_map_lookup_elem(&cgroups, &id);
			if (info && info->what == CGROUP_NODE)
				return 0;
		}
		struct cgroup___self *own = (void *)cgroup;
		cgroup = BPF_CORE_READ(own, self.parent, cgroup);
	}
	return 0;
}

static __always_inline struct container *container_of_task(struct task_struct *task, __u64 *id)
{
	struct member *member = bpf_task_storage_get(&members, task, 0, 0);
	if (member && member->container) {
		struct container *c = bpf_map_lookup_elem(&containers, &member->container);
		*id = member->container;
		if (c)
			return c;
	}
	*id = container_above(task);
	if (!*id)
		return NULL;
	member = bpf_task_storage_get(&members, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (member)
		member->container = *id;
	return bpf_map_lookup_elem(&containers, id);
}

/* The call to tell where none of its system calls is running, the first and the last of those. */
#define CALLS(PLAIN, FIRST, LAST) ((__u32)(PLAIN) | (__u32)(FIRST) << 8 | (__u32)(LAST) << 16)
#define EXEC_CALLS CALLS(CALL_EXECVE, CALL_EXECVE, CALL_EXECVEAT)
#define IO_URING_ENTER 426

static __always_inline void name_call(struct act *a, struct task_struct *task)
{
	__u32 first = a->calls >> 8 & 255, last = a->calls >> 16 & 255;
	a->call = a->calls & 255;
	if (BPF_CORE_READ(task, flags) & PF_IO_WORKER) {
		a->flags |= FLAG_IO_URING;
		return;
	}
#ifdef __TARGET_ARCH_x86
	if (BPF_CORE_READ(task, thread_info.status) & TS_COMPAT) {
		a->flags |= FLAG_COMPAT;
		return;
	}
#endif
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	__u32 number = number_of(regs);
	if (number == IO_URING_ENTER) {
		a->flags |= FLAG_IO_URING;
		return;
	}
	struct capture *capture = bpf_map_lookup_elem(&captures, &number);
	if (!capture || capture->call < first || capture->call > last)
		return;
	a->call = capture->call;
	a->own = 0;
#pragma unroll
	for (int i = 0; i < 6; i++)
		a->args[i] = argument(regs, i);
}

/* With the calls: whoever it is, it is judged. */
#define WHOEVER (1u << 24)

/*
 * Begins to judge a call. Nonzero: it concerns a container under a policy, or is wanted; there is an act() then, unless
 * there was no memory for it, which refuses.
 */
__noinline int begin(__u32 calls, __u32 operation)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct guard *g = guard();
	if (!g || by_agent(g))
		return 0;
	/* The kernel's own work in a task's name (copy-up of an overlay). */
	if (BPF_CORE_READ(task, cred) != BPF_CORE_READ(task, real_cred) && !(calls & WHOEVER))
		return 0;
	__u64 id = 0;
	struct container *c = container_of_task(task, &id);
	__u32 plain = calls & 255;
	struct wanted *wanted = bpf_map_lookup_elem(&wants, &plain);
	bool tell = false;
	/* Nobody reads it where there is no agent. */
	if (g->agent && wanted && (wanted->container || wanted->node)) {
		__u64 group = cgroup_of(task);
		struct cgroup_info *info = c ? NULL : bpf_map_lookup_elem(&cgroups, &group);
		__u32 what = info ? info->what : CGROUP_CONTAINER;
		tell = what == CGROUP_NODE ? wanted->node : what == CGROUP_CONTAINER && wanted->container;
	}
	if (!c && !tell && !(calls & WHOEVER))
		return 0;
	struct act *a = bpf_task_storage_get(&acts, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!a)
		return id != 0 || (calls & WHOEVER) != 0;
	__builtin_memset(a, 0, sizeof(*a));
	a->calls = calls;
	a->operation = operation;
	a->tell = tell;
	a->fold = tell && wanted->fold;
	if (c) {
		struct member *member = bpf_task_storage_get(&members, task, 0, 0);
		bool judged = (member && member->started) || calls == EXEC_CALLS;
		a->container = id;
		a->policy = judged ? c->policy : 0;
		a->modes = judged ? c->modes : 0;
		a->root_device = c->root_device;
		a->strict = !!c->strict;
		a->outside = g->mount_namespace && BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum) == g->mount_namespace;
	}
	return 1;
}

/* The policy refuses the operation altogether. */
static __always_inline __u64 judge_operation(struct act *a)
{
	struct policy *p = a->policy ? bpf_map_lookup_elem(&policies, &a->policy) : NULL;
	if (!p)
		return 0;
	if (p->block & a->operation)
		return DECISION(VERDICT_DENIED, REASON_OPERATION, 0);
	return p->alarm & a->operation ? DECISION(VERDICT_ALARMED, REASON_OPERATION, 0) : 0;
}

static __always_inline __u64 by_rule(struct rule *rule, __u32 operation, __u32 reason)
{
	if (!rule)
		return 0;
	if (rule->block & operation)
		return DECISION(VERDICT_DENIED, reason, rule->id);
	return rule->alarm & operation ? DECISION(VERDICT_ALARMED, reason, rule->id) : 0;
}

static __always_inline __u64 worse(__u64 one, __u64 other)
{
	if ((one & 255) == VERDICT_DENIED || !other)
		return one;
	return (other & 255) == VERDICT_DENIED || !one ? other : one;
}

#define TRIES 4

/* The rule of the longest prefix of a path, into the act. 0: the buffers were not ours all the time. */
__noinline int name_rule(__u64 dentry_at, __u64 mount_at)
{
	__u32 zero = 0;
	struct act *a = act();
	struct path_key *key = bpf_map_lookup_elem(&path_keys, &zero);
	struct walk *w = bpf_map_lookup_elem(&walks, &zero);
	__u64 *turn = bpf_map_lookup_elem(&turns, &zero);
	if (!a || !w || !key || !turn)
		return 0;
	__u64 mine = __sync_fetch_and_add(turn, 1) + 1;
	__u32 from = walk_path(dentry_at, mount_at, 0, 0);
	if (from > PATH_MAX_BYTES)
		return 0;
	__u32 length = PATH_MAX_BYTES - from;
	if (length > PATH_KEY - 1)
		length = PATH_KEY - 1;
	__builtin_memset(key->path, 0, sizeof(key->path));
	barrier_var(length);
	length &= 255;
	if (length > PATH_KEY - 1 || bpf_probe_read_kernel(key->path, length, w->bytes + (from & (PATH_MAX_BYTES - 1))))
		return 0;
	key->policy = a->policy;
	key->length = 32 + (length + 1) * 8;
	struct rule *rule = bpf_map_lookup_elem(&path_rules, key);
	a->found = rule != NULL;
	if (rule)
		a->rule = *rule;
	return *turn == mine;
}

/*
 * Rules by file: by the file itself, then by the longest prefix of its path. In the container's own root the path is
 * that below the file system's root, so that no chroot, bind mount or mount namespace changes it.
 */
__noinline __u64 judge_name(__u64 dentry_at, __u64 mount_at, __u32 operation)
{
	struct act *a = act();
	struct policy *p = a && a->policy ? bpf_map_lookup_elem(&policies, &a->policy) : NULL;
	if (!p || !dentry_at || !(p->files & operation))
		return 0;
	struct dentry *dentry = (void *)dentry_at;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	__u32 device = BPF_CORE_READ(dentry, d_sb, s_dev);
	if (inode) {
		struct file_key key = { .inode = BPF_CORE_READ(inode, i_ino), .device = device, .policy = a->policy };
		struct rule *rule = bpf_map_lookup_elem(&file_rules, &key);
		if (rule)
			return by_rule(rule, operation, REASON_FILE);
	}
	__u64 mount = device == a->root_device ? 0 : mount_at;
	/* Another task may have been at the same buffers in between. */
	for (int i = 0; i < TRIES; i++) {
		if (name_rule(dentry_at, mount))
			return by_rule(a->found ? &a->rule : NULL, operation, REASON_FILE);
	}
	return DECISION(VERDICT_DENIED, REASON_FILE, 0);
}

/* Rules by address: of this port, else of any. */
__noinline __u64 judge_address(__u32 operation)
{
	struct act *a = act();
	struct policy *p = a && a->policy ? bpf_map_lookup_elem(&policies, &a->policy) : NULL;
	if (!p || !(p->addresses & operation))
		return 0;
	struct address_key key = { .length = ADDRESS_FIXED + 128, .policy = a->policy, .operation = operation };
	__u16 family = *(__u16 *)a->address;
	key.port = (__u32)a->address[2] << 8 | a->address[3];
	if (family == AF_INET) {
		key.address[10] = key.address[11] = 255;
		__builtin_memcpy(key.address + 12, a->address + 4, 4);
	} else if (family == AF_INET6) {
		__builtin_memcpy(key.address, a->address + 8, 16);
	} else {
		return 0;
	}
	struct rule *rule = bpf_map_lookup_elem(&address_rules, &key);
	if (!rule) {
		key.port = 0;
		rule = bpf_map_lookup_elem(&address_rules, &key);
	}
	return by_rule(rule, operation, REASON_ADDRESS);
}

static __always_inline __u32 used(struct record *r)
{
	__u32 used = 0;
#pragma unroll
	for (int i = 0; i < TEXTS; i++)
		used += r->lengths[i];
	return used;
}

static __always_inline void remember(struct scratch *s, __u32 texts)
{
	__u32 zero = 0, place;
	__u64 *count = bpf_map_lookup_elem(&denial_counts, &zero);
	if (!count)
		return;
	__u64 number = __sync_fetch_and_add(count, 1);
	place = number % DENIALS;
	struct denial *d = bpf_map_lookup_elem(&denials, &place);
	if (!d)
		return;
	d->number = number + 1;
	d->head = s->head;
	bpf_probe_read_kernel(d->texts, DENIAL_TEXTS, s->texts);
	if (texts > DENIAL_TEXTS) {
		/* The first text alone, as much of it as there is room for. */
		d->head.flags |= FLAG_CUT;
		if (d->head.lengths[0] > DENIAL_TEXTS)
			d->head.lengths[0] = DENIAL_TEXTS;
		d->head.lengths[1] = d->head.lengths[2] = d->head.lengths[3] = d->head.lengths[4] = 0;
	}
}

static __always_inline void append_place(struct scratch *s, __u32 slot, struct task_struct *task, __u64 dentry, __u64 mount)
{
	__u32 at = used(&s->head);
	struct path path = { .mnt = (void *)mount, .dentry = (void *)dentry };
	append_walk(s, &at, slot, task, path.dentry, path.mnt);
}

/* Tells it, if it is to be told. Nonzero: it is refused. */
__noinline int conclude(__u64 decision)
{
	struct act *a = act();
	struct guard *g = guard();
	struct scratch *s = scratch();
	__u8 verdict = decision & 255;
	if (!a || !g || !s || (!verdict && !a->tell))
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct record *r = &s->head;
	name_call(a, task);
	if (!verdict && a->own)
		return 0;
	fill(s, a->call, ORIGIN_LSM, task);
	if (verdict == VERDICT_DENIED && g->open_until > r->time)
		verdict = VERDICT_ALARMED;
	if (a->container)
		r->cgroup = a->container;
	r->flags |= a->flags;
	r->verdict = verdict;
	r->reason = decision >> 8 & 255;
	r->rule = decision >> 32;
	r->policy = verdict ? a->policy : 0;
	r->result = verdict == VERDICT_DENIED ? -EPERM : 0;
	__builtin_memcpy(r->args, a->args, sizeof(r->args));
	if (a->inode)
		describe_inode(s, (void *)a->inode);
	if (a->socket)
		describe_socket(s, (void *)a->socket);
	if (a->length) {
		__u16 family = *(__u16 *)a->address;
		r->flags |= FLAG_SOCKET;
		if (family == AF_INET) {
			r->family = AF_INET;
			r->remote_port = (__u16)a->address[2] << 8 | a->address[3];
			__builtin_memset(r->remote, 0, 16);
			__builtin_memcpy(r->remote, a->address + 4, 4);
		} else if (family == AF_INET6) {
			r->family = AF_INET6;
			r->remote_port = (__u16)a->address[2] << 8 | a->address[3];
			__builtin_memcpy(r->remote, a->address + 8, 16);
		}
	}
	if (!verdict && a->fold && folded(r, a->length ? remote_of(r) : 0, a->operation))
		return 0;
	__u32 at = 0;
	if (a->text && !a->text_at)
		append_kernel(s, &at, 0, (void *)a->text);
	if (a->dentry && !(a->text && !a->text_at))
		append_place(s, 0, task, a->dentry, a->mount);
	at = used(r);
	if (a->text && a->text_at)
		append_kernel(s, &at, 1, (void *)a->text);
	if (a->other_dentry)
		append_place(s, 1, task, a->other_dentry, a->other_mount);
	at = used(r);
	if (a->third)
		append_kernel(s, &at, 2, (void *)a->third);
	if (a->file)
		append_place(s, 4, task, a->dentry, a->mount);
	__u32 texts = used(r);
	send(s, texts, verdict || (a->call >= CALL_SETUID && !is_open(a->call)));
	if (verdict != VERDICT_DENIED)
		return 0;
	remember(s, texts);
	return 1;
}
