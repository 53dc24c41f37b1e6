/* SPDX-License-Identifier: BSD-2-Clause */
/* log_spec: error_log's value, its two words a line each, is taken whole or refused with a
 * phrase. */
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#include "target.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log_spec spec, before;
	char           *text = malloc(size + 1), *level;
	const char     *wrong;

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	level = strchr(text, '\n');
	if (level != NULL)
		*level++ = '\0';
	memset(&spec, 0x55, sizeof spec);
	before = spec;
	wrong = log_spec_parse(&spec, text, level);
	if (wrong != NULL) {
		must(wrong[0] != '\0' && memcmp(&spec, &before, sizeof spec) == 0);
	} else {
		must(spec.level <= WEIR_DEBUG);
		must(memchr(spec.path, '\0', sizeof spec.path) != NULL);
		must((spec.kind == LOG_FILE) == (spec.path[0] != '\0'));
		must(spec.kind == LOG_FILE || spec.kind == LOG_STDERR ||
		    spec.kind == LOG_SYSLOG_SINK);
	}
	free(text);
	return 0;
}
