/* The agent protects itself: its pins, its maps and programs, its process, its cgroup. */
#pragma once

#include "enforce.bpf.h"

/* Ids of what is ours. */
#define OURS_MAP 1
#define OURS_PROG 2
#define OURS_LINK 3
struct own_key { __u32 what; __u32 id; };
MAP(own, BPF_MAP_TYPE_HASH, struct own_key, __u8, 256);

/* Files only the agent may change: its program, its settings. */
MAP(guarded, BPF_MAP_TYPE_HASH, struct file_key, __u8, 64);

#define PTRACE_MODE_ATTACH 2
#define DEPTH_OF_PINS 4

/* The agent, what it started, who started it, and the first process. */
static __always_inline bool trusted(struct guard *g)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 tgid = BPF_CORE_READ(task, tgid), parent = BPF_CORE_READ(task, real_parent, tgid);
	if (tgid == g->agent || parent == g->agent || tgid == 1)
		return true;
	/* The service manager, or a program it started for this. */
	return g->starter > 1 && (tgid == g->starter || parent == g->starter);
}

static __always_inline __u64 refuse(void)
{
	return DECISION(VERDICT_DENIED, REASON_GUARD, 0);
}

/* Names below our directory in bpffs, and the directory itself. */
static __always_inline bool is_pin(struct guard *g, struct dentry *dentry)
{
	if (!g->device || BPF_CORE_READ(dentry, d_sb, s_dev) != g->device)
		return false;
	for (int i = 0; i < DEPTH_OF_PINS; i++) {
		struct inode *inode = BPF_CORE_READ(dentry, d_inode);
		if (inode && BPF_CORE_READ(inode, i_ino) == g->directory)
			return true;
		dentry = BPF_CORE_READ(dentry, d_parent);
	}
	return false;
}

static __always_inline bool is_guarded(struct inode *inode)
{
	if (!inode)
		return false;
	struct file_key key = { .inode = BPF_CORE_READ(inode, i_ino), .device = BPF_CORE_READ(inode, i_sb, s_dev) };
	return bpf_map_lookup_elem(&guarded, &key) != NULL;
}

/* A change of this name is against the agent. */
__noinline int against_name(__u64 dentry_at)
{
	struct guard *g = guard();
	struct dentry *dentry = (void *)dentry_at;
	if (!g || !dentry || by_agent(g))
		return 0;
	return is_pin(g, dentry) || is_guarded(BPF_CORE_READ(dentry, d_inode));
}

/* Writing this file freezes, kills or moves the agent. */
static __always_inline bool against_cgroup(struct guard *g, struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	if (!g->agent || !g->cgroup || BPF_CORE_READ(dentry, d_sb, s_magic) != CGROUP2_SUPER_MAGIC)
		return false;
	char name[16] = {};
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
	/* cgroup.freeze, cgroup.kill */
	if (name[0] != 'c' || name[6] != '.' || !((name[7] == 'f' && name[8] == 'r') || (name[7] == 'k' && name[8] == 'i')))
		return false;
	return BPF_CORE_READ(dentry, d_parent, d_inode, i_ino) == g->cgroup;
}

static __always_inline bool ours(__u32 what, __u32 id)
{
	struct own_key key = { .what = what, .id = id };
	return bpf_map_lookup_elem(&own, &key) != NULL;
}

/* A handle on one of our maps or programs: for the agent; for a successor when there is none, but for no container. */
static __always_inline bool against_handle(struct guard *g, __u32 what, __u32 id)
{
	if (!ours(what, id) || by_agent(g))
		return false;
	if (g->agent)
		return true;
	__u64 container = 0;
	return container_of_task(bpf_get_current_task_btf(), &container) != NULL;
}

/* Against the agent: judged whether or not a container does it. */
#define GUARD(CALLS_, OPERATION, CONDITION)                     \
	do {                                                    \
		if (CONDITION) {                                \
			begin((CALLS_) | WHOEVER, OPERATION);   \
			if (conclude(refuse()))                 \
				return -EPERM;                  \
		}                                               \
	} while (0)
