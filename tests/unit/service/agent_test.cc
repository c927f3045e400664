#include "server/tls/library.h"
#include "tests/unit/service/harness.h"

#include <unistd.h>

#include <set>

namespace {

class Agent : public Daemon {
 protected:
  Client client_ = Connect();
};

TEST_F(Agent, DoesAnythingGetThroughAtAll) {
  auto request = New<V1(PingRequest)>();
  std::string payload("h\0llo", 5);
  request.payload = Binary(payload);
  auto reply = client_.Call(request);
  EXPECT_EQ(0, reply.code);
  EXPECT_EQ(payload, Text(reply->payload));
}

TEST_F(Agent, DoesAMegabyteComeBack) {
  auto request = New<V1(PingRequest)>();
  std::string payload = Pattern(1 << 20);
  request.payload = Binary(payload);
  EXPECT_TRUE(payload == Text(client_.Call(request)->payload));
}

TEST_F(Agent, DoesItSayWhoTheCallerIs) {
  auto request = New<V1(HelloRequest)>();
  auto reply = client_.Call(request);
  EXPECT_EQ(16u, reply->token.len);
  EXPECT_STREQ(TLSAGENT_VERSION, reply->version);
  EXPECT_EQ(getuid(), reply->uid);
  Client other = Connect();
  EXPECT_NE(Text(reply->token), Text(other.Call(request)->token));
  EXPECT_EQ(Text(reply->token), Text(client_.Call(request)->token));
}

bool HasCapability(const V1(InfoResponse) * info, const std::string &name, bool available) {
  for (size_t i = 0; i < info->n_capabilities; i++) {
    if (name == info->capabilities[i]->name) {
      return info->capabilities[i]->available == available;
    }
  }
  return false;
}

std::string DetailOf(const V1(InfoResponse) * info, const std::string &name) {
  for (size_t i = 0; i < info->n_capabilities; i++) {
    if (name == info->capabilities[i]->name) {
      return info->capabilities[i]->detail;
    }
  }
  return "";
}

TEST_F(Agent, DoesItTellWhatItCanDo) {
  auto request = New<V1(InfoRequest)>();
  auto info = client_.Call(request);
  ASSERT_EQ(0, info.code) << info.message;
  EXPECT_STREQ(TLSAGENT_VERSION, info->version);
  EXPECT_STREQ(OpenSSL_version(OPENSSL_VERSION), info->openssl_version);
  EXPECT_EQ(OpenSSL_version_num(), info->openssl_version_number);
  EXPECT_EQ((uint64_t)OPENSSL_VERSION_NUMBER, info->openssl_build_version_number);
  EXPECT_EQ(2u, info->workers);
  EXPECT_GT(info->n_groups, 3u);
  EXPECT_STREQ("SSL_CERT_FILE", info->verify_paths->file_env);
  EXPECT_STREQ("SSL_CERT_DIR", info->verify_paths->directory_env);
  EXPECT_STRNE("", info->default_ciphers);
  EXPECT_TRUE(HasCapability(info.response.get(), "memory", true));
  EXPECT_TRUE(HasCapability(info.response.get(), "fd", true));
  EXPECT_TRUE(HasCapability(info.response.get(), "relay", true));
}

// Either way it is the relay that serves (the harness says that the kernel has none).
TEST_F(Agent, DoesItTellWhyTheKernelDoesNoRecords) {
  auto info = client_.Call(New<V1(InfoRequest)>());
  ASSERT_EQ(0, info.code) << info.message;
  EXPECT_TRUE(HasCapability(info.response.get(), "ktls", false));
  EXPECT_EQ(0u, DetailOf(info.response.get(), "ktls").find("this kernel has no TLS, "));
}

// All that Lib/ssl.py of Python wants to know at its import.
TEST_F(Agent, IsWhatProgramsBeginWithThereAtOnce) {
  auto info = client_.Call(New<V1(InfoRequest)>());
  ASSERT_EQ(0, info.code) << info.message;
  EXPECT_TRUE(HasCapability(info.response.get(), "tls1.3", true));
  EXPECT_TRUE(HasCapability(info.response.get(), "resumption", true));
  ASSERT_EQ(2u, info->n_objects);
  EXPECT_TRUE(info->objects[0]->found);
  EXPECT_EQ(129, info->objects[0]->nid);
  EXPECT_STREQ("serverAuth", info->objects[0]->short_name);
  EXPECT_STREQ("TLS Web Client Authentication", info->objects[1]->long_name);
  EXPECT_STREQ("1.3.6.1.5.5.7.3.2", info->objects[1]->oid);
  ASSERT_EQ(3u, info->n_context_defaults);
  for (size_t i = 0; i < info->n_context_defaults; i++) {
    const V1(ContextDefaults) *defaults = info->context_defaults[i];
    auto create = New<V1(CreateContextRequest)>();
    create.kind = defaults->kind;
    auto describe = New<V1(DescribeContextRequest)>();
    describe.context = client_.Call(create)->context;
    auto described = client_.Call(describe);
    auto packed = [](const V1(ContextSettings) * settings) {
      std::string bytes(tlsagent__v1__context_settings__get_packed_size(settings), '\0');
      tlsagent__v1__context_settings__pack(settings, (uint8_t *)&bytes[0]);
      return bytes;
    };
    EXPECT_EQ(packed(described->settings), packed(defaults->settings));
  }
}

TEST_F(Agent, AreTheConstantsOpenSslsOwn) {
  auto request = New<V1(InfoRequest)>();
  auto info = client_.Call(request);
  std::map<std::string, int64_t> constants;
  for (size_t i = 0; i < info->n_constants; i++) {
    constants[info->constants[i]->name] = info->constants[i]->value;
  }
  EXPECT_EQ((int64_t)SSL_OP_NO_TICKET, constants["SSL_OP_NO_TICKET"]);
  EXPECT_EQ((int64_t)X509_V_FLAG_PARTIAL_CHAIN, constants["X509_V_FLAG_PARTIAL_CHAIN"]);
  EXPECT_EQ((int64_t)SSL_AD_UNKNOWN_CA, constants["SSL_AD_UNKNOWN_CA"]);
  EXPECT_GT(constants.size(), 50u);
}

class DialingAgent : public Daemon {};

TEST_F(DialingAgent, IsDiallingToldOfWhenItIsAllowed) {
  auto request = New<V1(InfoRequest)>();
  {
    Client client = Connect();
    EXPECT_TRUE(HasCapability(client.Call(request).response.get(), "dial", false));
  }
  Stop();
  dial_patterns_ = {"*.test:443"};
  Client client = Connect();
  EXPECT_TRUE(HasCapability(client.Call(request).response.get(), "dial", true));
}

TEST_F(Agent, AreTheLimitsThoseItStandsBy) {
  auto request = New<V1(LimitsRequest)>();
  auto reply = client_.Call(request);
  struct limit_row rows[LIMIT_COUNT];
  uint64_t sum = limits_rows(&limits_, 2, rows);
  ASSERT_EQ((size_t)LIMIT_COUNT, reply->n_limits);
  EXPECT_EQ(sum, reply->memory_bytes);
  for (size_t i = 0; i < LIMIT_COUNT; i++) {
    EXPECT_STREQ(rows[i].name, reply->limits[i]->name);
    EXPECT_EQ(rows[i].value, reply->limits[i]->value);
    EXPECT_EQ(rows[i].memory_bytes, reply->limits[i]->memory_bytes);
    EXPECT_STREQ(rows[i].text, reply->limits[i]->text);
  }
}

uint64_t Counted(Client &client, const std::string &name) {
  auto request = New<V1(CountersRequest)>();
  auto reply = client.Call(request);
  EXPECT_EQ((size_t)COUNTER_COUNT, reply->n_counters);
  for (size_t i = 0; i < reply->n_counters; i++) {
    if (name == reply->counters[i]->name) {
      return reply->counters[i]->value;
    }
  }
  ADD_FAILURE() << "no counter " << name;
  return 0;
}

TEST_F(Agent, DoCountersCount) {
  uint64_t before = Counted(client_, "calls_started");
  EXPECT_EQ(before + 1, Counted(client_, "calls_started"));
}

TEST_F(Agent, AreRandomBytesRandom) {
  auto request = New<V1(RandomBytesRequest)>();
  std::set<std::string> seen;
  request.length = 32;
  for (int i = 0; i < 100; i++) {
    auto reply = client_.Call(request);
    EXPECT_EQ(32u, reply->data.len);
    EXPECT_EQ(nullptr, reply->error);
    seen.insert(Text(reply->data));
  }
  EXPECT_EQ(100u, seen.size());
}

TEST_F(Agent, AreThereAsManyRandomBytesAsAskedFor) {
  auto request = New<V1(RandomBytesRequest)>();
  for (uint32_t length : {0u, 1u, 65536u}) {
    request.length = length;
    EXPECT_EQ(length, client_.Call(request)->data.len);
  }
  for (uint32_t length : {65537u, UINT32_MAX}) {
    request.length = length;
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_.Call(request).code);
  }
}

TEST_F(Agent, IsEntropyTaken) {
  auto request = New<V1(AddEntropyRequest)>();
  std::string data(65537, 'e');
  request.data = Binary(data);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_.Call(request).code);
  data.resize(65536);
  request.data = Binary(data);
  EXPECT_EQ(0, client_.Call(request).code);
  request.data.len = 0;
  EXPECT_EQ(0, client_.Call(request).code);
}

TEST_F(Agent, IsAnObjectFoundByEachOfItsNames) {
  auto request = New<V1(LookupObjectRequest)>();
  auto is_common_name = [&] {
    auto reply = client_.Call(request);
    return reply->found && reply->nid == NID_commonName && reply->short_name == std::string("CN") &&
           reply->long_name == std::string("commonName") && reply->oid == std::string("2.5.4.3");
  };
  request.key_case = TLSAGENT__V1__LOOKUP_OBJECT_REQUEST__KEY_NID;
  request.nid = NID_commonName;
  EXPECT_TRUE(is_common_name());
  request.key_case = TLSAGENT__V1__LOOKUP_OBJECT_REQUEST__KEY_TEXT;
  for (const char *text : {"CN", "commonName", "2.5.4.3"}) {
    request.text = (char *)text;
    EXPECT_TRUE(is_common_name()) << text;
  }
  request.key_case = TLSAGENT__V1__LOOKUP_OBJECT_REQUEST__KEY_OID;
  request.oid = (char *)"2.5.4.3";
  EXPECT_TRUE(is_common_name());
}

TEST_F(Agent, IsAnUnknownObjectNoFault) {
  auto request = New<V1(LookupObjectRequest)>();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_.Call(request).code) << "asked for nothing";
  request.key_case = TLSAGENT__V1__LOOKUP_OBJECT_REQUEST__KEY_TEXT;
  for (const char *text :
       {"", "no such object", "1", "9.9.9.9", "2.5.4.3.99999999999999999999999"}) {
    request.text = (char *)text;
    auto reply = client_.Call(request);
    EXPECT_EQ(0, reply.code) << text;
    EXPECT_FALSE(reply->found && reply->nid != 0) << text;
  }
  request.key_case = TLSAGENT__V1__LOOKUP_OBJECT_REQUEST__KEY_OID;
  request.oid = (char *)"commonName";
  EXPECT_FALSE(client_.Call(request)->found) << "a name is no OID";
  request.key_case = TLSAGENT__V1__LOOKUP_OBJECT_REQUEST__KEY_NID;
  for (int nid : {-1, INT32_MAX, INT32_MIN}) {
    request.nid = nid;
    EXPECT_FALSE(client_.Call(request)->found) << nid;
  }
}

TEST_F(Agent, IsACallOfNobodyNotFoundToCancel) {
  auto request = New<V1(CancelRequest)>();
  for (uint32_t id : {0u, 1u, 2u, 99u}) {
    request.stream_id = id;
    auto reply = client_.Call(request);
    EXPECT_EQ(0, reply.code);
    EXPECT_FALSE(reply->found);
  }
}

}  // namespace
