/* postgres_range.c - types whose cells are texts: ranges and network addresses, read from bytes.
** The texts are the server's own, with DateStyle ISO and TimeZone UTC. */
#include "postgres_form.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>

/* ---- ranges ---- */

enum {
  EMPTY = 1,
  LOWER_IN = 2,
  UPPER_IN = 4,
  LOWER_FREE = 8,
  UPPER_FREE = 16
};

static mp_pgid bound_id(mp_pgid range)
{
  switch (range) {
  case MP_PG_INT4RANGE:
    return MP_PG_INT4;
  case MP_PG_INT8RANGE:
    return MP_PG_INT8;
  case MP_PG_NUMRANGE:
    return MP_PG_NUMERIC;
  case MP_PG_DATERANGE:
    return MP_PG_DATE;
  case MP_PG_TSRANGE:
    return MP_PG_TIMESTAMP;
  default:
    return MP_PG_TIMESTAMPTZ;
  }
}

/* Take one bound's bytes off *at and write it behind p, which has room; its end, or NULL with
** the error. */
static char *put_bound(const mp_pgcell *cell, const char **at, char *p)
{
  const char *end = cell->data + cell->len;
  char text[MP_VALUE_TEXT_MAX];
  mp_value bound;
  uint32_t len;
  size_t n;
  if (end - *at < 4 || (len = mp_pg_get32(*at)) > (size_t)(end - *at) - 4) {
    mp_pgcell_bad(cell);
    return NULL;
  }
  if (!mp_pgtype_cell(mp_pgtype_oid(bound_id(cell->id)), true, *at + 4, len, cell->arena, &bound,
                      cell->err))
    return NULL;
  *at += 4 + len;
  if (bound.kind == MP_TEXT || (bound.kind == MP_DECIMAL && !bound.small)) {
    memcpy(p, bound.s, bound.len);
    return p + bound.len;
  }
  n = mp_value_format(&bound, text);
  if (bound.kind == MP_WALLTIME || bound.kind == MP_DATETIME)
    return p + sprintf(p, "\"%s%s\"", text, bound.kind == MP_DATETIME ? "+00" : "");
  memcpy(p, text, n);
  return p + n;
}

bool mp_pgcell_range(const mp_pgcell *cell, mp_value *out)
{
  char text[2 * MP_DECIMAL_TEXT_MAX + 8], *p = text;
  const char *at = cell->data + 1;
  if (cell->len < 1 || (*cell->data & ~31) != 0)
    return mp_pgcell_bad(cell);
  int flags = *cell->data;
  if (flags & EMPTY)
    return cell->len == 1 ? mp_pgcell_text(cell, "empty", 5, out) : mp_pgcell_bad(cell);
  *p++ = flags & LOWER_IN ? '[' : '(';
  if (!(flags & LOWER_FREE) && (p = put_bound(cell, &at, p)) == NULL)
    return false;
  *p++ = ',';
  if (!(flags & UPPER_FREE) && (p = put_bound(cell, &at, p)) == NULL)
    return false;
  *p++ = flags & UPPER_IN ? ']' : ')';
  if (at != cell->data + cell->len)
    return mp_pgcell_bad(cell);
  return mp_pgcell_text(cell, text, (size_t)(p - text), out);
}

/* ---- inet, cidr: family, bits, is it a cidr, length, address; macaddr: the bytes ---- */

enum {
  FAMILY_4 = 2,
  FAMILY_6 = 3
}; /* the server's own numbers, the same everywhere */

static bool read_address(const mp_pgcell *cell, mp_value *out)
{
  const unsigned char *s = (const unsigned char *)cell->data;
  char text[INET6_ADDRSTRLEN + 8];
  if (cell->len < 4)
    return mp_pgcell_bad(cell);
  unsigned bytes = s[0] == FAMILY_4 ? 4 : 16, bits = s[1];
  if ((s[0] != FAMILY_4 && s[0] != FAMILY_6) || s[3] != bytes || cell->len != 4 + bytes ||
      bits > 8 * bytes)
    return mp_pgcell_bad(cell);
  inet_ntop(s[0] == FAMILY_4 ? AF_INET : AF_INET6, s + 4, text, INET6_ADDRSTRLEN);
  if (cell->id == MP_PG_CIDR || bits != 8 * bytes)
    sprintf(text + strlen(text), "/%u", bits);
  return mp_pgcell_text(cell, text, strlen(text), out);
}

bool mp_pgcell_network(const mp_pgcell *cell, mp_value *out)
{
  size_t bytes = cell->id == MP_PG_MACADDR ? 6 : 8;
  char text[32], *p = text;
  if (cell->id == MP_PG_INET || cell->id == MP_PG_CIDR)
    return read_address(cell, out);
  if (cell->len != bytes)
    return mp_pgcell_bad(cell);
  for (size_t i = 0; i < bytes; i++)
    p += sprintf(p, i == 0 ? "%02x" : ":%02x", (unsigned char)cell->data[i]);
  return mp_pgcell_text(cell, text, (size_t)(p - text), out);
}
