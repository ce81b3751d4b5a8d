// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Who owns a socket: whoever uses it. A process that sends or receives is seen in the call itself, for TCP and UDP,
 * client and server, so that a worker is named where its master has made the socket. A process that connects or listens
 * is noted before the first byte, and scan_sockets finds the sockets that were there before us.
 *
 * Kernels let a program see the call in different ways; userspace takes the first that works:
 *   socket_send, socket_receive   BTF tracepoints in sock_sendmsg() and sock_recvmsg() (Linux 6.3)
 *   return_...                    when the functions of internet sockets below these return (fexit)
 *   call_...                      when the same functions are called (kprobes)
 *   socket_receive_tcp            a BTF tracepoint for TCP that is received, beside scans from time to time
 *
 * Each send and receive passes here: the socket's own storage says at once that nothing is new. (A table by socket
 * cookie makes short connections cheaper, but doubles what each send and receive costs.) Where programs cannot use that
 * storage, as kprobes and all programs before Linux 5.11, the same is in a table by the socket's address.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/stat.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel_types.h"
#include "socket_owner.h"

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7
#define TCP_LISTEN 10

#define IPPROTO_MPTCP_SOCKET 262

/* Timer ticks until a socket's owner is noted again, so that a busy one is not taken for the least recently used. */
#define NOTE_AGAIN_JIFFIES 250

/* Whether what is known of a socket is in `addressed_sockets`, else in `sockets`. */
const volatile bool by_address = false;

/* What is known of a socket. */
struct noted_socket {
	struct process_identity identity;
	__u64 noted_jiffies;
	__u64 scan; /* the last one that has seen it */
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

/*
 * Address of a socket in the kernel -> what is known of it. Entries are replaced as a whole, since this kind of table
 * gives an entry that it forgets to another socket at once, whoever still writes to it. A socket may have the address
 * of an earlier one: what was known of that one counts for nothing unless process and ends are the same.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64);
	__type(value, struct noted_socket);
	__uint(max_entries, 1); /* userspace sets it where it is used */
} addressed_sockets SEC(".maps");

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

struct sock_lock___owner {
	int owned;
} CO_RE;

struct sock___owner {
	struct sock_common___owner __sk_common;
	struct sock_lock___owner sk_lock;
} CO_RE;

struct inode {
	__u16 i_mode;
} CO_RE;

struct file {
	struct inode *f_inode;
	void *private_data;
} CO_RE;

struct socket {
	struct file *file;
	struct sock *sk;
} CO_RE;

struct bpf_iter_meta {
	__u64 session_id;
} CO_RE;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} CO_RE;

struct bpf_tramp_image {
	void *ip_after_call;
} CO_RE;

/* The flow tables' protocol number; 0 for sockets without ports. */
static __always_inline __u8 protocol_of(struct sock *sk, bool typed)
{
	__u16 protocol = READ_OF(typed, sk, sk_protocol);

	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_MPTCP_SOCKET:
		return IPPROTO_TCP;
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		return protocol;
	default:
		return 0;
	}
}

static __always_inline __u32 ends_of(struct sock_common *common, bool typed)
{
	__u32 ends = READ_OF(typed, common, skc_num) | (__u32)READ_OF(typed, common, skc_dport) << 16;
	__u32 remote[4], local[4];

	if (READ_OF(typed, common, skc_family) == AF_INET)
		return ends ^ READ_OF(typed, common, skc_daddr) ^ READ_OF(typed, common, skc_rcv_saddr);
	copy_address(&common->skc_v6_daddr, typed, remote);
	copy_address(&common->skc_v6_rcv_saddr, typed, local);
#pragma unroll
	for (int i = 0; i < 4; i++)
		ends ^= remote[i] ^ local[i];
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

static __always_inline void put_owner(struct sock *sk, bool typed, __u8 protocol,
				      const struct process_identity *identity)
{
	struct socket_owner owner, *known;
	struct socket_key key;
	__u32 *netns;

	__builtin_memset(&owner, 0, sizeof(owner));
	owner.identity = *identity;
	owner.noted_ns = bpf_ktime_get_ns();
	owner.netns = netns_of(&sk->__sk_common, typed);
	read_key(&sk->__sk_common, typed, protocol, owner.netns, &key);
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

static __always_inline bool is_internet(struct sock *sk, bool typed)
{
	struct sock_common *common = &sk->__sk_common;
	__u16 family = READ_OF(typed, common, skc_family);

	return family == AF_INET || family == AF_INET6;
}

/* What is known of a socket. Only what is in the socket's own storage may be written to. */
static __always_inline struct noted_socket *find_note(struct sock *sk, __u64 storage_flags)
{
	__u64 address = (__u64)sk;

	if (by_address)
		return bpf_map_lookup_elem(&addressed_sockets, &address);
	return bpf_sk_storage_get(&sockets, sk, NULL, storage_flags);
}

static __always_inline void forget_address(struct sock *sk)
{
	__u64 address = (__u64)sk;

	bpf_map_delete_elem(&addressed_sockets, &address);
}

static __always_inline void note_address(struct sock *sk, const struct noted_socket *noted)
{
	__u64 address = (__u64)sk;

	/* Rather nothing than what was known of an earlier socket. */
	if (bpf_map_update_elem(&addressed_sockets, &address, noted, BPF_ANY))
		bpf_map_delete_elem(&addressed_sockets, &address);
}

/* Whether it is known that the running process uses the socket, and was noted lately. */
static __always_inline bool is_noted(const struct noted_socket *noted, struct task_struct *task, __u32 ends,
				     __u64 now_jiffies)
{
	return noted->used && is_same_process(task, has_typed_current(), &noted->identity) && noted->ends == ends &&
	       now_jiffies - noted->noted_jiffies < NOTE_AGAIN_JIFFIES;
}

static __always_inline void fill_note(struct noted_socket *noted, struct task_struct *task, __u32 ends,
				      __u64 now_jiffies)
{
	read_identity(task, has_typed_current(), &noted->identity);
	noted->noted_jiffies = now_jiffies;
	noted->ends = ends;
	noted->used = 1;
}

/*
 * The running process uses the socket; `typed`: whether `sk` is a typed pointer, a constant. The two places have code
 * of their own, so that one does not cost the other anything.
 */
static __always_inline void note_use(struct sock *sk, bool typed)
{
	struct task_struct *task = current_task();
	struct noted_socket *noted, fresh;
	__u64 now_jiffies;
	__u8 protocol;
	__u32 ends;

	if (!is_internet(sk, typed))
		return;
	protocol = protocol_of(sk, typed);
	if (!protocol)
		return;
	if (by_address) {
		noted = find_note(sk, 0);
		now_jiffies = bpf_jiffies64();
		ends = ends_of(&sk->__sk_common, typed);
		if (noted && is_noted(noted, task, ends, now_jiffies))
			return;
		__builtin_memset(&fresh, 0, sizeof(fresh));
		fill_note(&fresh, task, ends, now_jiffies);
		note_address(sk, &fresh);
		put_owner(sk, typed, protocol, &fresh.identity);
		return;
	}
	noted = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!noted)
		return;
	now_jiffies = bpf_jiffies64();
	ends = ends_of(&sk->__sk_common, typed);
	if (is_noted(noted, task, ends, now_jiffies))
		return;
	fill_note(noted, task, ends, now_jiffies);
	put_owner(sk, typed, protocol, &noted->identity);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_send, struct sock *sk, int result, int flags)
{
	if (result >= 0)
		note_use(sk, true);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_receive, struct sock *sk, int result, int flags)
{
	if (result >= 0)
		note_use(sk, true);
	return 0;
}

/*
 * A call that sleeps for long may return after we are gone, to the code that would have run us. Before Linux 5.12 the
 * kernel did not keep that code for so long; there this relocation fails, and with it the program.
 */
static __always_inline void require_lasting_trampoline(void)
{
	asm volatile("" ::"r"(bpf_core_field_offset(struct bpf_tramp_image, ip_after_call)));
}

static __always_inline int note_return(struct socket *socket, long result)
{
	struct sock *sk = socket->sk;

	require_lasting_trampoline();
	if (result >= 0 && sk)
		note_use(sk, true);
	return 0;
}

SEC("fexit/inet_sendmsg")
int BPF_PROG(return_inet_sendmsg, struct socket *socket, void *message, __u64 size, int result)
{
	return note_return(socket, result);
}

SEC("fexit/inet6_sendmsg")
int BPF_PROG(return_inet6_sendmsg, struct socket *socket, void *message, __u64 size, int result)
{
	return note_return(socket, result);
}

SEC("fexit/inet_recvmsg")
int BPF_PROG(return_inet_recvmsg, struct socket *socket, void *message, __u64 size, int flags, int result)
{
	return note_return(socket, result);
}

SEC("fexit/inet6_recvmsg")
int BPF_PROG(return_inet6_recvmsg, struct socket *socket, void *message, __u64 size, int flags, int result)
{
	return note_return(socket, result);
}

/* sendfile(2), which sends by messages since Linux 6.5. */
SEC("fexit/inet_sendpage")
int BPF_PROG(return_inet_sendpage, struct socket *socket, void *page, int offset, __u64 size, int flags, long result)
{
	return note_return(socket, result);
}

SEC("fexit/tcp_splice_read")
int BPF_PROG(return_tcp_splice_read, struct socket *socket, void *position, void *pipe, __u64 length, int flags,
	     long result)
{
	return note_return(socket, result);
}

/*
 * At a call nobody knows yet whether it will succeed, but the process has the socket and means to use it. A kretprobe
 * would know; but the kernel follows only a few calls at a time to their return, and many may sleep.
 */
static __always_inline int note_call(void *regs)
{
	struct socket *socket = first_argument(regs);
	struct sock *sk = BPF_CORE_READ(socket, sk);

	if (sk)
		note_use(sk, false);
	return 0;
}

SEC("kprobe/inet_sendmsg")
int call_inet_sendmsg(void *regs)
{
	return note_call(regs);
}

SEC("kprobe/inet6_sendmsg")
int call_inet6_sendmsg(void *regs)
{
	return note_call(regs);
}

SEC("kprobe/inet_recvmsg")
int call_inet_recvmsg(void *regs)
{
	return note_call(regs);
}

SEC("kprobe/inet6_recvmsg")
int call_inet6_recvmsg(void *regs)
{
	return note_call(regs);
}

SEC("kprobe/inet_sendpage")
int call_inet_sendpage(void *regs)
{
	return note_call(regs);
}

SEC("kprobe/tcp_splice_read")
int call_tcp_splice_read(void *regs)
{
	return note_call(regs);
}

static __always_inline bool has_memory(struct task_struct *task, bool typed)
{
	return READ_OF(typed, task, mm);
}

/*
 * Runs where what was received is copied: in the process that receives, which has locked the socket. Some protocols on
 * top of TCP read in an interrupt (then nobody has locked it) or in a kernel thread (which has no memory of its own).
 */
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(socket_receive_tcp, struct sock *sk)
{
	if (((struct sock___owner *)sk)->sk_lock.owned && has_memory(current_task(), has_typed_current()))
		note_use(sk, true);
	return 0;
}

/*
 * A process connects or listens in its own name. The port of a connection is often chosen only after that; when the
 * connection stands it is known, but then some other process runs.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state, struct sock *sk, int old_state, int new_state)
{
	struct noted_socket *noted, fresh;
	__u32 ends;

	if (new_state == TCP_SYN_SENT || new_state == TCP_LISTEN) {
		note_use(sk, true);
		return 0;
	}
	if (by_address && new_state == TCP_CLOSE) {
		forget_address(sk);
		return 0;
	}
	if (old_state != TCP_SYN_SENT || new_state != TCP_ESTABLISHED || !is_internet(sk, true))
		return 0;
	noted = find_note(sk, 0);
	if (!noted)
		return 0;
	/* The same where the port was chosen before; else the first send need not note them again. */
	ends = ends_of(&sk->__sk_common, true);
	if (noted->ends == ends)
		return 0;
	if (by_address) {
		fresh = *noted;
		noted = &fresh;
	}
	noted->ends = ends;
	if (by_address)
		note_address(sk, noted);
	put_owner(sk, true, protocol_of(sk, true), &noted->identity);
	return 0;
}

/*
 * A process holds a socket; `typed`: whether `sk` is a typed pointer, a constant. Who was seen to use it stays its
 * owner while it holds the socket. Processes are walked in the order of their numbers, so when a later one comes, and
 * the user has not been seen in the same scan, it has passed the socket on.
 */
static __always_inline void note_holder(struct task_struct *task, struct sock *sk, bool typed, __u64 scan)
{
	struct sock_common___owner *common = &((struct sock___owner *)sk)->__sk_common;
	struct noted_socket *noted, fresh;
	bool known, is_user;
	__u8 protocol;
	__u32 ends;

	if (!is_internet(sk, typed))
		return;
	protocol = protocol_of(sk, typed);
	/* One without a port is used by nobody yet. */
	if (!protocol || !READ_OF(typed, (&sk->__sk_common), skc_num))
		return;
	noted = find_note(sk, BPF_SK_STORAGE_GET_F_CREATE);
	if (!noted && !by_address)
		return;
	ends = ends_of(&sk->__sk_common, typed);
	known = noted && (!by_address || noted->ends == ends);
	is_user = known && noted->used && is_same_process(task, true, &noted->identity);
	if (known && noted->used && !is_user && (noted->scan == scan || task->tgid < noted->identity.pid))
		return;
	if (known && !noted->used && noted->scan == scan && READ_OF(typed, common, skc_state) == TCP_LISTEN)
		return;
	if (by_address) {
		__builtin_memset(&fresh, 0, sizeof(fresh));
		noted = &fresh;
	}
	read_identity(task, true, &noted->identity);
	noted->ends = ends;
	noted->scan = scan;
	noted->used = is_user;
	if (by_address)
		note_address(sk, noted);
	put_owner(sk, typed, protocol, &noted->identity);
}

/* The socket that a descriptor is of, an untyped pointer, where the kernel does not tell (before Linux 5.11). */
static __always_inline struct socket *untyped_socket_of(struct file *file)
{
	struct socket *socket = file->private_data;

	if ((file->f_inode->i_mode & S_IFMT) != S_IFSOCK || !socket)
		return NULL;
	/* The path of a Unix socket, opened as such, has such an inode too. */
	return BPF_CORE_READ(socket, file) == file ? socket : NULL;
}

/*
 * Walks every process's descriptors: once at the start, and from time to time where nothing tells who sends. Of
 * processes that share a connection the youngest is taken, as servers fork for each; of those that share a listening
 * socket the oldest.
 */
SEC("iter/task_file")
int scan_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_sock_from_file)) {
		socket = bpf_sock_from_file(file);
		if (!socket)
			return 0;
		sk = socket->sk;
		if (sk)
			note_holder(task, sk, true, ctx->meta->session_id);
		return 0;
	}
	socket = untyped_socket_of(file);
	if (!socket)
		return 0;
	sk = BPF_CORE_READ(socket, sk);
	if (sk)
		note_holder(task, sk, false, ctx->meta->session_id);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
