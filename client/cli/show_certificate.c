#include <inttypes.h>
#include <time.h>

#include "client/cli/show.h"
#include "client/cli/text.h"

enum { DAY = 24 * 60 * 60 };

static const char *const NAME_KINDS[] = {
    [TLSAGENT_ALTERNATIVE_NAME_UNSPECIFIED] = "other",
    [TLSAGENT_ALTERNATIVE_NAME_DNS] = "DNS",
    [TLSAGENT_ALTERNATIVE_NAME_EMAIL] = "email",
    [TLSAGENT_ALTERNATIVE_NAME_URI] = "URI",
    [TLSAGENT_ALTERNATIVE_NAME_IP] = "IP",
    [TLSAGENT_ALTERNATIVE_NAME_DIRECTORY] = "directory",
    [TLSAGENT_ALTERNATIVE_NAME_REGISTERED_ID] = "registered ID",
    [TLSAGENT_ALTERNATIVE_NAME_OTHER] = "other",
};

static const char *name_kind(const struct tlsagent_alternative_name *name) {
  const size_t known = sizeof(NAME_KINDS) / sizeof(NAME_KINDS[0]);
  return (size_t)name->kind < known ? NAME_KINDS[name->kind] : "other";
}

// --- For people ---

static void label(FILE *out, const char *text) {
  fprintf(out, "  %-16s", text);
}

static void line(FILE *out, const char *name, const char *text) {
  label(out, name);
  print_safe(out, text[0] != '\0' ? text : "(none)");
  fputc('\n', out);
}

// A list: the label stands before the first.
static void lines(FILE *out, const char *name, const char *const *texts, size_t num_texts) {
  for (size_t i = 0; i < num_texts; i++) {
    line(out, i == 0 ? name : "", texts[i]);
  }
}

static void words(FILE *out, const char *name, const char *const *texts, size_t num_texts) {
  if (num_texts == 0) {
    return;
  }
  label(out, name);
  for (size_t i = 0; i < num_texts; i++) {
    fputs(i == 0 ? "" : ", ", out);
    print_safe(out, texts[i]);
  }
  fputc('\n', out);
}

static void show_validity(FILE *out, const struct tlsagent_certificate *certificate) {
  const int64_t now = (int64_t)time(NULL);
  line(out, "Valid from:", certificate->not_before);
  label(out, "Valid until:");
  print_safe(out, certificate->not_after);
  if (now < certificate->not_before_unix) {
    fprintf(out, " (not valid yet: in %" PRId64 " days)\n",
            (certificate->not_before_unix - now) / DAY);
  } else if (now > certificate->not_after_unix) {
    fprintf(out, " (expired %" PRId64 " days ago)\n", (now - certificate->not_after_unix) / DAY);
  } else {
    fprintf(out, " (%" PRId64 " days left)\n", (certificate->not_after_unix - now) / DAY);
  }
}

static void show_key(FILE *out, const struct tlsagent_certificate *certificate) {
  label(out, "Key:");
  print_safe(out, certificate->key_type);
  fprintf(out, ", %u bits", certificate->key_bits);
  if (certificate->key_curve[0] != '\0') {
    fputs(", ", out);
    print_safe(out, certificate->key_curve);
  }
  fputc('\n', out);
}

static void show_names(FILE *out, const struct tlsagent_certificate *certificate) {
  for (size_t i = 0; i < certificate->num_subject_alt_names; i++) {
    const struct tlsagent_alternative_name *name = &certificate->subject_alt_names[i];
    label(out, i == 0 ? "Names:" : "");
    fprintf(out, "%s ", name_kind(name));
    print_safe(out, name->text);
    fputc('\n', out);
  }
}

static void show_constraints(FILE *out, const struct tlsagent_basic_constraints *constraints) {
  if (constraints == NULL) {
    return;
  }
  label(out, "CA:");
  fputs(constraints->ca ? "yes" : "no", out);
  if (constraints->path_length.given) {
    fprintf(out, ", at most %" PRIu64 " intermediates below", constraints->path_length.value);
  }
  fputc('\n', out);
}

static void show_digests(FILE *out, const struct tlsagent_certificate *certificate) {
  label(out, "SHA-256:");
  print_hex(out, certificate->fingerprint_sha256, ':');
  fputc('\n', out);
  label(out, "Key's SHA-256:");
  print_base64(out, certificate->spki_sha256);
  fputc('\n', out);
}

void show_certificate(FILE *out, const struct tlsagent_certificate *certificate, bool with_pem) {
  line(out, "Subject:", certificate->subject_text);
  line(out, "Issuer:", certificate->issuer_text);
  line(out, "Serial number:", certificate->serial_number);
  show_validity(out, certificate);
  show_key(out, certificate);
  line(out, "Signed with:", certificate->signature_algorithm);
  show_names(out, certificate);
  words(out, "Key usage:", certificate->key_usage, certificate->num_key_usage);
  words(out, "Extended usage:", certificate->extended_key_usage,
        certificate->num_extended_key_usage);
  show_constraints(out, certificate->basic_constraints);
  lines(out, "OCSP:", certificate->ocsp, certificate->num_ocsp);
  lines(out, "Issuer at:", certificate->ca_issuers, certificate->num_ca_issuers);
  lines(out, "CRL at:", certificate->crl_distribution_points,
        certificate->num_crl_distribution_points);
  show_digests(out, certificate);
  if (with_pem) {
    print_safe_lines(out, certificate->pem);
  }
}

// --- For programs ---

static void json_name(struct json *json, const char *key,
                      const struct tlsagent_relative_name *steps, size_t num_steps) {
  json_begin_array(json, key);
  for (size_t i = 0; i < num_steps; i++) {
    json_begin_object(json, NULL);
    for (size_t j = 0; j < steps[i].num_attributes; j++) {
      const struct tlsagent_name_attribute *attribute = &steps[i].attributes[j];
      if (attribute->value_kind == TLSAGENT_NAME_RAW) {
        json_hex(json, attribute->short_type, attribute->value);
      } else {
        json_text_bytes(json, attribute->short_type, attribute->value.data, attribute->value.len);
      }
    }
    json_end_object(json);
  }
  json_end_array(json);
}

static void json_names(struct json *json, const struct tlsagent_certificate *certificate) {
  json_begin_array(json, "subject_alt_names");
  for (size_t i = 0; i < certificate->num_subject_alt_names; i++) {
    json_begin_object(json, NULL);
    json_text(json, "kind", name_kind(&certificate->subject_alt_names[i]));
    json_text(json, "value", certificate->subject_alt_names[i].text);
    json_end_object(json);
  }
  json_end_array(json);
}

static void json_key(struct json *json, const struct tlsagent_certificate *certificate) {
  json_begin_object(json, "key");
  json_text(json, "type", certificate->key_type);
  json_unsigned(json, "bits", certificate->key_bits);
  json_some_text(json, "curve", certificate->key_curve);
  json_hex(json, "sha256", certificate->spki_sha256);
  json_end_object(json);
}

static void json_constraints(struct json *json,
                             const struct tlsagent_basic_constraints *constraints) {
  if (constraints == NULL) {
    return;
  }
  json_begin_object(json, "basic_constraints");
  json_bool(json, "ca", constraints->ca);
  if (constraints->path_length.given) {
    json_unsigned(json, "path_length", constraints->path_length.value);
  }
  json_end_object(json);
}

static void json_usage(struct json *json, const struct tlsagent_certificate *certificate) {
  json_texts(json, "key_usage", certificate->key_usage, certificate->num_key_usage);
  json_texts(json, "extended_key_usage", certificate->extended_key_usage,
             certificate->num_extended_key_usage);
  json_constraints(json, certificate->basic_constraints);
  json_texts(json, "ocsp", certificate->ocsp, certificate->num_ocsp);
  json_texts(json, "ca_issuers", certificate->ca_issuers, certificate->num_ca_issuers);
  json_texts(json, "crl_distribution_points", certificate->crl_distribution_points,
             certificate->num_crl_distribution_points);
}

void json_certificate(struct json *json, const char *key,
                      const struct tlsagent_certificate *certificate) {
  json_begin_object(json, key);
  json_text(json, "subject", certificate->subject_text);
  json_text(json, "issuer", certificate->issuer_text);
  json_name(json, "subject_attributes", certificate->subject, certificate->num_subject);
  json_name(json, "issuer_attributes", certificate->issuer, certificate->num_issuer);
  json_unsigned(json, "version", certificate->version);
  json_text(json, "serial_number", certificate->serial_number);
  json_text(json, "not_before", certificate->not_before);
  json_text(json, "not_after", certificate->not_after);
  json_number(json, "not_before_unix", certificate->not_before_unix);
  json_number(json, "not_after_unix", certificate->not_after_unix);
  json_key(json, certificate);
  json_text(json, "signature_algorithm", certificate->signature_algorithm);
  json_names(json, certificate);
  json_usage(json, certificate);
  json_hex(json, "sha256", certificate->fingerprint_sha256);
  json_bool(json, "self_issued", certificate->self_issued);
  json_text(json, "pem", certificate->pem);
  json_end_object(json);
}
