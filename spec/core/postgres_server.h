/* postgres_server.h - servers that behave badly on purpose, and a dial driven as a connection would drive it.
** Each server is a thread that takes one client after the other on a port of its own of the loopback; what was sent
** to it is kept. It speaks just enough of PostgreSQL's protocol to let somebody in or to refuse him. */
#ifndef POSTGRES_SERVER_H
#define POSTGRES_SERVER_H

#include "backend/postgres_dial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

typedef enum manner {
  SILENT,   /* takes connections and never says a word */
  NOISE,    /* speaks another protocol */
  WRITER,   /* lets in; like the others below it has no TLS */
  STANDBY,  /* lets in; takes no writes */
  GERMAN,   /* lets in; writes dates in its own way */
  FULL,     /* 53300 */
  STARTING, /* 57P03 */
  REFUSING, /* 28P01 */
  OUTDATED  /* a pooler that does not know a parameter */
} manner;

typedef struct server {
  manner manner;
  int port, listener;
  pthread_t thread;
  pthread_mutex_t lock; /* of what follows */
  int client[64], client_n;
  char startup
      [2048]; /* the parameters of the last client: names and values, each with "\n" behind it */
} server;

/* ---- the server's side ---- */

static inline void put(int fd, const void *bytes, size_t n)
{
  if (write(fd, bytes, n) != (ssize_t)n)
    abort();
}

static inline void put_message(int fd, char type, const char *bytes, size_t n)
{
  uint32_t len = htonl((uint32_t)n + 4);
  put(fd, &type, 1);
  put(fd, &len, 4);
  put(fd, bytes, n);
}

/* text: its parts end with "\n", which stands for NUL. */
static inline void put_text(int fd, char type, const char *text)
{
  char bytes[256];
  size_t n = strlen(text);
  for (size_t i = 0; i < n; i++)
    bytes[i] = text[i] == '\n' ? '\0' : text[i];
  put_message(fd, type, bytes, n);
}

static inline bool get(int fd, void *bytes, size_t n)
{
  return recv(fd, bytes, n, MSG_WAITALL) == (ssize_t)n;
}

static inline bool get_startup(server *s, int fd)
{
  char bytes[sizeof s->startup];
  for (;;) {
    uint32_t head[2], n;
    if (!get(fd, head, sizeof head))
      return false;
    n = ntohl(head[0]) - 8;
    if (ntohl(head[1]) == 80877103) { /* may it be TLS? */
      put(fd, "N", 1);
      continue;
    }
    if (n >= sizeof bytes || !get(fd, bytes, n))
      return false;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < n; i++)
      s->startup[i] = bytes[i] == '\0' ? '\n' : bytes[i];
    s->startup[n] = '\0';
    pthread_mutex_unlock(&s->lock);
    return true;
  }
}

static inline void let_in(const server *s, int fd)
{
  put_message(fd, 'R', "\0\0\0\0", 4);
  put_text(fd, 'S', "server_version\n15.0\n");
  put_text(fd, 'S', "client_encoding\nUTF8\n");
  put_text(fd, 'S', s->manner == GERMAN ? "DateStyle\nGerman, DMY\n" : "DateStyle\nISO, MDY\n");
  put_text(fd, 'S', s->manner == STANDBY ? "in_hot_standby\non\n" : "in_hot_standby\noff\n");
  put_text(fd, 'S',
           s->manner == STANDBY ? "default_transaction_read_only\non\n"
                                : "default_transaction_read_only\noff\n");
  put_message(fd, 'K', "\0\0\0\1\0\0\0\1", 8);
  put_message(fd, 'Z', "I", 1);
}

static inline void serve(server *s, int fd)
{
  if (s->manner == SILENT)
    return;
  if (s->manner == NOISE) {
    put(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    return;
  }
  if (!get_startup(s, fd))
    return;
  switch (s->manner) {
  case FULL:
    put_text(fd, 'E', "SFATAL\nVFATAL\nC53300\nMsorry, too many clients already\n\n");
    break;
  case STARTING:
    put_text(fd, 'E', "SFATAL\nVFATAL\nC57P03\nMthe database system is starting up\n\n");
    break;
  case REFUSING:
    put_text(fd, 'E', "SFATAL\nVFATAL\nC28P01\nMpassword authentication failed for user \"u\"\n\n");
    break;
  case OUTDATED:
    put_text(fd, 'E', "SFATAL\nVFATAL\nC08P01\nMunsupported startup parameter: options\n\n");
    break;
  default:
    let_in(s, fd);
    return;
  }
  shutdown(fd, SHUT_WR);
}

static inline void *server_run(void *arg)
{
  server *s = arg;
  for (;;) {
    int fd = accept(s->listener, NULL, NULL);
    if (fd < 0)
      break;
    pthread_mutex_lock(&s->lock);
    if (s->client_n == 64)
      abort();
    s->client[s->client_n++] = fd;
    pthread_mutex_unlock(&s->lock);
    serve(s, fd);
  }
  return NULL;
}

/* address: of the loopback, "127.0.0.1" or another one; port 0: any. */
static inline void server_start(server *s, manner how, const char *address, int port)
{
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t n = sizeof at;
  int one = 1;
  memset(s, 0, sizeof *s);
  s->manner = how;
  assert_int_equal(inet_pton(AF_INET, address, &at.sin_addr), 1);
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(s->listener, 64), 0);
  assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &n), 0);
  s->port = ntohs(at.sin_port);
  pthread_mutex_init(&s->lock, NULL);
  assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static inline void server_stop(server *s)
{
  shutdown(s->listener, SHUT_RDWR);
  pthread_mutex_lock(&s->lock);
  for (int i = 0; i < s->client_n; i++)
    shutdown(s->client[i], SHUT_RDWR);
  pthread_mutex_unlock(&s->lock);
  pthread_join(s->thread, NULL);
  for (int i = 0; i < s->client_n; i++)
    close(s->client[i]);
  close(s->listener);
  pthread_mutex_destroy(&s->lock);
}

/* Was it told this, or with value NULL: anything of this name, by its last client? */
static inline bool server_was_told(server *s, const char *name, const char *value)
{
  bool told = false;
  pthread_mutex_lock(&s->lock);
  for (char *at = s->startup; *at != '\0' && *at != '\n' && !told;) {
    char *is = strchr(at, '\n') + 1, *end = strchr(is, '\n');
    told = strncmp(at, name, (size_t)(is - at - 1)) == 0 && name[is - at - 1] == '\0' &&
           (value == NULL ||
            ((size_t)(end - is) == strlen(value) && memcmp(is, value, (size_t)(end - is)) == 0));
    at = end + 1;
  }
  pthread_mutex_unlock(&s->lock);
  return told;
}

/* ---- the dial's side ---- */

typedef struct caller {
  mp_waker waker; /* first: the waker is cast to it */
  int woken;
  mp_config config;
  mp_option options[8];
  mp_pgdial *dial;
  PGconn *conn;   /* when it got through */
  mp_error error; /* when it did not */
} caller;

static inline void caller_wake(mp_waker *waker)
{
  uint64_t one = 1;
  put(((caller *)(void *)waker)->woken, &one, sizeof one);
}

static inline void caller_init(caller *c, const char *host, int port)
{
  memset(c, 0, sizeof *c);
  c->waker.wake = caller_wake;
  c->woken = eventfd(0, EFD_CLOEXEC);
  c->config = (mp_config){.arena = mp_arena_new(0),
                          .host = host,
                          .port = port,
                          .user = "u",
                          .database = "d",
                          .options = c->options,
                          .connect_timeout_ms = 10000};
}

static inline void caller_option(caller *c, const char *name, const char *value)
{
  c->options[c->config.option_n++] = (mp_option){name, value};
}

/* host, port, user and database of a URL of the environment into c; its password. Skips where there is none. */
static inline const char *caller_from(caller *c, const char *variable)
{
  const char *text = getenv(variable);
  mp_url url;
  mp_error err;
  if (text == NULL)
    skip();
  caller_init(c, NULL, 0);
  if (mp_url_parse(c->config.arena, text, strlen(text), &url, &err) != MP_OK)
    fail_msg("%s: %s", variable, err.message);
  c->config.host = url.host;
  c->config.port = url.port;
  c->config.user = url.user;
  c->config.database = url.database;
  return url.password;
}

/* One wait for what the dial wants, and the step behind it. */
static inline mp_dialstate caller_turn(caller *c, mp_wants *wants)
{
  struct pollfd fds[2] = {
      {c->woken, POLLIN, 0},
      {wants->fd, (short)((wants->read ? POLLIN : 0) | (wants->write ? POLLOUT : 0)), 0}};
  unsigned events = 0;
  int wait_ms = 10000, n;
  if (wants->timer_ns != 0) {
    uint64_t now = uv_hrtime();
    wait_ms = wants->timer_ns > now ? (int)((wants->timer_ns - now) / 1000000) + 1 : 0;
  }
  n = poll(fds, 2, wait_ms);
  assert_true(n > 0 || wants->timer_ns != 0); /* or the dial waits for nothing */
  if (n == 0)
    events |= MP_TIMER;
  if (fds[0].revents != 0) {
    uint64_t count;
    assert_int_equal(read(c->woken, &count, sizeof count), sizeof count);
    events |= MP_WOKEN;
  }
  if ((fds[1].revents & POLLOUT) != 0)
    events |= MP_WRITABLE;
  if ((fds[1].revents & ~POLLOUT) != 0)
    events |= MP_READABLE;
  return mp_pgdial_step(c->dial, events, wants, &c->error);
}

/* Dial until it has come to an end. True: conn is there. */
static inline bool caller_dial(caller *c, const char *password)
{
  mp_wants wants;
  mp_dialstate state;
  if (mp_pgdial_check(&c->config, &c->error) != MP_OK)
    return false;
  c->dial = mp_pgdial_new(&c->config, password, &c->waker);
  assert_non_null(c->dial);
  state = mp_pgdial_step(c->dial, 0, &wants, &c->error);
  while (state == MP_DIAL_TRYING)
    state = caller_turn(c, &wants);
  assert_int_equal(wants.fd, -1);
  if (state == MP_DIAL_DONE)
    c->conn = mp_pgdial_take(c->dial);
  return state == MP_DIAL_DONE;
}

static inline void caller_end(caller *c)
{
  mp_pgdial_free(c->dial);
  if (c->conn != NULL)
    PQfinish(c->conn);
  close(c->woken);
  mp_arena_free(c->config.arena);
}

#endif
