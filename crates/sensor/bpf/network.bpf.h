/* Questions to name servers, seen on their way out; and the isolation of a container. */
#pragma once

#include "lib/record.bpf.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define DNS_PORT 53
#define DNS_MAX 512

struct packet {
	__u8 family;
	__u8 protocol;
	__u16 ports[2];
	/* Where the transport header's content begins. */
	__u32 content;
	__u8 from[16];
	__u8 to[16];
};

static __always_inline bool parse(struct __sk_buff *skb, struct packet *p)
{
	__u8 first = 0;
	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return false;
	__u32 transport;
	if (first >> 4 == 4) {
		transport = (first & 15) * 4;
		p->family = AF_INET;
		if (bpf_skb_load_bytes(skb, 9, &p->protocol, 1) || bpf_skb_load_bytes(skb, 12, p->from, 4) || bpf_skb_load_bytes(skb, 16, p->to, 4))
			return false;
	} else {
		transport = 40;
		p->family = AF_INET6;
		if (bpf_skb_load_bytes(skb, 6, &p->protocol, 1) || bpf_skb_load_bytes(skb, 8, p->from, 16) || bpf_skb_load_bytes(skb, 24, p->to, 16))
			return false;
	}
	if (p->protocol != IPPROTO_UDP && p->protocol != IPPROTO_TCP)
		return true;
	if (bpf_skb_load_bytes(skb, transport, p->ports, 4))
		return false;
	p->ports[0] = bpf_ntohs(p->ports[0]);
	p->ports[1] = bpf_ntohs(p->ports[1]);
	p->content = transport + (p->protocol == IPPROTO_UDP ? 8 : 20);
	return true;
}

SEC("cgroup_skb/egress")
int dns_asked(struct __sk_buff *skb)
{
	struct packet p = {};
	if (!parse(skb, &p) || p.protocol != IPPROTO_UDP || p.ports[1] != DNS_PORT)
		return 1;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = scratch();
	if (!s)
		return 1;
	__u64 id = bpf_skb_cgroup_id(skb);
	struct cgroup_info *info = bpf_map_lookup_elem(&cgroups, &id);
	if (info && info->what != CGROUP_CONTAINER)
		return 1;
	fill(s, CALL_DNS, ORIGIN_CGROUP, task);
	/* In an interrupt the running task is somebody else. */
	if (id != s->head.cgroup)
		return 1;
	struct record *r = &s->head;
	r->flags |= FLAG_SOCKET;
	r->family = p.family;
	r->socket = SOCK_DGRAM;
	r->protocol = IPPROTO_UDP;
	__builtin_memcpy(r->local, p.from, 16);
	__builtin_memcpy(r->remote, p.to, 16);
	r->local_port = p.ports[0];
	r->remote_port = p.ports[1];
	if (skb->len <= p.content)
		return 1;
	__u64 length = skb->len - p.content;
	if (length > DNS_MAX - 1)
		length = DNS_MAX - 1;
	barrier_var(length);
	length &= DNS_MAX - 1;
	if (!length)
		return 1;
	if (bpf_skb_load_bytes(skb, p.content, s->texts, length))
		return 1;
	r->lengths[3] = length;
	send(s, length, false);
	return 1;
}

/* Addresses an isolated container may reach: a prefix and an address, IPv4 as ::ffff:a.b.c.d. */
struct prefix { __u32 length; __u8 address[16]; };
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct prefix);
	__type(value, __u32);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} reachable SEC(".maps");

/* Packets an isolated container did not send or get, by cgroup. */
MAP(isolated_drops, BPF_MAP_TYPE_LRU_HASH, __u64, __u64, 1024);

static __always_inline int isolated(struct __sk_buff *skb, bool out)
{
	struct packet p = {};
	struct prefix key = { .length = 128 };
	/* The loopback of its own. */
	if (skb->ifindex == 1)
		return 1;
	if (parse(skb, &p)) {
		const __u8 *other = out ? p.to : p.from;
		if (p.family == AF_INET) {
			key.address[10] = key.address[11] = 255;
			__builtin_memcpy(key.address + 12, other, 4);
		} else {
			__builtin_memcpy(key.address, other, 16);
		}
		if (bpf_map_lookup_elem(&reachable, &key))
			return 1;
	}
	__u64 id = bpf_skb_cgroup_id(skb), one = 1;
	__u64 *count = bpf_map_lookup_elem(&isolated_drops, &id);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&isolated_drops, &id, &one, BPF_ANY);
	return 0;
}

SEC("cgroup_skb/egress")
int isolated_out(struct __sk_buff *skb)
{
	return isolated(skb, true);
}

SEC("cgroup_skb/ingress")
int isolated_in(struct __sk_buff *skb)
{
	return isolated(skb, false);
}
