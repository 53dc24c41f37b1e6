/* SPDX-License-Identifier: BSD-2-Clause */
/* talk: a client and its protocol (STEP_TALK). */
#ifndef SESSION_TALK_H
#define SESSION_TALK_H

#include "session/session.h"

/* STEP_TALK: entering it calls the open hook. A hook may ask for STEP_RELAY. */
extern const struct session_mode talk_mode;

#endif
