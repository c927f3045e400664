// tlsagent decode: every certificate of a file.

#include <stdio.h>

#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/show.h"

struct decode {
  bool pem;
};

static const struct option_row OPTIONS[] = {
    {"pem", 0, OPTION_FLAG, offsetof(struct decode, pem), NULL, "print each certificate's PEM too"},
};

static void print_text(const struct tlsagent_certificate_decode_reply *reply, bool pem) {
  for (size_t i = 0; i < reply->num_certificates; i++) {
    printf("%sCertificate %zu of %zu\n", i == 0 ? "" : "\n", i + 1, reply->num_certificates);
    show_certificate(stdout, &reply->certificates[i], pem);
  }
}

static void print_json(const struct tlsagent_certificate_decode_reply *reply) {
  struct json json = {.out = stdout};
  json_begin_array(&json, NULL);
  for (size_t i = 0; i < reply->num_certificates; i++) {
    json_certificate(&json, NULL, &reply->certificates[i]);
  }
  json_end_array(&json);
  json_end(&json);
}

static int decode(const struct cli *cli, const struct decode *options,
                  struct tlsagent_client *agent, const struct file *file) {
  const struct tlsagent_certificate_decode_request request = {
      .certificates = tlsagent_material_data(file->data, file->len)};
  struct tlsagent_certificate_decode_reply *reply;
  struct tlsagent_error error;
  int code = EXIT_OK;
  const bool ok = tlsagent_certificate_decode(agent, &reply, &request, cli->timeout_ms, &error);
  if (reply != NULL && (ok || reply->num_certificates != 0)) {
    if (cli->json) {
      print_json(reply);
    } else {
      print_text(reply, options->pem);
    }
  }
  if (!ok) {
    code = complain_file(cli, &error);
  }
  tlsagent_free(reply);
  return code;
}

static int run(const struct cli *cli, const void *options, char *const *arguments) {
  struct file file = {0};
  int code = read_file(cli, arguments[0], &file);
  struct tlsagent_client *agent = code == EXIT_OK ? open_agent(cli, &code) : NULL;
  if (agent != NULL) {
    code = decode(cli, options, agent, &file);
  }
  tlsagent_client_close(agent);
  wipe_file(&file);
  return code;
}

const struct command DECODE_COMMAND = {
    .name = "decode",
    .arguments = "FILE",
    .summary = "decode every certificate in a file, PEM or DER",
    .options = OPTIONS,
    .num_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .size = sizeof(struct decode),
    .num_arguments = 1,
    .run = run,
    .examples =
        "  tlsagent decode server.pem\n"
        "  tlsagent decode --json /etc/ssl/certs/ca-certificates.crt | jq '.[].subject'\n"
        "  tlsagent connect --check --show-certs example.org:443 | tlsagent decode -\n",
};
