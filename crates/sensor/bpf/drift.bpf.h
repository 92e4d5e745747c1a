/*
 * Code that did not come with the image. What counts is where content is from, not which layer it lies in: a file of a
 * lower layer is the image's, and one that came up from there is too until somebody writes it.
 */
#pragma once

#include "enforce.bpf.h"

#define FMODE_WRITE 2
/* Opened by the kernel behind an overlay's file. */
#define FMODE_NOACCOUNT 0x20000000
#define FMODE_EXEC_FLAG 0x20
#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_SHARED_TYPES 3
#define MAP_PRIVATE 2
#define VM_EXEC 4

/* Files of images that were written in a container. */
MAP(written, BPF_MAP_TYPE_HASH, struct file_key, __u8, 65536);

/* What is known of a file's content, said by user space; forgotten when it is written. */
#define CONTENT_CLEAN 1
#define CONTENT_MALICIOUS 2
#define CONTENT_UNKNOWN 3
MAP(contents, BPF_MAP_TYPE_HASH, struct file_key, __u8, 65536);

/* Devices beside its root whose files a container may run. */
struct volume_key { __u64 container; __u32 device; __u32 spare; };
MAP(volumes, BPF_MAP_TYPE_HASH, struct volume_key, __u8, 16384);

static __always_inline struct file_key key_of(struct inode *inode)
{
	struct file_key key = { .inode = BPF_CORE_READ(inode, i_ino), .device = BPF_CORE_READ(inode, i_sb, s_dev) };
	return key;
}

/* The inode users see: behind a mapping of an overlay's file stands that of a layer. */
static __always_inline struct inode *shown(struct file *file)
{
	struct backing_file *backing = (void *)file;
	if (BPF_CORE_READ(file, f_mode) & FMODE_NOACCOUNT && bpf_core_field_exists(backing->user_path)) {
		struct inode *inode = BPF_CORE_READ(backing, user_path.dentry, d_inode);
		if (BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAYFS_SUPER_MAGIC)
			return inode;
	}
	struct inode *inode = BPF_CORE_READ(file, f_path.dentry, d_inode);
	return inode ? inode : BPF_CORE_READ(file, f_inode);
}

/* Whether an inode of an overlay has content of a lower layer: such as it was, or such as came up from there. */
static __always_inline bool from_below(struct inode *inode)
{
	/* Behind the embedded inode: the upper dentry, then what stands below: a pointer that is null or whose target
	 * begins with the number of lower layers (6.5 on), or with something that is never zero. */
	unsigned long words[2] = {};
	__u32 lower = 0;
	bpf_probe_read_kernel(words, sizeof(words), (char *)inode + bpf_core_type_size(struct inode));
	if (!words[0] || !BPF_CORE_READ((struct dentry *)words[0], d_inode))
		return true;
	if (words[1])
		bpf_probe_read_kernel(&lower, sizeof(lower), (void *)words[1]);
	return lower != 0;
}

/* An overlay's file as the upper layer has it; nothing if it has not. */
static __always_inline struct file_key upper_key(struct inode *inode)
{
	struct dentry *upper = NULL;
	struct file_key key = {};
	if (BPF_CORE_READ(inode, i_sb, s_magic) != OVERLAYFS_SUPER_MAGIC)
		return key;
	bpf_probe_read_kernel(&upper, sizeof(upper), (char *)inode + bpf_core_type_size(struct inode));
	struct inode *real = upper ? BPF_CORE_READ(upper, d_inode) : NULL;
	return real ? key_of(real) : key;
}

/* Whether the content is the image's. */
static __always_inline bool of_image(struct act *a, struct inode *inode)
{
	struct file_key key = key_of(inode);
	if (key.device != a->root_device) {
		struct volume_key volume = { .container = a->container, .device = key.device };
		return bpf_map_lookup_elem(&volumes, &volume) != NULL;
	}
	bool overlay = BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAYFS_SUPER_MAGIC;
	if (overlay && !from_below(inode))
		return false;
	if (a->strict)
		return overlay && layer_of(inode) == FLAG_LOWER;
	struct file_key above = upper_key(inode);
	if (bpf_map_lookup_elem(&written, &key)) {
		/* The overlay may give it another number when it comes into its cache anew; the upper layer does not. */
		__u8 one = 1;
		if (above.inode)
			bpf_map_update_elem(&written, &above, &one, BPF_ANY);
		return false;
	}
	return !above.inode || !bpf_map_lookup_elem(&written, &above);
}

/* Whether code of this file may run. */
__noinline __u64 judge_content(__u64 inode_at, __u32 reason)
{
	struct act *a = act();
	struct inode *inode = (void *)inode_at;
	if (!a || !a->container || a->outside || !inode)
		return 0;
	__u32 drift = mode_of(a, MODE_DRIFT), held = mode_of(a, MODE_HELD);
	if (!drift && !held)
		return 0;
	struct file_key key = key_of(inode);
	__u8 *content = bpf_map_lookup_elem(&contents, &key);
	if (content && *content == CONTENT_CLEAN)
		return 0;
	if (content && *content == CONTENT_MALICIOUS)
		return by_mode(held > drift ? held : drift, REASON_MALICIOUS, 0);
	bool unknown = content && *content == CONTENT_UNKNOWN;
	if (of_image(a, inode))
		return unknown ? by_mode(held, REASON_HELD, 0) : 0;
	if (drift >= held)
		return by_mode(drift, reason, 0);
	return by_mode(held, REASON_HELD, 0);
}

/* The content changes, or may from now on. */
__noinline int content_changes(__u64 inode_at)
{
	struct act *a = act();
	struct inode *inode = (void *)inode_at;
	__u8 one = 1;
	if (!a || !S_ISREG(BPF_CORE_READ(inode, i_mode)))
		return 0;
	struct file_key key = key_of(inode);
	bpf_map_delete_elem(&contents, &key);
	bool overlay = BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAYFS_SUPER_MAGIC;
	/* Remembered of a container's root alone; what never was the image's needs no memory. */
	if ((!overlay && (!a->container || key.device != a->root_device)) || (overlay && !from_below(inode)))
		return 0;
	if (bpf_map_update_elem(&written, &key, &one, BPF_ANY)) {
		struct container *c = a->container ? bpf_map_lookup_elem(&containers, &a->container) : NULL;
		if (c)
			c->strict = 1;
	}
	return 0;
}

#define NAME_MAX_COMPARED 64
#define SCRIPT_ARGUMENTS 8
#define ARGUMENT_MAX 256

/* Too much for a stack. */
struct names { char argument[ARGUMENT_MAX]; char given[NAME_MAX_COMPARED]; char one[NAME_MAX_COMPARED]; char other[NAME_MAX_COMPARED]; };
MAP(compared, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct names, 1);

/* Programs that run what they are given. */
static __always_inline bool interprets(const char *n)
{
#define BEGINS(A, B, C) (n[0] == A && n[1] == B && n[2] == C)
	return (n[0] == 's' && n[1] == 'h' && !n[2]) || (BEGINS('b', 'a', 's') && n[3] == 'h') || (BEGINS('d', 'a', 's') && n[3] == 'h') ||
	       (BEGINS('a', 's', 'h') && !n[3]) || (BEGINS('z', 's', 'h') && !n[3]) || (BEGINS('k', 's', 'h') && !n[3]) || BEGINS('b', 'u', 's') ||
	       BEGINS('p', 'y', 't') || BEGINS('p', 'e', 'r') || BEGINS('n', 'o', 'd') || BEGINS('p', 'h', 'p') || BEGINS('r', 'u', 'b') || BEGINS('l', 'u', 'a') ||
	       (BEGINS('j', 'a', 'v') && n[3] == 'a');
#undef BEGINS
}

/* Whether the end of `text` (`length` bytes, of user space if `user`) is `name`, alone or after a slash. */
__noinline int ends_with(__u64 text, __u32 length, __u64 name_at, __u32 name_length)
{
	__u32 zero = 0;
	struct names *names = bpf_map_lookup_elem(&compared, &zero);
	if (!names || !name_length || name_length > length || name_length >= NAME_MAX_COMPARED)
		return 0;
	barrier_var(name_length);
	name_length &= NAME_MAX_COMPARED - 1;
	if (bpf_probe_read_kernel(names->one, name_length, (void *)name_at) || bpf_probe_read_user(names->other, name_length, (void *)(text + length - name_length)))
		return 0;
	for (__u32 i = 0; i < NAME_MAX_COMPARED && i < name_length; i++)
		if (names->one[i] != names->other[i])
			return 0;
	if (name_length == length)
		return 1;
	char before = 0;
	bpf_probe_read_user(&before, 1, (void *)(text + length - name_length - 1));
	return before == '/';
}

/* Whether the current program was given this file as an argument. Its options are passed over. */
__noinline int is_argument(__u64 dentry_at)
{
	__u32 zero = 0;
	struct names *names = bpf_map_lookup_elem(&compared, &zero);
	struct task_struct *task = (void *)bpf_get_current_task();
	struct dentry *dentry = (void *)dentry_at;
	if (!names)
		return 0;
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u64 at = BPF_CORE_READ(mm, arg_start), end = BPF_CORE_READ(mm, arg_end);
	__u64 name = (__u64)BPF_CORE_READ(dentry, d_name.name);
	__u32 length = BPF_CORE_READ(dentry, d_name.len);
	/* As the program itself named it: it may be a symbolic link. */
	struct act *a = act();
	__u64 given = 0;
	if (a && a->calls) {
		struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
		long number = number_of(regs);
		given = number == 2 ? argument(regs, 0) : number == 257 || number == 437 || number == 56 ? argument(regs, 1) : 0;
	}
	long given_length = given ? bpf_probe_read_user_str(names->given, sizeof(names->given), (void *)given) : 0;
	for (int i = 0; i < SCRIPT_ARGUMENTS; i++) {
		if (at >= end)
			return 0;
		long got = bpf_probe_read_user_str(names->argument, sizeof(names->argument), (void *)at);
		if (got <= 0)
			return 0;
		if (i && names->argument[0] != '-' && got > 1) {
			if (ends_with(at, got - 1, name, length))
				return 1;
			bool same = given_length == got && got > 1;
			for (int k = 0; k < NAME_MAX_COMPARED && same; k++) {
				if (names->given[k] != names->argument[k])
					same = false;
				if (!names->given[k])
					break;
			}
			if (same)
				return 1;
		}
		at += got;
	}
	return 0;
}
