/* SPDX-License-Identifier: BSD-2-Clause */
/* module: modules that are loaded: their ABI, copies of their structs, what they are. */
#include "conf/module.h"

#include <sys/stat.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "conf/ini.h"
#include "conf/type.h"
#include "conf/word.h"

#define KEYS_MAX      1000u		/* of one module: beyond, its table has no end */
#define CONF_SIZE_MAX (1u << 20)
#define STATE_SIZE_MAX (1u << 16)

/* Full structs, for one that was built with shorter ones. */
struct module_copy {
	struct weir_module   module;
	struct weir_protocol protocol;
	struct weir_balancer balancer;
	struct weir_exchange exchange;
	char                *path;
	struct weir_key      keys[];
};

static int         module_open(struct module *, const char *path, char *error, size_t size);
static const char *module_file_fault(const char *path, uint64_t size);
static const char *module_dl_fault(const char *path, char *error, size_t size);
static const char *module_abi_fault(const struct weir_abi *);
static uint32_t    module_abi_exchange_size(const struct weir_abi *);
static int         module_abi_check(const struct weir_abi *, const char *path, char *error,
    size_t size);
static const struct weir_key *module_abi_key(const struct weir_abi *, const struct weir_key *,
    size_t i);
static struct module_copy *module_make_copy(const struct weir_abi *, const char *path, char *error,
    size_t size);
static const char *module_exchange_fault(const struct weir_exchange *);
static const char *module_key_fault(const struct weir_module *, const struct weir_key *,
    char *error, size_t size);
static bool        module_is_name(const char *);
static void        module_print_key(const struct weir_key *, FILE *);
static void        module_print_state(const struct weir_protocol *, FILE *);

void
module_builtin(struct module *m, const struct weir_module *builtin)
{
	*m = (struct module){
		.module = builtin,
		.own = builtin,
		.major = WEIR_ABI_MAJOR,
		.minor = WEIR_ABI_MINOR,
	};
}

int
module_load(struct module *m, const char *file, const char *dir, char *error, size_t size)
{
	const struct weir_abi *abi;
	char                   fault[256], *path;

	*m = (struct module){ 0 };
	if (strchr(file, '/') != NULL)
		path = strdup(file);
	else if (asprintf(&path, "%s/%s", dir, file) < 0)
		path = NULL;
	if (path == NULL) {
		snprintf(error, size, "%s", strerror(ENOMEM));
		return -1;
	}
	if (module_open(m, path, error, size) < 0)
		goto fail;
	abi = dlsym(m->handle, "weir_abi");
	if (abi == NULL) {
		snprintf(error, size,
		    "%s: not a weir module: it has no weir_abi; its source ends with WEIR_MODULE()",
		    path);
		goto fail;
	}
	if (module_abi_check(abi, path, error, size) < 0)
		goto fail;
	m->copy = module_make_copy(abi, path, error, size);
	if (m->copy == NULL)
		goto fail;
	if (module_fault(&m->copy->module, fault, sizeof fault) != NULL) {
		snprintf(error, size, "%s: %s", path, fault);
		goto fail;
	}
	m->module = &m->copy->module;
	m->own = abi->module;
	m->path = m->copy->path = path;
	m->major = abi->major;
	m->minor = abi->minor;
	return 0;
fail:
	free(path);
	module_unload(m);
	return -1;
}

void
module_unload(struct module *m)
{
	if (m->copy != NULL)
		free(m->copy->path);
	free(m->copy);
	if (m->handle != NULL)
		dlclose(m->handle);
	*m = (struct module){ 0 };
}

const char *
module_fault(const struct weir_module *m, char *error, size_t size)
{
	const struct weir_key *k;
	const char            *wrong;

	if (m->name == NULL || !module_is_name(m->name))
		snprintf(error, size, "module: no good name; letters, digits and _ - . make one");
	else if (m->conf_size > CONF_SIZE_MAX || m->state_size > STATE_SIZE_MAX)
		snprintf(error, size, "module %s: conf_size or state_size is too large", m->name);
	else if (m->balancer != NULL && m->balancer->pick == NULL)
		snprintf(error, size, "module %s: a balancer needs pick", m->name);
	else if (m->protocol != NULL && m->exchange != NULL)
		snprintf(error, size,
		    "module %s: it has a protocol and an exchange; keep one of them", m->name);
	else if (m->exchange != NULL && (wrong = module_exchange_fault(m->exchange)) != NULL)
		snprintf(error, size, "module %s: %s", m->name, wrong);
	else {
		for (k = m->keys; k != NULL && k->name != NULL; k++)
			if (module_key_fault(m, k, error, size) != NULL)
				return error;
		return NULL;
	}
	return error;
}

void
module_print(const struct module *m, FILE *out)
{
	const struct weir_module *w = m->module;
	const struct weir_key    *k;

	fprintf(out, "module     %s\n", w->name);
	fprintf(out, "file       %s\n", m->path != NULL ? m->path : "(built in)");
	fprintf(out, "abi        %u.%u\n", m->major, m->minor);
	fprintf(out, "roles     %s%s%s%s\n", w->protocol != NULL ? " protocol" : "",
	    w->exchange != NULL ? " protocol (exchange)" : "",
	    w->balancer != NULL ? " balancer" : "",
	    w->protocol == NULL && w->exchange == NULL && w->balancer == NULL ? " none" : "");
	if (w->exchange != NULL)
		fprintf(out, "upstream   needed\n");
	else if (w->protocol != NULL)
		fprintf(out, "upstream   %s\n",
		    w->protocol->needs & WEIR_NEEDS_UPSTREAM ? "needed" : "not needed");
	fprintf(out, "memory     %zu bytes in each session, %zu in each section\n", w->state_size,
	    w->conf_size);
	if (w->balancer != NULL)
		fprintf(out, "           %zu bytes for each upstream, %zu for each peer\n",
		    w->balancer->upstream_size, w->balancer->peer_size);
	if (w->exchange != NULL)
		fprintf(out, "           %zu bytes for each parser\n", w->exchange->mem_size);
	if (w->protocol != NULL && w->exchange == NULL && w->state_size > 0)
		module_print_state(w->protocol, out);
	if (w->keys == NULL || w->keys->name == NULL) {
		fprintf(out, "keys       none\n");
		return;
	}
	fprintf(out, "keys\n");
	for (k = w->keys; k->name != NULL; k++)
		module_print_key(k, out);
}

/* What becomes of its sessions at a reload. */
static void
module_print_state(const struct weir_protocol *p, FILE *out)
{
	if (p->state_version == 0)
		fprintf(out, "state      stays in its worker\n");
	else
		fprintf(out, "state      form %u, moves to new workers\n", p->state_version);
}

/* Returns 0, or -1 with a sentence in error. */
static int
module_open(struct module *m, const char *path, char *error, size_t size)
{
	const char *wrong;
	struct stat st;

	/* dlopen opens what it is told to: a FIFO would keep it waiting. */
	if (stat(path, &st) < 0) {
		snprintf(error, size, "%s: %s%s", path, strerror(errno),
		    errno == ENOENT ? "; names without / are of the module directory" : "");
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(error, size, "%s: not a weir module: it is not a regular file", path);
		return -1;
	}
	wrong = module_file_fault(path, (uint64_t)st.st_size);
	if (wrong != NULL) {
		snprintf(error, size, "%s: not a weir module: %s", path, wrong);
		return -1;
	}
	m->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (m->handle == NULL) {
		module_dl_fault(path, error, size);
		return -1;
	}
	return 0;
}

/*
 * dlopen trusts the headers of a file: of one that was cut in half it maps what
 * is not there, and dies of SIGBUS. Returns NULL, or what is wrong.
 */
static const char *
module_file_fault(const char *path, uint64_t size)
{
	const char *wrong = NULL;
	ElfW(Ehdr) head;
	ElfW(Phdr) segment;
	unsigned i;
	FILE *f;

	f = fopen(path, "re");
	if (f == NULL)
		return strerror(errno);
	if (fread(&head, sizeof head, 1, f) != 1 || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
		wrong = "it is no shared object";
	else if (head.e_phentsize != sizeof segment)
		wrong = "it is for another machine";
	else if (fseek(f, (long)head.e_phoff, SEEK_SET) < 0)
		wrong = strerror(errno);
	for (i = 0; wrong == NULL && i < head.e_phnum; i++)
		if (fread(&segment, sizeof segment, 1, f) != 1 ||
		    (segment.p_type == PT_LOAD &&
			(segment.p_offset > size || segment.p_filesz > size - segment.p_offset)))
			wrong = "its end is missing; copy it again";
	fclose(f);
	return wrong;
}

/* Turns what dlerror(3) says into what is to be done. */
static const char *
module_dl_fault(const char *path, char *error, size_t size)
{
	static const char missing[] = "undefined symbol: ";
	const char       *said = dlerror(), *symbol;
	size_t            length = strlen(path);

	if (said == NULL)
		said = "dlopen failed";
	symbol = strstr(said, missing);
	if (symbol != NULL) {
		symbol += strlen(missing);
		snprintf(error, size,
		    "%s: it needs %.*s, which this weir does not have; build it again with the "
		    "weir.h of this one",
		    path, (int)strcspn(symbol, " \t(,"), symbol);
		return error;
	}
	if (strncmp(said, path, length) == 0 && strncmp(said + length, ": ", 2) == 0)
		said += length + 2;
	if (strstr(said, "ELF") != NULL || strstr(said, "file too short") != NULL)
		snprintf(error, size, "%s: not a weir module: %s", path, said);
	else
		snprintf(error, size, "%s: cannot be loaded: %s", path, said);
	return error;
}

static int
module_abi_check(const struct weir_abi *abi, const char *path, char *error, size_t size)
{
	const char *wrong = module_abi_fault(abi);

	if (wrong == NULL)
		return 0;
	if (abi->magic != WEIR_ABI_MAGIC)
		snprintf(error, size, "%s: %s", path, wrong);
	else
		snprintf(error, size, "%s: %s (ABI %d.%d; this weir has %d.%d)", path,
		    wrong, abi->major, abi->minor, WEIR_ABI_MAJOR, WEIR_ABI_MINOR);
	return -1;
}

/* Nothing is read beyond what has been checked. Returns NULL, or a phrase. */
static const char *
module_abi_fault(const struct weir_abi *abi)
{
	if (abi->magic != WEIR_ABI_MAGIC)
		return "not a weir module: its weir_abi is something else";
	if (abi->major != WEIR_ABI_MAJOR)
		return "built for another weir; build it again with the weir.h of this one";
	if (abi->size < offsetof(struct weir_abi, exchange_size))	/* 1.0 had no more */
		return "not a weir module: its weir_abi is cut short";
	if (abi->size > sizeof *abi || abi->module_size > sizeof(struct weir_module) ||
	    abi->key_size > sizeof(struct weir_key) ||
	    abi->protocol_size > sizeof(struct weir_protocol) ||
	    abi->balancer_size > sizeof(struct weir_balancer) ||
	    module_abi_exchange_size(abi) > sizeof(struct weir_exchange))
		return "built for a newer weir; build it again with the weir.h of this one";
	if (abi->module == NULL || abi->module_size == 0 || abi->key_size == 0)
		return "not a weir module: its weir_abi names no module";
	return NULL;
}

/* The record itself grows at its end, too. */
static uint32_t
module_abi_exchange_size(const struct weir_abi *abi)
{
	return abi->size >= sizeof *abi ? abi->exchange_size : 0;
}

/* The module's i-th key, in a table of its own stride; NULL: the table is over. */
static const struct weir_key *
module_abi_key(const struct weir_abi *abi, const struct weir_key *keys, size_t i)
{
	const struct weir_key *k;

	if (keys == NULL)
		return NULL;
	k = (const void *)((const char *)keys + i * abi->key_size);
	return k->name != NULL ? k : NULL;
}

/* What its structs are too short for is zero. */
static struct module_copy *
module_make_copy(const struct weir_abi *abi, const char *path, char *error, size_t size)
{
	struct weir_module  module = { 0 };
	struct module_copy *copy;
	size_t              n = 0, i;

	memcpy(&module, abi->module, abi->module_size);
	while (n < KEYS_MAX && module_abi_key(abi, module.keys, n) != NULL)
		n++;
	if (n == KEYS_MAX) {
		snprintf(error, size, "%s: its keys have no end; end the table with { 0 }", path);
		return NULL;
	}
	copy = calloc(1, sizeof *copy + (n + 1) * sizeof(struct weir_key));
	if (copy == NULL) {
		snprintf(error, size, "%s", strerror(ENOMEM));
		return NULL;
	}
	copy->module = module;
	for (i = 0; i < n; i++)
		memcpy(&copy->keys[i], module_abi_key(abi, module.keys, i), abi->key_size);
	copy->module.keys = copy->keys;
	if (module.protocol != NULL) {
		memcpy(&copy->protocol, module.protocol, abi->protocol_size);
		copy->module.protocol = &copy->protocol;
	}
	if (module.balancer != NULL) {
		memcpy(&copy->balancer, module.balancer, abi->balancer_size);
		copy->module.balancer = &copy->balancer;
	}
	if (module.exchange != NULL) {
		memcpy(&copy->exchange, module.exchange, module_abi_exchange_size(abi));
		copy->module.exchange = &copy->exchange;
	}
	return copy;
}

static const char *
module_exchange_fault(const struct weir_exchange *x)
{
	if (x->request == NULL || x->reply == NULL)
		return "an exchange needs request and reply";
	if (x->mem_size > WEIR_PARSER_MEMORY)
		return "its mem_size is more than WEIR_PARSER_MEMORY";
	return NULL;
}

static const char *
module_key_fault(const struct weir_module *m, const struct weir_key *k, char *error, size_t size)
{
	const unsigned everywhere = WEIR_IN_WEIR | WEIR_IN_SERVER | WEIR_IN_UPSTREAM | WEIR_IN_TLS;
	const unsigned known = WEIR_OFF | WEIR_AUTO | WEIR_REPEATED | WEIR_NOT_INHERITED |
	    WEIR_WORDS | WEIR_FRAMED;
	const char    *what = NULL;
	size_t         length;

	if (!module_is_name(k->name))
		what = "its name may hold letters, digits and _ - . only";
	else if (k->where == 0 || (k->where & ~everywhere) != 0)
		what = "it stands in no section that this weir knows";
	else if ((unsigned)k->type > WEIR_OWN)
		what = "its type is none that this weir knows";
	else if ((k->flags & ~known) != 0)
		what = "it has flags that this weir does not know";
	else if (k->type == WEIR_OWN && k->parse == NULL)
		what = "it needs parse";
	else if (k->type != WEIR_OWN && (k->flags & (WEIR_REPEATED | WEIR_WORDS)) != 0)
		what = "only a key with parse can be repeated, or a list";
	else if (k->initial != NULL &&
	    (word_fault(k->initial, &length) != NULL || k->initial[length] != '\0'))
		what = "its default is no value that a file could have";
	else if (k->offset > m->conf_size || type_size(k->type) > m->conf_size - k->offset ||
	    k->offset >= m->conf_size)
		what = "its offset is beyond conf_size";
	if (what == NULL)
		return NULL;
	snprintf(error, size, "module %s, key %.60s: %s", m->name, k->name, what);
	return error;
}

static bool
module_is_name(const char *name)
{
	size_t length = strnlen(name, INI_NAME_MAX + 1);

	return length > 0 && length <= INI_NAME_MAX &&
	    strspn(name, INI_NAME_BYTES) == length;
}

static void
module_print_key(const struct weir_key *k, FILE *out)
{
	char syntax[TYPE_TEXT_MAX], bounds[TYPE_TEXT_MAX];

	fprintf(out, "  %s", k->name);
	fprintf(out, " = %s%s", k->initial != NULL ? k->initial : "",
	    k->flags & WEIR_REPEATED ? "   (+)" : "");
	fprintf(out, "\n      in%s%s%s%s: %s%s%s\n", k->where & WEIR_IN_WEIR ? " [weir]" : "",
	    k->where & WEIR_IN_SERVER ? " [server]" : "",
	    k->where & WEIR_IN_UPSTREAM ? " [upstream]" : "",
	    k->where & WEIR_IN_TLS ? " [tls]" : "", type_syntax(k, syntax),
	    *type_bounds(k, bounds) != '\0' ? ", " : "", bounds);
	if (k->help != NULL)
		fprintf(out, "      %s\n", k->help);
}
