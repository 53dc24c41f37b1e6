/* SPDX-License-Identifier: BSD-2-Clause */
/* listen: what a listen line of [server NAME] says: an address, and options behind it. */
#ifndef SESSION_LISTEN_H
#define SESSION_LISTEN_H

struct listen_spec;
struct weir_scope;

/* The options: name; how the value is written, "" for one without; where it may stand. */
#define LISTEN_OPTIONS(X)                      \
	X(backlog, "=N", LISTEN_ANY)           \
	X(reuseport, "=on|off", LISTEN_IP)     \
	X(deferred, "", LISTEN_IP)             \
	X(fastopen, "=N", LISTEN_IP)           \
	X(device, "=IF", LISTEN_IP)            \
	X(v6only, "", LISTEN_IPV6)             \
	X(transparent, "", LISTEN_IP)          \
	X(mode, "=0660", LISTEN_FILE)          \
	X(owner, "=USER[:GROUP]", LISTEN_FILE)

#define LISTEN_OPTION_SYNTAX(name, value, where) " [" #name value "]"
#define LISTEN_SYNTAX                            "ADDRESS" LISTEN_OPTIONS(LISTEN_OPTION_SYNTAX)

/* Reads such a line into the spec: all but spec.options, which have keys of their own.
 * Returns NULL, or a phrase as struct weir_key's parse does. */
const char *listen_parse(struct weir_scope *, const char *text, struct listen_spec *);

#endif
