#include <openssl/err.h>

#include "server/tls/engine_private.h"
#include "server/tls/openssl_error.h"

static const char item[] = "server_name";

static status_t set_name(struct engine *engine, struct tls_error *error) {
  const char *name = engine->server_name;
  ERR_clear_error();
  bool good = host_is_address(name) || SSL_set_tlsext_host_name(engine->ssl, name) == 1;
  if (good && engine->edition->settings.check_hostname) {
    good = host_expect(SSL_get0_param(engine->ssl), name);
  }
  return good ? OK_STATUS : tls_out_of_memory(error);  // the name itself is without fault
}

status_t engine_name_setup(struct engine *engine, const char *name, struct tls_error *error) {
  if (name == NULL) {
    return engine->edition->settings.check_hostname
               ? tls_refuse(error, item, "check_hostname requires a server name")
               : OK_STATUS;
  }
  const char *fault = host_fault(name);
  if (fault != NULL) {
    return tls_refuse(error, item, "%s", fault);
  }
  host_copy(name, engine->server_name);
  return set_name(engine, error);
}
