// From the words of tls to those of the wire. Everything is made in the call's arena and may point
// into what it is made from. When the arena is exhausted parts are missing, and reply() says so.
#ifndef TLSAGENT_SERVER_SERVICE_CONVERT_H_
#define TLSAGENT_SERVER_SERVICE_CONVERT_H_

#include "server/service/private.h"
#include "server/tls/certificate.h"
#include "server/tls/context.h"
#include "server/tls/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

// ARENA_MESSAGE makes an initialized message tlsagent.v1.Type in the arena, or NULL.
#define ARENA_MESSAGE(arena, Type, type)                                      \
  ((Tlsagent__V1__##Type *)arena_message(arena, sizeof(Tlsagent__V1__##Type), \
                                         &tlsagent__v1__##type##__descriptor))
void *arena_message(struct arena *arena, size_t size, const ProtobufCMessageDescriptor *descriptor);

ProtobufCBinaryData binary_of(struct slice slice);
struct slice slice_of_binary(ProtobufCBinaryData data);
// binary_list points an array of binary data at an array of slices. NULL when there are none.
ProtobufCBinaryData *binary_list(struct arena *arena, const struct slice *slices, size_t num);

Tlsagent__V1__TlsError *convert_error(struct arena *arena, const struct tls_error *error);
Tlsagent__V1__Certificate *convert_certificate(struct arena *arena,
                                               const struct tls_certificate *certificate);
// convert_certificates makes one for each; *out_num is 0 when the arena is exhausted.
Tlsagent__V1__Certificate **convert_certificates(struct arena *arena,
                                                 const struct tls_certificate *certificates,
                                                 size_t num, size_t *out_num);
Tlsagent__V1__CipherInfo *convert_cipher(struct arena *arena, const struct tls_cipher_info *cipher);
Tlsagent__V1__Negotiated *convert_negotiated(struct arena *arena,
                                             const struct engine_negotiated *negotiated);
Tlsagent__V1__Decision *convert_decision(struct arena *arena,
                                         const struct engine_decision *decision);
// convert_events makes one for each; *out_num is 0 when the arena is exhausted.
Tlsagent__V1__SessionEvent **convert_events(struct arena *arena, const struct engine_event *events,
                                            size_t num, size_t *out_num);

// decode_chain decodes each DER certificate; one that does not decode is left out.
Tlsagent__V1__Certificate **decode_chain(struct arena *arena, const struct slice *der, size_t num,
                                         size_t *out_num);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_CONVERT_H_
