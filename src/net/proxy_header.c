/* SPDX-License-Identifier: BSD-2-Clause */
/* proxy_header: reads and writes headers of the PROXY protocol, versions 1 and 2. */
#include "net/proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define V1_MAX     107u		/* bytes of the longest line, with its CRLF */
#define V2_FIXED   16u		/* before the addresses */
#define V2_INET    12u		/* both addresses and ports */
#define V2_INET6   36u
#define V2_PATH    108u		/* one UNIX address */
#define TLV_HEAD   3u
#define ID_MAX     128u
#define TLS_HEAD   5u		/* `client` and `verify` */

static const char v1_start[] = { 'P', 'R', 'O', 'X', 'Y', ' ' };
static const char v2_start[] = { '\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T',
	'\n' };

enum v2_command { V2_LOCAL = 0x20, V2_PROXY = 0x21 };	/* with the version, 2 */
enum v2_family { V2_UNSPEC = 0x00, V2_TCP4 = 0x11, V2_TCP6 = 0x21, V2_UNIX = 0x31 };

enum tlv_type {
	TLV_ALPN        = 0x01,
	TLV_AUTHORITY   = 0x02,
	TLV_CRC32C      = 0x03,
	TLV_UNIQUE_ID   = 0x05,
	TLV_TLS         = 0x20,
	TLV_TLS_VERSION = 0x21,
	TLV_TLS_NAME    = 0x22,
	TLV_TLS_CIPHER  = 0x23,
};

enum tls_client { TLS_CLIENT = 0x01, TLS_CERT_CONN = 0x02, TLS_CERT_SESS = 0x04 };

/* What is being written. */
struct writer {
	uint8_t *out;
	size_t   len;
};

static enum proxy_header_state header_malformed(struct proxy_header *, const char *why);
static bool header_begins(struct weir_span in, const char *start, size_t size);
static enum proxy_header_state header_parse_v1(struct weir_span in, struct proxy_header *);
static const char *header_parse_line(char *line, struct proxy_header *);
static const char *header_parse_address(int family, const char *ip, const char *port,
    struct addr_packed *);
static enum proxy_header_state header_parse_v2(struct weir_span in, struct proxy_header *);
static size_t header_parse_addresses(uint8_t kind, const uint8_t *at, size_t len,
    struct proxy_header *);
static const char *header_check_tlvs(const uint8_t *header, const uint8_t *at, size_t len);
static const char *header_check_tlv(uint8_t type, const uint8_t *value, size_t len);
static bool header_check_tls(const uint8_t *at, size_t len);
static uint32_t header_checksum(const uint8_t *header, size_t len, const uint8_t *field);
static void header_pack(struct addr_packed *, int family, const void *ip, uint16_t port);
static size_t header_write_v1(const struct proxy_header_facts *, char *out);
static size_t header_write_v2(const struct proxy_header_facts *, char *out);
static void header_write_tls(struct writer *, const struct proxy_header_tls *);
static int header_family(const struct proxy_header_facts *);
static void header_ip6(const struct addr_packed *, uint8_t ip[16]);

enum proxy_header_state
proxy_header_parse(struct weir_span in, struct proxy_header *h)
{
	*h = (struct proxy_header){ .length = V1_MAX };
	if (in.len == 0)
		return PROXY_HEADER_MORE;
	if (header_begins(in, v2_start, sizeof v2_start))
		return header_parse_v2(in, h);
	if (header_begins(in, v1_start, sizeof v1_start))
		return header_parse_v1(in, h);
	return header_malformed(h, "what the client sends first is no PROXY header");
}

size_t
proxy_header_write(enum proxy_version version, const struct proxy_header_facts *facts,
    char out[PROXY_HEADER_OUT_MAX])
{
	if (version == PROXY_V1)
		return header_write_v1(facts, out);
	return version == PROXY_V2 ? header_write_v2(facts, out) : 0;
}

/* ------------------------------------------------------------------- reading */

static enum proxy_header_state
header_malformed(struct proxy_header *h, const char *why)
{
	*h = (struct proxy_header){ .wrong = why };
	return PROXY_HEADER_MALFORMED;
}

/* As far as there are bytes. */
static bool
header_begins(struct weir_span in, const char *start, size_t size)
{
	return memcmp(in.data, start, in.len < size ? in.len : size) == 0;
}

/* A line that ends in CRLF and nothing else, within 107 bytes. */
static enum proxy_header_state
header_parse_v1(struct weir_span in, struct proxy_header *h)
{
	char        line[V1_MAX + 1];
	size_t      most = in.len < V1_MAX ? in.len : V1_MAX, len = 0;
	const char *wrong;

	while (len < most && in.data[len] != '\r' && in.data[len] != '\n' && in.data[len] != '\0')
		len++;
	if (len + 1 < most && in.data[len] == '\r' && in.data[len + 1] == '\n')
		h->length = len + 2;
	else if (most < V1_MAX && (len == most || (in.data[len] == '\r' && len + 1 == most)))
		return PROXY_HEADER_MORE;
	else
		return header_malformed(h,
		    len >= V1_MAX - 1 ? "the PROXY line is longer than 107 bytes"
				      : "the PROXY line does not end with CR LF");
	memcpy(line, in.data, len);
	line[len] = '\0';
	wrong = header_parse_line(line + sizeof v1_start, h);
	return wrong != NULL ? header_malformed(h, wrong) : PROXY_HEADER_WHOLE;
}

/* line: what stands behind "PROXY ". Each blank parts two words; there are none else. */
static const char *
header_parse_line(char *line, struct proxy_header *h)
{
	const char *word[4], *wrong, *kind = strsep(&line, " ");
	int         family;

	if (strcmp(kind, "UNKNOWN") == 0)
		return NULL;	/* whatever follows */
	if (strcmp(kind, "TCP4") == 0)
		family = AF_INET;
	else if (strcmp(kind, "TCP6") == 0)
		family = AF_INET6;
	else
		return "the PROXY line is of another family than TCP4, TCP6 and UNKNOWN";
	for (unsigned i = 0; i < 4; i++)
		if ((word[i] = strsep(&line, " ")) == NULL)
			return "the PROXY line has not an address and a port for each side";
	if (line != NULL)
		return "the PROXY line has more than an address and a port for each side";
	if ((wrong = header_parse_address(family, word[0], word[2], &h->from)) == NULL)
		wrong = header_parse_address(family, word[1], word[3], &h->to);
	h->stated = wrong == NULL;
	return wrong;
}

static const char *
header_parse_address(int family, const char *ip, const char *port, struct addr_packed *out)
{
	uint8_t  bytes[16];
	uint64_t number;

	/* It takes no leading zeros, either. */
	if (inet_pton(family, ip, bytes) != 1)
		return "the PROXY line has an address that is none of its family";
	if (!str_number(port, &number) || number > UINT16_MAX ||
	    (port[0] == '0' && port[1] != '\0'))
		return "the PROXY line has a port that is not a number from 0 to 65535";
	header_pack(out, family, bytes, (uint16_t)number);
	return NULL;
}

static uint16_t
header_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static enum proxy_header_state
header_parse_v2(struct weir_span in, struct proxy_header *h)
{
	const uint8_t *header = (const uint8_t *)in.data, *at;
	size_t         len, addresses;
	uint8_t        family, kind;
	const char    *wrong;

	h->length = V2_FIXED;
	if (in.len > sizeof v2_start && header[12] != V2_LOCAL && header[12] != V2_PROXY)
		return header_malformed(h, "the PROXY header is of another version than 1 and 2, "
		    "or its command is neither LOCAL nor PROXY");
	if (in.len < V2_FIXED)
		return PROXY_HEADER_MORE;
	family = header[13] >> 4;
	kind = header[13] & 0x0f;
	len = header_u16(header + 14);
	h->length = V2_FIXED + len;
	if (h->length > PROXY_HEADER_MAX)
		return header_malformed(h, "the PROXY header is longer than 16 KiB");
	if (header[12] == V2_PROXY && (family > V2_UNIX >> 4 || kind > 2))
		return header_malformed(h, "the PROXY header has an unknown address family");
	if (in.len < h->length)
		return PROXY_HEADER_MORE;
	/* What LOCAL says is to be ignored, and what stands in an unspecified one has no
	 * form that is known. */
	if (header[12] == V2_LOCAL || family == 0 || kind == 0)
		return PROXY_HEADER_WHOLE;
	at = header + V2_FIXED;
	addresses = header_parse_addresses(header[13], at, len, h);
	if (addresses == 0)
		return header_malformed(h, "the PROXY header is too short for its addresses");
	wrong = header_check_tlvs(header, at + addresses, len - addresses);
	return wrong != NULL ? header_malformed(h, wrong) : PROXY_HEADER_WHOLE;
}

/* Returns how many bytes they take; 0: there are too few. Those of datagrams are none
 * that a connection can have. */
static size_t
header_parse_addresses(uint8_t kind, const uint8_t *at, size_t len, struct proxy_header *h)
{
	size_t family = kind >> 4, ip = family == 1 ? 4 : 16, size = 2 * ip + 4;

	if (family == V2_UNIX >> 4)
		size = (size_t)2 * V2_PATH;
	if (len < size)
		return 0;
	h->stated = (kind & 0x0f) == 1;
	if (h->stated && family == V2_UNIX >> 4)
		h->from.family = h->to.family = AF_UNIX;
	else if (h->stated) {
		header_pack(&h->from, ip == 4 ? AF_INET : AF_INET6, at, header_u16(at + 2 * ip));
		header_pack(&h->to, ip == 4 ? AF_INET : AF_INET6, at + ip,
		    header_u16(at + 2 * ip + 2));
	}
	return size;
}

/* NULL, or what is wrong with what stands from `at` to the header's end. */
static const char *
header_check_tlvs(const uint8_t *header, const uint8_t *at, size_t len)
{
	const uint8_t *end = at + len, *crc = NULL;
	const char    *wrong;
	uint32_t       sum;
	size_t         size;

	for (; at < end; at += TLV_HEAD + size) {
		if ((size_t)(end - at) < TLV_HEAD)
			return "the PROXY header ends within an extension";
		size = header_u16(at + 1);
		if ((size_t)(end - at) - TLV_HEAD < size)
			return "the PROXY header has an extension that is longer than itself";
		if ((wrong = header_check_tlv(at[0], at + TLV_HEAD, size)) != NULL)
			return wrong;
		if (at[0] == TLV_CRC32C && crc != NULL)
			return "the PROXY header has two checksums";
		if (at[0] == TLV_CRC32C)
			crc = at + TLV_HEAD;
	}
	if (crc == NULL)
		return NULL;
	sum = (uint32_t)header_u16(crc) << 16 | header_u16(crc + 2);
	return header_checksum(header, (size_t)(end - header), crc) == sum
	    ? NULL
	    : "the PROXY header has a wrong checksum";
}

static const char *
header_check_tlv(uint8_t type, const uint8_t *value, size_t len)
{
	if (type == TLV_CRC32C && len != 4)
		return "the PROXY header has a checksum that is not of 4 bytes";
	if (type == TLV_UNIQUE_ID && len > ID_MAX)
		return "the PROXY header has a unique id of more than 128 bytes";
	if (type == TLV_TLS && !header_check_tls(value, len))
		return "the PROXY header has a broken extension about TLS";
	return NULL;
}

/* It holds extensions of its own. */
static bool
header_check_tls(const uint8_t *at, size_t len)
{
	const uint8_t *end = at + len;
	size_t         size;

	if (len < TLS_HEAD)
		return false;
	for (at += TLS_HEAD; at < end; at += TLV_HEAD + size) {
		if ((size_t)(end - at) < TLV_HEAD)
			return false;
		size = header_u16(at + 1);
		if ((size_t)(end - at) - TLV_HEAD < size)
			return false;
	}
	return true;
}

/* CRC-32C of RFC 4960, as if its own four bytes were 0: bits go in lowest first, four at
 * a time, by the remainders of the 16 values that these can have. */
static uint32_t
header_checksum(const uint8_t *header, size_t len, const uint8_t *field)
{
	static const uint32_t remainders[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	uint32_t              crc = UINT32_MAX;
	uint8_t               byte;

	for (size_t i = 0; i < len; i++) {
		byte = header + i >= field && header + i < field + 4 ? 0 : header[i];
		crc = crc >> 4 ^ remainders[(crc ^ byte) & 0x0f];
		crc = crc >> 4 ^ remainders[(crc ^ byte >> 4) & 0x0f];
	}
	return ~crc;
}

/* As of a socket: IPv4-mapped is IPv4. */
static void
header_pack(struct addr_packed *out, int family, const void *ip, uint16_t port)
{
	struct addr a;

	memset(&a, 0, sizeof a);
	a.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		a.in.sin_port = htons(port);
		memcpy(&a.in.sin_addr, ip, 4);
	} else {
		a.in6.sin6_port = htons(port);
		memcpy(&a.in6.sin6_addr, ip, 16);
	}
	addr_pack(out, &a);
}

/* ------------------------------------------------------------------- writing */

static size_t
header_write_v1(const struct proxy_header_facts *f, char *out)
{
	char    from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	uint8_t ip[16];
	int     family = header_family(f), n;

	if (family == AF_INET) {
		inet_ntop(AF_INET, f->from.ip, from, sizeof from);
		inet_ntop(AF_INET, f->to.ip, to, sizeof to);
	} else if (family == AF_INET6) {
		header_ip6(&f->from, ip);
		inet_ntop(AF_INET6, ip, from, sizeof from);
		header_ip6(&f->to, ip);
		inet_ntop(AF_INET6, ip, to, sizeof to);
	} else {
		n = snprintf(out, PROXY_HEADER_OUT_MAX, "PROXY UNKNOWN\r\n");
		return (size_t)n;
	}
	n = snprintf(out, PROXY_HEADER_OUT_MAX, "PROXY TCP%c %s %s %u %u\r\n",
	    family == AF_INET ? '4' : '6', from, to, f->from.port, f->to.port);
	return (size_t)n;
}

static void
writer_put(struct writer *w, const void *bytes, size_t len)
{
	memcpy(w->out + w->len, bytes, len);
	w->len += len;
}

static void
writer_put_u16(struct writer *w, size_t n)
{
	const uint8_t bytes[2] = { (uint8_t)(n >> 8), (uint8_t)n };

	writer_put(w, bytes, sizeof bytes);
}

/* What is empty, or does not fit, is left out. */
static void
writer_put_tlv(struct writer *w, enum tlv_type type, struct weir_span value)
{
	const uint8_t t = (uint8_t)type;

	if (value.len == 0 || w->len + TLV_HEAD + value.len > PROXY_HEADER_OUT_MAX)
		return;
	writer_put(w, &t, 1);
	writer_put_u16(w, value.len);
	writer_put(w, value.data, value.len);
}

static void
writer_put_text(struct writer *w, enum tlv_type type, const char *text)
{
	if (text != NULL)
		writer_put_tlv(w, type, span_of(text));
}

static size_t
header_write_v2(const struct proxy_header_facts *f, char *out)
{
	struct writer w = { (uint8_t *)out, 0 };
	uint8_t       start[2] = { V2_LOCAL, V2_UNSPEC }, ip[16];
	int           family = header_family(f);

	/* V2_UNIX is what the specification has for UNIX sockets, and what HAProxy (2.6 to
	 * 3.x) resets: it says LOCAL itself. */
	if (family == AF_INET || family == AF_INET6) {
		start[0] = V2_PROXY;
		start[1] = family == AF_INET ? V2_TCP4 : V2_TCP6;
	}
	writer_put(&w, v2_start, sizeof v2_start);
	writer_put(&w, start, sizeof start);
	writer_put_u16(&w, 0);
	if (family == AF_INET) {
		writer_put(&w, f->from.ip, 4);
		writer_put(&w, f->to.ip, 4);
	} else if (family == AF_INET6) {
		header_ip6(&f->from, ip);
		writer_put(&w, ip, sizeof ip);
		header_ip6(&f->to, ip);
		writer_put(&w, ip, sizeof ip);
	}
	if (family == AF_INET || family == AF_INET6) {
		writer_put_u16(&w, f->from.port);
		writer_put_u16(&w, f->to.port);
	}
	if (f->tls != NULL)
		header_write_tls(&w, f->tls);
	if (f->id.len <= ID_MAX)
		writer_put_tlv(&w, TLV_UNIQUE_ID, f->id);
	w.out[14] = (uint8_t)((w.len - V2_FIXED) >> 8);
	w.out[15] = (uint8_t)(w.len - V2_FIXED);
	return w.len;
}

static void
header_write_tls(struct writer *w, const struct proxy_header_tls *tls)
{
	uint8_t       inner[PROXY_HEADER_OUT_MAX] = { TLS_CLIENT, 0, 0, 0, 1 };
	struct writer in = { inner, TLS_HEAD };

	writer_put_tlv(w, TLV_ALPN, tls->protocol);
	writer_put_tlv(w, TLV_AUTHORITY, tls->server_name);
	if (tls->certificate) {
		inner[0] |= tls->resumed ? TLS_CERT_SESS : TLS_CERT_CONN | TLS_CERT_SESS;
		inner[4] = !tls->verified;
	}
	writer_put_text(&in, TLV_TLS_VERSION, tls->version);
	writer_put_text(&in, TLV_TLS_CIPHER, tls->cipher);
	writer_put_text(&in, TLV_TLS_NAME, tls->certificate ? tls->name : NULL);
	writer_put_tlv(w, TLV_TLS, span_make(inner, in.len));
}

/* That both addresses can be written in; 0: there is none. */
static int
header_family(const struct proxy_header_facts *f)
{
	uint8_t from = f->from.family, to = f->to.family;

	if (from == to)
		return from;
	return (from == AF_INET || from == AF_INET6) && (to == AF_INET || to == AF_INET6) ? AF_INET6
											  : 0;
}

static void
header_ip6(const struct addr_packed *a, uint8_t ip[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	memcpy(ip, a->ip, 16);
	if (a->family == AF_INET) {
		memcpy(ip, mapped, sizeof mapped);
		memcpy(ip + sizeof mapped, a->ip, 4);
	}
}
