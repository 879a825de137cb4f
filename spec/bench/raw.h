/* raw.h - what the raw C programs of the bench share: arguments, clocks, the one line of figures.
** They are the denominators of the bench, so they do the work in the cheapest honest way: one
** thread, blocking, prepared statements, every cell read. Header only: each program is one file. */
#ifndef RAW_H
#define RAW_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define RAW_LATENCY_MAX 5000

typedef struct raw_run {
  char **argv; /* key=value arguments behind the name of the workload */
  double cpu_us, wall_us;
  double cpu_start_us, wall_start_us;
  /* of a database server's own processes; NULL where there is no server */
  double (*server_clock_us)(void);
  double server_start_us, server_us;
  bool counted, over;
  int64_t units;
  int64_t checksum;
  double latency_us[RAW_LATENCY_MAX];
  int latency_n;
} raw_run;

_Noreturn static inline void raw_die(const char *what, const char *why)
{
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static inline const char *raw_text(const raw_run *run, const char *key)
{
  size_t n = strlen(key);
  for (char **arg = run->argv; *arg != NULL; arg++)
    if (strncmp(*arg, key, n) == 0 && (*arg)[n] == '=')
      return *arg + n + 1;
  raw_die(key, "is missing");
  return NULL;
}

static inline int64_t raw_number(const raw_run *run, const char *key)
{
  return strtoll(raw_text(run, key), NULL, 10);
}

static inline double raw_clock_us(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The part between start and stop counts, as often as it is entered. CPU is that of all threads.
** The server's runs on from the first start to the end of all that counts: it rests meanwhile. */
static inline void raw_start(raw_run *run)
{
  if (!run->counted && run->server_clock_us != NULL)
    run->server_start_us = run->server_clock_us();
  run->counted = true;
  run->wall_start_us = raw_clock_us(CLOCK_MONOTONIC);
  run->cpu_start_us = raw_clock_us(CLOCK_PROCESS_CPUTIME_ID);
}

static inline void raw_stop(raw_run *run)
{
  run->cpu_us += raw_clock_us(CLOCK_PROCESS_CPUTIME_ID) - run->cpu_start_us;
  run->wall_us += raw_clock_us(CLOCK_MONOTONIC) - run->wall_start_us;
}

/* Nothing counts from here on. */
static inline void raw_over(raw_run *run)
{
  if (!run->over && run->server_clock_us != NULL)
    run->server_us = run->server_clock_us() - run->server_start_us;
  run->over = true;
}

static inline void raw_latency(raw_run *run, double us)
{
  if (run->latency_n < RAW_LATENCY_MAX)
    run->latency_us[run->latency_n++] = us;
}

static inline int raw_by_value(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static inline double raw_percentile(const raw_run *run, double p)
{
  return run->latency_us[(int)((double)(run->latency_n - 1) * p)];
}

static inline void raw_report(raw_run *run)
{
  struct rusage usage;
  raw_over(run);
  getrusage(RUSAGE_SELF, &usage);
  printf("figures cpu_us=%.3f wall_us=%.3f units=%" PRId64 " checksum=%" PRId64 " rss_kb=%ld",
         run->cpu_us, run->wall_us, run->units, run->checksum, usage.ru_maxrss);
  if (run->server_clock_us != NULL)
    printf(" server_us=%.3f", run->server_us);
  if (run->latency_n > 0) {
    qsort(run->latency_us, (size_t)run->latency_n, sizeof(double), raw_by_value);
    printf(" p50_us=%.3f p99_us=%.3f", raw_percentile(run, 0.50), raw_percentile(run, 0.99));
  }
  printf("\n");
}

/* The same pseudo-random numbers as in Lua: measure.lua has this function too. */
static inline int64_t raw_next(int64_t *seed)
{
  *seed = (*seed * 1103515245 + 12345) % 2147483648;
  return *seed / 256;
}

#endif
