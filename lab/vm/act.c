/*
 * What a process in a container may try, one try for each call, by system calls alone. Prints `ok` or the name of the
 * error; what it does before (entering a container, other namespaces) is in front: `act enter CGROUP ROOT unlink /x`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int say(long result)
{
	if (result >= 0) {
		puts("ok");
		return 0;
	}
	puts(strerrorname_np(errno));
	return 1;
}

static int setup(const char *what)
{
	printf("setup: %s: %s\n", what, strerrorname_np(errno));
	exit(3);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		setup(path);
	close(fd);
}

/* Into a cgroup, as runtimes do it: before the root changes. */
static void join(const char *cgroup)
{
	char path[512], pid[16];
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	snprintf(pid, sizeof(pid), "%d", getpid());
	put(path, pid);
}

static void enter(const char *cgroup, const char *root)
{
	join(cgroup);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		setup("unshare");
	if (chdir(root) || syscall(SYS_pivot_root, ".", "mnt") || chdir("/") || umount2("/mnt", MNT_DETACH))
		setup("pivot_root");
}

/* A new pid namespace has its first process. */
static void apart(int flags)
{
	if (unshare(flags))
		setup("unshare");
	if (flags & CLONE_NEWPID) {
		pid_t child = fork();
		if (child) {
			int status = 0;
			waitpid(child, &status, 0);
			exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128);
		}
	}
}

static int copy(const char *from, const char *to, int to_fd)
{
	char buffer[65536];
	ssize_t got;
	int in = open(from, O_RDONLY), out = to_fd >= 0 ? to_fd : open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	if (in < 0 || out < 0)
		return -1;
	while ((got = read(in, buffer, sizeof(buffer))) > 0)
		if (write(out, buffer, got) != got)
			return -1;
	close(in);
	if (to_fd < 0)
		close(out);
	return 0;
}

static int map(const char *path, bool later)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return say(-1);
	void *at = mmap(NULL, 4096, later ? PROT_READ : PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return say(-1);
	return say(later ? mprotect(at, 4096, PROT_READ | PROT_EXEC) : 0);
}

static int jit(void)
{
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		return say(-1);
	/* mov eax, 42; ret */
	memcpy(code, "\xb8\x2a\x00\x00\x00\xc3", 6);
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC))
		return say(-1);
	return say(((int (*)(void))code)() == 42 ? 0 : -1);
}

static int net(const char *how, const char *address, int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	inet_pton(AF_INET, address, &to.sin_addr);
	int fd = socket(AF_INET, how[0] == 'u' ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (fd < 0)
		return say(-1);
	if (!strcmp(how, "udp"))
		return say(sendto(fd, "x", 1, 0, (void *)&to, sizeof(to)));
	if (!strcmp(how, "udp-connected"))
		return say(connect(fd, (void *)&to, sizeof(to)) ? -1 : send(fd, "x", 1, 0));
	if (!strcmp(how, "fastopen"))
		return say(sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&to, sizeof(to)));
	if (!strcmp(how, "bind"))
		return say(bind(fd, (void *)&to, sizeof(to)));
	return say(connect(fd, (void *)&to, sizeof(to)));
}

/* One request by a ring; answers as a system call would. */
static long ring(struct io_uring_sqe *request)
{
	struct io_uring_params p = {};
	int fd = syscall(SYS_io_uring_setup, 4, &p);
	if (fd < 0)
		setup("io_uring_setup");
	char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	char *cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_CQ_RING);
	struct io_uring_sqe *entries = mmap(NULL, p.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || entries == MAP_FAILED)
		setup("mmap of the ring");
	entries[0] = *request;
	((unsigned *)(sq + p.sq_off.array))[0] = 0;
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		setup("io_uring_enter");
	struct io_uring_cqe *done = (void *)(cq + p.cq_off.cqes);
	if (done->res < 0)
		errno = -done->res;
	return done->res < 0 ? -1 : done->res;
}

static int by_ring(const char *what, const char *path)
{
	struct io_uring_sqe request = { .fd = AT_FDCWD, .addr = (unsigned long)path };
	if (!strcmp(what, "unlink")) {
		request.opcode = IORING_OP_UNLINKAT;
	} else if (!strcmp(what, "async")) {
		request.opcode = IORING_OP_OPENAT;
		request.flags = IOSQE_ASYNC;
	} else {
		request.opcode = IORING_OP_OPENAT;
		request.open_flags = O_RDONLY;
	}
	return say(ring(&request));
}

#ifdef __x86_64__
/* A 32-bit call. */
static int compat_mkdir(const char *path)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long result;
	strcpy(low, path);
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(39), "b"((long)low), "c"(0755) : "memory", "r8", "r9", "r10", "r11");
	if ((int)result < 0)
		errno = -(int)result;
	return say((int)result < 0 ? -1 : 0);
}
#endif

static int memfd(char **arguments)
{
	int fd = memfd_create("dropped", 0);
	if (fd < 0 || copy(arguments[0], NULL, fd))
		return say(-1);
	fexecve(fd, arguments, environ);
	return say(-1);
}

static int write_mapped(const char *path)
{
	int fd = open(path, O_RDWR);
	char *at = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return say(-1);
	at[4095] ^= 1;
	return say(msync(at, 4096, MS_SYNC));
}

static int pin_of(const char *path)
{
	union bpf_attr attr = { .pathname = (unsigned long)path };
	return syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr));
}

static int detach(const char *path)
{
	int fd = pin_of(path);
	if (fd < 0)
		return say(-1);
	union bpf_attr attr = { .link_detach = { .link_fd = fd } };
	return say(syscall(SYS_bpf, BPF_LINK_DETACH, &attr, sizeof(attr)));
}

static int act(int n, char **v)
{
	const char *what = v[0], *one = n > 1 ? v[1] : "", *two = n > 2 ? v[2] : "";
	if (!strcmp(what, "enter") && n > 3)
		return enter(one, two), act(n - 3, v + 3);
	if (!strcmp(what, "join") && n > 2)
		return join(one), act(n - 2, v + 2);
	if (!strcmp(what, "apart") && n > 2)
		return apart(strtol(one, NULL, 0)), act(n - 2, v + 2);
	if (!strcmp(what, "user") && n > 2)
		return setgid(atoi(one)) || setuid(atoi(one)) ? setup("setuid") : act(n - 2, v + 2);
	if (!strcmp(what, "chroot") && n > 2)
		return chroot(one) || chdir("/") ? setup("chroot") : act(n - 2, v + 2);
	if (!strcmp(what, "mounted") && n > 3)
		return mount(one[0] == '/' ? one : "tmpfs", two, one[0] == '/' ? NULL : one, one[0] == '/' ? MS_BIND : 0, NULL) ? setup("mount") : act(n - 3, v + 3);
	if (!strcmp(what, "and") && n > 2) {
		/* `and N first… second…`: both, the second's answer. */
		int size = atoi(one);
		return act(size, v + 2) ? 1 : act(n - 2 - size, v + 2 + size);
	}
	if (!strcmp(what, "hello"))
		return puts("hello"), 0;
	if (!strcmp(what, "exec"))
		return execv(one, v + 1), say(-1);
	if (!strcmp(what, "execveat"))
		return syscall(SYS_execveat, open(one, O_PATH), "", v + 1, environ, AT_EMPTY_PATH), say(-1);
	if (!strcmp(what, "fexecve"))
		return fexecve(open(one, O_RDONLY), v + 1, environ), say(-1);
	if (!strcmp(what, "preload"))
		return setenv("LD_PRELOAD", one, 1), execv(two, v + 2), say(-1);
	if (!strcmp(what, "memfd"))
		return memfd(v + 1);
	if (!strcmp(what, "map"))
		return map(one, false);
	if (!strcmp(what, "mprotect"))
		return map(one, true);
	if (!strcmp(what, "jit"))
		return jit();
	if (!strcmp(what, "copy"))
		return say(copy(one, two, -1));
	if (!strcmp(what, "append")) {
		int fd = open(one, O_WRONLY | O_APPEND);
		return say(fd < 0 ? -1 : write(fd, "\n", 1));
	}
	if (!strcmp(what, "write-mapped"))
		return write_mapped(one);
	if (!strcmp(what, "open"))
		return say(open(one, O_RDONLY));
	if (!strcmp(what, "create"))
		return say(open(one, O_WRONLY | O_CREAT, 0644));
	if (!strcmp(what, "unlink"))
		return say(unlink(one));
	if (!strcmp(what, "flood") && n > 2) {
		int refused = 0, times = atoi(one);
		for (int i = 0; i < times; i++)
			refused += unlink(two) && errno == EPERM;
		errno = EPERM;
		return refused == times ? say(-1) : say(0);
	}
	if (!strcmp(what, "rename"))
		return say(rename(one, two));
	if (!strcmp(what, "mkdir"))
		return say(mkdir(one, 0755));
	if (!strcmp(what, "rmdir"))
		return say(rmdir(one));
	if (!strcmp(what, "chmod"))
		return say(chmod(one, 0700));
	if (!strcmp(what, "chown"))
		return say(chown(one, 1, 1));
	if (!strcmp(what, "link"))
		return say(link(one, two));
	if (!strcmp(what, "symlink"))
		return say(symlink(one, two));
	if (!strcmp(what, "truncate"))
		return say(truncate(one, 0));
	if (!strcmp(what, "udp") || !strcmp(what, "tcp") || !strcmp(what, "bind") || !strcmp(what, "fastopen") || !strcmp(what, "udp-connected"))
		return net(what, one, atoi(two));
	if (!strcmp(what, "ring"))
		return by_ring(one, two);
#ifdef __x86_64__
	if (!strcmp(what, "mkdir32"))
		return compat_mkdir(one);
#endif
	if (!strcmp(what, "mount"))
		return say(mount("tmpfs", one, "tmpfs", 0, NULL));
	if (!strcmp(what, "umount"))
		return say(umount2(one, MNT_DETACH));
	if (!strcmp(what, "kill"))
		return say(kill(atoi(one), atoi(two)));
	if (!strcmp(what, "ptrace"))
		return say(ptrace(PTRACE_SEIZE, atoi(one), 0, 0));
	if (!strcmp(what, "userns"))
		return say(unshare(CLONE_NEWUSER));
	if (!strcmp(what, "pin"))
		return say(pin_of(one));
	if (!strcmp(what, "detach"))
		return detach(one);
	if (!strcmp(what, "put")) {
		int fd = open(one, O_WRONLY);
		return say(fd < 0 ? -1 : write(fd, two, strlen(two)));
	}
	printf("setup: no act %s\n", what);
	return 3;
}

int main(int n, char **v)
{
	return n > 1 ? act(n - 1, v + 1) : act(1, (char *[]) { "hello", NULL });
}
