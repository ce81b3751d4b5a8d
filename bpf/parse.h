/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * From a frame to its five-tuple. Contract: every read is checked here against `data_end`, so callers check nothing;
 * `len_bytes` is the frame's whole length, which may exceed data_end - data (paged skb, XDP fragments). Addresses and
 * ports stay in network byte order. The result is PARSED_IPV4, PARSED_IPV6 or, at or above PARSED_OTHER, the
 * enum other_class of a packet without a flow.
 */
#pragma once

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flow.h"

#define PARSED_IPV4 0
#define PARSED_IPV6 1
#define PARSED_OTHER 2

#define VLAN_TAGS_MAX 2
/* RFC 8200 section 4.1 lists six kinds of extension header, one of which may appear twice; AH makes eight. */
#define IPV6_EXTENSIONS_MAX 8
/* Far above any real chain; a power of two that bounds it for the verifier. */
#define IPV6_EXTENSIONS_MAX_BYTES 2048
/* Ethernet, two tags, IPv6. */
#define FRAME_HEADERS_MAX_BYTES 62

/* What a program knows of the frame that it hands to parse_packet(); a constant where the program knows it beforehand.
 */
enum parse_flag {
	PARSE_XDP = 1 << 0, /* the context is a struct xdp_md, else a struct __sk_buff */
	PARSE_GSO = 1 << 1, /* the frame stands for several on the wire: the length in its IP header may be zero */
	PARSE_TAG_OFFLOADED = 1 << 2, /* the frame had one VLAN tag more, which the kernel keeps beside it */
};

#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV6_FRAGMENT_OFFSET 0xfff8

struct vlan_tag {
	__be16 tci;
	__be16 ethertype;
};

struct ports {
	__be16 sport;
	__be16 dport;
};

/* The first bytes that TCP, UDP and SCTP share, then what TCP alone has. */
struct tcp_start {
	__be16 sport;
	__be16 dport;
	__be32 seq;
	__be32 ack_seq;
	__u8 doff; /* upper four bits: header length in 32-bit words */
	__u8 flags;
	__be16 window;
	__be16 check;
	__be16 urg_ptr;
};

struct extension {
	__u8 next;
	__u8 len; /* 8-byte units beyond the first 8 bytes; AH: 4-byte units beyond the first 8 */
	__be16 fragment; /* the fragment header's offset and flags */
	__u32 rest;
};

struct packet {
	struct flow6_key key6;
	struct flow4_key key4;
	__u32 headers_bytes; /* layer 2 to 4, so that the segments of a GSO packet can be weighed */
	__u8 tcp_flags;
};

#define OTHER(class) (PARSED_OTHER + (class))

/*
 * `payload_bytes` is what the IP header says follows it; a transport header that does not fit there is malformed.
 * Lengths are kept beside the pointers, here and below, because the verifier refuses to subtract packet pointers.
 */
static __always_inline int parse_transport(void *cur, void *data_end, __u32 payload_bytes, __u8 proto,
					   struct ports *ports, struct packet *pkt)
{
	ports->sport = 0;
	ports->dport = 0;
	if (proto == IPPROTO_TCP) {
		struct tcp_start *tcp = cur;

		if (payload_bytes < sizeof(*tcp))
			return OTHER(OTHER_MALFORMED);
		if ((void *)(tcp + 1) > data_end)
			return OTHER(OTHER_TRUNCATED);
		if (tcp->doff < 0x50 || (tcp->doff >> 4) * 4 > payload_bytes)
			return OTHER(OTHER_MALFORMED);
		*ports = *(struct ports *)tcp;
		pkt->tcp_flags = tcp->flags;
		pkt->headers_bytes += (tcp->doff >> 4) * 4;
		return 0;
	}
	if (proto == IPPROTO_UDP || proto == IPPROTO_SCTP) {
		__u32 header_bytes = proto == IPPROTO_UDP ? 8 : 12;

		if (payload_bytes < header_bytes)
			return OTHER(OTHER_MALFORMED);
		if (cur + header_bytes > data_end)
			return OTHER(OTHER_TRUNCATED);
		*ports = *(struct ports *)cur;
		pkt->headers_bytes += header_bytes;
		return 0;
	}
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6) {
		if (payload_bytes < 4)
			return OTHER(OTHER_MALFORMED);
		if (cur + 4 > data_end)
			return OTHER(OTHER_TRUNCATED);
		ports->dport = *(__be16 *)cur;
	}
	return 0;
}

/* `len_bytes`: from the IP header to the frame's end. */
static __always_inline int parse_ipv4(void *cur, void *data_end, __u32 len_bytes, __u32 flags, struct packet *pkt)
{
	struct iphdr *ip = cur;
	__u32 header_bytes, total_bytes;
	struct ports ports;
	int other;

	if ((void *)(ip + 1) > data_end)
		return OTHER(OTHER_TRUNCATED);
	header_bytes = ip->ihl * 4;
	total_bytes = bpf_ntohs(ip->tot_len);
	/* A GSO packet of more than 64 KiB (BIG TCP) states no length. */
	if ((flags & PARSE_GSO) && total_bytes == 0)
		total_bytes = len_bytes;
	if (ip->version != 4 || header_bytes < sizeof(*ip) || total_bytes < header_bytes)
		return OTHER(OTHER_MALFORMED);
	if (total_bytes > len_bytes || cur + header_bytes > data_end)
		return OTHER(OTHER_TRUNCATED);
	if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET))
		return OTHER(OTHER_FRAGMENT);

	pkt->headers_bytes += header_bytes;
	other = parse_transport(cur + header_bytes, data_end, total_bytes - header_bytes, ip->protocol, &ports, pkt);
	if (other)
		return other;
	pkt->key4.src = ip->saddr;
	pkt->key4.dst = ip->daddr;
	pkt->key4.sport = ports.sport;
	pkt->key4.dport = ports.dport;
	pkt->key4.proto = ip->protocol;
	return PARSED_IPV4;
}

/* Extension headers that can be skipped; their numbers are below 64. */
static __always_inline bool is_ipv6_extension(__u8 proto)
{
	const __u64 extensions = 1ULL << IPPROTO_HOPOPTS | 1ULL << IPPROTO_ROUTING | 1ULL << IPPROTO_FRAGMENT |
				 1ULL << IPPROTO_AH | 1ULL << IPPROTO_DSTOPTS;

	return proto < 64 && extensions >> proto & 1;
}

/*
 * Follows the chain of extension headers that starts `offset` bytes into the frame. Returns the transport's protocol
 * with the chain's length shifted left by 8, or a negated OTHER.
 */
static __always_inline int walk_extensions(void *data, void *data_end, __u32 offset, __u32 payload_bytes, __u8 proto)
{
	__u32 extensions_bytes = 0;

	if (offset > FRAME_HEADERS_MAX_BYTES)
		return -OTHER(OTHER_MALFORMED);
	for (int i = 0; i < IPV6_EXTENSIONS_MAX && is_ipv6_extension(proto); i++) {
		struct extension *ext = data + offset + extensions_bytes;
		__u32 ext_bytes;

		if ((void *)(ext + 1) > data_end)
			return -OTHER(OTHER_TRUNCATED);
		ext_bytes = (ext->len + 1) * 8;
		if (proto == IPPROTO_FRAGMENT)
			ext_bytes = 8;
		if (proto == IPPROTO_AH)
			ext_bytes = (ext->len + 2) * 4;
		extensions_bytes += ext_bytes;
		if (extensions_bytes > payload_bytes || extensions_bytes >= IPV6_EXTENSIONS_MAX_BYTES)
			return -OTHER(OTHER_MALFORMED);
		if (proto == IPPROTO_FRAGMENT && ext->fragment & bpf_htons(IPV6_FRAGMENT_OFFSET))
			return -OTHER(OTHER_FRAGMENT);
		proto = ext->next;
	}
	if (is_ipv6_extension(proto))
		return -OTHER(OTHER_MALFORMED);
	return proto | extensions_bytes << 8;
}

/* Global functions: the verifier takes each once, on its own, whereas inline the chain's states multiply the rest. */
__noinline int walk_extensions_xdp(struct xdp_md *ctx, __u32 offset, __u32 payload_bytes, __u32 proto)
{
	return walk_extensions((void *)(long)ctx->data, (void *)(long)ctx->data_end, offset, payload_bytes, proto);
}

__noinline int walk_extensions_skb(struct __sk_buff *ctx, __u32 offset, __u32 payload_bytes, __u32 proto)
{
	return walk_extensions((void *)(long)ctx->data, (void *)(long)ctx->data_end, offset, payload_bytes, proto);
}

/* `len_bytes`: from the IP header to the frame's end. */
static __always_inline int parse_ipv6(void *ctx, void *cur, void *data_end, __u32 len_bytes, __u32 flags,
				      struct packet *pkt)
{
	struct ipv6hdr *ip = cur;
	__u32 payload_bytes, extensions_bytes = 0;
	struct ports ports;
	__u8 proto;
	int other;

	if ((void *)(ip + 1) > data_end)
		return OTHER(OTHER_TRUNCATED);
	payload_bytes = bpf_ntohs(ip->payload_len);
	/* Zero: a jumbogram or BIG TCP; the frame's own length stands in. */
	if (payload_bytes == 0 && ((flags & PARSE_GSO) || ip->nexthdr == IPPROTO_HOPOPTS))
		payload_bytes = len_bytes - sizeof(*ip);
	if (ip->version != 6)
		return OTHER(OTHER_MALFORMED);
	if (payload_bytes > len_bytes - sizeof(*ip))
		return OTHER(OTHER_TRUNCATED);

	proto = ip->nexthdr;
	if (is_ipv6_extension(proto)) {
		__u32 offset = pkt->headers_bytes + sizeof(*ip);
		int walked = flags & PARSE_XDP ? walk_extensions_xdp(ctx, offset, payload_bytes, proto)
					       : walk_extensions_skb(ctx, offset, payload_bytes, proto);

		if (walked < 0)
			return -walked;
		proto = walked;
		extensions_bytes = walked >> 8 & (IPV6_EXTENSIONS_MAX_BYTES - 1);
	}
	cur += sizeof(*ip) + extensions_bytes;
	pkt->headers_bytes += sizeof(*ip) + extensions_bytes;
	other = parse_transport(cur, data_end, payload_bytes - extensions_bytes, proto, &ports, pkt);
	if (other)
		return other;
	__builtin_memcpy(pkt->key6.src, &ip->saddr, sizeof(pkt->key6.src));
	__builtin_memcpy(pkt->key6.dst, &ip->daddr, sizeof(pkt->key6.dst));
	pkt->key6.sport = ports.sport;
	pkt->key6.dport = ports.dport;
	pkt->key6.proto = proto;
	return PARSED_IPV6;
}

/*
 * Fills the key of the family it returns, but for direction and iface_slot, which the packet does not hold. `ctx` is
 * what the program was given; `flags` are of enum parse_flag.
 */
static __always_inline int parse_packet(void *ctx, void *data, void *data_end, __u32 len_bytes, __u32 flags,
					struct packet *pkt)
{
	struct ethhdr *eth = data;
	void *cur = eth + 1;
	__be16 ethertype;

	if (cur > data_end)
		return OTHER(OTHER_TRUNCATED);
	ethertype = eth->h_proto;
	pkt->headers_bytes = sizeof(*eth);
	len_bytes -= sizeof(*eth);
#pragma unroll
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		struct vlan_tag *tag = cur;

		if (ethertype != bpf_htons(ETH_P_8021Q) && ethertype != bpf_htons(ETH_P_8021AD))
			break;
		if ((flags & PARSE_TAG_OFFLOADED) && i == VLAN_TAGS_MAX - 1)
			break;
		cur = tag + 1;
		if (cur > data_end)
			return OTHER(OTHER_TRUNCATED);
		ethertype = tag->ethertype;
		pkt->headers_bytes += sizeof(*tag);
		len_bytes -= sizeof(*tag);
	}
	if (ethertype == bpf_htons(ETH_P_IP))
		return parse_ipv4(cur, data_end, len_bytes, flags, pkt);
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(ctx, cur, data_end, len_bytes, flags, pkt);
	return OTHER(OTHER_NON_IP);
}
