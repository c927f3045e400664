// A provider for OpenSSL, inside this process, of one algorithm: the TLS13-KDF of EVP_KDF(3), by
// tls13_kdf. OpenSSL 3.0's own looks up four algorithms and allocates a dozen blocks for each
// secret, and a handshake has some 25 of them. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_KDF_PROVIDER_H_
#define TLSAGENT_SERVER_TLS_KDF_PROVIDER_H_

#ifdef __cplusplus
extern "C" {
#endif

// kdf_provider_start loads it, once. It stays out of the way where OpenSSL's own is not that of its
// default provider: somebody wants another, as FIPS 140 does.
void kdf_provider_start(void);

// kdf_provider_query is the property query by which an SSL_CTX prefers it, or NULL: it isn't
// loaded. default_properties of openssl.cnf are stronger.
const char *kdf_provider_query(void);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_KDF_PROVIDER_H_
