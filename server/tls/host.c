#include "server/tls/host.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_printable_ascii(const char *text) {
  for (; *text != '\0'; text++) {
    if (*text <= ' ' || *text >= 0x7f) {
      return false;
    }
  }
  return true;
}

const char *host_fault(const char *host) {
  if (host[0] == '\0' || host[0] == '.') {
    return "cannot be an empty string or start with a leading dot";
  }
  if (strlen(host) > HOST_MAX) {
    return "longer than 255 bytes";
  }
  if (!is_printable_ascii(host)) {
    return "not plain ASCII: give the name in its IDNA form, \"xn--...\"";
  }
  return NULL;
}

void host_copy(const char *host, char out[HOST_MAX + 1]) {
  size_t len = strlen(host);
  if (len > 1 && host[len - 1] == '.') {
    len--;
  }
  memcpy(out, host, len);
  out[len] = '\0';
}

bool host_is_address(const char *host) {
  unsigned char address[sizeof(struct in6_addr)];
  return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

bool host_expect(X509_VERIFY_PARAM *param, const char *host) {
  return host_is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1
                               : X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}
