/* SPDX-License-Identifier: BSD-2-Clause */
/* listen: what a listen line of [server NAME] says: an address, and options behind it. */
#ifndef SESSION_LISTEN_H
#define SESSION_LISTEN_H

#include "conf/conf.h"

struct listen_spec;
struct weir_scope;

/* The options: name; how the value is written, "" for one without; where it may stand; what
 * holds without it; what it does. */
#define LISTEN_OPTIONS(X)                                                                    \
	X(backlog, "=N", LISTEN_ANY, "4096",                                                 \
	    "connections that may wait to be accepted, at most net.core.somaxconn")          \
	X(reuseport, "=on|off", LISTEN_IP, "on",                                             \
	    "a listening socket for each worker; off: all share one")                        \
	X(deferred, "", LISTEN_IP, NULL, "accepts a connection when its first bytes are there") \
	X(fastopen, "=N", LISTEN_IP, NULL, "takes data with the first packet, of N at a time") \
	X(device, "=IF", LISTEN_IP, NULL, "only what arrives through this network interface")  \
	X(v6only, "", LISTEN_IPV6, NULL, "an IPv6 address takes no IPv4 clients")            \
	X(transparent, "", LISTEN_IP, NULL,                                                  \
	    "takes connections to addresses that this machine does not have")                \
	X(mode, "=0660", LISTEN_FILE, "0660", "of a UNIX socket's file, octal")              \
	X(owner, "=USER[:GROUP]", LISTEN_FILE, NULL, "of a UNIX socket's file, names or numbers")

#define LISTEN_OPTION_SYNTAX(name, value, where, initial, help) " [" #name value "]"
#define LISTEN_SYNTAX "ADDRESS" LISTEN_OPTIONS(LISTEN_OPTION_SYNTAX)

extern const struct conf_option listen_option_table[];

/* Reads such a line into the spec: all but spec.options, which have keys of their own.
 * Returns NULL, or a phrase as struct weir_key's parse does. */
const char *listen_parse(struct weir_scope *, const char *text, struct listen_spec *);

#endif
