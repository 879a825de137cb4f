/* postgres_hosts.c - the host of a config becomes a list, names become addresses.
** Names are looked up by getaddrinfo on a thread, never on the loop; what is an address already is not looked up. */
#include "postgres_hosts.h"

#include "job.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- the list ---- */

typedef struct reader {
  mp_arena *arena;
  mp_error *err;
} reader;

typedef struct span {
  const char *at, *end;
} span;

#define BAD(r, ...) mp_error_set((r)->err, (r)->arena, MP_E_CONFIGURATION, __VA_ARGS__)

const char *mp_pghosts_default(const PQconninfoOption *defaults, const char *keyword)
{
  for (const PQconninfoOption *one = defaults; one != NULL && one->keyword != NULL; one++)
    if (strcmp(one->keyword, keyword) == 0)
      return one->val != NULL && *one->val != '\0' ? one->val : NULL;
  return NULL;
}

static mp_status copy(reader *r, span s, const char **out)
{
  *out = mp_arena_memdup(r->arena, s.at, (size_t)(s.end - s.at));
  return *out != NULL ? MP_OK : BAD(r, "out of memory");
}

static mp_status read_port(reader *r, span s, const char **out)
{
  long port = 0;
  for (const char *at = s.at; at < s.end && port >= 0; at++)
    port = *at >= '0' && *at <= '9' && port <= 65535 ? port * 10 + (*at - '0') : -1;
  if (port < 1 || port > 65535)
    return BAD(r, "option host: the port \"%.*s\" is no number from 1 to 65535",
               (int)(s.end - s.at), s.at);
  return copy(r, s, out);
}

static mp_status read_host(reader *r, span s, mp_pghost *out)
{
  const char *colon = memchr(s.at, ':', (size_t)(s.end - s.at));
  if (s.at == s.end)
    return BAD(r, "option host: an empty host between the commas");
  if (*s.at == '[') {
    const char *close = memchr(s.at, ']', (size_t)(s.end - s.at));
    if (close == NULL || close == s.at + 1)
      return BAD(r, "option host: the [ has no host and ] behind it");
    if (close + 1 < s.end && close[1] != ':')
      return BAD(r, "option host: only a port may follow the ]");
    if (close + 1 < s.end && read_port(r, (span){close + 2, s.end}, &out->port) != MP_OK)
      return r->err->kind;
    s = (span){s.at + 1, close};
  } else if (*s.at != '/' && *s.at != '@' && colon != NULL &&
             memchr(colon + 1, ':', (size_t)(s.end - colon - 1)) == NULL) {
    if (colon == s.at)
      return BAD(r, "option host: a port without a host");
    if (read_port(r, (span){colon + 1, s.end}, &out->port) != MP_OK)
      return r->err->kind;
    s.end = colon;
  }
  out->socket = *s.at == '/' || *s.at == '@';
  return copy(r, s, &out->name);
}

/* The n-th of a list with commas; a single item goes for all. */
static mp_status pick(reader *r, const char *list, int n, const char **out)
{
  span item = {list, strchrnul(list, ',')};
  if (*item.end != '\0')
    while (n-- > 0 && *item.end != '\0') {
      item.at = item.end + 1;
      item.end = strchrnul(item.at, ',');
    }
  return item.at == item.end ? MP_OK : copy(r, item, out);
}

static int count(const char *list)
{
  int n = 1;
  if (list == NULL)
    return 0;
  for (; *list != '\0'; list++)
    n += *list == ',';
  return n;
}

mp_status mp_pghosts_read(const mp_config *config, const PQconninfoOption *defaults,
                          mp_arena *arena, mp_pghosts *out, mp_error *err)
{
  reader r = {arena, err};
  bool own = config->host != NULL;
  const char *names = own ? config->host : mp_pghosts_default(defaults, "host");
  /* an address of the environment is not the address of a host that the program names */
  const char *addresses = own ? NULL : mp_pghosts_default(defaults, "hostaddr");
  const char *ports = mp_pghosts_default(defaults, "port");
  int name_n = count(names), address_n = count(addresses);
  const char *at = names;
  out->n = name_n > address_n ? name_n : address_n;
  if (name_n > 0 && address_n > 0 && name_n != address_n)
    return BAD(&r, "the environment names %d hosts and %d addresses (PGHOST, PGHOSTADDR)", name_n,
               address_n);
  if (out->n == 0)
    out->n = 1;
  if (config->port == 0 && count(ports) > 1 && count(ports) != out->n)
    return BAD(&r, "the environment names %d ports for %d hosts (PGPORT)", count(ports), out->n);
  out->list = mp_arena_zalloc(arena, (size_t)out->n * sizeof *out->list);
  if (out->list == NULL)
    return BAD(&r, "out of memory");
  for (int i = 0; i < out->n; i++) {
    mp_pghost *host = &out->list[i];
    if (at != NULL) {
      span item = {at, strchrnul(at, ',')};
      if (read_host(&r, item, host) != MP_OK)
        return err->kind;
      at = *item.end == ',' ? item.end + 1 : NULL;
    }
    if (addresses != NULL && pick(&r, addresses, i, &host->address) != MP_OK)
      return err->kind;
    if (host->address != NULL)
      host->socket = false;
    else if (host->name == NULL)
      host->socket = true;
    if (host->port == NULL && config->port != 0) {
      host->port = mp_arena_printf(arena, "%d", config->port);
      if (host->port == NULL)
        return BAD(&r, "out of memory");
    } else if (host->port == NULL && ports != NULL && pick(&r, ports, i, &host->port) != MP_OK) {
      return err->kind;
    }
  }
  return MP_OK;
}

/* ---- addresses ---- */

static struct addrinfo *numeric(const char *text)
{
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *found = NULL;
  return getaddrinfo(text, NULL, &hints, &found) == 0 ? found : NULL;
}

bool mp_pghosts_is_address(const char *name)
{
  struct addrinfo *found = numeric(name);
  if (found == NULL)
    return false;
  freeaddrinfo(found);
  return true;
}

bool mp_pghosts_is_loopback(const char *address)
{
  struct in_addr four;
  struct in6_addr six;
  if (inet_pton(AF_INET, address, &four) == 1)
    return ntohl(four.s_addr) >> 24 == 127;
  return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* ---- names ---- */

typedef struct answer {
  int code, number; /* of getaddrinfo, and errno where it says so */
  struct addrinfo *found;
  char name[];
} answer;

struct mp_pglookup {
  mp_job *job;
  answer *answer; /* the thread's until the job is done */
};

static void look_up(void *arg)
{
  answer *a = arg;
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  a->code = getaddrinfo(a->name, NULL, &hints, &a->found);
  a->number = errno;
}

static void drop_answer(void *arg)
{
  answer *a = arg;
  if (a->found != NULL)
    freeaddrinfo(a->found);
  free(a);
}

mp_pglookup *mp_pglookup_start(const char *name, mp_waker *waker)
{
  size_t n = strlen(name) + 1;
  mp_pglookup *lookup = calloc(1, sizeof *lookup);
  answer *a = calloc(1, sizeof *a + n);
  if (lookup != NULL && a != NULL) {
    memcpy(a->name, name, n);
    lookup->answer = a;
    lookup->job = mp_job_start(look_up, drop_answer, a, waker);
    if (lookup->job != NULL)
      return lookup;
  }
  free(a);
  free(lookup);
  return NULL;
}

bool mp_pglookup_done(mp_pglookup *lookup)
{
  return mp_job_done(lookup->job);
}

int mp_pglookup_addresses(mp_pglookup *lookup, mp_arena *arena, const char ***out, const char **why)
{
  const answer *a = lookup->answer;
  const char **list;
  int n = 0;
  *why = a->code == EAI_SYSTEM ? strerror(a->number) : gai_strerror(a->code);
  for (struct addrinfo *one = a->found; one != NULL; one = one->ai_next)
    n++;
  if (a->code != 0 || n == 0)
    return 0;
  list = mp_arena_zalloc(arena, (size_t)n * sizeof *list);
  *why = "out of memory";
  n = 0;
  for (struct addrinfo *one = a->found; list != NULL && one != NULL; one = one->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
      list[n] = mp_arena_strdup(arena, text);
    n += list[n] != NULL;
  }
  *out = list;
  return list != NULL ? n : 0;
}

void mp_pglookup_free(mp_pglookup *lookup)
{
  if (lookup == NULL)
    return;
  mp_job_release(lookup->job);
  free(lookup);
}
