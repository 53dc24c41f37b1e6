/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text: figures as people read them. Each gives a struct, to be used within one
 * call of printf: printf("%s of %s\n", stress_text_count(n).s, stress_text_count(all).s).
 */
#ifndef STRESS_TEXT_H
#define STRESS_TEXT_H

#include <stdint.h>

struct stress_text {
	char s[32];
};

struct stress_text stress_text_count(double);	   /* "1,234,567"; below 100 with its decimal */
struct stress_text stress_text_time(double us);	   /* "0us" "12.3us" "1.23ms": three digits */
struct stress_text stress_text_size(double bytes); /* "-12 B" "1.23 KiB" "12.3 GiB" */

#endif
