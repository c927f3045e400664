#include "server/service/settings.h"

#include <map>

#include "tests/unit/service/harness.h"

namespace {

class Settings : public testing::Test {
 protected:
  Settings() {
    arena_init(&arena_, 1 << 20);
    limits_default(&limits_);
    struct service_config config = {&limits_, nullptr, nullptr, nullptr, false, false};
    service_start(&config);
  }
  ~Settings() override {
    arena_cleanup(&arena_);
  }
  struct tls_settings Read() {
    struct tls_settings out;
    refusal_ = {};
    read_settings(&arena_, &from_, &out, &refusal_);
    return out;
  }
  enum status_code Refused() {
    Read();
    return refusal_.code;
  }

  struct limits limits_;
  struct arena arena_;
  V1(ContextSettings) from_ = TLSAGENT__V1__CONTEXT_SETTINGS__INIT;
  struct refusal refusal_ = {};
};

TEST_F(Settings, AreNoneNone) {
  struct tls_settings out;
  read_settings(&arena_, nullptr, &out, &refusal_);
  EXPECT_EQ(0u, out.present);
  EXPECT_EQ(0u, Read().present);
  EXPECT_FALSE(refused(&refusal_));
}

// Every field of the message in one; what comes out is what went in.
struct All {
  V1(VersionBound) min = TLSAGENT__V1__VERSION_BOUND__INIT;
  V1(VersionBound) max = TLSAGENT__V1__VERSION_BOUND__INIT;
  V1(StringValue) texts[6];
  V1(UInt64Value) bits[2];
  V1(UInt32Value) numbers[6];
  V1(VerifyModeValue) mode = TLSAGENT__V1__VERIFY_MODE_VALUE__INIT;
  V1(BoolValue) bools[2];
  V1(AlpnSettings) alpn = TLSAGENT__V1__ALPN_SETTINGS__INIT;
  V1(DecisionSettings) decisions = TLSAGENT__V1__DECISION_SETTINGS__INIT;
  V1(EventSettings) events = TLSAGENT__V1__EVENT_SETTINGS__INIT;
  V1(BytesValue) id = TLSAGENT__V1__BYTES_VALUE__INIT;
  ProtobufCBinaryData protocols[2] = {Binary(h2), Binary(http)};
  static const std::string h2;
  static const std::string http;

  All() {
    static const char *kTexts[] = {"AES128",     "TLS_AES_128_GCM_SHA256", "X25519",
                                   "RSA+SHA256", "ECDSA+SHA256",           "hint"};
    min.version = TLSAGENT__V1__PROTOCOL_VERSION__PROTOCOL_VERSION_TLS_1_0;
    max.version = TLSAGENT__V1__PROTOCOL_VERSION__PROTOCOL_VERSION_TLS_1_3;
    for (int i = 0; i < 6; i++) {
      tlsagent__v1__string_value__init(&texts[i]);
      texts[i].value = (char *)kTexts[i];
    }
    for (uint32_t i = 0; i < 6; i++) {
      tlsagent__v1__uint32_value__init(&numbers[i]);
      numbers[i].value = 1 + i % 5;
    }
    for (int i = 0; i < 2; i++) {
      tlsagent__v1__uint64_value__init(&bits[i]);
      tlsagent__v1__bool_value__init(&bools[i]);
      bits[i].value = 0x80000010u + (uint64_t)i;
      bools[i].value = i == 0;
    }
    mode.value = TLSAGENT__V1__VERIFY_MODE__VERIFY_MODE_REQUIRED;
    alpn.protocols = protocols;
    alpn.n_protocols = 2;
    alpn.require_overlap = true;
    decisions.server_name = decisions.psk_server = true;
    events.messages = true;
    id.value = Binary(h2);
  }

  V1(ContextSettings) Message() {
    V1(ContextSettings) out = TLSAGENT__V1__CONTEXT_SETTINGS__INIT;
    out.min_version = &min;
    out.max_version = &max;
    out.ciphers = &texts[0];
    out.ciphersuites = &texts[1];
    out.groups = &texts[2];
    out.signature_algorithms = &texts[3];
    out.client_signature_algorithms = &texts[4];
    out.options = &bits[0];
    out.verify_flags = &bits[1];
    out.host_flags = &numbers[0];
    out.verify_depth = &numbers[1];
    out.num_tickets = &numbers[2];
    out.session_timeout_seconds = &numbers[3];
    out.session_cache_size = &numbers[4];
    out.security_level = &numbers[5];
    out.verify_mode = &mode;
    out.check_hostname = &bools[0];
    out.post_handshake_auth = &bools[1];
    out.alpn = &alpn;
    out.session_id_context = &id;
    out.psk_identity_hint = &texts[5];
    out.decisions = &decisions;
    out.events = &events;
    return out;
  }
};
const std::string All::h2 = "h2";
const std::string All::http = "http/1.1";

std::string Packed(const V1(ContextSettings) * message) {
  std::string out(tlsagent__v1__context_settings__get_packed_size(message), '\0');
  tlsagent__v1__context_settings__pack(message, (uint8_t *)out.data());
  return out;
}

TEST_F(Settings, DoesEveryFieldSurviveBothWays) {
  All all;
  from_ = all.Message();
  struct tls_settings read = Read();
  ASSERT_FALSE(refused(&refusal_)) << refusal_.text;
  EXPECT_EQ((uint32_t)(TLS_SET_EVENTS * 2 - 1) & ~(uint32_t)TLS_SET_DH_PARAMS, read.present)
      << "all but the parameters";
  V1(ContextSettings) *written = write_settings(&arena_, &read);
  ASSERT_NE(nullptr, written);
  EXPECT_EQ(Packed(&from_), Packed(written));
}

TEST_F(Settings, IsWhatIsAbsentNotWritten) {
  struct tls_settings none = {};
  V1(ContextSettings) *written = write_settings(&arena_, &none);
  EXPECT_EQ("", Packed(written));
}

TEST_F(Settings, IsAZeroThatIsPresentToldFromAbsence) {
  V1(VersionBound) bound = TLSAGENT__V1__VERSION_BOUND__INIT;
  V1(UInt32Value) zero = TLSAGENT__V1__UINT32_VALUE__INIT;
  V1(BoolValue) no = TLSAGENT__V1__BOOL_VALUE__INIT;
  V1(AlpnSettings) alpn = TLSAGENT__V1__ALPN_SETTINGS__INIT;
  from_.max_version = &bound;
  from_.num_tickets = &zero;
  from_.check_hostname = &no;
  from_.alpn = &alpn;
  struct tls_settings read = Read();
  EXPECT_EQ(
      (uint32_t)(TLS_SET_MAX_VERSION | TLS_SET_NUM_TICKETS | TLS_SET_CHECK_HOSTNAME | TLS_SET_ALPN),
      read.present);
  EXPECT_EQ(Packed(&from_), Packed(write_settings(&arena_, &read)));
}

TEST_F(Settings, IsAVersionThatIsNoneRefused) {
  V1(VersionBound) bound = TLSAGENT__V1__VERSION_BOUND__INIT;
  for (int version : {1, 767, 773, -1}) {
    bound.version = (V1(ProtocolVersion))version;
    from_.min_version = &bound;
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, Refused()) << version;
  }
}

TEST_F(Settings, IsAVerifyModeThatIsNoneRefused) {
  V1(VerifyModeValue) mode = TLSAGENT__V1__VERIFY_MODE_VALUE__INIT;
  for (int value : {0, 4, -1}) {
    mode.value = (V1(VerifyMode))value;
    from_.verify_mode = &mode;
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, Refused()) << value;
  }
}

TEST_F(Settings, AreNumbersBeyondOpenSslsNotTurnedIntoOthers) {
  V1(UInt32Value) huge = TLSAGENT__V1__UINT32_VALUE__INIT;
  huge.value = UINT32_MAX;
  from_.verify_depth = &huge;
  from_.security_level = &huge;
  from_.session_timeout_seconds = &huge;
  struct tls_settings read = Read();
  EXPECT_EQ(INT32_MAX, read.verify_depth);
  EXPECT_EQ(INT32_MAX, read.security_level) << "which there is not: refused by tls";
  EXPECT_EQ((long)UINT32_MAX, read.session_timeout);
}

TEST_F(Settings, IsTheFirstReasonTheOneThatCounts) {
  refusal_set(&refusal_, STATUS_NOT_FOUND, "first");
  refusal_set(&refusal_, STATUS_INVALID_ARGUMENT, "second");
  EXPECT_EQ(STATUS_NOT_FOUND, refusal_.code);
  EXPECT_STREQ("first", refusal_.text);
}

TEST_F(Settings, DoTooManyProtocolsNotFit) {
  std::vector<ProtobufCBinaryData> many(100000, Binary(All::h2));
  V1(AlpnSettings) alpn = TLSAGENT__V1__ALPN_SETTINGS__INIT;
  alpn.protocols = many.data();
  alpn.n_protocols = many.size();
  from_.alpn = &alpn;
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Refused());
}

}  // namespace
