// SessionService.ExportKeyingMaterial, ChannelBinding and SharedCiphers.
#include "tests/unit/service/harness.h"

namespace {

class Bindings : public Sessions {
 protected:
  Reply<V1(ExportKeyingMaterialResponse)> Export(uint64_t session, const std::string &label,
                                                 uint32_t length,
                                                 const std::string *context = nullptr) {
    V1(BytesValue) value;
    tlsagent__v1__bytes_value__init(&value);
    auto request = New<V1(ExportKeyingMaterialRequest)>();
    request.session = session;
    request.label = (char *)label.c_str();
    request.length = length;
    if (context != nullptr) {
      value.value = Binary(*context);
      request.context_value = &value;
    }
    return client_->Call(request);
  }
  Reply<V1(ChannelBindingResponse)> Bind(uint64_t session, int kind) {
    auto request = New<V1(ChannelBindingRequest)>();
    request.session = session;
    request.kind = (Tlsagent__V1__ChannelBindingKind)kind;
    return client_->Call(request);
  }
  Reply<V1(SharedCiphersResponse)> Shared(uint64_t session) {
    auto request = New<V1(SharedCiphersRequest)>();
    request.session = session;
    return client_->Call(request);
  }
  uint64_t Unshaken(enum engine_role role) {
    Way way;
    if (role == ENGINE_SERVER) {
      auto request = New<V1(AcceptRequest)>();
      request.context = server_context_;
      request.transport = way.Memory().get();
      return client_->Call(request)->session;
    }
    auto request = New<V1(ConnectRequest)>();
    request.context = client_context_;
    request.transport = way.Memory().get();
    request.server_name = (char *)"host.test";
    return client_->Call(request)->session;
  }
  std::string OfPeer(const std::string &label, size_t len, const std::string *context) {
    std::string out(len, '\0');
    EXPECT_EQ(1,
              SSL_export_keying_material(
                  peer_ssl(peer_.get()), (unsigned char *)&out[0], len, label.c_str(), label.size(),
                  (const unsigned char *)(context == nullptr ? "" : context->data()),
                  context == nullptr ? 0 : context->size(), context != nullptr));
    return out;
  }
};

TEST_F(Bindings, IsTheKeyingMaterialThatOfThePeer) {
  const std::string empty;
  const std::string word = "word";
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (enum engine_role role : {ENGINE_CLIENT, ENGINE_SERVER}) {
      uint64_t session = OpenInMemory(role, version);
      for (const std::string *context : {(const std::string *)nullptr, &empty, &word}) {
        auto reply = Export(session, "EXPERIMENTAL x", 50, context);
        EXPECT_EQ(0, reply.code) << reply.message;
        EXPECT_EQ(OfPeer("EXPERIMENTAL x", 50, context), Text(reply->data));
      }
    }
  }
}

TEST_F(Bindings, IsKeyingMaterialWithinItsBounds) {
  uint64_t session = OpenInMemory(ENGINE_CLIENT, TLS1_2_VERSION);
  EXPECT_EQ(STATUS_OK, Export(session, std::string(249, 'x'), 4096).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Export(session, std::string(250, 'x'), 1).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Export(session, "", 1).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Export(session, "x", 0).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Export(session, "x", 4097).code);
  const std::string long_context(65536, 'x');
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Export(session, "x", 1, &long_context).code);
  auto reply = Export(session, "master secret", 8);
  EXPECT_EQ(STATUS_OK, reply.code);
  EXPECT_EQ(0u, reply->data.len);
  EXPECT_STREQ("TLS_ILLEGAL_EXPORTER_LABEL", reply->error->reason);
  EXPECT_EQ(STATUS_NOT_FOUND, Export(session + 1, "x", 8).code);
}

TEST_F(Bindings, IsThereNothingBeforeTheHandshake) {
  uint64_t session = Unshaken(ENGINE_CLIENT);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Export(session, "x", 8).code);
  for (int kind : {1, 2, 3}) {
    auto reply = Bind(session, kind);
    EXPECT_EQ(STATUS_OK, reply.code);
    EXPECT_EQ(nullptr, reply->data);
  }
}

TEST_F(Bindings, IsAChannelBindingThatOfThePeer) {
  const std::string empty;
  for (enum engine_role role : {ENGINE_CLIENT, ENGINE_SERVER}) {
    uint64_t session = OpenInMemory(role, TLS1_2_VERSION);
    char finished[64];
    // Of a full handshake, the client's.
    size_t len = role == ENGINE_SERVER
                     ? SSL_get_finished(peer_ssl(peer_.get()), finished, sizeof(finished))
                     : SSL_get_peer_finished(peer_ssl(peer_.get()), finished, sizeof(finished));
    auto unique = Bind(session, 1);
    ASSERT_NE(nullptr, unique->data);
    EXPECT_EQ(std::string(finished, len), Text(unique->data->value));
    auto exporter = Bind(session, 2);
    ASSERT_NE(nullptr, exporter->data);
    EXPECT_EQ(OfPeer("EXPORTER-Channel-Binding", 32, &empty), Text(exporter->data->value));
    auto end_point = Bind(session, 3);
    ASSERT_NE(nullptr, end_point->data);
    EXPECT_EQ(32u, end_point->data->value.len);
  }
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Bind(Unshaken(ENGINE_CLIENT), 0).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Bind(Unshaken(ENGINE_CLIENT), 4).code);
}

TEST_F(Bindings, AreTheSharedCiphersAServersAlone) {
  uint64_t server = OpenInMemory(ENGINE_SERVER);
  auto reply = Shared(server);
  EXPECT_EQ(STATUS_OK, reply.code) << reply.message;
  ASSERT_GT(reply->n_ciphers, 0u);
  EXPECT_STREQ("TLSv1.3", reply->ciphers[0]->protocol);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Shared(OpenInMemory(ENGINE_CLIENT)).code);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Shared(Unshaken(ENGINE_SERVER)).code);
}

}  // namespace
