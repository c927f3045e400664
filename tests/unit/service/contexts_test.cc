// ContextService.
#include <thread>

#include "tests/unit/service/harness.h"

namespace {

class Contexts : public Daemon {
 protected:
  Client client_ = Connect();

  Reply<V1(DescribeContextResponse)> Describe(uint64_t context) {
    return Describe(client_, context);
  }
  static Reply<V1(DescribeContextResponse)> Describe(Client &client, uint64_t context) {
    auto request = New<V1(DescribeContextRequest)>();
    request.context = context;
    return client.Call(request);
  }
  static int Release(Client &client, uint64_t context) {
    auto request = New<V1(ReleaseContextRequest)>();
    request.context = context;
    return client.Call(request).code;
  }
  static Reply<V1(OpenContextResponse)> Open(Client &client, const std::string &name) {
    auto request = New<V1(OpenContextRequest)>();
    request.name = (char *)name.c_str();
    return client.Call(request);
  }
  static int Forget(Client &client, const std::string &name) {
    auto request = New<V1(ForgetContextRequest)>();
    request.name = (char *)name.c_str();
    return client.Call(request).code;
  }
  static Reply<V1(CreateContextResponse)> Create(Client &client, const std::string &name = "") {
    auto request = New<V1(CreateContextRequest)>();
    request.name = (char *)name.c_str();
    return client.Call(request);
  }
};

// ---------------------------------------------------------------------------------------------
// Create

TEST_F(Contexts, IsAnEmptyRequestAContextForBothRoles) {
  auto made = Create(client_);
  ASSERT_EQ(0, made.code) << made.message;
  EXPECT_NE(0u, made->context);
  EXPECT_EQ(nullptr, made->error);
  EXPECT_EQ(TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_BOTH, Describe(made->context)->kind);
}

TEST_F(Contexts, IsAnUnknownKindRefused) {
  auto request = New<V1(CreateContextRequest)>();
  request.kind = (V1(ContextKind))77;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_.Call(request).code);
}

TEST_F(Contexts, IsWhatOpenSslRefusesAnAnswerThatSaysWhich) {
  auto request = New<V1(CreateContextRequest)>();
  V1(ContextSettings) settings = TLSAGENT__V1__CONTEXT_SETTINGS__INIT;
  V1(StringValue) ciphers = TLSAGENT__V1__STRING_VALUE__INIT;
  ciphers.value = (char *)"NO-SUCH-CIPHER";
  settings.ciphers = &ciphers;
  request.settings = &settings;
  auto made = client_.Call(request);
  ASSERT_EQ(0, made.code) << made.message;
  EXPECT_EQ(0u, made->context);
  ASSERT_NE(nullptr, made->error);
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_INVALID, made->error->kind);
  EXPECT_STREQ("settings.ciphers", made->error->item);
  EXPECT_STRNE("", made->error->text);
  EXPECT_EQ(0u, CountedContexts());
}

Reply<V1(CreateContextResponse)> CreateWithPair(Client &client, V1(Material) * chain,
                                                V1(Material) * key) {
  auto request = New<V1(CreateContextRequest)>();
  V1(CertificatePair) pair = TLSAGENT__V1__CERTIFICATE_PAIR__INIT;
  V1(CertificatePair) * pairs[] = {&pair};
  pair.chain = chain;
  pair.key = key;
  request.pairs = pairs;
  request.n_pairs = 1;
  return client.Call(request);
}

TEST_F(Contexts, IsAKeyOfAnotherCertificateAnAnswer) {
  Material chain(pki_get()->server->chain_pem);
  Material key(pki_get()->client->key_pem);
  auto made = CreateWithPair(client_, chain.get(), key.get());
  ASSERT_EQ(0, made.code) << made.message;
  ASSERT_NE(nullptr, made->error);
  EXPECT_STREQ("pairs[0].key", made->error->item);
}

TEST_F(Contexts, IsAPairWithoutAChainRefused) {
  Material key(pki_get()->server->key_pem);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, CreateWithPair(client_, nullptr, key.get()).code);
}

TEST_F(Contexts, CanTheKeyBeInTheChain) {
  Material both(std::string(pki_get()->server->chain_pem) + pki_get()->server->key_pem);
  auto made = CreateWithPair(client_, both.get(), nullptr);
  EXPECT_EQ(nullptr, made->error);
  EXPECT_NE(0u, made->context);
}

TEST_F(Contexts, IsAMaterialThatIsNoneRefused) {
  Material chain;
  chain.get()->source_case = TLSAGENT__V1__MATERIAL__SOURCE__NOT_SET;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, CreateWithPair(client_, chain.get(), nullptr).code);
  chain.get()->source_case = TLSAGENT__V1__MATERIAL__SOURCE_FD;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, CreateWithPair(client_, chain.get(), nullptr).code);
}

TEST_F(Contexts, AreMaterialsHeldToTheirLimits) {
  Material large(std::string(limits_.material_bytes + 1, 'x'));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, CreateWithPair(client_, large.get(), nullptr).code);
  Material half(std::string(limits_.context_bytes / 2 + 1, 'x'));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, CreateWithPair(client_, half.get(), half.get()).code);
  auto made = CreateWithPair(client_, half.get(), nullptr);
  EXPECT_EQ(0, made.code) << "it is rubbish, but it fits";
  EXPECT_NE(nullptr, made->error);
}

TEST_F(Contexts, DoesAnEncryptedKeyWantItsPassword) {
  char *encrypted = pki_encrypted_key(pki_get()->server, "secret", false);
  Material chain(pki_get()->server->chain_pem);
  Material key(encrypted);
  free(encrypted);
  V1(CertificatePair) pair = TLSAGENT__V1__CERTIFICATE_PAIR__INIT;
  V1(CertificatePair) * pairs[] = {&pair};
  V1(BytesValue) password = TLSAGENT__V1__BYTES_VALUE__INIT;
  pair.chain = chain.get();
  pair.key = key.get();
  auto request = New<V1(CreateContextRequest)>();
  request.pairs = pairs;
  request.n_pairs = 1;
  EXPECT_NE(nullptr, client_.Call(request)->error) << "none";
  pair.password = &password;
  EXPECT_NE(nullptr, client_.Call(request)->error) << "an empty one";
  password.value = {6, (uint8_t *)"secret"};
  EXPECT_EQ(nullptr, client_.Call(request)->error);
}

// ---------------------------------------------------------------------------------------------
// Configure

TEST_F(Contexts, IsAChangeMadeOrNotMadeAtAll) {
  uint64_t context = ServerContext(client_);
  auto request = New<V1(ConfigureContextRequest)>();
  V1(ContextSettings) settings = TLSAGENT__V1__CONTEXT_SETTINGS__INIT;
  V1(VersionBound) bound = TLSAGENT__V1__VERSION_BOUND__INIT;
  V1(StringValue) ciphers = TLSAGENT__V1__STRING_VALUE__INIT;
  bound.version = TLSAGENT__V1__PROTOCOL_VERSION__PROTOCOL_VERSION_TLS_1_3;
  ciphers.value = (char *)"NO-SUCH-CIPHER";
  settings.min_version = &bound;
  settings.ciphers = &ciphers;
  request.context = context;
  request.settings = &settings;
  auto failed = client_.Call(request);
  ASSERT_EQ(0, failed.code);
  ASSERT_NE(nullptr, failed->error);
  EXPECT_EQ(TLSAGENT__V1__PROTOCOL_VERSION__PROTOCOL_VERSION_TLS_1_2,
            Describe(context)->settings->min_version->version);
  settings.ciphers = nullptr;
  EXPECT_EQ(nullptr, client_.Call(request)->error);
  EXPECT_EQ(TLSAGENT__V1__PROTOCOL_VERSION__PROTOCOL_VERSION_TLS_1_3,
            Describe(context)->settings->min_version->version);
}

TEST_F(Contexts, IsAChangeOfWhatIsNotThereNotFound) {
  auto request = New<V1(ConfigureContextRequest)>();
  EXPECT_EQ(STATUS_NOT_FOUND, client_.Call(request).code);
  request.context = 12345;
  EXPECT_EQ(STATUS_NOT_FOUND, client_.Call(request).code);
}

TEST_F(Contexts, IsAChangeThatMakesNoSenseRefused) {
  auto request = New<V1(ConfigureContextRequest)>();
  V1(ContextSettings) settings = TLSAGENT__V1__CONTEXT_SETTINGS__INIT;
  V1(VerifyModeValue) mode = TLSAGENT__V1__VERIFY_MODE_VALUE__INIT;
  settings.verify_mode = &mode;
  request.context = ServerContext(client_);
  request.settings = &settings;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_.Call(request).code);
}

// ---------------------------------------------------------------------------------------------
// Describe and ListTrust

TEST_F(Contexts, IsAContextReadBackWithoutItsSecrets) {
  auto described = Describe(ServerContext(client_));
  ASSERT_EQ(0, described.code) << described.message;
  EXPECT_EQ(TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_SERVER, described->kind);
  ASSERT_EQ(1u, described->n_certificates);
  EXPECT_EQ(std::string((const char *)pki_get()->server->der.data, pki_get()->server->der.len),
            Text(described->certificates[0]->der));
  EXPECT_GT(described->n_ciphers, 5u);
  EXPECT_STREQ("TLSv1.3", described->ciphers[0]->protocol);
  EXPECT_STREQ("", described->name);
  EXPECT_NE(nullptr, described->sessions);
  EXPECT_EQ(0u, described->sessions->accept) << "its own proof does not count";
}

TEST_F(Contexts, IsItsTrustListed) {
  uint64_t context = ClientContext(client_);
  auto described = Describe(context);
  EXPECT_EQ(1u, described->trust->certificates);
  EXPECT_EQ(1u, described->trust->ca_certificates);
  EXPECT_EQ(0u, described->trust->crls);
  auto request = New<V1(ListTrustRequest)>();
  request.context = context;
  auto listed = client_.Call(request);
  ASSERT_EQ(1u, listed->n_der);
  EXPECT_EQ(0u, listed->n_certificates);
  request.decode = true;
  listed = client_.Call(request);
  ASSERT_EQ(1u, listed->n_certificates);
  EXPECT_EQ(Text(listed->der[0]), Text(listed->certificates[0]->der));
  request.context = 1;
  EXPECT_EQ(STATUS_NOT_FOUND, client_.Call(request).code);
}

// ---------------------------------------------------------------------------------------------
// Handles and names

TEST_F(Contexts, IsAHandleAnotherClientsOwn) {
  uint64_t context = ServerContext(client_);
  Client other = Connect();
  EXPECT_EQ(STATUS_NOT_FOUND, Describe(other, context).code);
  EXPECT_EQ(STATUS_NOT_FOUND, Release(other, context));
  EXPECT_EQ(0, Describe(context).code);
}

TEST_F(Contexts, DoesAConnectionThatJoinsShareThem) {
  uint64_t context = ServerContext(client_);
  auto hello = client_.Call(New<V1(HelloRequest)>());
  How how;
  for (unsigned char byte : Text(hello->token)) {
    char hex[3];
    snprintf(hex, sizeof(hex), "%02x", byte);
    how.token += hex;
  }
  Client other = Connect();
  auto request = New<V1(DescribeContextRequest)>();
  request.context = context;
  EXPECT_EQ(0, other.Call(request, how).code);
  client_.Disconnect();
  EXPECT_EQ(0, other.Call(request).code) << "it outlives the connection that made it";
}

TEST_F(Contexts, IsAReleasedHandleGone) {
  uint64_t context = ServerContext(client_);
  EXPECT_EQ(0, Release(client_, context));
  EXPECT_EQ(STATUS_NOT_FOUND, Release(client_, context));
  EXPECT_EQ(STATUS_NOT_FOUND, Describe(context).code);
  EXPECT_EQ(STATUS_NOT_FOUND, Release(client_, 0));
  EXPECT_EQ(0u, CountedContexts());
}

TEST_F(Contexts, DoTheyEndWithTheirClient) {
  ServerContext(client_);
  ClientContext(client_);
  EXPECT_EQ(2u, CountedContexts());
  client_.Disconnect();
  EXPECT_TRUE(Eventually([this] { return CountedContexts() == 0; }));
}

TEST_F(Contexts, DoesANamedOneOutliveItsClient) {
  auto made = Create(client_, "kept");
  EXPECT_STREQ("kept", Describe(made->context)->name);
  client_.Disconnect();
  Client other = Connect();
  auto opened = Open(other, "kept");
  ASSERT_EQ(0, opened.code) << opened.message;
  EXPECT_STREQ("kept", Describe(other, opened->context)->name);
  EXPECT_EQ(0, Forget(other, "kept"));
  EXPECT_EQ(STATUS_NOT_FOUND, Forget(other, "kept"));
  EXPECT_EQ(STATUS_NOT_FOUND, Open(other, "kept").code);
  EXPECT_EQ(0, Describe(other, opened->context).code) << "the handle is still good";
}

TEST_F(Contexts, IsANameTakenOnce) {
  EXPECT_EQ(0, Create(client_, "one").code);
  Client other = Connect();
  EXPECT_EQ(STATUS_ALREADY_EXISTS, Create(other, "one").code);
  EXPECT_EQ(2u, CountedContexts()) << "the name and its first handle";
  EXPECT_EQ(0, Forget(other, "one"));
  EXPECT_EQ(0, Create(other, "one").code);
}

TEST_F(Contexts, IsANameHeldToItsLength) {
  EXPECT_EQ(0, Create(client_, std::string(255, 'n')).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Create(client_, std::string(256, 'n')).code);
  EXPECT_EQ(STATUS_NOT_FOUND, Open(client_, "").code);
  EXPECT_EQ(STATUS_NOT_FOUND, Forget(client_, ""));
}

class FewContexts : public Contexts {
 protected:
  FewContexts() {
    client_.Disconnect();
    Stop();
    limits_.contexts_per_owner = 3;
    Start();
  }
};

TEST_F(FewContexts, IsOneTooManyRefusedAndNoOneElseDisturbed) {
  Client client = Connect();
  uint64_t first = Create(client)->context;
  EXPECT_EQ(0, Create(client).code);
  EXPECT_EQ(0, Create(client).code);
  auto refused = Create(client);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, refused.code);
  EXPECT_NE(std::string::npos, refused.message.find("contexts")) << refused.message;
  EXPECT_EQ(0, Describe(client, first).code);
  EXPECT_EQ(0, Release(client, first));
  EXPECT_EQ(0, Create(client).code);
}

// A name and a handle count one each: with room for one of them nothing is made.
TEST_F(FewContexts, DoesANameThatHasNoRoomLeaveNothingBehind) {
  Client client = Connect();
  EXPECT_EQ(0, Create(client, "a").code);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Create(client, "b").code);
  EXPECT_EQ(2u, CountedContexts());
  EXPECT_EQ(STATUS_NOT_FOUND, Open(client, "b").code);
  EXPECT_EQ(0, Create(client).code) << "there is room for one without a name";
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Open(client, "a").code);
}

// Two that want one name at a time: one gets it, and neither leaves anything behind.
TEST_F(Contexts, DoesARaceForANameHaveOneWinner) {
  for (int round = 0; round < 10; round++) {
    int codes[2];
    std::thread threads[2];
    for (int i = 0; i < 2; i++) {
      threads[i] = std::thread([&, i] {
        Client client = Connect();
        codes[i] = Create(client, "raced").code;
      });
    }
    threads[0].join();
    threads[1].join();
    EXPECT_TRUE((codes[0] == 0) != (codes[1] == 0));
    EXPECT_EQ(STATUS_ALREADY_EXISTS, codes[0] + codes[1]);
    EXPECT_EQ(0, Forget(client_, "raced"));
    EXPECT_TRUE(Eventually([this] { return CountedContexts() == 0; }));
  }
}

}  // namespace
