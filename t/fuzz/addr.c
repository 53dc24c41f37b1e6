/* SPDX-License-Identifier: BSD-2-Clause */
/* addr: what addr_parse takes is printed and read back as the same address. */
#include "net/addr.h"

#include <stdlib.h>
#include <string.h>

#include "target.h"

static void
read_address(const char *text, const char *prefix)
{
	struct addr        a, again;
	struct addr_packed packed;
	char               out[ADDR_TEXT_MAX], short_out[ADDR_TEXT_MAX];
	const char        *wrong;

	memset(&a, 0xff, sizeof a);
	wrong = addr_parse(&a, text, prefix);
	if (wrong != NULL) {
		must(wrong[0] != '\0' && a.len == (socklen_t)-1);
		return;
	}
	must(a.len <= sizeof a.un);
	addr_print(&a, out);
	must(addr_parse(&again, out, NULL) == NULL && addr_equal(&a, &again));
	must(addr_overlap(&a, &again));
	addr_pack(&packed, &a);
	must(packed.family != 0);
	addr_print_packed(&packed, short_out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	read_address(text, NULL);
	read_address(text, "/prefix");
	free(text);
	return 0;
}
