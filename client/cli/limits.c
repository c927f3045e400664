// tlsagent limits: every ceiling of the daemon, and what it can cost.

#include <inttypes.h>
#include <stdio.h>

#include "client/cli/commands.h"
#include "client/cli/json.h"
#include "client/cli/text.h"

static void print_text(const struct tlsagent_agent_limits_reply *reply) {
  printf("%-26s %14s %16s  %s\n", "LIMIT", "VALUE", "MEMORY (bytes)", "BOUNDS");
  for (size_t i = 0; i < reply->num_limits; i++) {
    const struct tlsagent_limit *limit = &reply->limits[i];
    printf("%-26s %14" PRIu64 " %16" PRIu64 "  ", limit->name, limit->value, limit->memory_bytes);
    print_safe(stdout, limit->text);
    fputc('\n', stdout);
  }
  printf("%-26s %14s %16" PRIu64 "\n", "in all", "", reply->memory_bytes);
}

static void print_json(const struct tlsagent_agent_limits_reply *reply) {
  struct json json = {.out = stdout};
  json_begin_object(&json, NULL);
  json_unsigned(&json, "memory_bytes", reply->memory_bytes);
  json_begin_array(&json, "limits");
  for (size_t i = 0; i < reply->num_limits; i++) {
    json_begin_object(&json, NULL);
    json_text(&json, "name", reply->limits[i].name);
    json_unsigned(&json, "value", reply->limits[i].value);
    json_unsigned(&json, "memory_bytes", reply->limits[i].memory_bytes);
    json_text(&json, "text", reply->limits[i].text);
    json_end_object(&json);
  }
  json_end_array(&json);
  json_end_object(&json);
  json_end(&json);
}

static int run(const struct cli *cli, const void *options, char *const *arguments) {
  (void)options;
  (void)arguments;
  int code = EXIT_OK;
  struct tlsagent_agent_limits_reply *reply;
  struct tlsagent_error error;
  struct tlsagent_client *agent = open_agent(cli, &code);
  if (agent == NULL) {
    return code;
  }
  if (tlsagent_agent_limits(agent, &reply, cli->timeout_ms, &error)) {
    (cli->json ? print_json : print_text)(reply);
  } else {
    code = complain_error(cli, &error);
  }
  tlsagent_free(reply);
  tlsagent_client_close(agent);
  return code;
}

const struct command LIMITS_COMMAND = {
    .name = "limits",
    .arguments = "",
    .summary = "list the daemon's limits and what they can cost",
    .num_arguments = 0,
    .run = run,
    .examples = "  tlsagent limits\n",
};
