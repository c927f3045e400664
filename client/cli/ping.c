// tlsagent ping: is the daemon there, and how long does a call take?

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/commands.h"
#include "client/cli/json.h"

struct ping {
  uint32_t count;
  uint32_t size;
  uint32_t interval_ms;
};

enum { COUNT_DEFAULT = 3, COUNT_MAX = 10 * 1000 * 1000, SIZE_MAX_BYTES = 1 << 20 };

static const struct option_row OPTIONS[] = {
    {"count", 'c', OPTION_NUMBER, offsetof(struct ping, count), "N", "how many (default: 3)"},
    {"size", 's', OPTION_SIZE, offsetof(struct ping, size), "BYTES",
     "how large, up to 1048576 (default: 0)"},
    {"interval", 'i', OPTION_SECONDS, offsetof(struct ping, interval_ms), "SECONDS",
     "pause between two (default: none)"},
};

// Times of all pings, in nanoseconds.
struct times {
  uint64_t *ns;
  uint32_t num;
};

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void pause_ms(uint32_t ms) {
  struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};
  while (nanosleep(&left, &left) != 0) {
  }
}

static int compare(const void *a, const void *b) {
  const uint64_t left = *(const uint64_t *)a;
  const uint64_t right = *(const uint64_t *)b;
  return (left > right) - (left < right);
}

static double us(uint64_t ns) {
  return (double)ns / 1000;
}

static uint64_t average(const struct times *times) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < times->num; i++) {
    sum += times->ns[i];
  }
  return sum / times->num;
}

// The times are sorted.
static uint64_t percentile(const struct times *times, uint32_t percent) {
  return times->ns[(uint64_t)(times->num - 1) * percent / 100];
}

static void summarize(const struct cli *cli, struct tlsagent_client *agent,
                      const struct times *times, uint32_t size) {
  const uint64_t min = times->ns[0];
  const uint64_t max = times->ns[times->num - 1];
  if (!cli->json) {
    printf("%" PRIu32 " pings of %" PRIu32 " bytes to %s (tlsagentd %s)\n", times->num, size,
           tlsagent_client_address(agent), tlsagent_client_daemon_version(agent));
    printf("min %.1f  avg %.1f  p50 %.1f  p99 %.1f  max %.1f microseconds\n", us(min),
           us(average(times)), us(percentile(times, 50)), us(percentile(times, 99)), us(max));
    return;
  }
  struct json json = {.out = stdout};
  json_begin_object(&json, NULL);
  json_text(&json, "address", tlsagent_client_address(agent));
  json_text(&json, "version", tlsagent_client_daemon_version(agent));
  json_unsigned(&json, "count", times->num);
  json_unsigned(&json, "size", size);
  json_fraction(&json, "min_us", us(min));
  json_fraction(&json, "avg_us", us(average(times)));
  json_fraction(&json, "p50_us", us(percentile(times, 50)));
  json_fraction(&json, "p99_us", us(percentile(times, 99)));
  json_fraction(&json, "max_us", us(max));
  json_end_object(&json);
  json_end(&json);
}

static int ping_all(const struct cli *cli, const struct ping *options,
                    struct tlsagent_client *agent, const void *payload, struct times *times,
                    uint32_t count) {
  struct tlsagent_error error;
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t start = now_ns();
    if (!tlsagent_agent_ping(agent, payload, options->size, cli->timeout_ms, &error)) {
      return complain_error(cli, &error);
    }
    times->ns[times->num++] = now_ns() - start;
    if (options->interval_ms != 0 && i + 1 < count) {
      pause_ms(options->interval_ms);
    }
  }
  qsort(times->ns, times->num, sizeof(times->ns[0]), compare);
  summarize(cli, agent, times, options->size);
  return EXIT_OK;
}

static int run(const struct cli *cli, const void *given, char *const *arguments) {
  (void)arguments;
  const struct ping *options = given;
  const uint32_t count = options->count == 0 ? COUNT_DEFAULT : options->count;
  int code;
  if (options->size > SIZE_MAX_BYTES || count > COUNT_MAX) {
    return complain(cli, EXIT_USAGE, "--size is at most %d, and --count %d", SIZE_MAX_BYTES,
                    COUNT_MAX);
  }
  struct tlsagent_client *agent = open_agent(cli, &code);
  struct times times = {.ns = calloc(count, sizeof(uint64_t))};
  void *payload = calloc(1, options->size + 1);
  if (agent != NULL) {
    code = times.ns != NULL && payload != NULL
               ? ping_all(cli, options, agent, payload, &times, count)
               : complain(cli, EXIT_IO, "out of memory");
  }
  free(payload);
  free(times.ns);
  tlsagent_client_close(agent);
  return code;
}

const struct command PING_COMMAND = {
    .name = "ping",
    .arguments = "",
    .summary = "see whether the daemon answers, and how fast",
    .options = OPTIONS,
    .num_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .size = sizeof(struct ping),
    .num_arguments = 0,
    .run = run,
    .examples =
        "  tlsagent ping\n"
        "  tlsagent ping -c 10000 -s 64\n",
};
