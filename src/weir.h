/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weir.h: all that a module sees of weir. weir-module(7) tells how
 * these declarations belong together: one session's way through the hooks.
 *
 * Hooks run in a worker, one at a time, and must not block. What a hook is
 * given is valid until it returns, unless its description says otherwise.
 */
#ifndef WEIR_H
#define WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_session;	/* one client's stay */
struct weir_scope;	/* one section of the configuration */
struct weir_upstream;	/* an [upstream NAME] as one worker sees it */
struct weir_peer;	/* one backend address in it */
struct weir_attempt;	/* one search for a peer: who asks, what was tried */

/* Bytes that somebody else owns. */
struct weir_span {
	const char *data;
	size_t      len;
};

/* ------------------------------------------------------------------ keys */

enum weir_type {
	WEIR_SWITCH,	/* on | off; bool */
	WEIR_NUMBER,	/* uint64_t */
	WEIR_SIZE,	/* 512, 4k, 1m, 2g; uint64_t, bytes */
	WEIR_TIME,	/* 500ms, 30s, 5m, 1h, 1d, a bare number is seconds; uint64_t, ms */
	WEIR_STRING,	/* const char *, never empty; it lives as long as the configuration */
	WEIR_PATH,	/* the same, made absolute with the prefix */
	WEIR_OWN,	/* the module's: parse() reads it */
};

enum {			/* where a key may stand: bits of weir_key.where */
	WEIR_IN_WEIR     = 1 << 0,
	WEIR_IN_SERVER   = 1 << 1,
	WEIR_IN_UPSTREAM = 1 << 2,
	WEIR_IN_TLS      = 1 << 3,	/* since 1.3 */
};

enum {			/* bits of weir_key.flags */
	WEIR_OFF      = 1 << 0,	/* "off" is a value too, stored as 0 (NULL) */
	WEIR_AUTO     = 1 << 1,	/* "auto" is a value too, stored as WEIR_AUTOMATIC */
	WEIR_REPEATED = 1 << 2,	/* WEIR_OWN only: parse() is called for each */
	WEIR_NOT_INHERITED = 1 << 3,	/* not allowed in [defaults ...] */
	WEIR_WORDS = 1 << 4,	/* WEIR_OWN only: a list; parse() takes it apart with weir_word */
	WEIR_FRAMED = 1 << 5,	/* of requests and replies: a warning where nobody has any */
};

#define WEIR_AUTOMATIC UINT64_MAX

/*
 * One directive. The same table serves the parser, the defaults, weir -T,
 * weir explain, and the checks that manual pages and examples are complete.
 */
struct weir_key {
	const char    *name;
	unsigned       where;	/* WEIR_IN_* */
	enum weir_type type;
	size_t         offset;	/* of the value in the module's block: offsetof */
	const char    *initial;	/* default, as a user would write it; NULL: zeroed */
	uint64_t       min;	/* bounds of a number, size or time (ms); */
	uint64_t       max;	/* max 0: none */
	unsigned       flags;	/* WEIR_OFF | ... */

	/* WEIR_OWN: reads text into value (block + offset): the text without the
	 * quotes around it; with WEIR_WORDS, as it is written. Returns NULL, or a
	 * phrase that completes «key = text: …». Memory: weir_scope_alloc. */
	const char  *(*parse)(struct weir_scope *, const char *text, void *value);

	const char    *syntax;	/* what may stand there; NULL: the type says it */
	const char    *help;	/* one line */
};

/* ------------------------------------------------------- a session's hooks */

enum weir_verdict {
	WEIR_GO_ON,	/* read on */
	WEIR_WAIT,	/* weir_relay has taken over: return what it returned */
	WEIR_CLOSE,	/* close, once all that was sent is on its way */
};

struct weir_protocol {
	/* The client is connected, nothing has been read. NULL: GO_ON. */
	enum weir_verdict (*open)(struct weir_session *);

	/* Bytes from the client, always all that are there: what weir_keep
	 * kept comes first. What is neither used nor kept is gone. */
	enum weir_verdict (*data)(struct weir_session *, struct weir_span in);

	/* The client will send no more. What was kept is gone after this. Last
	 * words may be sent, or the session relayed; otherwise it is closed
	 * once all is sent. */
	enum weir_verdict (*eof)(struct weir_session *);

	/* The last call for this session, whatever ended it. */
	void              (*close)(struct weir_session *);

	unsigned            needs;	/* WEIR_NEEDS_* */

	/* Since 1.4: its sessions go on in another worker, when those of a new configuration
	 * take over. state_version says which form of its state that is, and is changed with
	 * it: 0, and the sessions of a module that has a state stay where they are. No hook
	 * of the session runs here any more, `close` included, or there for the first time,
	 * `open` included.
	 * suspend writes what the state means, WEIR_SUSPENDED_MAX bytes at most, and returns
	 * how many; it may be called several times, and the session go on here all the same.
	 * resume reads that into the zeroed state; false: it cannot, and the session ends
	 * without another hook.
	 * NULL, both of them: the state has no pointers, and is copied. */
	uint32_t            state_version;
	size_t            (*suspend)(struct weir_session *, char *out);
	bool              (*resume)(struct weir_session *, struct weir_span state);
};

#define WEIR_SUSPENDED_MAX 4096u

enum {
	WEIR_NEEDS_UPSTREAM = 1 << 0,	/* a server of this protocol must name an upstream */
};

/* ----------------------------------------------------- requests and replies */

/*
 * A protocol of framed requests and replies says where messages begin and end;
 * whose reply is whose, pooled connections, limits, timeouts and failures are
 * weir's. Replies come in the order of the requests.
 *
 * Parsers see bytes and settings, never a session: the client whose reply is
 * parsed may be gone. They are pure functions of their arguments.
 */
enum weir_parse {
	WEIR_MORE,	/* the message is not whole yet, and its length not known */
	WEIR_WHOLE,	/* it begins the span; weir_message says what it is */
	WEIR_MALFORMED,	/* this is not the protocol, or it is beyond a bound */
};

/* What a parser has found at the beginning of `in`. */
struct weir_message {
	/* Bytes of the whole message, its end included; at least 1. It may exceed
	 * what is here: a request is then waited for, up to the server's
	 * read_buffer; the rest of a reply is passed on as it comes. */
	uint64_t length;

	/* Of a request: the module's own; reply, failure and advise are told it again. */
	uint32_t kind;

	/* Of a request: how many replies it has. 1 before the call; 0: none. */
	uint8_t  replies;

	/* Of a request, if its exchange is keyed: what it is about, a part of `in` within
	 * the message. Where the balancer goes by keys (balance = hash key) those with
	 * equal keys go to the same peer, whoever asks, and others of the client
	 * elsewhere: replies come in order all the same. Empty: it has none. Since 1.5. */
	struct weir_span key;
};

/* Why a request has no reply. */
enum weir_failure {
	WEIR_FAILED_NO_PEER,		/* the upstream has none that may be used */
	WEIR_FAILED_CONNECT,		/* connecting, all in vain */
	WEIR_FAILED_POOL_QUEUE,		/* pool_queue others wait already */
	WEIR_FAILED_POOL_WAIT,		/* it has waited for pool_wait */
	WEIR_FAILED_REPLY_TIMEOUT,	/* the peer has not answered in time */
	WEIR_FAILED_PEER_CLOSED,	/* the connection ended before the reply */
	WEIR_FAILED_BAD_REPLY,		/* what came is no reply */
	WEIR_FAILED_NO_MEMORY,
	WEIR_FAILED_SHUTDOWN,		/* the worker has to end before the reply. Since 1.4 */
	WEIR_FAILURES
};

struct weir_exchange {
	/* conf: the module's block in the client's server. mem: mem_size bytes,
	 * zeroed when a message begins, kept while it grows. */
	enum weir_parse  (*request)(const void *conf, void *mem, struct weir_span in,
	    struct weir_message *);
	enum weir_parse  (*reply)(const void *conf, void *mem, uint32_t kind, struct weir_span in,
	    struct weir_message *);

	/* What a client is told in place of the reply: bytes that live as long as
	 * the configuration. Empty, or a null pointer here: it is closed. */
	struct weir_span (*failure)(const void *conf, uint32_t kind, enum weir_failure);

	/* A parser's memory for each client and each connection to a peer, at
	 * most WEIR_PARSER_MEMORY: so that nothing has to be scanned twice. */
	size_t             mem_size;

	/* For the log, at most once a minute: what its reader should know of a request
	 * of this kind that is malformed, or has no reply. A phrase of at most `size`
	 * bytes with its end; text is empty before the call, and may stay so. NULL: not
	 * called. Since 1.3. */
	void             (*advise)(const void *conf, uint32_t kind, char *text, size_t size);

	/* Whether requests may have keys (weir_message). Since 1.5. */
	bool               keyed;
};

#define WEIR_PARSER_MEMORY 32u

/* ------------------------------------------------------- a balancer's hooks */

enum weir_outcome {
	WEIR_REQUEST_ANSWERED,
	WEIR_REQUEST_FAILED,	/* the connection ended, or its reply was none or too late */
};

struct weir_balancer {
	size_t upstream_size;	/* zeroed memory for each upstream in each worker */
	size_t peer_size;	/* and for each peer */

	/* Right before the first pick in a worker, and before all that follows here but
	 * `words`; and whenever the set of peers has changed. NULL: not called. */
	void              (*change)(struct weir_upstream *);

	/* One of the peers for which weir_peer_usable says yes, or NULL when
	 * there is none. */
	struct weir_peer *(*pick)(struct weir_upstream *, const struct weir_attempt *);

	/* What became of a request that was sent to the peer, and how many
	 * microseconds it took (as of the passes of the event loop that saw its
	 * beginning and end). Since 1.5 also of connecting a session of weir_relay
	 * to it, and FAILED of a connection for requests that could not be made.
	 * NULL: not called. Since 1.2. */
	void              (*done)(struct weir_peer *, enum weir_outcome, uint64_t microseconds);

	/* The rest since 1.5. */

	/* In the template: the words behind the name in `balance = NAME WORD ...`, to
	 * be taken apart with weir_word; empty when there are none. Values are there,
	 * `check` comes later. Returns NULL, or a phrase that says what is wrong. NULL:
	 * words are an error. */
	const char       *(*words)(struct weir_scope *, char *words);

	/* weir_peer_share has been `before`, and is another now. NULL: not called. */
	void              (*share)(struct weir_peer *, uint32_t before);

	/* weir_peer_in_flight has changed. NULL: not called. */
	void              (*load)(struct weir_peer *);

	/* A request has a peer of its own: weir_peer_usable says yes of one whose links are
	 * all busy, and the request that is given it waits for them, at most pool_wait. */
	bool               waits;
};

/* weir_peer_share of a peer with a weight of 1. */
#define WEIR_SHARE_ONE 1024u

/* ------------------------------------------------------------------ module */

/* The role of a module shows in the pointers it sets; a null pointer is not
 * called. */
struct weir_module {
	const char                 *name;	/* as in protocol = NAME, balance = NAME */
	const struct weir_key      *keys;	/* ends with a name of NULL */
	size_t                      conf_size;	/* of its block in each scope that has its keys */
	size_t                      state_size;	/* of its part of a session; zeroed */

	/* For each scope that uses the module, when all values are there.
	 * Returns NULL, or a phrase that says what is wrong. */
	const char               *(*check)(struct weir_scope *);

	const struct weir_protocol *protocol;	/* a protocol has either this … */
	const struct weir_balancer *balancer;
	const struct weir_exchange *exchange;	/* … or this */
};

/* ------------------------------------------------------- what a module calls */

/* Sends to the client: when the hook returns, or when the client can take it.
 * The bytes are copied, but for a part of `in`, which must not be changed any
 * more. Returns GO_ON, or CLOSE when the client is gone: a
 * verdict that a hook may return as it is. */
enum weir_verdict weir_send(struct weir_session *, struct weir_span);

/* In data: keeps the rest (the end) of `in`, to be given again with what comes
 * behind it. read_timeout runs from here until data leaves nothing kept. Returns
 * GO_ON, or CLOSE when there is no memory, or no room for more in read_buffer
 * (the message is too long for this server). */
enum weir_verdict weir_keep(struct weir_session *, struct weir_span rest);

/* Connects the session to a peer of the upstream and carries bytes both ways
 * from now on, `first` (may be empty) before all others. No hook but close is
 * called any more. Once, from open, data or eof. Returns WAIT, or CLOSE. */
enum weir_verdict weir_relay(struct weir_session *, struct weir_upstream *, struct weir_span first);

/* The upstream that the session's server names, or NULL. */
struct weir_upstream *weir_session_upstream(const struct weir_session *);

/* The module's part of the session: state_size bytes. */
void *weir_state(struct weir_session *);

/* The calling module's block in the session's server, as configured. */
const void *weir_conf(const struct weir_session *);

/* A number that no other session of this weir has or had. */
uint64_t weir_session_id(const struct weir_session *);

/* In check and parse: the module's block in this scope, still writable. */
void *weir_scope_conf(struct weir_scope *, const struct weir_module *);

/* The section's name: NAME of [server NAME]. */
const char *weir_scope_name(const struct weir_scope *);

/* In check, of a [server]: the read_buffer of the section, in bytes. */
uint64_t weir_scope_read_buffer(struct weir_scope *);

/* In parse and check: zeroed memory that lives as long as the configuration.
 * Never NULL: without memory, loading ends with an error. */
void *weir_scope_alloc(struct weir_scope *, size_t);

/* In parse, of a WEIR_WORDS key, and in words: the next word of a copy of the text, without its
 * quotes, cut off in place; *text moves behind it. NULL: there is no further one. */
char *weir_word(char **text);

/* For balancers: peers are numbered from 0 to count - 1. turn: a number that is
 * another in each worker and after each reload, for where to begin (since 1.2). */
unsigned          weir_upstream_peers(const struct weir_upstream *);
struct weir_peer *weir_upstream_peer(const struct weir_upstream *, unsigned index);
unsigned          weir_upstream_turn(const struct weir_upstream *);
void             *weir_upstream_memory(struct weir_upstream *);
void             *weir_peer_memory(struct weir_peer *);
unsigned          weir_peer_weight(const struct weir_peer *);	/* as configured, to 65535, or 0 */

/* The rest since 1.5. Whether peers come and go while weir runs: a number is a place then, which
 * may be empty: its weight is 0 and weir_peer_usable says no. `change` tells when that is
 * another, and at the end, when all weights are 0: let go of what was made of them. In check
 * none is there yet but those that stay. */
bool weir_upstream_varies(const struct weir_upstream *);

/* In check, of an [upstream]: it, with its peers. */
struct weir_upstream *weir_scope_upstream(struct weir_scope *);

/* The balancer's block in the section, as configured. */
const void *weir_upstream_conf(const struct weir_upstream *);

/* What a peer is: whose, its number, "192.0.2.1:6379", whether `backup`. */
struct weir_upstream *weir_peer_upstream(const struct weir_peer *);
unsigned              weir_peer_index(const struct weir_peer *);
const char           *weir_peer_name(const struct weir_peer *);
bool                  weir_peer_backup(const struct weir_peer *);

/* What the peer is to get now: its weight times WEIR_SHARE_ONE, less while slow_start
 * lasts; 0: nothing. The same in all workers. */
uint32_t weir_peer_share(const struct weir_peer *);

/* What this worker has under way with the peer: sessions that are connected to it, or
 * about to be, and requests without a reply. */
uint32_t weir_peer_in_flight(const struct weir_peer *);

/*
 * Peers in an order, so that a pick need not look at all of them. A peer's rank is what
 * the balancer last said, 0 at first. weir_upstream_first: the usable peer with the
 * lowest rank, of equal ones the one that has waited longest since it was given; in each
 * worker another is given first. weir_upstream_draw: a usable peer, as `at`, a number
 * of 64 random or hashed bits, says, each with a likelihood in proportion to its share.
 * NULL: none is usable. Each costs a step for each doubling of the number of peers.
 */
void              weir_peer_rank(struct weir_peer *, uint64_t rank);
struct weir_peer *weir_upstream_first(struct weir_upstream *, const struct weir_attempt *);
struct weir_peer *weir_upstream_draw(struct weir_upstream *, const struct weir_attempt *,
    uint64_t at);

/* Milliseconds of CLOCK_MONOTONIC, the same throughout a pass of the event loop. */
uint64_t weir_now(void);

/* The client's address: 4 bytes, or 16 of IPv6, in network order; none of a UNIX socket. */
struct weir_span weir_attempt_client(const struct weir_attempt *);

/* The request's key; empty where there is none, and for sessions that are relayed. */
struct weir_span weir_attempt_key(const struct weir_attempt *);

/* In words: the balancer goes by keys. A server whose protocol has none is an error. */
void weir_scope_want_keys(struct weir_scope *);

/* Whether this attempt may go to the peer: it is not down, not failed, not
 * full, not tried before, and a backup only when no other peer is left. */
bool weir_peer_usable(const struct weir_peer *, const struct weir_attempt *);

enum weir_level {
	WEIR_ALERT,	/* our bug, or a resource lost */
	WEIR_ERROR,	/* the operator must act */
	WEIR_WARN,	/* degraded */
	WEIR_NOTICE,	/* life of the processes */
	WEIR_INFO,	/* life of sessions, faults of clients and peers */
	WEIR_DEBUG,
};

/* One line in the error log; who is concerned (session, server, upstream) is
 * added by weir. No newline at the end. */
void weir_log(enum weir_level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --------------------------------------------------------------------- ABI */

/*
 * Modules built for another WEIR_ABI_MAJOR are refused. Within one major the
 * structs above only grow at their ends, and weir reads nothing of a module
 * beyond the sizes it was built with.
 */
#define WEIR_ABI_MAGIC 0x7765697231000000u	/* "weir1" */
#define WEIR_ABI_MAJOR 1
#define WEIR_ABI_MINOR 5

struct weir_abi {
	uint64_t                  magic;
	uint32_t                  size;		/* of this struct */
	uint16_t                  major;
	uint16_t                  minor;
	uint32_t                  module_size;
	uint32_t                  key_size;
	uint32_t                  protocol_size;
	uint32_t                  balancer_size;
	const struct weir_module *module;
	uint32_t                  exchange_size;	/* since 1.1 */
};

#ifdef WEIR_BUILTIN
#define WEIR_MODULE(m) extern const struct weir_module m
#else
#define WEIR_MODULE(m)                                                         \
	__attribute__((visibility("default"))) extern const struct weir_abi weir_abi; \
	const struct weir_abi weir_abi = {                                     \
		.magic         = WEIR_ABI_MAGIC,                               \
		.size          = sizeof(struct weir_abi),                      \
		.major         = WEIR_ABI_MAJOR,                               \
		.minor         = WEIR_ABI_MINOR,                               \
		.module_size   = sizeof(struct weir_module),                   \
		.key_size      = sizeof(struct weir_key),                      \
		.protocol_size = sizeof(struct weir_protocol),                 \
		.balancer_size = sizeof(struct weir_balancer),                 \
		.module        = &(m),                                         \
		.exchange_size = sizeof(struct weir_exchange),                 \
	}
#endif

#ifdef __cplusplus
}
#endif

#endif
