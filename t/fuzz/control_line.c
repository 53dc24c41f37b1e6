/* SPDX-License-Identifier: BSD-2-Clause */
/* control_line: a line that is taken means what it says, and one that is not is told why. */
#include "proc/control_line.h"

#include <stdlib.h>
#include <string.h>

#include "proc/text.h"
#include "target.h"

static struct control_line line, again;

/* As it was read it is written, and read again. */
static void
write_peer(void)
{
	static const char *const verbs[] = {
		[VERB_UP] = "up",
		[VERB_DOWN] = "down",
		[VERB_DRAIN] = "drain",
	};
	struct text              text = { 0 };
	char                     why[256];

	if (line.command != CONTROL_PEER)
		return;
	text_add(&text, "peer");
	control_line_add(&text, "", line.upstream);
	control_line_add(&text, "", line.address);
	if (line.verb == VERB_WEIGHT)
		text_add(&text, " weight %u", line.weight);
	else
		text_add(&text, " %s%s", verbs[line.verb], line.wait ? " wait" : "");
	must(!text.cut);
	if (text.size <= CONTROL_LINE_MAX) {
		must(control_line_parse(text.data, text.size, &again, why, sizeof why));
		must(strcmp(again.upstream, line.upstream) == 0 &&
		    strcmp(again.address, line.address) == 0 && again.verb == line.verb &&
		    again.weight == line.weight && again.wait == line.wait);
	}
	text_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), why[256] = "";
	bool  taken;

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	taken = control_line_parse(text, size, &line, why, sizeof why);
	must(taken ? line.command < CONTROL_COMMANDS : why[0] != '\0');
	must(!taken || size <= CONTROL_LINE_MAX);
	must(!taken || (line.id_count <= CONTROL_IDS && line.rate <= CONTROL_RATE_MAX));
	if (taken && line.command == CONTROL_CLOSE)
		must(line.id_count > 0 || line.server != NULL || line.peer != NULL ||
		    line.from != NULL);
	if (taken)
		write_peer();
	free(text);
	return 0;
}
