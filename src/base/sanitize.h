/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sanitize: tells AddressSanitizer which bytes of our own allocators are free.
 * Without it these cost nothing.
 */
#ifndef BASE_SANITIZE_H
#define BASE_SANITIZE_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZE_ADDRESS 1	/* clang */
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZE_ADDRESS 1	/* gcc */
#endif

#ifdef SANITIZE_ADDRESS
#include <sanitizer/asan_interface.h>
#endif

/* Touching these bytes is a mistake until sanitize_lend. */
static inline void
sanitize_hide(const void *data, size_t size)
{
#ifdef SANITIZE_ADDRESS
	__asan_poison_memory_region(data, size);
#else
	(void)data;
	(void)size;
#endif
}

static inline void
sanitize_lend(const void *data, size_t size)
{
#ifdef SANITIZE_ADDRESS
	__asan_unpoison_memory_region(data, size);
#else
	(void)data;
	(void)size;
#endif
}

#endif
