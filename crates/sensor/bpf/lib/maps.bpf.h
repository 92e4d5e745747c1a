/* Maps all programs share. */
#pragma once

#include "kernel.bpf.h"
#include "schema.gen.h"

/* Records are built here and copied into a ring: a program's stack holds 512 bytes. */
#define ROOM 8192
#define PATH_MAX_BYTES 4096
#define TEXT_MAX 1024
#define ARGS_MAX 4096
#define ENV_MAX 2048
#define DATA_MAX 512

struct scratch {
	struct record head;
	/* Half of it is used, so that a bounded offset and a bounded length stay inside. Of a started program, what it
	 * runs as stands first. */
	__u8 texts[2 * ROOM];
};

struct walk { __u8 bytes[2 * PATH_MAX_BYTES]; };

#define MAP(NAME, TYPE, KEY, VALUE, ENTRIES) \
	struct { __uint(type, TYPE); __type(key, KEY); __type(value, VALUE); __uint(max_entries, ENTRIES); } NAME SEC(".maps")

MAP(scratches, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct scratch, 1);
MAP(walks, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct walk, 1);

/* What must arrive: programs starting and ending, cgroups, denials, credentials. */
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 2 << 20); } urgent SEC(".maps");
/* Everything else. User space sets its size. */
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 16 << 20); } telemetry SEC(".maps");

/* Records lost, by container, call and reason. */
struct loss_key { __u64 cgroup; __u16 call; __u16 reason; __u32 spare; };
#define LOSS_FULL 1
MAP(losses, BPF_MAP_TYPE_LRU_HASH, struct loss_key, __u64, 4096);

/* Calls whose records are wanted, by number of the system call. */
struct capture {
	__u16 call;
	__u8 text[2];
	__u8 directory[2];
	__u8 fd;
	__u8 returns_fd;
	__u8 address;
	__u8 buffer;
	__u8 message;
	__u8 open_how;
	/* Of the node's own processes too. */
	__u8 node;
	/* Equal ones within a second count as one. */
	__u8 fold;
	__u8 urgent;
	__u8 spare;
};
#define NO_ARGUMENT 255
#define CALLS_MAX 512
MAP(captures, BPF_MAP_TYPE_ARRAY, __u32, struct capture, CALLS_MAX);
/* The same by number of the call, for hooks that are no system calls: what to do with it. */
struct wanted { __u8 container; __u8 node; __u8 fold; __u8 spare; };
MAP(wants, BPF_MAP_TYPE_ARRAY, __u32, struct wanted, 256);

/* What a cgroup is. One that is not here is a container nobody knows yet. */
#define CGROUP_NODE 1
#define CGROUP_CONTAINER 2
/* Another sensor's: nothing of it is told. */
#define CGROUP_FOREIGN 3
struct cgroup_info { __u32 what; };
MAP(cgroups, BPF_MAP_TYPE_LRU_HASH, __u64, struct cgroup_info, 16384);

/* Equal calls within a window, counted. */
struct fold_key { __u64 process; __u64 inode; __u64 more; __u32 device; __u16 call; __u16 flags; };
struct fold { __u64 since; __u32 count; __u32 spare; };
MAP(folds, BPF_MAP_TYPE_LRU_HASH, struct fold_key, struct fold, 32768);
#define FOLD_WINDOW 1000000000ull

/* Whose own calls are not told: the sensor itself. */
const volatile __u32 agent = 0;
/* Which hierarchy names containers: 0 the unified one, else 1 + number of the controller (cgroup v1). */
const volatile __u32 hierarchy = 0;
/* Id of that hierarchy, as /proc/cgroups has it. */
const volatile int hierarchy_id = 0;
/* Bytes in the telemetry ring that wake its reader. */
const volatile __u64 wake_at = 1 << 19;
