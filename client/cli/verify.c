// tlsagent verify: a chain against trust, and what failed at every depth.

#include <stdio.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/show.h"
#include "client/cli/text.h"

struct verify {
  const char *cafile;
  const char *crlfile;
  const char *host;
  const char *purpose;
  bool system;
};

static const struct option_row OPTIONS[] = {
    {"cafile", 0, OPTION_TEXT, offsetof(struct verify, cafile), "FILE",
     "certificates to trust (default: the daemon's system store)"},
    {"system", 0, OPTION_FLAG, offsetof(struct verify, system), NULL,
     "trust the system store beside --cafile"},
    {"crlfile", 0, OPTION_TEXT, offsetof(struct verify, crlfile), "FILE",
     "revocation lists to check the certificate against"},
    {"host", 0, OPTION_TEXT, offsetof(struct verify, host), "NAME",
     "the name or address that the certificate must be for"},
    {"purpose", 0, OPTION_TEXT, offsetof(struct verify, purpose), "USE",
     "server, client or any (default: server)"},
};

enum { X509_V_FLAG_CRL_CHECK = 4 };

static bool parse_purpose(const char *text, enum tlsagent_verify_purpose *out) {
  static const struct {
    const char *name;
    enum tlsagent_verify_purpose purpose;
  } purposes[] = {
      {"server", TLSAGENT_PURPOSE_TLS_SERVER},
      {"client", TLSAGENT_PURPOSE_TLS_CLIENT},
      {"any", TLSAGENT_PURPOSE_UNSPECIFIED},
  };
  for (size_t i = 0; i < sizeof(purposes) / sizeof(purposes[0]); i++) {
    if (text == NULL || strcmp(text, purposes[i].name) == 0) {
      *out = purposes[i].purpose;
      return true;
    }
  }
  return false;
}

// --- The answer ---

static void print_depth(const struct tlsagent_verify_depth *depth) {
  printf("%u  ", depth->depth);
  print_safe(stdout, depth->certificate != NULL ? depth->certificate->subject_text : "(missing)");
  printf("%s\n", depth->num_failures == 0 ? "  ok" : "");
  for (size_t i = 0; i < depth->num_failures; i++) {
    printf("   failed: ");
    print_safe(stdout, depth->failures[i].message);
    printf(" (%lld)\n", (long long)depth->failures[i].code);
  }
}

static void print_text(const struct tlsagent_certificate_verify_reply *reply) {
  for (size_t i = 0; i < reply->num_depths; i++) {
    print_depth(&reply->depths[i]);
  }
  printf("%s\n", reply->ok ? "OK" : "FAILED");
}

static void json_depth(struct json *json, const struct tlsagent_verify_depth *depth) {
  json_begin_object(json, NULL);
  json_unsigned(json, "depth", depth->depth);
  json_begin_array(json, "failures");
  for (size_t i = 0; i < depth->num_failures; i++) {
    json_begin_object(json, NULL);
    json_number(json, "code", depth->failures[i].code);
    json_text(json, "message", depth->failures[i].message);
    json_end_object(json);
  }
  json_end_array(json);
  if (depth->certificate != NULL) {
    json_certificate(json, "certificate", depth->certificate);
  }
  json_end_object(json);
}

static void print_json(const struct tlsagent_certificate_verify_reply *reply) {
  struct json json = {.out = stdout};
  json_begin_object(&json, NULL);
  json_bool(&json, "ok", reply->ok);
  json_begin_array(&json, "depths");
  for (size_t i = 0; i < reply->num_depths; i++) {
    json_depth(&json, &reply->depths[i]);
  }
  json_end_array(&json);
  json_end_object(&json);
  json_end(&json);
}

// --- The question ---

struct files {
  struct file chain;
  struct file trust;
  struct file crls;
};

static int verify(const struct cli *cli, const struct verify *options,
                  struct tlsagent_client *agent, const struct files *files,
                  enum tlsagent_verify_purpose purpose) {
  const struct tlsagent_material trust =
      tlsagent_material_data(files->trust.data, files->trust.len);
  const struct tlsagent_material crls = tlsagent_material_data(files->crls.data, files->crls.len);
  const struct tlsagent_certificate_verify_request request = {
      .chain = tlsagent_material_data(files->chain.data, files->chain.len),
      .trust = &trust,
      .num_trust = options->cafile != NULL,
      .system_trust = options->system || options->cafile == NULL,
      .crls = &crls,
      .num_crls = options->crlfile != NULL,
      .host = options->host,
      .purpose = purpose,
      .flags = options->crlfile != NULL ? X509_V_FLAG_CRL_CHECK : 0};
  struct tlsagent_certificate_verify_reply *reply;
  struct tlsagent_error error;
  int code;
  if (!tlsagent_certificate_verify(agent, &reply, &request, cli->timeout_ms, &error)) {
    code = complain_file(cli, &error);
  } else {
    (cli->json ? print_json : print_text)(reply);
    code = reply->ok ? EXIT_OK : EXIT_VERIFY;
  }
  tlsagent_free(reply);
  return code;
}

static int read_files(const struct cli *cli, const struct verify *options, const char *chain,
                      struct files *out) {
  int code = read_file(cli, chain, &out->chain);
  if (code == EXIT_OK && options->cafile != NULL) {
    code = read_file(cli, options->cafile, &out->trust);
  }
  if (code == EXIT_OK && options->crlfile != NULL) {
    code = read_file(cli, options->crlfile, &out->crls);
  }
  return code;
}

static int run(const struct cli *cli, const void *given, char *const *arguments) {
  const struct verify *options = given;
  struct files files = {0};
  enum tlsagent_verify_purpose purpose;
  if (!parse_purpose(options->purpose, &purpose)) {
    return complain(cli, EXIT_USAGE, "--purpose takes server, client or any, not \"%s\"",
                    options->purpose);
  }
  int code = read_files(cli, options, arguments[0], &files);
  struct tlsagent_client *agent = code == EXIT_OK ? open_agent(cli, &code) : NULL;
  if (agent != NULL) {
    code = verify(cli, options, agent, &files, purpose);
  }
  tlsagent_client_close(agent);
  wipe_file(&files.chain);
  wipe_file(&files.trust);
  wipe_file(&files.crls);
  return code;
}

const struct command VERIFY_COMMAND = {
    .name = "verify",
    .arguments = "FILE",
    .summary = "verify a certificate chain and say what fails",
    .options = OPTIONS,
    .num_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .size = sizeof(struct verify),
    .num_arguments = 1,
    .run = run,
    .examples =
        "  tlsagent verify --host www.example.org chain.pem\n"
        "  tlsagent verify --cafile ca.pem --purpose client user.pem\n",
};
