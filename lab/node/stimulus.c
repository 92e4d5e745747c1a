/* What containers do that rules ask about, one call each and nothing beside it: `stimulus OPERATION WORDS…`.
 * As `/opt/act/pN` or `/opt/act/nN` it does line N of /opt/actions.tsv, its positive or its negative half, so that what
 * is seen can be told apart by the name of the process. Under the name of a tool it is that tool: `@OPERATION` as first
 * word does something in its name, anything else nothing. `stimulus all` does every line of /opt/actions.tsv. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 64

static int perform(int count, char **words);

static void parents(const char *path)
{
	char copy[4096];
	snprintf(copy, sizeof(copy), "%s", path);
	for (char *at = copy + 1; (at = strchr(at, '/')); at++) {
		*at = 0;
		mkdir(copy, 0755);
		*at = '/';
	}
}

static int open_with(const char *path, int flags, int mode)
{
	parents(path);
	int fd = open(path, flags, mode);
	if (fd >= 0 && (flags & O_ACCMODE) != O_RDONLY)
		(void)!write(fd, "x\n", 2);
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static int copy_to(const char *from, int to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	struct stat status;
	if (in < 0 || fstat(in, &status))
		return 1;
	while (status.st_size > 0) {
		ssize_t sent = sendfile(to, in, NULL, status.st_size);
		if (sent <= 0)
			return 1;
		status.st_size -= sent;
	}
	close(in);
	return 0;
}

/* Ends with the child; a child that hangs is ended. */
static int wait_for(pid_t child)
{
	int status = 0;
	for (int i = 0; i < 1500; i++) {
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
		usleep(10000);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return 129;
}

/* `NAME=value … program words`. */
static int run(char **words)
{
	pid_t child = fork();
	if (!child) {
		while (*words && strchr(*words, '=') && **words != '-')
			putenv(*words++);
		execvp(words[0], words);
		_exit(127);
	}
	return wait_for(child);
}

static struct sockaddr_in address(const char *ip, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	if (strcmp(ip, "self")) {
		inet_pton(AF_INET, ip, &to.sin_addr);
		return to;
	}
	/* The address by which this machine would leave. */
	struct sockaddr_in out = { .sin_family = AF_INET, .sin_port = htons(9) }, own;
	socklen_t length = sizeof(own);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	inet_pton(AF_INET, "10.255.255.254", &out.sin_addr);
	connect(fd, (void *)&out, sizeof(out));
	getsockname(fd, (void *)&own, &length);
	close(fd);
	to.sin_addr = own.sin_addr;
	return to;
}

static int connected(int type, const char *ip, const char *port)
{
	struct sockaddr_in to = address(ip, port);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
	if (connect(fd, (void *)&to, sizeof(to)) && errno != EINPROGRESS && errno != ECONNREFUSED)
		return -1;
	return fd;
}

/* A listener, and the two ends of a connection to it. */
static int pair(const char *ip, const char *port, int ends[2])
{
	struct sockaddr_in at = address(ip, port);
	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (void *)&at, sizeof(at)) || listen(listener, 1))
		return 1;
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(ends[0], (void *)&at, sizeof(at)))
		return 1;
	ends[1] = accept4(listener, NULL, NULL, 0);
	return ends[1] < 0;
}

/* One process asks, the other answers with the beginning of a class file. */
static int class_file(const char *port, const char *text)
{
	struct sockaddr_in at = address("127.0.0.1", port), from;
	socklen_t length = sizeof(from);
	char buffer[64];
	int server = socket(AF_INET, SOCK_DGRAM, 0);
	if (bind(server, (void *)&at, sizeof(at)))
		return 1;
	pid_t child = fork();
	if (!child) {
		int client = socket(AF_INET, SOCK_DGRAM, 0);
		sendto(client, "ask", 3, 0, (void *)&at, sizeof(at));
		struct pollfd ready = { .fd = client, .events = POLLIN };
		poll(&ready, 1, 2000);
		_exit(recvfrom(client, buffer, sizeof(buffer), 0, (void *)&from, &length) < 0);
	}
	recvfrom(server, buffer, sizeof(buffer), 0, (void *)&from, &length);
	sendto(server, text, strlen(text), 0, (void *)&from, length);
	return wait_for(child);
}

static int memory_program(char **words)
{
	char path[64];
	int fd = memfd_create("program", 0);
	if (fd < 0 || copy_to(words[0], fd))
		return 1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	words[0] = path;
	return run(words);
}

static int dropped(char **words)
{
	parents(words[1]);
	int to = open(words[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (to < 0 || copy_to(words[0], to))
		return 1;
	close(to);
	return run(words + 1);
}

static int script(const char *path)
{
	parents(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	(void)!write(fd, "#!/bin/sh\ntrue\n", 15);
	close(fd);
	char *words[] = { "sh", "-c", (char *)path, NULL };
	return run(words);
}

/* With a terminal of its own. */
static int terminal(char **words)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0 || grantpt(master) || unlockpt(master))
		return 1;
	pid_t child = fork();
	if (!child) {
		setsid();
		int slave = open(ptsname(master), O_RDWR);
		ioctl(slave, TIOCSCTTY, 0);
		for (int i = 0; i < 3; i++)
			dup2(slave, i);
		close(master);
		execvp(words[0], words);
		_exit(127);
	}
	return wait_for(child);
}

static int attach(void)
{
	pid_t child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	long said = ptrace(PTRACE_ATTACH, child, 0, 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, __WALL);
	return said != 0;
}

static int traced(void)
{
	pid_t child = fork();
	if (!child)
		_exit(ptrace(PTRACE_TRACEME, 0, 0, 0) != 0);
	return wait_for(child);
}

static int load_bpf(void)
{
	struct bpf_insn program[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K }, { .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr attributes = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2 };
	attributes.insns = (unsigned long)program;
	attributes.license = (unsigned long)"GPL";
	return syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes)) < 0;
}

/* Without the capability the rule asks for. */
static int as(int count, char **words)
{
	pid_t child = fork();
	if (!child) {
		if (setgid(atoi(words[0])) || setuid(atoi(words[0])))
			_exit(1);
		_exit(perform(count - 1, words + 1));
	}
	return wait_for(child);
}

/* A query for `name` to a name server. */
static int ask_name(const char *server, const char *name)
{
	unsigned char packet[512] = { 1, 2, 1, 0, 0, 1 };
	int at = 12;
	while (*name) {
		size_t length = strcspn(name, ".");
		packet[at++] = length;
		memcpy(packet + at, name, length);
		at += length;
		name += length + (name[length] == '.');
	}
	packet[at + 2] = 1;
	packet[at + 4] = 1;
	struct sockaddr_in to = address(server, "53");
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	return sendto(fd, packet, at + 5, 0, (void *)&to, sizeof(to)) < 0;
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* `what` as often as it goes in a time; prints how often, and nanoseconds each. */
static int loop(const char *what, double time, const char *path)
{
	double begun = seconds(), now;
	unsigned long times = 0;
	struct sockaddr_in to = address("127.0.0.1", path);
	int one = 1, listener = -1;
	if (!strcmp(what, "connect")) {
		listener = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(listener, (void *)&to, sizeof(to)) || listen(listener, 128))
			return 1;
	}
	do {
		int few = !strcmp(what, "getppid") ? 1000 : !strcmp(what, "exec") || !strcmp(what, "connect") ? 1 : 100;
		for (int i = 0; i < few; i++, times++) {
			if (!strcmp(what, "getppid")) {
				syscall(SYS_getppid);
			} else if (!strcmp(what, "open")) {
				close(open(path, O_RDONLY));
			} else if (!strcmp(what, "create")) {
				char name[256];
				snprintf(name, sizeof(name), "%s/f%lu", path, times % 4096);
				close(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644));
			} else if (!strcmp(what, "exec")) {
				pid_t child = vfork();
				if (!child) {
					execl(path, "nmap", NULL);
					_exit(127);
				}
				waitpid(child, NULL, 0);
			} else {
				int fd = socket(AF_INET, SOCK_STREAM, 0);
				if (connect(fd, (void *)&to, sizeof(to)))
					return 1;
				close(accept(listener, NULL, NULL));
				close(fd);
			}
		}
		now = seconds();
	} while (now - begun < time);
	printf("%lu %.1f\n", times, (now - begun) * 1e9 / times);
	return 0;
}

/* `number` opens for writing of different files, at `rate` a second; or deletions of what is not there. */
static int produce(unsigned long number, double rate, const char *folder, const char *how)
{
	double begun = seconds();
	char name[256];
	mkdir(folder, 0755);
	for (unsigned long i = 0; i < number; i++) {
		if (i % 64 == 0)
			while (rate > 0 && (seconds() - begun) * rate < i)
				sched_yield();
		snprintf(name, sizeof(name), "%s/%lu", folder, i % 512);
		if (!strcmp(how, "delete")) {
			unlink(name);
			continue;
		}
		int fd = open(name, O_RDWR | O_CREAT, 0644);
		if (fd < 0)
			return 1;
		close(fd);
	}
	printf("%lu %.0f\n", number, number / (seconds() - begun));
	return 0;
}

/* Written anew and started at once, again and again: how often it ran. */
static int race(const char *path, int times)
{
	static const char text[] = "#!/bin/sh\nexit 7\n";
	int ran = 0;
	for (int i = 0; i < times; i++) {
		char name[256];
		snprintf(name, sizeof(name), "%s%d", path, i);
		int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
		(void)!write(fd, text, sizeof(text) - 1);
		close(fd);
		char *words[] = { name, NULL };
		ran += run(words) == 7;
	}
	printf("%d\n", ran);
	return 0;
}

/* What comes in by a connection is written to a file, as a server takes uploads. */
static int upload_server(const char *port, const char *path)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (void *)&at, sizeof(at)) || listen(listener, 8))
		return 1;
	for (int n = 0;; n++) {
		char buffer[65536], name[256];
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		ssize_t got;
		snprintf(name, sizeof(name), path, n);
		parents(name);
		int to = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		while ((got = read(fd, buffer, sizeof(buffer))) > 0)
			(void)!write(to, buffer, got);
		close(to);
		close(fd);
	}
}

static int download(const char *ip, const char *port, const char *path)
{
	struct sockaddr_in to = address(ip, port);
	char buffer[65536];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (void *)&to, sizeof(to)))
		return 1;
	parents(path);
	int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;)
		(void)!write(out, buffer, got);
	close(out);
	return 0;
}

static int redirect(const char *ip, const char *port, int to)
{
	int fd = connected(SOCK_DGRAM, ip, port);
	return fd < 0 || dup2(fd, to) != to;
}

static int socket_shell(char **words)
{
	int ends[2];
	if (pair("127.0.0.1", words[0], ends))
		return 1;
	pid_t child = fork();
	if (!child) {
		for (int i = 0; i < 3; i++)
			dup2(ends[0], i);
		execvp(words[1], words + 1);
		_exit(127);
	}
	return wait_for(child);
}

static int cgroups(const char *folder, int times)
{
	char name[512];
	int failed = 0;
	for (int i = 0; i < times; i++) {
		snprintf(name, sizeof(name), "%s/cri-containerd-%064x.scope", folder, i + 1);
		failed += mkdir(name, 0755) || rmdir(name);
	}
	return failed != 0;
}

static int perform(int count, char **w)
{
	const char *is = count > 0 ? w[0] : "nothing";
#define IS(name, words) (!strcmp(is, name) && count > (words))
	if (IS("write", 1)) return open_with(w[1], O_WRONLY | O_CREAT | O_TRUNC, count > 2 ? (int)strtol(w[2], NULL, 8) : 0644);
	if (IS("append", 1)) return open_with(w[1], O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (IS("update", 1)) return open_with(w[1], O_RDWR | O_CREAT, 0644);
	if (IS("read", 1)) return open_with(w[1], O_RDONLY, 0);
	if (IS("open-write", 1)) return open_with(w[1], O_WRONLY, 0);
	if (IS("mkdir", 1)) return mkdir(w[1], 0755);
	if (IS("rename", 2)) return rename(w[1], w[2]);
	if (IS("rename-back", 2)) return rename(w[1], w[2]) || rename(w[2], w[1]);
	if (IS("delete", 1)) return open_with(w[1], O_WRONLY | O_CREAT, 0644) || unlink(w[1]);
	if (IS("chmod", 2)) return open_with(w[1], O_WRONLY | O_CREAT, 0644) || chmod(w[1], strtol(w[2], NULL, 8));
	if (IS("run", 1)) return run(w + 1);
	if (IS("sh", 1)) return run((char *[]){ "sh", "-c", w[1], NULL });
	if (IS("as", 2)) return as(count - 1, w + 1);
	if (IS("setuid", 1)) return setuid(atoi(w[1])) && 0;
	if (IS("udp", 2)) return connected(SOCK_DGRAM, w[1], w[2]) < 0;
	if (IS("tcp", 2)) return connected(SOCK_STREAM, w[1], w[2]) < 0;
	if (IS("accept", 2)) return pair(w[1], w[2], (int[2]){ 0 });
	if (IS("class-file", 2)) return class_file(w[1], !strcmp(w[2], "class") ? "\xca\xfe\xba\xbe.." : "PK\x03\x04..");
	if (IS("packet", 0)) return socket(AF_PACKET, SOCK_RAW, 0) < 0;
	if (IS("socket", 0)) return socket(AF_INET, SOCK_STREAM, 0) < 0;
	if (IS("memory", 1)) return memory_program(w + 1);
	if (IS("drop", 2)) return dropped(w + 1);
	if (IS("script", 1)) return script(w[1]);
	if (IS("terminal", 1)) return terminal(w + 1);
	if (IS("attach", 0)) return attach();
	if (IS("traced", 0)) return traced();
	if (IS("bpf", 0)) return load_bpf();
	if (IS("setns", 0)) return setns(0, 0) && 0;
	if (IS("module", 0)) return syscall(SYS_init_module, NULL, 0, "") && 0;
	if (IS("userfault", 0)) return syscall(SYS_userfaultfd, 0) && 0;
	if (IS("redirect", 3)) return redirect(w[1], w[2], atoi(w[3]));
	if (IS("socket-shell", 2)) return socket_shell(w + 1);
	if (IS("name", 2)) return ask_name(w[1], w[2]);
	if (IS("bare", 1)) {
		pid_t child = fork();
		if (!child) {
			execve(w[1], (char *[]){ NULL }, (char *[]){ NULL });
			_exit(127);
		}
		return wait_for(child);
	}
	if (IS("later", 2)) {
		usleep(atoi(w[1]) * 1000);
		return perform(count - 2, w + 2);
	}
	if (IS("each", 2)) {
		int failed = 0;
		for (int i = 0, n = atoi(w[1]); i < n; i++)
			failed |= perform(count - 2, w + 2);
		return failed;
	}
	if (IS("loop", 2)) return loop(w[1], atof(w[2]), count > 3 ? w[3] : "");
	if (IS("produce", 3)) return produce(strtoul(w[1], NULL, 10), atof(w[2]), w[3], count > 4 ? w[4] : "open");
	if (IS("race", 2)) return race(w[1], atoi(w[2]));
	if (IS("upload-server", 2)) return upload_server(w[1], w[2]);
	if (IS("download", 3)) return download(w[1], w[2], w[3]);
	if (IS("cgroups", 2)) return cgroups(w[1], atoi(w[2]));
	if (IS("wait", 0)) {
		pause();
		return 0;
	}
	if (IS("nothing", -1)) return 0;
	fprintf(stderr, "no operation %s\n", is);
	return 2;
}

/* Words of a line's half; quotes hold a word together. */
static int words_of(char *text, char **words)
{
	int count = 0;
	while (*text && count < MOST - 1) {
		while (*text == ' ')
			text++;
		if (!*text)
			break;
		char quote = *text == '\'' ? *text++ : ' ';
		words[count++] = text;
		while (*text && *text != quote)
			text++;
		if (*text)
			*text++ = 0;
	}
	words[count] = NULL;
	return count;
}

/* Field `field` of line `number`, counted from 1: kind of container, rule, positive, negative. */
static char *field(int number, int field)
{
	static char line[4096];
	const char *path = getenv("STIMULUS_ACTIONS");
	FILE *file = fopen(path ? path : "/opt/actions.tsv", "re");
	int at = 0;
	while (file && fgets(line, sizeof(line), file)) {
		if (++at != number)
			continue;
		fclose(file);
		line[strcspn(line, "\n")] = 0;
		char *rest = line;
		for (int i = 0; i < field && rest; i++)
			rest = strchr(rest, '\t') ? strchr(rest, '\t') + 1 : NULL;
		if (rest)
			rest[strcspn(rest, "\t")] = 0;
		return rest;
	}
	if (file)
		fclose(file);
	return NULL;
}

static int act(const char *name)
{
	char *words[MOST], *text = field(atoi(name + 1), *name == 'p' ? 2 : 3);
	if (!text)
		return 2;
	return perform(words_of(text, words), words);
}

/* Every line of a kind of container; prints what failed, `done` at last, and stays. */
static int all(const char *kind)
{
	for (int number = 1; field(number, 0); number++) {
		if (strcmp(field(number, 0), kind))
			continue;
		for (int half = 0; half < 2; half++) {
			char path[64];
			snprintf(path, sizeof(path), "/opt/act/%c%d", "pn"[half], number);
			pid_t child = fork();
			if (!child) {
				execl(path, path, NULL);
				_exit(126);
			}
			int code = wait_for(child);
			if (code)
				printf("%c%d %d\n", "pn"[half], number, code);
		}
	}
	puts("done");
	fflush(stdout);
	pause();
	return 0;
}

int main(int count, char **words)
{
	signal(SIGPIPE, SIG_IGN);
	const char *name = count > 0 ? strrchr(words[0], '/') ? strrchr(words[0], '/') + 1 : words[0] : "";
	if (!strcmp(name, "stimulus") && count > 2 && !strcmp(words[1], "all"))
		return all(words[2]);
	if (!strcmp(name, "stimulus"))
		return perform(count - 1, words + 1);
	if ((*name == 'p' || *name == 'n') && name[1] >= '0' && name[1] <= '9')
		return act(name);
	if (count > 1 && words[1][0] == '@') {
		words[1]++;
		return perform(count - 1, words + 1);
	}
	return 0;
}
