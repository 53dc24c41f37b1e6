/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text: figures as people read them. Each gives a struct, to be used within one
 * call of printf: printf("%s of %s\n", text_count(n).s, text_count(all).s).
 */
#ifndef STRESS_TEXT_H
#define STRESS_TEXT_H

#include <stdint.h>

struct text {
	char s[32];
};

struct text text_count(double);		/* "1,234,567"; below 100 with a decimal if it has one */
struct text text_time(double us);	/* "0us" "12.3us" "999us" "1.23ms" "12.3s": three digits */
struct text text_size(double bytes);	/* "-12 B" "1.23 KiB" "12.3 GiB" */

#endif
