/* SPDX-License-Identifier: BSD-2-Clause */
/* sock_keys: the socket options that [server] and [upstream] have in common. */
#include "upstream/sock_keys.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const char *sock_key_parse_buffer(uint32_t *out, const char *text);

const char *
sock_key_nodelay(struct weir_scope *scope, const char *text, void *options)
{
	struct sock_options *o = options;

	(void)scope;
	return str_switch(text, &o->nodelay) ? NULL : "write on or off";
}

const char *
sock_key_keepalive(struct weir_scope *scope, const char *text, void *options)
{
	(void)scope;
	return sock_keepalive_parse(options, text);
}

const char *
sock_key_user_timeout(struct weir_scope *scope, const char *text, void *options)
{
	struct sock_options *o = options;
	uint64_t             ms;

	(void)scope;
	if (strcmp(text, "off") == 0)
		ms = 0;
	else if (!str_time(text, &ms) || ms == 0 || ms > INT32_MAX)
		return "write off, or a time like 30s (small letters), at most 24d";
	o->user_timeout = (uint32_t)ms;
	return NULL;
}

const char *
sock_key_congestion(struct weir_scope *scope, const char *text, void *options)
{
	struct sock_options *o = options;
	char                 line[1024];
	const char          *found = NULL;
	FILE                *f;

	(void)scope;
	o->congestion[0] = '\0';
	if (strcmp(text, "auto") == 0)
		return NULL;
	if (strlen(text) >= sizeof o->congestion)
		return "is too long for the name of a congestion control";
	/* Others may be loadable; only setting it tells. this finds misspellings. */
	f = fopen("/proc/sys/net/ipv4/tcp_available_congestion_control", "re");
	if (f != NULL) {
		found = fgets(line, sizeof line, f);
		fclose(f);
	}
	if (found != NULL && strstr(line, text) == NULL)
		return "this kernel has no such congestion control now "
		       "(sysctl net.ipv4.tcp_available_congestion_control; modprobe tcp_NAME)";
	snprintf(o->congestion, sizeof o->congestion, "%s", text);
	return NULL;
}

const char *
sock_key_rcvbuf(struct weir_scope *scope, const char *text, void *options)
{
	struct sock_options *o = options;

	(void)scope;
	return sock_key_parse_buffer(&o->rcvbuf, text);
}

const char *
sock_key_sndbuf(struct weir_scope *scope, const char *text, void *options)
{
	struct sock_options *o = options;

	(void)scope;
	return sock_key_parse_buffer(&o->sndbuf, text);
}

static const char *
sock_key_parse_buffer(uint32_t *out, const char *text)
{
	uint64_t bytes;

	if (strcmp(text, "auto") == 0)
		bytes = 0;
	else if (!str_size(text, &bytes) || bytes < 2048 || bytes > 1u << 30)
		return "write auto, or a size from 2k to 1g (small letters)";
	*out = (uint32_t)bytes;
	return NULL;
}
