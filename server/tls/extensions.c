#include "server/tls/extensions.h"

#include <openssl/x509v3.h>

#include "server/tls/names.h"

// A list of texts that grows; it takes twice its size from the arena at most.
struct texts {
  struct decoding *to;
  const char **items;
  size_t num;
  size_t room;
};

static void texts_add(struct texts *texts, const char *text) {
  if (texts->num == texts->room) {
    size_t room = texts->room == 0 ? 8 : texts->room * 2;
    const char **items = arena_array(texts->to->arena, room, sizeof(*items));
    if (items == NULL) {
      return;  // the arena remembers
    }
    for (size_t i = 0; i < texts->num; i++) {
      items[i] = texts->items[i];
    }
    texts->items = items;
    texts->room = room;
  }
  texts->items[texts->num++] = text;
}

static void texts_add_uri(struct texts *texts, const GENERAL_NAME *name) {
  int type = 0;
  const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
  if (type == GEN_URI) {
    texts_add(texts, text_escaped(texts->to, bytes_of(value)));
  }
}

// Calls visit with every extension of this kind, decoded; visit does not keep it.
typedef void extension_visitor(struct decoding *to, void *extension, struct tls_certificate *out);

// ---------------------------------------------------------------------------------------------

static void visit_alt_names(struct decoding *to, void *extension, struct tls_certificate *out) {
  GENERAL_NAMES *names = extension;
  size_t more = (size_t)sk_GENERAL_NAME_num(names);
  struct tls_alternative_name *all =
      arena_array(to->arena, out->num_alt_names + more, sizeof(*all));
  if (all == NULL) {
    return;
  }
  for (size_t i = 0; i < out->num_alt_names; i++) {
    all[i] = out->alt_names[i];
  }
  for (size_t i = 0; i < more && !to->arena->exhausted; i++) {
    all[out->num_alt_names++] = alternative_name_decode(to, sk_GENERAL_NAME_value(names, (int)i));
  }
  out->alt_names = all;
}

static void visit_access(struct decoding *to, void *extension, struct tls_certificate *out) {
  AUTHORITY_INFO_ACCESS *access = extension;
  struct texts ocsp = {to, out->ocsp, out->num_ocsp, out->num_ocsp};
  struct texts issuers = {to, out->ca_issuers, out->num_ca_issuers, out->num_ca_issuers};
  for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(access); i++) {
    const ACCESS_DESCRIPTION *description = sk_ACCESS_DESCRIPTION_value(access, i);
    int method = OBJ_obj2nid(description->method);
    if (method == NID_ad_OCSP) {
      texts_add_uri(&ocsp, description->location);
    } else if (method == NID_ad_ca_issuers) {
      texts_add_uri(&issuers, description->location);
    }
  }
  out->ocsp = ocsp.items;
  out->num_ocsp = ocsp.num;
  out->ca_issuers = issuers.items;
  out->num_ca_issuers = issuers.num;
}

static void visit_crl_points(struct decoding *to, void *extension, struct tls_certificate *out) {
  enum { FULL_NAME = 0 };
  CRL_DIST_POINTS *points = extension;
  struct texts texts = {to, out->crl_points, out->num_crl_points, out->num_crl_points};
  for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
    const DIST_POINT_NAME *place = sk_DIST_POINT_value(points, i)->distpoint;
    if (place == NULL || place->type != FULL_NAME) {
      continue;
    }
    for (int j = 0; j < sk_GENERAL_NAME_num(place->name.fullname); j++) {
      texts_add_uri(&texts, sk_GENERAL_NAME_value(place->name.fullname, j));
    }
  }
  out->crl_points = texts.items;
  out->num_crl_points = texts.num;
}

static void visit_key_usage(struct decoding *to, void *extension, struct tls_certificate *out) {
  // In the order of the bits (RFC 5280, section 4.2.1.3).
  static const char *const names[] = {"digitalSignature", "nonRepudiation", "keyEncipherment",
                                      "dataEncipherment", "keyAgreement",   "keyCertSign",
                                      "cRLSign",          "encipherOnly",   "decipherOnly"};
  const ASN1_BIT_STRING *bits = extension;
  struct texts texts = {to, out->key_usage, out->num_key_usage, out->num_key_usage};
  for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
    if (ASN1_BIT_STRING_get_bit(bits, i)) {
      texts_add(&texts, names[i]);
    }
  }
  out->key_usage = texts.items;
  out->num_key_usage = texts.num;
}

static void visit_extended_key_usage(struct decoding *to, void *extension,
                                     struct tls_certificate *out) {
  EXTENDED_KEY_USAGE *usage = extension;
  struct texts texts = {to, out->extended_key_usage, out->num_extended_key_usage,
                        out->num_extended_key_usage};
  for (int i = 0; i < sk_ASN1_OBJECT_num(usage); i++) {
    texts_add(&texts, text_of_object(to, sk_ASN1_OBJECT_value(usage, i)));
  }
  out->extended_key_usage = texts.items;
  out->num_extended_key_usage = texts.num;
}

static void visit_basic_constraints(struct decoding *to, void *extension,
                                    struct tls_certificate *out) {
  const BASIC_CONSTRAINTS *constraints = extension;
  (void)to;
  out->has_basic_constraints = true;
  out->ca = constraints->ca != 0;
  uint64_t length = 0;
  out->has_path_length = constraints->pathlen != NULL &&
                         ASN1_INTEGER_get_uint64(&length, constraints->pathlen) == 1 &&
                         length <= UINT32_MAX;
  out->path_length = out->has_path_length ? (uint32_t)length : 0;
}

// ---------------------------------------------------------------------------------------------

struct known_extension {
  int nid;
  const ASN1_ITEM *(*item)(void);
  extension_visitor *visit;
};

static const struct known_extension known[] = {
    {NID_subject_alt_name, GENERAL_NAMES_it, visit_alt_names},
    {NID_info_access, AUTHORITY_INFO_ACCESS_it, visit_access},
    {NID_crl_distribution_points, CRL_DIST_POINTS_it, visit_crl_points},
    {NID_key_usage, ASN1_BIT_STRING_it, visit_key_usage},
    {NID_ext_key_usage, EXTENDED_KEY_USAGE_it, visit_extended_key_usage},
    {NID_basic_constraints, BASIC_CONSTRAINTS_it, visit_basic_constraints},
};

static void decode_extension(struct decoding *to, X509_EXTENSION *extension,
                             struct tls_certificate *out) {
  int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (known[i].nid != nid) {
      continue;
    }
    struct slice der = bytes_of(X509_EXTENSION_get_data(extension));
    const unsigned char *from = der.data;
    const ASN1_ITEM *item = known[i].item();
    ASN1_VALUE *value = ASN1_item_d2i(NULL, &from, (long)der.len, item);
    if (value != NULL) {
      known[i].visit(to, value, out);
      ASN1_item_free(value, item);
    }
  }
}

void extensions_decode(struct decoding *to, const X509 *certificate, struct tls_certificate *out) {
  for (int i = 0; i < X509_get_ext_count(certificate) && !to->arena->exhausted; i++) {
    decode_extension(to, X509_get_ext(certificate, i), out);
    decoding_check(to);
  }
}
