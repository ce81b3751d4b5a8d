// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Who owns a socket: whoever uses it. The tracepoints in sock_sendmsg() and sock_recvmsg() run in the process that
 * sends or receives, for TCP and UDP, client and server, and name a worker where its master has made the socket. A
 * process that connects or listens is noted before the first byte, and scan_sockets finds the sockets that were there
 * before us. Each send and receive passes here: the socket's own storage says at once that nothing is new. (A table
 * by socket cookie makes short connections cheaper, but doubles what each send and receive costs.)
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel_types.h"
#include "socket_owner.h"

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_LISTEN 10

#define IPPROTO_MPTCP_SOCKET 262

/* Timer ticks until a socket's owner is noted again, so that a busy one is not taken for the least recently used. */
#define NOTE_AGAIN_JIFFIES 250

/* What is known of a socket. */
struct noted_socket {
	struct process_identity identity;
	__u64 noted_jiffies;
	__u32 ends; /* ports and peer mixed: they change when a UDP socket is connected anew */
	__u8 used; /* by a process of which we know that it did; a scan only sees who could */
	__u8 pad0[3];
};

/* socket -> what is known of it */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct noted_socket);
} sockets SEC(".maps");

/* struct socket_key -> struct socket_owner; outlives the socket and its owner, so that a last window is decorated. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct socket_key);
	__type(value, struct socket_owner);
	__uint(max_entries, 65536); /* userspace sets it */
} socket_owners SEC(".maps");

/* An address of this host's namespaces, as in struct socket_key -> inode of the one that had it last */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct owned_address);
	__type(value, __u32);
	__uint(max_entries, 16384);
} address_netns SEC(".maps");

struct sock_common___owner {
	unsigned char skc_state;
} CO_RE;

struct sock___owner {
	struct sock_common___owner __sk_common;
} CO_RE;

struct socket {
	struct sock *sk;
} CO_RE;

struct bpf_iter__task_file {
	void *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} CO_RE;

/* The flow tables' protocol number; 0 for sockets without ports. */
static __always_inline __u8 protocol_of(struct sock *sk)
{
	switch (sk->sk_protocol) {
	case IPPROTO_TCP:
	case IPPROTO_MPTCP_SOCKET:
		return IPPROTO_TCP;
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		return sk->sk_protocol;
	default:
		return 0;
	}
}

static __always_inline __u32 ends_of(struct sock_common *common)
{
	__u32 ends = common->skc_num | (__u32)common->skc_dport << 16;

	if (common->skc_family == AF_INET)
		return ends ^ common->skc_daddr ^ common->skc_rcv_saddr;
#pragma unroll
	for (int i = 0; i < 4; i++)
		ends ^= common->skc_v6_daddr.in6_u.u6_addr32[i] ^ common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
	return ends;
}

/* Whether an address means the same in every namespace; `address` as in struct socket_key. */
static __always_inline bool is_shared(const __u32 address[4])
{
	if (address[0] || address[1])
		return (address[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
	if (address[2] == bpf_htonl(0xffff))
		return !address[3] || (address[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return !address[2] && (!address[3] || address[3] == bpf_htonl(1));
}

static __always_inline bool is_same_identity(const struct process_identity *left, const struct process_identity *right)
{
	const __u64 *a = (const void *)left, *b = (const void *)right;
	__u64 differences = 0;

#pragma unroll
	for (int i = 0; i < sizeof(*left) / sizeof(*a); i++)
		differences |= a[i] ^ b[i];
	return !differences;
}

static __always_inline void put_owner(struct sock *sk, __u8 protocol, const struct process_identity *identity)
{
	struct socket_owner owner, *known;
	struct socket_key key;
	__u32 *netns;

	__builtin_memset(&owner, 0, sizeof(owner));
	owner.identity = *identity;
	owner.noted_ns = bpf_ktime_get_ns();
	owner.netns = netns_of(&sk->__sk_common);
	read_key(&sk->__sk_common, protocol, owner.netns, &key);
	if (!is_shared((__u32 *)key.local))
		key.netns = 0;
	/* An update takes one of the least recently used entries even where the key is there: looking is cheaper. */
	known = bpf_map_lookup_elem(&socket_owners, &key);
	if (known && known->netns == owner.netns && is_same_identity(&known->identity, identity))
		known->noted_ns = owner.noted_ns;
	else
		bpf_map_update_elem(&socket_owners, &key, &owner, BPF_ANY);
	if (key.netns)
		return;
	netns = bpf_map_lookup_elem(&address_netns, key.local);
	if (!netns || *netns != owner.netns)
		bpf_map_update_elem(&address_netns, key.local, &owner.netns, BPF_ANY);
}

static __always_inline bool is_internet(struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	return family == AF_INET || family == AF_INET6;
}

/* The running process uses the socket. */
static __always_inline void note_use(struct sock *sk)
{
	struct task_struct *task = current_task();
	struct noted_socket *noted;
	__u64 now_jiffies;
	__u8 protocol;
	__u32 ends;

	if (!is_internet(sk))
		return;
	protocol = protocol_of(sk);
	if (!protocol)
		return;
	noted = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!noted)
		return;
	now_jiffies = bpf_jiffies64();
	ends = ends_of(&sk->__sk_common);
	if (noted->used && is_same_process(task, has_typed_current(), &noted->identity) && noted->ends == ends &&
	    now_jiffies - noted->noted_jiffies < NOTE_AGAIN_JIFFIES)
		return;
	read_identity(task, has_typed_current(), &noted->identity);
	noted->noted_jiffies = now_jiffies;
	noted->ends = ends;
	noted->used = 1;
	put_owner(sk, protocol, &noted->identity);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_send, struct sock *sk, int result, int flags)
{
	if (result >= 0)
		note_use(sk);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_receive, struct sock *sk, int result, int flags)
{
	if (result >= 0)
		note_use(sk);
	return 0;
}

/*
 * A process connects or listens in its own name. The port of a connection is often chosen only after that; when the
 * connection stands it is known, but then some other process runs.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state, struct sock *sk, int old_state, int new_state)
{
	struct noted_socket *noted;
	__u32 ends;

	if (new_state == TCP_SYN_SENT || new_state == TCP_LISTEN) {
		note_use(sk);
		return 0;
	}
	if (old_state != TCP_SYN_SENT || new_state != TCP_ESTABLISHED || !is_internet(sk))
		return 0;
	noted = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	if (!noted)
		return 0;
	/* The same where the port was chosen before; else the first send need not note them again. */
	ends = ends_of(&sk->__sk_common);
	if (noted->ends == ends)
		return 0;
	noted->ends = ends;
	put_owner(sk, protocol_of(sk), &noted->identity);
	return 0;
}

/*
 * Walks every process's descriptors once, at the start. Of processes that share a connection the youngest is taken, as
 * servers fork for each; of those that share a listening socket the oldest.
 */
SEC("iter/task_file")
int scan_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct noted_socket *noted;
	struct socket *socket;
	struct sock *sk;
	__u8 protocol;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || !is_internet(sk))
		return 0;
	protocol = protocol_of(sk);
	/* One without a port is used by nobody yet. */
	if (!protocol || !sk->__sk_common.skc_num)
		return 0;
	noted = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!noted || noted->used)
		return 0;
	if (noted->identity.pid && ((struct sock___owner *)sk)->__sk_common.skc_state == TCP_LISTEN)
		return 0;
	read_identity(task, true, &noted->identity);
	put_owner(sk, protocol, &noted->identity);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
