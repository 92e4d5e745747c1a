/*
 * The few members of the kernel's structures that are read; libbpf relocates them to where the running kernel has
 * them. Nothing here is a copy of a layout: order and neighbours mean nothing.
 */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define LAYOUT __attribute__((preserve_access_index))

struct qstr { __u32 len; const unsigned char *name; } LAYOUT;

struct super_block;
struct inode;

struct dentry { struct dentry *d_parent; struct qstr d_name; struct inode *d_inode; struct super_block *d_sb; } LAYOUT;

struct file_system_type { const char *name; } LAYOUT;

struct super_block { unsigned int s_dev; unsigned long s_magic; struct dentry *s_root; struct file_system_type *s_type; } LAYOUT;

struct timespec64 { long long tv_sec; long tv_nsec; } LAYOUT;

struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned int __i_nlink;
	long long i_ctime_sec;
	unsigned int i_ctime_nsec;
	long long i_mtime_sec;
	unsigned int i_mtime_nsec;
} LAYOUT;

/* Up to 6.5. */
struct inode___times { struct timespec64 i_ctime; struct timespec64 i_mtime; } LAYOUT;
/* 6.6 to 6.10. */
struct inode___ctime { struct timespec64 __i_ctime; struct timespec64 i_mtime; } LAYOUT;
struct inode___mtime { struct timespec64 __i_ctime; struct timespec64 __i_mtime; } LAYOUT;

struct vfsmount { struct dentry *mnt_root; struct super_block *mnt_sb; } LAYOUT;

struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; } LAYOUT;

struct path { struct vfsmount *mnt; struct dentry *dentry; } LAYOUT;

struct file { unsigned int f_flags; unsigned int f_mode; struct inode *f_inode; struct path f_path; void *private_data; } LAYOUT;

/* Since 6.6: what stands behind a file of an overlay. */
struct backing_file { struct file file; struct path user_path; } LAYOUT;

struct vm_area_struct { struct file *vm_file; unsigned long vm_flags; } LAYOUT;

struct fdtable { unsigned int max_fds; struct file **fd; } LAYOUT;

struct files_struct { struct fdtable *fdt; } LAYOUT;

struct fs_struct { struct path root; struct path pwd; } LAYOUT;

struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
} LAYOUT;

struct ns_common { unsigned int inum; } LAYOUT;
struct pid_namespace { struct ns_common ns; unsigned int level; } LAYOUT;
struct user_namespace { struct ns_common ns; } LAYOUT;
struct mnt_namespace { struct ns_common ns; } LAYOUT;
struct net { struct ns_common ns; } LAYOUT;

struct nsproxy { struct mnt_namespace *mnt_ns; struct net *net_ns; } LAYOUT;

struct upid { int nr; struct pid_namespace *ns; } LAYOUT;
struct pid { unsigned int level; struct upid numbers[1]; } LAYOUT;

typedef struct { unsigned int val; } LAYOUT kuid_t;
typedef struct { unsigned int val; } LAYOUT kgid_t;
typedef struct { __u64 val; } kernel_cap_t;

struct cred {
	kuid_t uid, euid;
	kgid_t gid, egid;
	kernel_cap_t cap_inheritable, cap_permitted, cap_effective;
	struct user_namespace *user_ns;
} LAYOUT;

struct tty_driver { int major; int minor_start; } LAYOUT;
struct tty_struct { int index; struct tty_driver *driver; } LAYOUT;

struct signal_struct { struct pid *pids[4]; struct tty_struct *tty; } LAYOUT;

struct kernfs_node { __u64 id; } LAYOUT;
struct cgroup { struct kernfs_node *kn; } LAYOUT;
struct cgroup_subsys_state { struct cgroup *cgroup; struct cgroup_subsys_state *parent; } LAYOUT;
struct cgroup___self { struct cgroup_subsys_state self; } LAYOUT;
struct css_set { struct cgroup_subsys_state *subsys[16]; struct cgroup *dfl_cgrp; } LAYOUT;

struct thread_info { unsigned long flags; unsigned int status; } LAYOUT;

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid, tgid;
	__u64 start_boottime;
	int exit_code;
	char comm[16];
	kuid_t loginuid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	const struct cred *cred;
	const struct cred *real_cred;
	struct signal_struct *signal;
	struct pid *thread_pid;
	struct css_set *cgroups;
	unsigned int ptrace;
} LAYOUT;

/* Up to 5.18. */
struct task_struct___start { __u64 real_start_time; } LAYOUT;

struct linux_binprm { struct file *file; struct file *interpreter; const char *filename; const char *interp; const struct cred *cred; struct mm_struct *mm; } LAYOUT;

struct in6_addr { union { __u8 u6_addr8[16]; } in6_u; } LAYOUT;

struct sock_common {
	__u32 skc_daddr, skc_rcv_saddr;
	__u16 skc_dport, skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
} LAYOUT;

struct sock { struct sock_common __sk_common; __u16 sk_type; __u16 sk_protocol; } LAYOUT;
struct socket { short type; struct sock *sk; } LAYOUT;
struct unix_address { int len; char name[1]; } LAYOUT;
struct unix_sock { struct unix_address *addr; struct sock *peer; } LAYOUT;

struct bpf_map { __u32 id; } LAYOUT;
struct bpf_prog_aux { __u32 id; } LAYOUT;
struct bpf_prog { struct bpf_prog_aux *aux; } LAYOUT;
struct bpf_link { __u32 id; } LAYOUT;

struct msghdr { void *msg_name; int msg_namelen; } LAYOUT;

struct sockaddr { unsigned short sa_family; char sa_data[14]; };
struct iovec { void *iov_base; unsigned long iov_len; };
struct user_msghdr { void *msg_name; int msg_namelen; struct iovec *msg_iov; unsigned long msg_iovlen; };

#ifdef __TARGET_ARCH_x86
struct pt_regs { unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss; } LAYOUT;
#else
struct pt_regs { __u64 regs[31]; __u64 sp, pc, pstate; __u64 orig_x0; int syscallno; } LAYOUT;
#endif

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_ISSOCK(mode) (((mode) & S_IFMT) == S_IFSOCK)
#define S_ISREG(mode) (((mode) & S_IFMT) == S_IFREG)

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2

#define PF_KTHREAD 0x00200000
#define PF_IO_WORKER 0x00000010
#define CGROUP2_SUPER_MAGIC 0x63677270
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define TMPFS_MAGIC 0x01021994
#define EPERM 1

