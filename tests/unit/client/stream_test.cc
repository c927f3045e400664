// Do the stream functions do what read(2) and write(2) would?

#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <string>

#include "client/c/tlsagent.h"
#include "proto/tlsagent/v1/session.pb-c.h"
#include "tests/unit/client/fake_daemon.h"
#include "tests/unit/client/fixture.h"

namespace {

void AnswerRead(FakePeer &peer, const FakeCall &call, Tlsagent__V1__State state,
                const std::string &data) {
  Tlsagent__V1__ReadResponse response = TLSAGENT__V1__READ_RESPONSE__INIT;
  Tlsagent__V1__Progress progress = TLSAGENT__V1__PROGRESS__INIT;
  progress.state = state;
  response.progress = &progress;
  response.data = {data.size(), reinterpret_cast<uint8_t *>(const_cast<char *>(data.data()))};
  peer.Answer(call, &response.base);
}

void AnswerWrite(FakePeer &peer, const FakeCall &call, Tlsagent__V1__State state,
                 uint64_t accepted) {
  Tlsagent__V1__WriteResponse response = TLSAGENT__V1__WRITE_RESPONSE__INIT;
  Tlsagent__V1__Progress progress = TLSAGENT__V1__PROGRESS__INIT;
  progress.state = state;
  response.progress = &progress;
  response.accepted = accepted;
  peer.Answer(call, &response.base);
}

tlsagent_state ReadWith(Tlsagent__V1__State state, const std::string &data, std::string *out,
                        tlsagent_error *error, size_t size = 16) {
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method == "Read") {
      AnswerRead(peer, call, state, data);
    }
    return call.method == "Read";
  });
  Client client(daemon);
  out->assign(size, '\0');
  size_t len;
  const tlsagent_state got =
      tlsagent_session_read_into(client, &len, 1, &(*out)[0], size, 0, error);
  out->resize(len);
  return got;
}

TEST(Stream, IsWhatCameReadIntoTheBuffer) {
  std::string out;
  tlsagent_error error;
  EXPECT_EQ(ReadWith(TLSAGENT__V1__STATE__STATE_DONE, "plaintext", &out, &error),
            TLSAGENT_STATE_DONE);
  EXPECT_EQ(out, "plaintext");
  EXPECT_EQ(ReadWith(TLSAGENT__V1__STATE__STATE_CLOSED, "", &out, &error), TLSAGENT_STATE_CLOSED);
  EXPECT_EQ(out, "");
}

TEST(Stream, IsMoreThanWasAskedForNotWrittenPastTheBuffer) {
  std::string out;
  tlsagent_error error;
  EXPECT_EQ(ReadWith(TLSAGENT__V1__STATE__STATE_DONE, "more than four", &out, &error, 4),
            TLSAGENT_STATE_FAILED);
  EXPECT_EQ(out, "");
}

TEST(Stream, IsAStateThatReadCannotGoOnWithAFailure) {
  std::string out;
  tlsagent_error error;
  EXPECT_EQ(ReadWith(TLSAGENT__V1__STATE__STATE_WANT_DECISION, "", &out, &error),
            TLSAGENT_STATE_FAILED);
  EXPECT_EQ(error.fault, TLSAGENT_FAULT_USAGE);
  EXPECT_NE(strstr(error.message, "want decision"), nullptr) << error.message;
}

TEST(Stream, IsABufferWithoutRoomRefused) {
  FakeDaemon daemon;
  Client client(daemon);
  size_t len;
  EXPECT_EQ(tlsagent_session_read_into(client, &len, 1, nullptr, 0, 0, &client.error),
            TLSAGENT_STATE_FAILED);
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_USAGE);
}

TEST(Stream, IsAllWrittenInAsManyCallsAsItTakes) {
  std::string written;
  int calls = 0;
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method != "Write") {
      return false;
    }
    Tlsagent__V1__WriteRequest *request = tlsagent__v1__write_request__unpack(
        nullptr, call.payload.size(), reinterpret_cast<const uint8_t *>(call.payload.data()));
    EXPECT_EQ(request->wait, nullptr);
    written.append(reinterpret_cast<char *>(request->data.data), request->data.len);
    calls++;
    AnswerWrite(peer, call, TLSAGENT__V1__STATE__STATE_DONE, request->data.len);
    tlsagent__v1__write_request__free_unpacked(request, nullptr);
    return true;
  });
  Client client(daemon);
  std::string text;
  while (text.size() < 1000000) {
    text += std::to_string(text.size());
  }
  size_t len = 0;
  EXPECT_TRUE(
      tlsagent_session_write_all(client, &len, 1, text.data(), text.size(), 0, &client.error));
  EXPECT_EQ(len, text.size());
  EXPECT_EQ(written, text);
  EXPECT_GT(calls, 1);
  EXPECT_TRUE(tlsagent_session_write_all(client, nullptr, 1, nullptr, 0, 0, &client.error));
}

TEST(Stream, IsAPeerThatDoesNotReadADeadlineThatSaysHowFarItGot) {
  uint64_t waited_ms = 0;
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method != "Write") {
      return false;
    }
    Tlsagent__V1__WriteRequest *request = tlsagent__v1__write_request__unpack(
        nullptr, call.payload.size(), reinterpret_cast<const uint8_t *>(call.payload.data()));
    waited_ms = request->wait == nullptr ? 0 : request->wait->milliseconds;
    tlsagent__v1__write_request__free_unpacked(request, nullptr);
    AnswerWrite(peer, call, TLSAGENT__V1__STATE__STATE_WANT_WRITE, 1234);
    return true;
  });
  Client client(daemon);
  const std::string text(5000, 'x');
  size_t len = 0;
  EXPECT_FALSE(
      tlsagent_session_write_all(client, &len, 1, text.data(), text.size(), 200, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_DEADLINE);
  EXPECT_EQ(len, 1234U);
  EXPECT_GT(waited_ms, 0U);
  EXPECT_LE(waited_ms, 200U);
}

TEST(Stream, IsADaemonThatTakesMoreThanItIsGivenNotBelieved) {
  for (const uint64_t accepted : {UINT64_C(0), UINT64_C(6), UINT64_MAX}) {
    FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
      if (call.method == "Write") {
        AnswerWrite(peer, call, TLSAGENT__V1__STATE__STATE_DONE, accepted);
      }
      return call.method == "Write";
    });
    Client client(daemon);
    size_t len = 99;
    EXPECT_FALSE(tlsagent_session_write_all(client, &len, 1, "hello", 5, 0, &client.error));
    EXPECT_EQ(len, 0U) << accepted;
    EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_LOST);
  }
}

TEST(Stream, IsAFailureInTheMiddleOneThatSaysHowFarItGot) {
  int calls = 0;
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method != "Write") {
      return false;
    }
    if (calls++ == 0) {
      AnswerWrite(peer, call, TLSAGENT__V1__STATE__STATE_DONE, 256 * 1024);
    } else {
      peer.Refuse(call, 5, "no such session");
    }
    return true;
  });
  Client client(daemon);
  const std::string text(300000, 'x');
  size_t len = 0;
  EXPECT_FALSE(
      tlsagent_session_write_all(client, &len, 1, text.data(), text.size(), 0, &client.error));
  EXPECT_EQ(len, 256U * 1024);
  EXPECT_EQ(client.error.rpc_code, TLSAGENT_RPC_NOT_FOUND);
}

}  // namespace
