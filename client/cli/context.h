// The options that make a context, and the context that they make.
#ifndef TLSAGENT_CLIENT_CLI_CONTEXT_H_
#define TLSAGENT_CLIENT_CLI_CONTEXT_H_

#include "client/cli/options.h"

// struct context_options is what connect and serve have in common.
struct context_options {
  const char *certificate;
  const char *key;
  const char *password_file;
  const char *alpn;
  const char *ciphers;
  const char *ciphersuites;
  const char *groups;
  uint32_t min_version;
  uint32_t max_version;
  bool only_1_2;
  bool only_1_3;
};

// CONTEXT_OPTIONS are the rows of a struct context_options that is the member options of type.
#define CONTEXT_OPTION(type, member) offsetof(struct type, options.member)
#define CONTEXT_OPTIONS(type)                                                                    \
  {"cert",      0,                                                                               \
   OPTION_TEXT, CONTEXT_OPTION(type, certificate),                                               \
   "FILE",      "own certificate chain, PEM or DER"},                                            \
      {"key",       0,                                                                           \
       OPTION_TEXT, CONTEXT_OPTION(type, key),                                                   \
       "FILE",      "its private key (default: in the --cert file)"},                            \
      {"password-file", 0,                                                                       \
       OPTION_TEXT,     CONTEXT_OPTION(type, password_file),                                     \
       "FILE",          "the key's password is the first line of FILE"},                         \
      {"alpn",      0,                                                                           \
       OPTION_TEXT, CONTEXT_OPTION(type, alpn),                                                  \
       "NAMES",     "application protocols, comma separated: h2,http/1.1"},                      \
      {"tls1.2", 0, OPTION_FLAG, CONTEXT_OPTION(type, only_1_2), NULL, "TLS 1.2 only"},          \
      {"tls1.3", 0, OPTION_FLAG, CONTEXT_OPTION(type, only_1_3), NULL, "TLS 1.3 only"},          \
      {"min-version",  0,                                                                        \
       OPTION_VERSION, CONTEXT_OPTION(type, min_version),                                        \
       "VERSION",      "lowest version: 1.0 to 1.3 (default: 1.2)"},                             \
      {"max-version",    0, OPTION_VERSION, CONTEXT_OPTION(type, max_version), "VERSION",        \
       "highest version"},                                                                       \
      {"ciphers",   0,                                                                           \
       OPTION_TEXT, CONTEXT_OPTION(type, ciphers),                                               \
       "LIST",      "for TLS 1.2 and below, as openssl-ciphers(1) has it"},                      \
      {"ciphersuites", 0,                                                                        \
       OPTION_TEXT,    CONTEXT_OPTION(type, ciphersuites),                                       \
       "LIST",         "for TLS 1.3, colon separated"},                                          \
  {                                                                                              \
    "groups", 0, OPTION_TEXT, CONTEXT_OPTION(type, groups), "LIST", "key exchange: X25519:P-256" \
  }

// struct client_trust is whom a client trusts: those in cafile, the daemon's system store when
// there is no cafile or system says so too, or, insecure, anybody.
struct client_trust {
  const char *cafile;
  bool system;
  bool insecure;
};

// CLIENT_TRUST_OPTIONS are the rows of a struct client_trust that is the member trust of type; when
// is a literal that their explanations begin with.
#define CLIENT_TRUST_OPTIONS(type, when)                                            \
  {"cafile",    0,                                                                  \
   OPTION_TEXT, offsetof(struct type, trust.cafile),                                \
   "FILE",      when "certificates to trust (default: the daemon's system store)"}, \
      {"system",    0,                                                              \
       OPTION_FLAG, offsetof(struct type, trust.system),                            \
       NULL,        when "trust the system store beside --cafile"},                 \
  {                                                                                 \
    "insecure", 'k', OPTION_FLAG, offsetof(struct type, trust.insecure), NULL,      \
        when "take any certificate"                                                 \
  }

// make_client_context makes the context of a client, and stores it in *out. It complains when a
// file can't be read, or the daemon refuses something.
int make_client_context(const struct cli *cli, struct tlsagent_client *agent,
                        const struct context_options *options, const struct client_trust *trust,
                        uint64_t *out);

// struct server_wishes is how a server is to be: whom clients are to be vouched for by (NULL: they
// aren't asked), whether they must be ("required", which NULL is taken as, or "optional"), and how
// many session tickets they get, when that is given.
struct server_wishes {
  const char *client_ca;
  const char *client_cert;
  struct tlsagent_optional num_tickets;
};

// SERVER_WISHES_OPTIONS are, in the same way, those of a struct server_wishes that is the member
// wishes.
#define SERVER_WISHES_OPTIONS(type, when)                                             \
  {"client-ca", 0,                                                                    \
   OPTION_TEXT, offsetof(struct type, wishes.client_ca),                              \
   "FILE",      when "ask clients for a certificate that one in FILE vouches for"},   \
  {                                                                                   \
    "client-cert", 0, OPTION_TEXT, offsetof(struct type, wishes.client_cert), "NEED", \
        "required or optional, with --client-ca (default: required)"                  \
  }

// make_server_context makes the context of a server in the same way. It complains when there is no
// certificate.
int make_server_context(const struct cli *cli, struct tlsagent_client *agent,
                        const struct context_options *options, const struct server_wishes *wishes,
                        uint64_t *out);

#endif  // TLSAGENT_CLIENT_CLI_CONTEXT_H_
