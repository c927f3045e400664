// Whatever is given for a certificate: it is decoded or refused, and what comes out may be sent.
#include <stdlib.h>
#include <string.h>

#include "server/base/utf8.h"
#include "server/tls/certificate.h"
#include "server/tls/context.h"

namespace {

constexpr size_t kArenaMax = 4 << 20;

void Must(bool good) {
  if (!good) {
    abort();
  }
}

void CheckText(const char *text) {
  Must(text != nullptr && utf8_valid(slice_of_string(text)));
}

void CheckTexts(const char *const *texts, size_t num) {
  for (size_t i = 0; i < num; i++) {
    CheckText(texts[i]);
  }
}

void CheckName(const tls_name &name) {
  for (size_t i = 0; i < name.num_steps; i++) {
    for (size_t j = 0; j < name.steps[i].num_attributes; j++) {
      const tls_name_attribute &attribute = name.steps[i].attributes[j];
      CheckText(attribute.type);
      CheckText(attribute.short_type);
      if (attribute.text != nullptr) {
        CheckText(attribute.text);
      }
    }
  }
}

void CheckAlternativeName(const tls_alternative_name &name) {
  Must(name.kind >= TLS_ALT_DNS && name.kind <= TLS_ALT_OTHER);
  CheckText(name.text);
  CheckText(name.label);
  CheckName(name.directory);
}

void CheckCertificate(const tls_certificate &c) {
  const char *const texts[] = {
      c.serial_number, c.not_before,  c.not_after, c.key_type, c.signature_algorithm,
      c.subject_text,  c.issuer_text, c.pem,       c.key_curve};
  CheckTexts(texts, sizeof(texts) / sizeof(texts[0]));
  CheckName(c.subject);
  CheckName(c.issuer);
  for (size_t i = 0; i < c.num_alt_names; i++) {
    CheckAlternativeName(c.alt_names[i]);
  }
  CheckTexts(c.ocsp, c.num_ocsp);
  CheckTexts(c.ca_issuers, c.num_ca_issuers);
  CheckTexts(c.crl_points, c.num_crl_points);
  CheckTexts(c.key_usage, c.num_key_usage);
  CheckTexts(c.extended_key_usage, c.num_extended_key_usage);
}

void DecodeOne(slice data, struct arena *arena) {
  tls_certificate certificate;
  tls_error error;
  if (status_ok(tls_certificate_decode(data, arena, &certificate, &error))) {
    CheckCertificate(certificate);
    Must(slice_equal(certificate.der, data) || certificate.der.len > 0);
  } else {
    CheckText(error.text);
  }
}

void DecodeAll(slice data, struct arena *arena) {
  tls_certificate *list;
  size_t num;
  tls_error error;
  if (status_ok(tls_certificates_decode(data, 8, arena, &list, &num, &error))) {
    Must(num >= 1 && num <= 8);
    for (size_t i = 0; i < num; i++) {
      CheckCertificate(list[i]);
    }
  }
}

// The input vouches for itself.
void Verify(slice data, struct arena *arena) {
  tls_verify_request request = {};
  request.chain = data;
  request.trust = &data;
  request.num_trust = 1;
  request.host = "host.test";
  request.purpose = TLS_PURPOSE_SERVER;
  request.has_time = true;
  request.at_unix = 1700000000;
  tls_verify_result result;
  tls_error error;
  if (status_ok(tls_chain_verify(&request, arena, &result, &error))) {
    for (size_t i = 0; i < result.num_depths; i++) {
      Must(!result.ok || result.depths[i].num_failures == 0);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static tls_error error;
  static const bool started = status_ok(tls_library_start(&error));
  Must(started);
  struct arena arena;
  arena_init(&arena, kArenaMax);
  const slice input = slice_of(data, size);
  DecodeOne(input, &arena);
  arena_reset(&arena);
  DecodeAll(input, &arena);
  arena_reset(&arena);
  Verify(input, &arena);
  arena_cleanup(&arena);
  return 0;
}
