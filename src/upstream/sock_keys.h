/* SPDX-License-Identifier: BSD-2-Clause */
/* sock_keys: the socket options that [server] and [upstream] have in common. */
#ifndef UPSTREAM_SOCK_KEYS_H
#define UPSTREAM_SOCK_KEYS_H

#include "net/sock.h"
#include "weir.h"

/* Parsers for a key whose value is a struct sock_options. */
const char *sock_key_nodelay(struct weir_scope *, const char *text, void *options);
const char *sock_key_keepalive(struct weir_scope *, const char *text, void *options);
const char *sock_key_user_timeout(struct weir_scope *, const char *text, void *options);
const char *sock_key_congestion(struct weir_scope *, const char *text, void *options);
const char *sock_key_rcvbuf(struct weir_scope *, const char *text, void *options);
const char *sock_key_sndbuf(struct weir_scope *, const char *text, void *options);

/* Their part of a key table; at: offset of the struct sock_options. */
#define SOCK_KEYS(in, at)                                                              \
	{ .name = "tcp_nodelay", .where = (in), .type = WEIR_OWN, .offset = (at),      \
	  .initial = "on", .parse = sock_key_nodelay, .syntax = "on | off",            \
	  .help = "send small packets at once (TCP_NODELAY)" },                        \
	{ .name = "tcp_keepalive", .where = (in), .type = WEIR_OWN, .offset = (at),    \
	  .initial = "3m", .parse = sock_key_keepalive,                                \
	  .syntax = "off | IDLE[:INTERVAL[:COUNT]]",                                   \
	  .help = "probe silent connections (SO_KEEPALIVE)" },                         \
	{ .name = "tcp_user_timeout", .where = (in), .type = WEIR_OWN, .offset = (at), \
	  .initial = "off", .parse = sock_key_user_timeout, .syntax = "off | TIME",    \
	  .help = "give up when sent bytes stay unacknowledged (TCP_USER_TIMEOUT)" },  \
	{ .name = "tcp_congestion", .where = (in), .type = WEIR_OWN, .offset = (at),   \
	  .initial = "auto", .parse = sock_key_congestion, .syntax = "auto | NAME",    \
	  .help = "congestion control (TCP_CONGESTION)" },                             \
	{ .name = "rcvbuf", .where = (in), .type = WEIR_OWN, .offset = (at),           \
	  .initial = "auto", .parse = sock_key_rcvbuf, .syntax = "auto | SIZE",        \
	  .help = "receive buffer in the kernel (SO_RCVBUF)" },                        \
	{ .name = "sndbuf", .where = (in), .type = WEIR_OWN, .offset = (at),           \
	  .initial = "auto", .parse = sock_key_sndbuf, .syntax = "auto | SIZE",        \
	  .help = "send buffer in the kernel (SO_SNDBUF)" }

#endif
