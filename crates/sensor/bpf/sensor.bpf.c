/*
 * The sensor's programs. All are in one object, so that they share their maps; which are loaded is decided by what the
 * kernel takes (src/capability.rs).
 */
#include "process.bpf.h"
#include "syscall.bpf.h"
#include "network.bpf.h"
#include "lsm.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
