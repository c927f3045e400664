// AgentService.Ping by ttrpc, so many calls in flight on one connection: ttrpc_load PATH CALLS
// BYTES IN_FLIGHT. Prints the seconds that they took, and with one in flight how long each, as
// JSON.
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/lib/base.h"
#include "tests/bench/lib/raw_client.h"

enum { PING_PAYLOAD = 1, PAYLOAD_MAX = 4096, IN_FLIGHT_MAX = 128 };

static const struct raw_method PING = {"tlsagent.v1.AgentService", "Ping"};

static void post(struct raw_client *client, size_t payload) {
  static const uint8_t zeros[PAYLOAD_MAX];
  wire_put_bytes(raw_request(client), PING_PAYLOAD, zeros, payload);
  raw_post(client, &PING);
}

static bool take(struct raw_client *client, size_t payload) {
  struct view message;
  uint32_t stream;
  return raw_next(client, &stream, &message) &&
         wire_find_bytes(message, PING_PAYLOAD).len == payload;
}

// What has come is answered by as many calls in one send.
static bool run(struct raw_client *client, long calls, size_t payload, long in_flight) {
  long posted = 0;
  long done = 0;
  for (; posted < in_flight && posted < calls; posted++) {
    post(client, payload);
  }
  while (done < calls) {
    if (!raw_flush(client)) {
      return false;
    }
    do {
      if (!take(client, payload)) {
        return false;
      }
      done++;
      if (posted < calls) {
        post(client, payload);
        posted++;
      }
    } while (done < calls && raw_has_reply(client));
  }
  return true;
}

static int compare(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a;
  const uint64_t y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static bool run_one_by_one(struct raw_client *client, long calls, size_t payload) {
  uint64_t *nanos = calloc((size_t)calls, sizeof(*nanos));
  bool good = nanos != NULL;
  for (long i = 0; good && i < calls; i++) {
    const uint64_t begin = now_nanos();
    good = run(client, 1, payload, 1);
    nanos[i] = now_nanos() - begin;
  }
  if (good) {
    qsort(nanos, (size_t)calls, sizeof(*nanos), compare);
    printf("{\"p50_us\": %.2f, \"p99_us\": %.2f}\n", (double)nanos[calls / 2] / 1e3,
           (double)nanos[calls * 99 / 100] / 1e3);
  }
  free(nanos);
  return good;
}

static bool run_together(struct raw_client *client, long calls, size_t payload, long in_flight) {
  const uint64_t begin = now_nanos();
  const bool good = run(client, calls, payload, in_flight);
  if (good) {
    printf("{\"seconds\": %.6f}\n", (double)(now_nanos() - begin) / 1e9);
  }
  return good;
}

int main(int argc, char **argv) {
  const long calls = argc == 5 ? atol(argv[2]) : 0;
  const long payload = argc == 5 ? atol(argv[3]) : -1;
  const long in_flight = argc == 5 ? atol(argv[4]) : 0;
  if (calls <= 0 || payload < 0 || payload > PAYLOAD_MAX || in_flight <= 0 ||
      in_flight > IN_FLIGHT_MAX) {
    fprintf(stderr, "usage: ttrpc_load PATH CALLS BYTES IN_FLIGHT\n");
    return 2;
  }
  struct raw_client *client = raw_open(argv[1]);
  if (client == NULL) {
    return 1;
  }
  const bool good = in_flight == 1 ? run_one_by_one(client, calls, (size_t)payload)
                                   : run_together(client, calls, (size_t)payload, in_flight);
  raw_close(client);
  return good ? 0 : 1;
}
