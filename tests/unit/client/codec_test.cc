// Do the tables say what the .proto files say, and does the codec do what protobuf-c does?

#include "client/c/codec.h"

#include <gtest/gtest.h>
#include <string.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "client/c/methods.h"
#include "proto/tlsagent/v1/agent.pb-c.h"
#include "proto/tlsagent/v1/certificate.pb-c.h"
#include "proto/tlsagent/v1/common.pb-c.h"
#include "proto/tlsagent/v1/context.pb-c.h"
#include "proto/tlsagent/v1/relay.pb-c.h"
#include "proto/tlsagent/v1/session.pb-c.h"
#include "tests/unit/client/fake_daemon.h"

namespace {

const ProtobufCServiceDescriptor *const kServices[] = {
    &tlsagent__v1__agent_service__descriptor,   &tlsagent__v1__certificate_service__descriptor,
    &tlsagent__v1__context_service__descriptor, &tlsagent__v1__session_service__descriptor,
    &tlsagent__v1__relay_service__descriptor,
};

const ProtobufCMethodDescriptor *FindMethod(const tla_method *method) {
  for (const ProtobufCServiceDescriptor *service : kServices) {
    if (std::string(service->name) == method->service) {
      return protobuf_c_service_descriptor_get_method_by_name(service, method->name);
    }
  }
  return nullptr;
}

const tla_method *Row(int method) {
  return tla_find_method(static_cast<tlsagent_method>(method));
}

// --- Drift ---

// Rpcs that take a stream of messages, for which libtlsagent has no words.
const std::set<std::string> kStreaming = {"Stream", "Decisions"};

TEST(Codec, HasEveryRpcARow) {
  std::set<std::string> rows;
  for (int i = 0; i < TLSAGENT_METHODS; i++) {
    ASSERT_NE(FindMethod(Row(i)), nullptr) << i;
    EXPECT_EQ(kStreaming.count(Row(i)->name), 0u) << Row(i)->name;
    rows.insert(std::string(Row(i)->service) + "/" + Row(i)->name);
  }
  EXPECT_EQ(rows.size(), static_cast<size_t>(TLSAGENT_METHODS));
  size_t rpcs = 0;
  for (const ProtobufCServiceDescriptor *service : kServices) {
    for (unsigned i = 0; i < service->n_methods; i++) {
      rpcs += kStreaming.count(service->methods[i].name) == 0 ? 1 : 0;
    }
  }
  EXPECT_EQ(rpcs, static_cast<size_t>(TLSAGENT_METHODS));
  EXPECT_EQ(tla_find_method(TLSAGENT_METHODS), nullptr);
  EXPECT_EQ(Row(-1), nullptr);
}

bool IsNumber(ProtobufCType type) {
  return type == PROTOBUF_C_TYPE_UINT32 || type == PROTOBUF_C_TYPE_UINT64 ||
         type == PROTOBUF_C_TYPE_ENUM;
}

size_t WidthOf(ProtobufCType type) {
  return type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_INT64 ? 8 : 4;
}

// A message whose one field has number 1, like BoolValue and Wait.
const ProtobufCFieldDescriptor *Wrapped(const ProtobufCFieldDescriptor &field) {
  if (field.type != PROTOBUF_C_TYPE_MESSAGE) {
    return nullptr;
  }
  auto *message = static_cast<const ProtobufCMessageDescriptor *>(field.descriptor);
  return message->n_fields == 1 && message->fields[0].id == 1 ? &message->fields[0] : nullptr;
}

bool Fits(const tla_field &row, const ProtobufCFieldDescriptor &field) {
  const bool repeated = field.label == PROTOBUF_C_LABEL_REPEATED;
  const ProtobufCFieldDescriptor *wrapped = Wrapped(field);
  switch (row.kind) {
    case TLA_NUMBER:
      return !repeated && IsNumber(field.type) && row.size == WidthOf(field.type);
    case TLA_SIGNED:
      return !repeated &&
             (field.type == PROTOBUF_C_TYPE_INT32 || field.type == PROTOBUF_C_TYPE_INT64) &&
             row.size == WidthOf(field.type);
    case TLA_BOOL:
      return !repeated && field.type == PROTOBUF_C_TYPE_BOOL && row.size == sizeof(bool);
    case TLA_TEXT:
    case TLA_CHARS:
    case TLA_TEXT_BYTES:
      return !repeated && field.type == PROTOBUF_C_TYPE_STRING;
    case TLA_BYTES:
      return !repeated && field.type == PROTOBUF_C_TYPE_BYTES;
    case TLA_FD:
      return !repeated && field.type == PROTOBUF_C_TYPE_UINT32 && std::string(field.name) == "fd" &&
             row.size == sizeof(int);
    case TLA_OPT_NUMBER:
      return !repeated && wrapped != nullptr &&
             (IsNumber(wrapped->type) || wrapped->type == PROTOBUF_C_TYPE_BOOL);
    case TLA_OPT_TEXT:
      return !repeated && wrapped != nullptr && wrapped->type == PROTOBUF_C_TYPE_STRING;
    case TLA_OPT_BYTES:
      return !repeated && wrapped != nullptr && wrapped->type == PROTOBUF_C_TYPE_BYTES;
    case TLA_INLINE:
    case TLA_POINTER:
      return !repeated && field.type == PROTOBUF_C_TYPE_MESSAGE;
    case TLA_TEXTS:
      return repeated && field.type == PROTOBUF_C_TYPE_STRING;
    case TLA_BYTES_LIST:
      return repeated && field.type == PROTOBUF_C_TYPE_BYTES;
    case TLA_LIST:
      return repeated && field.type == PROTOBUF_C_TYPE_MESSAGE;
    default:
      return false;
  }
}

void Compare(const tla_message &table, const ProtobufCMessageDescriptor &message) {
  ASSERT_EQ(table.num_fields, message.n_fields) << message.name;
  for (size_t i = 0; i < table.num_fields; i++) {
    const tla_field &row = table.fields[i];
    const ProtobufCFieldDescriptor &field = message.fields[i];
    const std::string name = std::string(message.name) + "." + field.name;
    EXPECT_EQ(row.number, field.id) << name << ": rows stand in the order of their numbers";
    EXPECT_TRUE(Fits(row, field)) << name << " is not of the row's kind";
    EXPECT_LE(row.offset + row.size, table.size) << name;
    EXPECT_EQ(row.chosen, (field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) << name;
    if (row.message != nullptr) {
      Compare(*row.message, *static_cast<const ProtobufCMessageDescriptor *>(field.descriptor));
    }
  }
}

TEST(Codec, HasEveryFieldARowOfItsKind) {
  for (int i = 0; i < TLSAGENT_METHODS; i++) {
    const ProtobufCMethodDescriptor *method = FindMethod(Row(i));
    Compare(*Row(i)->request, *method->input);
    Compare(*Row(i)->reply, *method->output);
  }
}

// The header's names, as the proto has them.
TEST(Codec, HaveEnumsTheNumbersOfTheProto) {
  EXPECT_EQ(TLSAGENT_STATE_DONE, TLSAGENT__V1__STATE__STATE_DONE);
  EXPECT_EQ(TLSAGENT_STATE_WANT_READ, TLSAGENT__V1__STATE__STATE_WANT_READ);
  EXPECT_EQ(TLSAGENT_STATE_WANT_WRITE, TLSAGENT__V1__STATE__STATE_WANT_WRITE);
  EXPECT_EQ(TLSAGENT_STATE_WANT_DECISION, TLSAGENT__V1__STATE__STATE_WANT_DECISION);
  EXPECT_EQ(TLSAGENT_STATE_CLOSED, TLSAGENT__V1__STATE__STATE_CLOSED);
  EXPECT_EQ(TLSAGENT_STATE_FAILED, TLSAGENT__V1__STATE__STATE_FAILED);
  EXPECT_EQ(tlsagent__v1__state__descriptor.n_values, 7U);

  EXPECT_EQ(TLSAGENT_ERROR_TLS, TLSAGENT__V1__ERROR_KIND__ERROR_KIND_TLS);
  EXPECT_EQ(TLSAGENT_ERROR_VERIFY, TLSAGENT__V1__ERROR_KIND__ERROR_KIND_VERIFY);
  EXPECT_EQ(TLSAGENT_ERROR_TRUNCATED, TLSAGENT__V1__ERROR_KIND__ERROR_KIND_TRUNCATED);
  EXPECT_EQ(TLSAGENT_ERROR_OS, TLSAGENT__V1__ERROR_KIND__ERROR_KIND_OS);
  EXPECT_EQ(TLSAGENT_ERROR_TIMEOUT, TLSAGENT__V1__ERROR_KIND__ERROR_KIND_TIMEOUT);
  EXPECT_EQ(TLSAGENT_ERROR_INVALID, TLSAGENT__V1__ERROR_KIND__ERROR_KIND_INVALID);
  EXPECT_EQ(TLSAGENT_ERROR_CLOSED_HERE, TLSAGENT__V1__ERROR_KIND__ERROR_KIND_CLOSED_HERE);
  EXPECT_EQ(TLSAGENT_ERROR_RESOLVE, TLSAGENT__V1__ERROR_KIND__ERROR_KIND_RESOLVE);
  EXPECT_EQ(tlsagent__v1__error_kind__descriptor.n_values, 9U);

  EXPECT_EQ(TLSAGENT_CONTEXT_BOTH, TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_BOTH);
  EXPECT_EQ(TLSAGENT_CONTEXT_CLIENT, TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_CLIENT);
  EXPECT_EQ(TLSAGENT_CONTEXT_SERVER, TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_SERVER);
  EXPECT_EQ(TLSAGENT_VERIFY_NONE, TLSAGENT__V1__VERIFY_MODE__VERIFY_MODE_NONE);
  EXPECT_EQ(TLSAGENT_VERIFY_OPTIONAL, TLSAGENT__V1__VERIFY_MODE__VERIFY_MODE_OPTIONAL);
  EXPECT_EQ(TLSAGENT_VERIFY_REQUIRED, TLSAGENT__V1__VERIFY_MODE__VERIFY_MODE_REQUIRED);
  EXPECT_EQ(TLSAGENT_PURPOSE_TLS_SERVER, TLSAGENT__V1__VERIFY_PURPOSE__VERIFY_PURPOSE_TLS_SERVER);
  EXPECT_EQ(TLSAGENT_PURPOSE_TLS_CLIENT, TLSAGENT__V1__VERIFY_PURPOSE__VERIFY_PURPOSE_TLS_CLIENT);
  EXPECT_EQ(TLSAGENT_PROTOCOL_TLS_1_2, TLSAGENT__V1__PROTOCOL_VERSION__PROTOCOL_VERSION_TLS_1_2);
  EXPECT_EQ(TLSAGENT_PROTOCOL_TLS_1_3, TLSAGENT__V1__PROTOCOL_VERSION__PROTOCOL_VERSION_TLS_1_3);
  EXPECT_EQ(TLSAGENT_ROLE_CLIENT, TLSAGENT__V1__ROLE__ROLE_CLIENT);
  EXPECT_EQ(TLSAGENT_ROLE_SERVER, TLSAGENT__V1__ROLE__ROLE_SERVER);
  EXPECT_EQ(TLSAGENT_RELAY_STAGE_REFUSED, TLSAGENT__V1__RELAY_STAGE__RELAY_STAGE_REFUSED);
  EXPECT_EQ(TLSAGENT_RELAY_STAGE_HANDSHAKE, TLSAGENT__V1__RELAY_STAGE__RELAY_STAGE_HANDSHAKE);
  EXPECT_EQ(TLSAGENT_RELAY_STAGE_DIAL, TLSAGENT__V1__RELAY_STAGE__RELAY_STAGE_DIAL);
  EXPECT_EQ(TLSAGENT_RELAY_STAGE_RELAYED, TLSAGENT__V1__RELAY_STAGE__RELAY_STAGE_RELAYED);
  EXPECT_EQ(TLSAGENT_ALTERNATIVE_NAME_DNS,
            TLSAGENT__V1__ALTERNATIVE_NAME_KIND__ALTERNATIVE_NAME_KIND_DNS);
  EXPECT_EQ(TLSAGENT_ALTERNATIVE_NAME_OTHER,
            TLSAGENT__V1__ALTERNATIVE_NAME_KIND__ALTERNATIVE_NAME_KIND_OTHER);
  EXPECT_EQ(TLSAGENT_DECISION_SERVER_NAME, TLSAGENT__V1__DECISION_KIND__DECISION_KIND_SERVER_NAME);
  EXPECT_EQ(TLSAGENT_DECISION_PSK_CLIENT, TLSAGENT__V1__DECISION_KIND__DECISION_KIND_PSK_CLIENT);
  EXPECT_EQ(TLSAGENT_DECISION_PSK_SERVER, TLSAGENT__V1__DECISION_KIND__DECISION_KIND_PSK_SERVER);
  EXPECT_EQ(TLSAGENT_CHANNEL_BINDING_TLS_UNIQUE,
            TLSAGENT__V1__CHANNEL_BINDING_KIND__CHANNEL_BINDING_KIND_TLS_UNIQUE);
  EXPECT_EQ(TLSAGENT_CHANNEL_BINDING_TLS_SERVER_END_POINT,
            TLSAGENT__V1__CHANNEL_BINDING_KIND__CHANNEL_BINDING_KIND_TLS_SERVER_END_POINT);
}

// --- Messages at random, made by protobuf-c ---

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  ProtobufCMessage *Make(const ProtobufCMessageDescriptor *descriptor) {
    auto *message = static_cast<ProtobufCMessage *>(calloc(1, descriptor->sizeof_message));
    descriptor->message_init(message);
    const bool by_token = Flip();
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
      if (!IsOtherWay(*descriptor, descriptor->fields[i], by_token)) {
        Fill(message, descriptor->fields[i]);
      }
    }
    return message;
  }

  // How many descriptors the messages name so far.
  int num_fds() const {
    return next_fd_;
  }

 private:
  bool Flip() {
    return random_() % 2 == 0;
  }

  static bool IsFd(const ProtobufCFieldDescriptor &field) {
    return std::string(field.name) == "fd" && field.type == PROTOBUF_C_TYPE_UINT32;
  }

  static bool IsToken(const ProtobufCFieldDescriptor &field) {
    const std::string name = field.name;
    return (field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 &&
           (name == "token" || name == "fd_token");
  }

  // Where a token can stand for a descriptor, one of the two is there.
  static bool IsOtherWay(const ProtobufCMessageDescriptor &message,
                         const ProtobufCFieldDescriptor &field, bool by_token) {
    const ProtobufCFieldDescriptor *fd =
        protobuf_c_message_descriptor_get_field_by_name(&message, "fd");
    const bool alone = fd == nullptr || (fd->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    return !alone && ((IsFd(field) && by_token) || (IsToken(field) && !by_token));
  }

  void Fill(ProtobufCMessage *message, const ProtobufCFieldDescriptor &field) {
    auto *base = reinterpret_cast<char *>(message);
    auto *quantifier = reinterpret_cast<uint32_t *>(base + field.quantifier_offset);
    if ((field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
      if (*quantifier != 0 || Flip()) {
        return;
      }
      *quantifier = field.id;
    } else if (field.label != PROTOBUF_C_LABEL_REPEATED && !IsFd(field) && !IsToken(field) &&
               Flip()) {
      return;
    }
    if (field.label == PROTOBUF_C_LABEL_REPEATED) {
      FillList(base, field);
    } else {
      FillValue(base + field.offset, field);
    }
  }

  void FillList(char *base, const ProtobufCFieldDescriptor &field) {
    const size_t size =
        field.type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
    const size_t num = random_() % 4;
    auto *list = static_cast<char *>(calloc(num + 1, size));
    for (size_t i = 0; i < num; i++) {
      FillValue(list + i * size, field);
    }
    *reinterpret_cast<size_t *>(base + field.quantifier_offset) = num;
    *reinterpret_cast<void **>(base + field.offset) = list;
  }

  void FillValue(char *at, const ProtobufCFieldDescriptor &field) {
    const uint64_t number = random_() % 3 == 0 ? random_() : random_() % 200 + 1;
    switch (field.type) {
      case PROTOBUF_C_TYPE_BOOL:
        *reinterpret_cast<protobuf_c_boolean *>(at) = 1;
        break;
      case PROTOBUF_C_TYPE_ENUM:
        *reinterpret_cast<int *>(at) = static_cast<int>(random_() % 5 + 1);
        break;
      case PROTOBUF_C_TYPE_UINT32:
        *reinterpret_cast<uint32_t *>(at) =
            IsFd(field) ? static_cast<uint32_t>(next_fd_++) : static_cast<uint32_t>(number);
        break;
      case PROTOBUF_C_TYPE_INT32:
        *reinterpret_cast<int32_t *>(at) = -static_cast<int32_t>(number % 1000) - 1;
        break;
      case PROTOBUF_C_TYPE_UINT64:
        *reinterpret_cast<uint64_t *>(at) = number << (random_() % 32);
        break;
      case PROTOBUF_C_TYPE_INT64:
        *reinterpret_cast<int64_t *>(at) = -static_cast<int64_t>(number);
        break;
      case PROTOBUF_C_TYPE_STRING:
        *reinterpret_cast<char **>(at) = strdup(Word().c_str());
        break;
      case PROTOBUF_C_TYPE_BYTES:
        FillBytes(reinterpret_cast<ProtobufCBinaryData *>(at));
        break;
      case PROTOBUF_C_TYPE_MESSAGE:
        FillMessage(at, field);
        break;
      default:
        FAIL() << field.name;
    }
  }

  // What lies in its parent's struct and says nothing is left out: make it say something.
  void FillMessage(char *at, const ProtobufCFieldDescriptor &field) {
    auto *descriptor = static_cast<const ProtobufCMessageDescriptor *>(field.descriptor);
    const int first_fd = next_fd_;
    ProtobufCMessage *inner = Make(descriptor);
    for (int i = 0;
         i < 64 && protobuf_c_message_get_packed_size(inner) == 0 && next_fd_ == first_fd; i++) {
      protobuf_c_message_free_unpacked(inner, nullptr);
      inner = Make(descriptor);
    }
    *reinterpret_cast<ProtobufCMessage **>(at) = inner;
  }

  void FillBytes(ProtobufCBinaryData *out) {
    const std::string word = Word();
    out->len = word.size();
    out->data = reinterpret_cast<uint8_t *>(strdup(word.c_str()));
  }

  std::string Word() {
    std::string word(random_() % 30 + 1, 'a');
    for (char &letter : word) {
      letter = static_cast<char>('a' + random_() % 26);
    }
    return word;
  }

  std::mt19937 random_;
  int next_fd_ = 0;
};

// The struct that the bytes decode to, with what it needs.
struct Decoded {
  explicit Decoded(const tla_message *table, const std::string &bytes, int num_fds = 0,
                   size_t limit = TLSAGENT_REPLY_MAX)
      : wire(bytes), base(table->size + 1), fds(static_cast<size_t>(num_fds)) {
    arena.limit = limit;
    for (size_t i = 0; i < fds.size(); i++) {
      fds[i] = static_cast<int>(1000 + i);
    }
    const tla_reader reader = {&arena, fds.data(), fds.size()};
    result = tla_decode(&reader, table, base.data(), tlsagent_bytes_of(wire.data(), wire.size()));
  }
  ~Decoded() {
    tla_arena_free(&arena);
  }

  std::string wire;
  std::vector<uint8_t> base;
  std::vector<int> fds;
  tla_arena arena = {};
  tla_decoded result;
};

std::string Encode(const tla_message *table, const void *base, size_t *num_fds) {
  int fds[TLSAGENT_FDS_MAX] = {};
  tla_writer count = {};
  tla_encode(&count, table, base);
  std::string bytes(count.len, '\0');
  tla_writer writer = {reinterpret_cast<uint8_t *>(&bytes[0]), 0, fds, 0};
  tla_encode(&writer, table, base);
  EXPECT_EQ(writer.len, count.len);
  EXPECT_EQ(writer.num_fds, count.num_fds);
  *num_fds = writer.num_fds;
  for (size_t i = 0; i < writer.num_fds && i < TLSAGENT_FDS_MAX; i++) {
    EXPECT_EQ(fds[i], static_cast<int>(1000 + i));
  }
  return bytes;
}

void GoThereAndBack(const tla_message *table, const ProtobufCMessageDescriptor *descriptor,
                    unsigned seed) {
  Generator generator(seed);
  ProtobufCMessage *message = generator.Make(descriptor);
  const std::string bytes = Pack(message);
  protobuf_c_message_free_unpacked(message, nullptr);
  const Decoded decoded(table, bytes, generator.num_fds());
  ASSERT_EQ(decoded.result, TLA_DECODED) << descriptor->name << " seed " << seed;
  size_t num_fds;
  const std::string again = Encode(table, decoded.base.data(), &num_fds);
  EXPECT_EQ(bytes, again) << descriptor->name << " seed " << seed;
  EXPECT_EQ(num_fds, static_cast<size_t>(generator.num_fds())) << descriptor->name;
}

TEST(Codec, DoesEveryMessageOfProtobufCGoThereAndBack) {
  for (int i = 0; i < TLSAGENT_METHODS; i++) {
    const ProtobufCMethodDescriptor *method = FindMethod(Row(i));
    for (unsigned seed = 0; seed < 60; seed++) {
      GoThereAndBack(Row(i)->request, method->input, seed);
      GoThereAndBack(Row(i)->reply, method->output, seed);
    }
  }
}

// --- Bad input ---

std::string SampleReply(const tla_method *row, unsigned seed) {
  Generator generator(seed);
  ProtobufCMessage *message = generator.Make(FindMethod(row)->output);
  const std::string bytes = Pack(message);
  protobuf_c_message_free_unpacked(message, nullptr);
  return bytes;
}

TEST(Codec, IsEveryCutOffMessageSurvived) {
  for (const int i : {TLSAGENT_SESSION_CONNECT, TLSAGENT_CONTEXT_DESCRIBE,
                      TLSAGENT_CERTIFICATE_VERIFY, TLSAGENT_AGENT_INFO}) {
    const std::string bytes = SampleReply(Row(i), 7);
    for (size_t len = 0; len < bytes.size(); len++) {
      const Decoded decoded(Row(i)->reply, bytes.substr(0, len));
      EXPECT_NE(decoded.result, TLA_DECODED_TOO_LARGE);
    }
  }
}

TEST(Codec, IsEveryFlippedBitSurvived) {
  for (const int i : {TLSAGENT_SESSION_ACCEPT, TLSAGENT_SESSION_PEER_CERTIFICATE,
                      TLSAGENT_AGENT_LIMITS, TLSAGENT_SESSION_RELAY}) {
    std::string bytes = SampleReply(Row(i), 11);
    for (size_t bit = 0; bit < 8 * std::min<size_t>(bytes.size(), 400); bit++) {
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
      const Decoded decoded(Row(i)->reply, bytes, 1);
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    }
  }
}

TEST(Codec, IsNoiseSurvived) {
  std::mt19937 random(42);
  for (int round = 0; round < 20000; round++) {
    std::string bytes(random() % 64, '\0');
    for (char &byte : bytes) {
      byte = static_cast<char>(random() % 4 == 0 ? random() : random() % 32);
    }
    const Decoded decoded(Row(static_cast<int>(random() % TLSAGENT_METHODS))->reply, bytes);
  }
}

TEST(Codec, CannotASmallMessageAskForALotOfMemory) {
  // Two million empty certificates, two bytes each.
  std::string bytes;
  for (int i = 0; i < 2000000; i++) {
    bytes += std::string("\x0A\x00", 2);
  }
  const Decoded decoded(Row(TLSAGENT_CERTIFICATE_DECODE)->reply, bytes);
  EXPECT_EQ(decoded.result, TLA_DECODED_TOO_LARGE);
  EXPECT_LE(decoded.arena.allocated, TLSAGENT_REPLY_MAX);
}

TEST(Codec, IsALengthThatLiesRefused) {
  const tla_message *table = Row(TLSAGENT_AGENT_PING)->reply;
  EXPECT_EQ(Decoded(table, std::string("\x0A\x05"
                                       "abcd",
                                       6))
                .result,
            TLA_DECODED_MALFORMED);
  EXPECT_EQ(Decoded(table, std::string("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11)).result,
            TLA_DECODED_MALFORMED);
  EXPECT_EQ(Decoded(table, std::string("\x0A", 1)).result, TLA_DECODED_MALFORMED);
  EXPECT_EQ(Decoded(table, std::string("\x0B", 1)).result, TLA_DECODED_MALFORMED) << "a group";
  EXPECT_EQ(Decoded(table, std::string("\x02\x01x", 3)).result, TLA_DECODED_MALFORMED) << "field 0";
}

TEST(Codec, AreUnknownFieldsSkipped) {
  const tla_message *table = Row(TLSAGENT_AGENT_PING)->reply;
  const std::string unknown = std::string("\x78\x05", 2) + std::string("\x7A\x01x", 3) +
                              std::string(
                                  "\x79"
                                  "12345678",
                                  9) +
                              std::string(
                                  "\x7D"
                                  "1234",
                                  5);
  const Decoded decoded(table, unknown + std::string("\x0A\x02hi", 4) + unknown);
  ASSERT_EQ(decoded.result, TLA_DECODED);
  auto *reply = reinterpret_cast<const tlsagent_agent_ping_reply *>(decoded.base.data());
  EXPECT_EQ(std::string(reinterpret_cast<const char *>(reply->payload.data), reply->payload.len),
            "hi");
}

TEST(Codec, IsAFieldOfTheWrongTypeSkipped) {
  const Decoded decoded(Row(TLSAGENT_AGENT_PING)->reply, std::string("\x08\x05", 2));
  ASSERT_EQ(decoded.result, TLA_DECODED);
  auto *reply = reinterpret_cast<const tlsagent_agent_ping_reply *>(decoded.base.data());
  EXPECT_EQ(reply->payload.len, 0U);
}

TEST(Codec, DoTextsThatAreAbsentPointToNothingEmpty) {
  const Decoded decoded(Row(TLSAGENT_SESSION_CONNECT)->reply, "");
  auto *reply = reinterpret_cast<const tlsagent_session_connect_reply *>(decoded.base.data());
  EXPECT_EQ(reply->negotiated, nullptr);
  EXPECT_EQ(reply->progress.error, nullptr);
  const Decoded empty(Row(TLSAGENT_SESSION_CONNECT)->reply, std::string("\x1A\x00\x22\x00", 4));
  reply = reinterpret_cast<const tlsagent_session_connect_reply *>(empty.base.data());
  ASSERT_NE(reply->negotiated, nullptr);
  EXPECT_STREQ(reply->negotiated->version_name, "");
  EXPECT_STREQ(reply->negotiated->cipher.name, "");
  EXPECT_STREQ(reply->peer->verify_message, "");
}

TEST(Codec, IsADescriptorThatDidNotComeRefused) {
  const tla_message *table = Row(TLSAGENT_SESSION_RELAY)->reply;
  EXPECT_EQ(Decoded(table, std::string("\x08\x00", 2), 0).result, TLA_DECODED_MALFORMED);
  EXPECT_EQ(Decoded(table, std::string("\x08\x01", 2), 1).result, TLA_DECODED_MALFORMED);
  EXPECT_EQ(Decoded(table, std::string("\x08\x00\x08\x00", 4), 1).result, TLA_DECODED_MALFORMED)
      << "taken twice";
  EXPECT_EQ(Decoded(table, std::string("\x08\x00", 2), 1).result, TLA_DECODED);
  EXPECT_EQ(Decoded(table, "", 0).result, TLA_DECODED_MALFORMED);
  EXPECT_EQ(Decoded(table, "", 1).result, TLA_DECODED) << "an absent number is 0";
}

TEST(Codec, AreLongErrorTextsCutAndNotOverrun) {
  const std::string text(5000, 'x');
  Tlsagent__V1__TlsError record = TLSAGENT__V1__TLS_ERROR__INIT;
  record.reason = const_cast<char *>(text.c_str());
  record.text = const_cast<char *>(text.c_str());
  Tlsagent__V1__ConfigureContextResponse response = TLSAGENT__V1__CONFIGURE_CONTEXT_RESPONSE__INIT;
  response.error = &record;
  const Decoded decoded(Row(TLSAGENT_CONTEXT_CONFIGURE)->reply, Pack(&response.base));
  ASSERT_EQ(decoded.result, TLA_DECODED);
  auto *reply = reinterpret_cast<const tlsagent_context_configure_reply *>(decoded.base.data());
  EXPECT_EQ(strlen(reply->error->reason), sizeof(reply->error->reason) - 1);
  EXPECT_EQ(strlen(reply->error->text), sizeof(reply->error->text) - 1);
}

TEST(Codec, AreNulsInANameKept) {
  Tlsagent__V1__NameAttribute attribute = TLSAGENT__V1__NAME_ATTRIBUTE__INIT;
  attribute.value_case = TLSAGENT__V1__NAME_ATTRIBUTE__VALUE_RAW;
  attribute.raw = {3, reinterpret_cast<uint8_t *>(const_cast<char *>("a\0b"))};
  // The same bytes as the text of field 3, which protobuf-c could not say.
  std::string wire = Pack(&attribute.base);
  wire[0] = 0x1A;
  const std::string step = std::string("\x0A") + static_cast<char>(wire.size()) + wire;
  const std::string subject = std::string("\x0A") + static_cast<char>(step.size()) + step;
  const std::string list = std::string("\x0A") + static_cast<char>(subject.size()) + subject;
  const Decoded decoded(Row(TLSAGENT_CERTIFICATE_DECODE)->reply, list);
  ASSERT_EQ(decoded.result, TLA_DECODED);
  auto *reply = reinterpret_cast<const tlsagent_certificate_decode_reply *>(decoded.base.data());
  ASSERT_EQ(reply->num_certificates, 1U);
  const tlsagent_name_attribute &got = reply->certificates[0].subject[0].attributes[0];
  EXPECT_EQ(got.value_kind, TLSAGENT_NAME_TEXT);
  EXPECT_EQ(got.value.len, 3U);
  EXPECT_EQ(memcmp(got.value.data, "a\0b", 4), 0) << "and a NUL follows";
}

}  // namespace
