/* SPDX-License-Identifier: BSD-2-Clause */
/* health: what checks say of a peer: when it counts as down, and when as back. */
#include "upstream/health.h"

#include <stdio.h>
#include <string.h>

/* The state's word. */
#define HEALTH_STATE UINT64_C(3)
#define HEALTH_LAST_GOOD (UINT64_C(1) << 2)
#define HEALTH_STREAK_AT 8
#define HEALTH_STREAK_MAX 65535u

/* The note: ms below, errno, enum health_result. */
#define NOTE_TIME ((UINT64_C(1) << 40) - 1)
#define NOTE_ERROR_AT 40
#define NOTE_RESULT_AT 56

/* Peers that are checked for the first time: one after the other, all within a second. */
#define FIRST_STEP 20u		/* ms */
#define FIRST_MOST 1000u	/* ms */

struct health
health_read(uint64_t word)
{
	return (struct health){
		.state = (enum health_state)(word & HEALTH_STATE),
		.good = (word & HEALTH_LAST_GOOD) != 0,
		.streak = (unsigned)(word >> HEALTH_STREAK_AT) & HEALTH_STREAK_MAX,
	};
}

uint64_t
health_write(struct health h)
{
	return (uint64_t)h.state | (h.good ? HEALTH_LAST_GOOD : 0) |
	    (uint64_t)h.streak << HEALTH_STREAK_AT;
}

enum health_change
health_take(struct health *h, bool good, bool failing, const struct health_check *check)
{
	if (good != h->good)
		h->streak = 0;
	h->good = good;
	if (h->streak < HEALTH_STREAK_MAX)
		h->streak++;
	switch (h->state) {
	case HEALTH_UNTRIED:
		h->state = good ? HEALTH_UP : HEALTH_DOWN;
		return good ? HEALTH_STAYS : HEALTH_FELL;
	case HEALTH_UP:
		if (good)
			return failing && h->streak >= check->rise ? HEALTH_VOUCHED : HEALTH_STAYS;
		if (!failing && h->streak < check->fall)
			return HEALTH_STAYS;
		h->state = HEALTH_DOWN;
		return HEALTH_FELL;
	default:
		if (!good || h->streak < check->rise)
			return HEALTH_STAYS;
		h->state = HEALTH_UP;
		return HEALTH_ROSE;
	}
}

void
health_doubt(struct health *h)
{
	if (h->state == HEALTH_UP && h->good)
		h->streak = 0;
}

uint64_t
health_note(enum health_result result, int error, uint64_t when)
{
	return (when & NOTE_TIME) | (uint64_t)(error & 0xffff) << NOTE_ERROR_AT |
	    (uint64_t)result << NOTE_RESULT_AT;
}

enum health_result
health_noted(uint64_t note, int *error, uint64_t *when)
{
	*error = (int)(note >> NOTE_ERROR_AT & 0xffff);
	*when = note & NOTE_TIME;
	return (enum health_result)(note >> NOTE_RESULT_AT);
}

uint64_t
health_due(const struct health_check *check, uint64_t began, uint64_t now, uint32_t drawn,
    unsigned count)
{
	uint64_t early = check->interval / 10 * (drawn >> 16) >> 16, due, within;

	if (began != 0 && began <= now && now - began <= check->interval) {
		due = began + check->interval - early;
		return due > now ? due : now;
	}
	within = (uint64_t)FIRST_STEP * count;
	if (within > FIRST_MOST)
		within = FIRST_MOST;
	if (within > check->interval)
		within = check->interval;
	return now + (within * (drawn >> 16) >> 16);
}

const char *
health_explain(enum health_result result, int error)
{
	static char text[96];

	switch (result) {
	case HEALTH_GOOD:
		return "good";
	case HEALTH_UNREACHED:
		snprintf(text, sizeof text, "connect: %s", strerror(error));
		return text;
	case HEALTH_INSECURE:
		return "TLS handshake";
	case HEALTH_SILENT:
		return "no reply that is expected, within its time";
	case HEALTH_CLOSED:
		snprintf(text, sizeof text, "closed before the reply%s%s", error != 0 ? ": " : "",
		    error != 0 ? strerror(error) : "");
		return text;
	case HEALTH_ENDLESS:
		return "a long reply, without what is expected";
	default:
		return "none";
	}
}
