#include "client/cli/context.h"

#include <string.h>

#include "client/cli/files.h"

enum { ALPN_MAX = 32 };

// What the request points to while it is made.
struct parts {
  struct file chain;
  struct file key;
  struct file password;
  struct tlsagent_bytes protocols[ALPN_MAX];
  struct tlsagent_alpn alpn;
  struct tlsagent_certificate_pair pair;
};

static void give(struct tlsagent_optional *out, uint32_t value) {
  if (value != 0) {
    *out = (struct tlsagent_optional){true, value};
  }
}

static int fill_versions(const struct cli *cli, const struct context_options *options,
                         struct tlsagent_context_settings *settings) {
  if (options->only_1_2 && options->only_1_3) {
    return complain(cli, EXIT_USAGE,
                    "--tls1.2 and --tls1.3 exclude each other; for both, give neither");
  }
  const uint32_t only = options->only_1_2   ? TLSAGENT_PROTOCOL_TLS_1_2
                        : options->only_1_3 ? TLSAGENT_PROTOCOL_TLS_1_3
                                            : 0;
  give(&settings->min_version, only != 0 ? only : options->min_version);
  give(&settings->max_version, only != 0 ? only : options->max_version);
  return EXIT_OK;
}

static int fill_alpn(const struct cli *cli, const char *names, struct parts *parts,
                     struct tlsagent_context_settings *settings) {
  if (names == NULL) {
    return EXIT_OK;
  }
  for (const char *name = names; name != NULL;) {
    const char *comma = strchr(name, ',');
    const size_t len = comma != NULL ? (size_t)(comma - name) : strlen(name);
    if (len == 0 || len > 255 || parts->alpn.num_protocols == ALPN_MAX) {
      return complain(cli, EXIT_USAGE, "--alpn takes 1 to %d names of 1 to 255 bytes, not \"%s\"",
                      ALPN_MAX, names);
    }
    parts->protocols[parts->alpn.num_protocols++] = tlsagent_bytes_of(name, len);
    name = comma != NULL ? comma + 1 : NULL;
  }
  parts->alpn.protocols = parts->protocols;
  settings->alpn = &parts->alpn;
  return EXIT_OK;
}

static int read_if_given(const struct cli *cli, const char *path, struct file *out) {
  return path == NULL ? EXIT_OK : read_file(cli, path, out);
}

static void fill_pair(struct parts *parts, struct tlsagent_context_create_request *request) {
  parts->pair.chain = tlsagent_material_data(parts->chain.data, parts->chain.len);
  if (parts->key.data != NULL) {
    parts->pair.key = tlsagent_material_data(parts->key.data, parts->key.len);
  }
  if (parts->password.data != NULL) {
    parts->pair.password =
        tlsagent_bytes_of(parts->password.data, strcspn(parts->password.data, "\r\n"));
  }
  request->pairs = &parts->pair;
  request->num_pairs = 1;
}

static int read_pair(const struct cli *cli, const struct context_options *options,
                     struct parts *parts, struct tlsagent_context_create_request *request) {
  if (options->certificate == NULL) {
    return options->key == NULL ? EXIT_OK : complain(cli, EXIT_USAGE, "--key needs --cert too");
  }
  int code = read_file(cli, options->certificate, &parts->chain);
  code = code != EXIT_OK ? code : read_if_given(cli, options->key, &parts->key);
  code = code != EXIT_OK ? code : read_if_given(cli, options->password_file, &parts->password);
  if (code == EXIT_OK) {
    fill_pair(parts, request);
  }
  return code;
}

// The request's own names of its parts, as the options that filled them.
static const char *option_of(const char *item) {
  static const struct {
    const char *item;
    const char *option;
  } names[] = {
      {"pairs[0].chain", "--cert"},
      {"pairs[0].key", "--key"},
      {"pairs[0].password", "--password-file"},
      {"trust", "--cafile"},
      {"settings.ciphersuites", "--ciphersuites"},
      {"settings.ciphers", "--ciphers"},
      {"settings.groups", "--groups"},
      {"settings.alpn", "--alpn"},
      {"settings.min_version", "--min-version"},
      {"settings.max_version", "--max-version"},
  };
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (strncmp(item, names[i].item, strlen(names[i].item)) == 0) {
      return names[i].option;
    }
  }
  return NULL;
}

static int complain_refused(const struct cli *cli, const struct tlsagent_error *error) {
  const struct tlsagent_tls_error *tls = &error->tls;
  const char *option = error->fault == TLSAGENT_FAULT_TLS ? option_of(tls->item) : NULL;
  if (option == NULL) {
    return complain_error(cli, error);
  }
  return complain(
      cli, EXIT_USAGE, "%s: %s%s%s%s", option, tls->detail[0] == '\0' ? tls->text : tls->detail,
      tls->reason[0] != '\0' ? " (" : "", tls->reason, tls->reason[0] != '\0' ? ")" : "");
}

static int create(const struct cli *cli, struct tlsagent_client *agent,
                  const struct tlsagent_context_create_request *request, uint64_t *out) {
  struct tlsagent_error error;
  return tlsagent_context_create(agent, out, request, cli->timeout_ms, &error)
             ? EXIT_OK
             : complain_refused(cli, &error);
}

// Makes a context of request with the options put in.
static int make_context(const struct cli *cli, struct tlsagent_client *agent,
                        const struct context_options *options,
                        struct tlsagent_context_create_request *request, uint64_t *out) {
  struct parts parts = {0};
  request->settings.ciphers = options->ciphers;
  request->settings.ciphersuites = options->ciphersuites;
  request->settings.groups = options->groups;
  int code = fill_versions(cli, options, &request->settings);
  code = code != EXIT_OK ? code : fill_alpn(cli, options->alpn, &parts, &request->settings);
  code = code != EXIT_OK ? code : read_pair(cli, options, &parts, request);
  code = code != EXIT_OK ? code : create(cli, agent, request, out);
  request->pairs = NULL;
  request->num_pairs = 0;
  request->settings.alpn = NULL;
  wipe_file(&parts.chain);
  wipe_file(&parts.key);
  wipe_file(&parts.password);
  return code;
}

int make_client_context(const struct cli *cli, struct tlsagent_client *agent,
                        const struct context_options *options, const struct client_trust *trust,
                        uint64_t *out) {
  struct tlsagent_context_create_request request = {.kind = TLSAGENT_CONTEXT_CLIENT};
  struct file file = {0};
  int code = read_if_given(cli, trust->cafile, &file);
  const struct tlsagent_material material = tlsagent_material_data(file.data, file.len);
  request.trust.certificates = &material;
  request.trust.num_certificates = trust->cafile != NULL;
  request.trust.system = !trust->insecure && (trust->system || trust->cafile == NULL);
  if (trust->insecure) {
    request.settings.verify_mode = (struct tlsagent_optional)TLSAGENT_GIVEN(TLSAGENT_VERIFY_NONE);
    request.settings.check_hostname = (struct tlsagent_optional)TLSAGENT_GIVEN(false);
  }
  code = code != EXIT_OK ? code : make_context(cli, agent, options, &request, out);
  wipe_file(&file);
  return code;
}

static int client_verify(const struct cli *cli, const struct server_wishes *wishes,
                         struct tlsagent_optional *out) {
  const char *need = wishes->client_cert != NULL ? wishes->client_cert : "required";
  const bool required = strcmp(need, "required") == 0;
  if (!required && strcmp(need, "optional") != 0) {
    return complain(cli, EXIT_USAGE, "--client-cert takes required or optional, not \"%s\"", need);
  }
  if (wishes->client_ca == NULL) {
    return wishes->client_cert == NULL
               ? EXIT_OK
               : complain(cli, EXIT_USAGE, "--client-cert needs --client-ca too");
  }
  out->given = true;
  out->value = required ? TLSAGENT_VERIFY_REQUIRED : TLSAGENT_VERIFY_OPTIONAL;
  return EXIT_OK;
}

int make_server_context(const struct cli *cli, struct tlsagent_client *agent,
                        const struct context_options *options, const struct server_wishes *wishes,
                        uint64_t *out) {
  struct tlsagent_context_create_request request = {.kind = TLSAGENT_CONTEXT_SERVER};
  struct file file = {0};
  int code = options->certificate != NULL
                 ? client_verify(cli, wishes, &request.settings.verify_mode)
                 : complain(cli, EXIT_USAGE,
                            "a server needs --cert FILE, and --key FILE unless FILE has both");
  code = code != EXIT_OK ? code : read_if_given(cli, wishes->client_ca, &file);
  const struct tlsagent_material trust = tlsagent_material_data(file.data, file.len);
  request.trust.certificates = &trust;
  request.trust.num_certificates = wishes->client_ca != NULL;
  request.settings.num_tickets = wishes->num_tickets;
  code = code != EXIT_OK ? code : make_context(cli, agent, options, &request, out);
  wipe_file(&file);
  return code;
}
