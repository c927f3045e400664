// SessionService.RequestClientCertificate and UpdateKeys: what comes after the handshake.
#include "server/service/operation.h"

static void respond_request(struct operation *operation) {
  Tlsagent__V1__RequestClientCertificateResponse response =
      TLSAGENT__V1__REQUEST_CLIENT_CERTIFICATE_RESPONSE__INIT;
  response.progress = operation_progress(operation);
  reply(operation->call, &response);
}

void session_request_client_certificate(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__RequestClientCertificateRequest *from =
      (const Tlsagent__V1__RequestClientCertificateRequest *)request;
  struct operation *operation =
      operation_new(call, from->session, SESSION_REQUEST_CERTIFICATE, respond_request);
  if (operation != NULL) {
    operation_run(operation);
  }
}

static void respond_update(struct operation *operation) {
  Tlsagent__V1__UpdateKeysResponse response = TLSAGENT__V1__UPDATE_KEYS_RESPONSE__INIT;
  response.progress = operation_progress(operation);
  reply(operation->call, &response);
}

void session_update_keys(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__UpdateKeysRequest *from = (const Tlsagent__V1__UpdateKeysRequest *)request;
  struct operation *operation =
      operation_new(call, from->session, SESSION_UPDATE_KEYS, respond_update);
  if (operation != NULL) {
    operation->op.request_peer = from->request_peer;
    operation_run(operation);
  }
}
