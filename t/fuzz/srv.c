/* SPDX-License-Identifier: BSD-2-Clause */
/* srv: what is found lies within bounds and in order, and with less room it is the
 * beginning of the same. */
#include "net/srv.h"

#include <string.h>

#include "base/str.h"
#include "target.h"

enum { MOST = 4096 };

static void
check(const struct srv_record *r)
{
	must(memchr(r->target, '\0', sizeof r->target) != NULL);
	must(r->target[0] != '\0' && r->port != 0);
	for (const char *c = r->target; *c != '\0'; c++)
		must(*c > ' ' && *c <= '~' && !(*c >= 'A' && *c <= 'Z'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct srv_record all[MOST], some[3];
	struct srv_answer        whole = { .records = all, .most = MOST };
	struct srv_answer        little = { .records = some, .most = 3 };
	enum srv_verdict         verdict = srv_answer_parse(&whole, span_make(data, size));

	must(srv_answer_parse(&little, span_make(data, size)) == verdict);
	must(whole.count <= MOST && little.count <= 3);
	if (verdict != SRV_GOOD)
		return 0;
	must(whole.count > 0 && whole.left_out == 0 && whole.ttl <= INT32_MAX);
	must(little.count == (whole.count < 3 ? whole.count : 3));
	for (unsigned i = 0; i < whole.count; i++)
		check(&all[i]);
	for (unsigned i = 1; i < whole.count; i++)
		must(all[i - 1].priority <= all[i].priority);
	for (unsigned i = 0; i < little.count; i++)
		must(strcmp(all[i].target, some[i].target) == 0 && all[i].port == some[i].port &&
		    all[i].priority == some[i].priority);
	return 0;
}
