/* proxy.c - a line between a client and a server that is slower or deafer than a real one: each
** byte takes a while each way, and answers are held back when that is told. It carries bytes as
** they come, as many as come, and looks on to count what is asked and answered. One thread.
** It knows no SQL. Requests are those of PostgreSQL without TLS; of other connections it counts
** bytes, and how many of them have asked and heard nothing since. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: proxy --to HOST:PORT [OPTION]...\n"
    "\n"
    "Listens on 127.0.0.1 and carries each connection on to HOST:PORT. The first line that it\n"
    "prints is \"port=N pid=N\". It ends with SIGTERM or SIGINT, or as --until-eof says.\n"
    "\n"
    "  --port N       listen there instead of on a free port\n"
    "  --delay MS     each byte takes that long, each way (0; 0.5 is fine)\n"
    "  --hold         begin with the answers held back\n"
    "  --until-eof    end when standard input ends: when its parent does, however it ends\n"
    "\n"
    "SIGUSR1 holds the answers back, or lets them go on: it says \"holding\" or \"flowing\".\n"
    "SIGUSR2 prints a line of counts: open connections and all there ever were, bytes to the "
    "server\n"
    "and from it, requests (each with a Sync or a simple query), answers that came from the "
    "server,\n"
    "requests in flight now and the most there were at a time on one connection, connections that\n"
    "wait now (the client has sent, and nothing came back to it since) and the most there were.\n";

#define CHUNK_BYTES (64 * 1024)
#define WAITING_MAX (16 * 1024 * 1024) /* of one direction; then its sender has to wait */
#define EVENTS_MAX 64
#define OF_TLS 4 /* the first byte of a request for TLS or GSS, and of a cancel; a session's is 0 */

typedef struct chunk {
  struct chunk *next;
  uint64_t due_ns;
  size_t n, done;
  char data[];
} chunk;

/* Looks on at the messages of one direction: a kind and a length, then that many bytes. */
typedef struct watcher {
  unsigned char head[5];
  unsigned head_n;
  uint64_t body_left;
  bool opaque; /* no messages that we could read */
} watcher;

typedef struct end end;

typedef struct way {
  end *from, *to;
  chunk *first, *last;
  size_t waiting;
  watcher watcher;
  bool ended;  /* the sender has said all */
  bool passed; /* and the receiver has been told */
} way;

struct end {
  int fd;
  uint32_t events; /* that epoll waits for */
  bool gone;       /* in both directions: epoll would speak of nothing else */
  struct line *line;
  way *in, *out; /* read from it, written to it */
};

typedef struct line {
  struct line *next;
  end client, server;
  way up, down;
  bool started; /* the client has said what it wants, which has no kind */
  bool asked_tls;
  bool broken;
  bool waits; /* the client, for the first byte of an answer */
  uint64_t in_flight;
} line;

static struct {
  int epoll;
  end listener, timer, signals, parent;
  struct sockaddr_storage to;
  socklen_t to_len;
  uint64_t delay_ns;
  bool hold, until_eof;
  line *lines;
  uint64_t line_n, lines_ever, up_bytes, down_bytes, requests, answers, most_in_flight;
  uint64_t waiting_n, most_waiting;
} proxy;

static void die(const char *what)
{
  fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void refuse(const char *what, const char *value)
{
  fprintf(stderr, "proxy: %s%s\n%s", what, value, usage);
  exit(2);
}

static uint64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- counting ---- */

static void note_asked(line *l)
{
  proxy.requests++;
  if (++l->in_flight > proxy.most_in_flight)
    proxy.most_in_flight = l->in_flight;
}

static void note_answered(line *l)
{
  proxy.answers++;
  if (l->in_flight > 0)
    l->in_flight--;
}

static void note_waits(line *l, bool waits)
{
  proxy.waiting_n += (uint64_t)waits - (uint64_t)l->waits;
  l->waits = waits;
  if (proxy.waiting_n > proxy.most_waiting)
    proxy.most_waiting = proxy.waiting_n;
}

/* The first message of a client has no kind; a request for TLS is one, and another comes behind. */
static void read_start(line *l, watcher *w)
{
  uint32_t length;
  memcpy(&length, w->head, sizeof length);
  length = ntohl(length);
  if (length < 8) {
    w->opaque = true;
    return;
  }
  l->asked_tls = length == 8 && w->head[4] == OF_TLS;
  l->started = !l->asked_tls;
  if (w->head[4] != OF_TLS)
    note_asked(l); /* it is answered when the session is ready */
  w->body_left = length - 5;
}

static void read_head(line *l, way *w, watcher *see)
{
  uint32_t length;
  if (w == &l->up && !l->started) {
    read_start(l, see);
    return;
  }
  memcpy(&length, see->head + 1, sizeof length);
  see->body_left = ntohl(length) - 4;
  if (w == &l->up && (see->head[0] == 'S' || see->head[0] == 'Q'))
    note_asked(l);
  else if (w == &l->down && see->head[0] == 'Z')
    note_answered(l);
}

static void look_on(line *l, way *w, const char *data, size_t n)
{
  watcher *see = &w->watcher;
  while (n > 0 && !see->opaque) {
    size_t step = n;
    if (w == &l->down && l->asked_tls) {
      /* one byte, which is no message: yes or no */
      l->asked_tls = false;
      if (data[0] == 'S' || data[0] == 'G')
        l->up.watcher.opaque = see->opaque = true;
      step = 1;
    } else if (see->body_left > 0) {
      step = n < see->body_left ? n : (size_t)see->body_left;
      see->body_left -= step;
    } else {
      see->head[see->head_n++] = (unsigned char)data[0];
      step = 1;
      if (see->head_n == sizeof see->head) {
        see->head_n = 0;
        read_head(l, w, see);
      }
    }
    data += step;
    n -= step;
  }
}

static void tell_counts(void)
{
  uint64_t in_flight = 0;
  for (line *l = proxy.lines; l != NULL; l = l->next)
    in_flight += l->in_flight;
  printf("connections=%" PRIu64 " ever=%" PRIu64 " up_bytes=%" PRIu64 " down_bytes=%" PRIu64
         " requests=%" PRIu64 " answers=%" PRIu64 " in_flight=%" PRIu64 " most_in_flight=%" PRIu64
         " waiting=%" PRIu64 " most_waiting=%" PRIu64 "\n",
         proxy.line_n, proxy.lines_ever, proxy.up_bytes, proxy.down_bytes, proxy.requests,
         proxy.answers, in_flight, proxy.most_in_flight, proxy.waiting_n, proxy.most_waiting);
}

/* ---- carrying ---- */

static bool is_held(const line *l, const way *w)
{
  return proxy.hold && w == &l->down;
}

/* Wait for what can be done: to read while there is room, to write what is due. */
static void wait_for(end *e, uint64_t now)
{
  const chunk *next = e->out->first;
  bool writes = next != NULL && next->due_ns <= now && !is_held(e->line, e->out);
  bool reads = !e->in->ended && e->in->waiting < WAITING_MAX;
  uint32_t events = (reads ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0);
  struct epoll_event event = {.events = events, .data.ptr = e};
  if (!e->gone && events != e->events && epoll_ctl(proxy.epoll, EPOLL_CTL_MOD, e->fd, &event) != 0)
    die("epoll_ctl");
  e->events = events;
}

static void read_way(line *l, way *w)
{
  while (!w->ended && w->waiting < WAITING_MAX) {
    static char data[CHUNK_BYTES];
    ssize_t n = recv(w->from->fd, data, sizeof data, MSG_DONTWAIT);
    chunk *c;
    if (n < 0) {
      l->broken = l->broken || (errno != EAGAIN && errno != EINTR);
      return;
    } else if (n == 0) {
      w->ended = true;
      return;
    }
    *(w == &l->up ? &proxy.up_bytes : &proxy.down_bytes) += (uint64_t)n;
    look_on(l, w, data, (size_t)n);
    if (w == &l->up)
      note_waits(l, true);
    c = malloc(sizeof *c + (size_t)n);
    if (c == NULL)
      die("a chunk");
    *c = (chunk){.due_ns = now_ns() + proxy.delay_ns, .n = (size_t)n};
    memcpy(c->data, data, (size_t)n);
    if (w->last == NULL)
      w->first = c;
    else
      w->last->next = c;
    w->last = c;
    w->waiting += c->n;
    if ((size_t)n < sizeof data)
      return;
  }
}

static void write_way(line *l, way *w, uint64_t now)
{
  chunk *c;
  while ((c = w->first) != NULL && c->due_ns <= now && !is_held(l, w)) {
    ssize_t n = send(w->to->fd, c->data + c->done, c->n - c->done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      l->broken = l->broken || (errno != EAGAIN && errno != EINTR);
      return;
    }
    if (w == &l->down)
      note_waits(l, false);
    c->done += (size_t)n;
    if (c->done < c->n)
      return;
    w->waiting -= c->n;
    w->first = c->next;
    if (w->first == NULL)
      w->last = NULL;
    free(c);
  }
  if (w->ended && w->first == NULL && !w->passed) {
    shutdown(w->to->fd, SHUT_WR);
    w->passed = true;
  }
}

static void free_way(way *w)
{
  while (w->first != NULL) {
    chunk *c = w->first;
    w->first = c->next;
    free(c);
  }
}

static void close_line(line *l)
{
  line **place = &proxy.lines;
  while (*place != l)
    place = &(*place)->next;
  *place = l->next;
  proxy.line_n--;
  note_waits(l, false);
  free_way(&l->up);
  free_way(&l->down);
  close(l->client.fd);
  close(l->server.fd);
  free(l);
}

static void lose_end(end *e)
{
  if (!e->gone && epoll_ctl(proxy.epoll, EPOLL_CTL_DEL, e->fd, NULL) != 0)
    die("epoll_ctl");
  e->gone = true;
}

static void add_end(line *l, end *e, int fd, way *in, way *out)
{
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = e};
  int one = 1;
  *e = (end){.fd = fd, .events = EPOLLIN, .line = l, .in = in, .out = out};
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (epoll_ctl(proxy.epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    die("epoll_ctl");
}

/* Where no server is, the client's connection ends at once. */
static void take_line(void)
{
  int client = accept4(proxy.listener.fd, NULL, NULL, SOCK_CLOEXEC), server;
  line *l;
  if (client < 0)
    return;
  server = socket(proxy.to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (server < 0)
    die("socket");
  if (connect(server, (struct sockaddr *)&proxy.to, proxy.to_len) != 0) {
    close(server);
    close(client);
    return;
  }
  l = calloc(1, sizeof *l);
  if (l == NULL)
    die("a connection");
  l->up = (way){.from = &l->client, .to = &l->server};
  l->down = (way){.from = &l->server, .to = &l->client};
  add_end(l, &l->client, client, &l->up, &l->down);
  add_end(l, &l->server, server, &l->down, &l->up);
  l->next = proxy.lines;
  proxy.lines = l;
  proxy.line_n++;
  proxy.lines_ever++;
}

static uint64_t earlier(uint64_t due_ns, const line *l, const way *w, uint64_t now)
{
  const chunk *c = w->first;
  if (c != NULL && c->due_ns > now && !is_held(l, w) && c->due_ns < due_ns)
    return c->due_ns;
  return due_ns;
}

/* All that is due now; and wait for what is due next. */
static void carry(void)
{
  uint64_t now = now_ns(), due_ns = UINT64_MAX;
  struct itimerspec spec = {0};
  for (line *l = proxy.lines, *next; l != NULL; l = next) {
    next = l->next;
    write_way(l, &l->up, now);
    write_way(l, &l->down, now);
    if (l->broken || (l->up.passed && l->down.passed)) {
      close_line(l);
      continue;
    }
    wait_for(&l->client, now);
    wait_for(&l->server, now);
    due_ns = earlier(earlier(due_ns, l, &l->up, now), l, &l->down, now);
  }
  if (due_ns != UINT64_MAX) {
    spec.it_value.tv_sec = (time_t)(due_ns / 1000000000);
    spec.it_value.tv_nsec = (long)(due_ns % 1000000000);
  }
  timerfd_settime(proxy.timer.fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* ---- what it is told ---- */

static void obey_signal(void)
{
  struct signalfd_siginfo info;
  if (read(proxy.signals.fd, &info, sizeof info) != sizeof info)
    return;
  if (info.ssi_signo == SIGUSR1) {
    proxy.hold = !proxy.hold;
    puts(proxy.hold ? "holding" : "flowing");
  } else if (info.ssi_signo == SIGUSR2) {
    tell_counts();
  } else {
    exit(0);
  }
}

static void read_nothing(void)
{
  char rest[256];
  if (read(STDIN_FILENO, rest, sizeof rest) <= 0)
    exit(0);
}

static void find_server(char *address)
{
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  char *colon = strrchr(address, ':');
  int rc;
  if (colon == NULL)
    refuse("--to takes HOST:PORT, not ", address);
  *colon = '\0';
  rc = getaddrinfo(address, colon + 1, &hints, &found);
  if (rc != 0) {
    fprintf(stderr, "proxy: %s: %s\n", address, gai_strerror(rc));
    exit(1);
  }
  memcpy(&proxy.to, found->ai_addr, found->ai_addrlen);
  proxy.to_len = found->ai_addrlen;
  freeaddrinfo(found);
}

static double number(const char *option, const char *text, double most)
{
  char *rest;
  double value = strtod(text, &rest);
  if (*text == '\0' || *rest != '\0' || !(value >= 0 && value <= most))
    refuse(option, " takes a number");
  return value;
}

static int read_arguments(char **argv)
{
  char *to = NULL;
  int port = 0;
  for (char **arg = argv + 1; *arg != NULL; arg++) {
    bool known = true;
    if (strcmp(*arg, "--help") == 0 || strcmp(*arg, "-h") == 0) {
      fputs(usage, stdout);
      exit(0);
    } else if (strcmp(*arg, "--hold") == 0) {
      proxy.hold = true;
    } else if (strcmp(*arg, "--until-eof") == 0) {
      proxy.until_eof = true;
    } else if (arg[1] == NULL) {
      known = false;
    } else if (strcmp(*arg, "--to") == 0) {
      to = *++arg;
    } else if (strcmp(*arg, "--port") == 0) {
      port = (int)number("--port", *++arg, 65535);
    } else if (strcmp(*arg, "--delay") == 0) {
      proxy.delay_ns = (uint64_t)(number("--delay", *++arg, 60000) * 1e6);
    } else {
      known = false;
    }
    if (!known)
      refuse("no such option, or no value of it: ", *arg);
  }
  if (to == NULL)
    refuse("--to is missing", "");
  find_server(to);
  return port;
}

static void wake_by(end *e, int fd)
{
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = e};
  e->fd = fd;
  if (fd < 0 || epoll_ctl(proxy.epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    die("epoll_ctl");
}

static void begin(int port)
{
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t here_len = sizeof here;
  sigset_t told;
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sigemptyset(&told);
  sigaddset(&told, SIGUSR1);
  sigaddset(&told, SIGUSR2);
  sigaddset(&told, SIGTERM);
  sigaddset(&told, SIGINT);
  sigprocmask(SIG_BLOCK, &told, NULL);
  prctl(PR_SET_TIMERSLACK, 1UL);
  proxy.epoll = epoll_create1(EPOLL_CLOEXEC);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 128) != 0 ||
      getsockname(listener, (struct sockaddr *)&here, &here_len) != 0)
    die("listening");
  wake_by(&proxy.listener, listener);
  wake_by(&proxy.timer, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  wake_by(&proxy.signals, signalfd(-1, &told, SFD_CLOEXEC | SFD_NONBLOCK));
  if (proxy.until_eof)
    wake_by(&proxy.parent, STDIN_FILENO);
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("port=%d pid=%d\n", ntohs(here.sin_port), (int)getpid());
}

static void obey(const struct epoll_event *event)
{
  end *e = event->data.ptr;
  uint64_t times;
  if (e == &proxy.listener) {
    take_line();
  } else if (e == &proxy.timer) {
    if (read(e->fd, &times, sizeof times) < 0 && errno != EAGAIN)
      die("the timer");
  } else if (e == &proxy.signals) {
    obey_signal();
  } else if (e == &proxy.parent) {
    read_nothing();
  } else {
    if ((event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
      read_way(e->line, e->in);
    if ((event->events & (EPOLLHUP | EPOLLERR)) != 0 && e->in->ended)
      lose_end(e);
  }
}

int main(int argc, char **argv)
{
  struct epoll_event events[EVENTS_MAX];
  (void)argc;
  begin(read_arguments(argv));
  for (;;) {
    int n = epoll_wait(proxy.epoll, events, EVENTS_MAX, -1);
    if (n < 0 && errno != EINTR)
      die("epoll_wait");
    for (int i = 0; i < n; i++)
      obey(&events[i]);
    carry();
  }
}
