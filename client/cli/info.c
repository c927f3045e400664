// tlsagent info: what this daemon, its OpenSSL and the kernel can do.

#include <inttypes.h>
#include <stdio.h>

#include "client/cli/commands.h"
#include "client/cli/json.h"
#include "client/cli/text.h"

struct info {
  bool constants;
};

static const struct option_row OPTIONS[] = {
    {"constants", 0, OPTION_FLAG, offsetof(struct info, constants), NULL,
     "list OpenSSL's numbers too"},
};

static void line(const char *label, const char *text) {
  printf("%-16s", label);
  print_safe(stdout, text);
  fputc('\n', stdout);
}

static void print_capabilities(const struct tlsagent_agent_info_reply *info) {
  for (size_t i = 0; i < info->num_capabilities; i++) {
    const struct tlsagent_capability *capability = &info->capabilities[i];
    printf("%-16s", i == 0 ? "Capabilities:" : "");
    printf("%-4s", capability->available ? "yes" : "no");
    print_safe(stdout, capability->name);
    if (capability->detail[0] != '\0') {
      fputs(": ", stdout);
      print_safe(stdout, capability->detail);
    }
    fputc('\n', stdout);
  }
}

static void print_groups(const struct tlsagent_agent_info_reply *info) {
  printf("%-16s", "Groups:");
  for (size_t i = 0; i < info->num_groups; i++) {
    fputs(i == 0 ? "" : " ", stdout);
    print_safe(stdout, info->groups[i]);
  }
  fputc('\n', stdout);
}

static void print_text(const struct tlsagent_agent_info_reply *info,
                       const struct tlsagent_client *agent, const struct info *options) {
  line("Address:", tlsagent_client_address(agent));
  line("Version:", info->version);
  line("OpenSSL:", info->openssl_version);
  printf("%-16s%" PRIu32 "\n", "Workers:", info->workers);
  printf("%-16s%" PRIu64 " s\n", "Up:", info->uptime_seconds);
  line("CA file:", info->verify_paths.file);
  line("CA directory:", info->verify_paths.directory);
  print_groups(info);
  print_capabilities(info);
  for (size_t i = 0; options->constants && i < info->num_constants; i++) {
    printf("%-40s %" PRId64 "\n", info->constants[i].name, info->constants[i].value);
  }
}

static void json_capabilities(struct json *json, const struct tlsagent_agent_info_reply *info) {
  json_begin_array(json, "capabilities");
  for (size_t i = 0; i < info->num_capabilities; i++) {
    json_begin_object(json, NULL);
    json_text(json, "name", info->capabilities[i].name);
    json_bool(json, "available", info->capabilities[i].available);
    json_some_text(json, "detail", info->capabilities[i].detail);
    json_end_object(json);
  }
  json_end_array(json);
}

static void json_constants(struct json *json, const struct tlsagent_agent_info_reply *info) {
  json_begin_object(json, "constants");
  for (size_t i = 0; i < info->num_constants; i++) {
    json_number(json, info->constants[i].name, info->constants[i].value);
  }
  json_end_object(json);
}

static void print_json(const struct tlsagent_agent_info_reply *info,
                       const struct tlsagent_client *agent, const struct info *options) {
  struct json json = {.out = stdout};
  json_begin_object(&json, NULL);
  json_text(&json, "address", tlsagent_client_address(agent));
  json_text(&json, "version", info->version);
  json_text(&json, "openssl_version", info->openssl_version);
  json_unsigned(&json, "openssl_version_number", info->openssl_version_number);
  json_unsigned(&json, "workers", info->workers);
  json_unsigned(&json, "uptime_seconds", info->uptime_seconds);
  json_text(&json, "default_ciphers", info->default_ciphers);
  json_text(&json, "ca_file", info->verify_paths.file);
  json_text(&json, "ca_directory", info->verify_paths.directory);
  json_texts(&json, "groups", info->groups, info->num_groups);
  json_capabilities(&json, info);
  if (options->constants) {
    json_constants(&json, info);
  }
  json_end_object(&json);
  json_end(&json);
}

static int run(const struct cli *cli, const void *options, char *const *arguments) {
  (void)arguments;
  int code = EXIT_OK;
  struct tlsagent_agent_info_reply *info;
  struct tlsagent_error error;
  struct tlsagent_client *agent = open_agent(cli, &code);
  if (agent == NULL) {
    return code;
  }
  if (tlsagent_agent_info(agent, &info, cli->timeout_ms, &error)) {
    (cli->json ? print_json : print_text)(info, agent, options);
  } else {
    code = complain_error(cli, &error);
  }
  tlsagent_free(info);
  tlsagent_client_close(agent);
  return code;
}

const struct command INFO_COMMAND = {
    .name = "info",
    .arguments = "",
    .summary = "tell what the daemon, its OpenSSL and the kernel can do",
    .options = OPTIONS,
    .num_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .size = sizeof(struct info),
    .num_arguments = 0,
    .run = run,
    .examples =
        "  tlsagent info\n"
        "  tlsagent info --json | jq .capabilities\n",
};
