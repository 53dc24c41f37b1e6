/* SPDX-License-Identifier: BSD-2-Clause */
/* text: figures as people read them. */
#include "stress/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct stress_text stress_text_three_digits(double value, const char *unit);

struct stress_text
stress_text_count(double n)
{
	struct stress_text t;
	char               digits[32];
	size_t             length, at = 0;

	if (fabs(n) < 99.95 && fabs(n - round(n)) > 0.05) {
		snprintf(t.s, sizeof t.s, "%.1f", n);
		return t;
	}
	if (fabs(n) >= 1e20) {	/* with its commas it might not fit */
		snprintf(t.s, sizeof t.s, "%.3g", n);
		return t;
	}
	snprintf(digits, sizeof digits, "%.0f", fabs(n));
	length = strlen(digits);
	if (n <= -0.5)
		t.s[at++] = '-';
	for (size_t i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			t.s[at++] = ',';
		t.s[at++] = digits[i];
	}
	t.s[at] = '\0';
	return t;
}

struct stress_text
stress_text_time(double us)
{
	struct stress_text t;

	if (us >= 999.5e3)
		return stress_text_three_digits(us / 1e6, "s");
	if (us >= 999.5)
		return stress_text_three_digits(us / 1e3, "ms");
	if (us != round(us))
		return stress_text_three_digits(us, "us");
	snprintf(t.s, sizeof t.s, "%.0fus", us);
	return t;
}

struct stress_text
stress_text_size(double bytes)
{
	static const char *const units[] = { " B", " KiB", " MiB", " GiB", " TiB" };
	struct stress_text       t;
	unsigned                 unit = 0;

	while (fabs(bytes) >= 999.5 && unit < sizeof units / sizeof units[0] - 1) {
		bytes /= 1024;
		unit++;
	}
	if (unit > 0)
		return stress_text_three_digits(bytes, units[unit]);
	snprintf(t.s, sizeof t.s, "%.0f B", bytes);
	return t;
}

/* 1.23 12.3 123 1234 */
static struct stress_text
stress_text_three_digits(double value, const char *unit)
{
	struct stress_text t;
	double             size = fabs(value);

	snprintf(t.s, sizeof t.s, "%.*f%s", size < 9.995 ? 2 : size < 99.95 ? 1 : 0, value, unit);
	return t;
}
