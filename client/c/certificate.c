// CertificateService.

#include "client/c/verb.h"

TLA_VERB(certificate_decode, CERTIFICATE_DECODE)
TLA_VERB(certificate_verify, CERTIFICATE_VERIFY)
