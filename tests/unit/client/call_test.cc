// Does every call end exactly once, as it should, whatever happens on the way?

#include <gtest/gtest.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "client/c/client.h"
#include "proto/tlsagent/v1/session.pb-c.h"
#include "tests/unit/client/fake_daemon.h"
#include "tests/unit/client/fixture.h"

namespace {

int ElapsedMs(std::chrono::steady_clock::time_point start) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(
                              std::chrono::steady_clock::now() - start)
                              .count());
}

// --- Blocking ---

TEST(Call, DoesAPingComeBack) {
  FakeDaemon daemon;
  Client client(daemon);
  EXPECT_TRUE(tlsagent_agent_ping(client, "hello", 5, 5000, &client.error)) << client.error.message;
  EXPECT_TRUE(tlsagent_agent_ping(client, nullptr, 0, 0, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_NONE);
  EXPECT_STREQ(client.error.message, "no error");
}

TEST(Call, DoesALargePingComeBack) {
  FakeDaemon daemon;
  Client client(daemon);
  const std::string payload(TLSAGENT_FRAME_MAX - 100, 'x');
  EXPECT_TRUE(tlsagent_agent_ping(client, payload.data(), payload.size(), 0, &client.error))
      << client.error.message;
}

TEST(Call, IsARequestOverTheFrameLimitRefusedHere) {
  FakeDaemon daemon;
  Client client(daemon);
  const std::string payload(TLSAGENT_FRAME_MAX + 1, 'x');
  EXPECT_FALSE(tlsagent_agent_ping(client, payload.data(), payload.size(), 0, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_USAGE);
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error)) << "and nothing is broken";
}

TEST(Call, DoesItSayWhatItAsksFor) {
  FakeCall seen;
  FakeDaemon daemon([&](FakePeer &, const FakeCall &call) {
    seen = call;
    return false;
  });
  Client client(daemon);
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 1500, &client.error));
  EXPECT_EQ(seen.service, "tlsagent.v1.AgentService");
  EXPECT_EQ(seen.method, "Ping");
  EXPECT_EQ(seen.payload, std::string("\x0A\x01x"));
  EXPECT_EQ(seen.timeout_nano, 1500000000);
  EXPECT_EQ(seen.stream, 3U) << "odd, and larger than Hello's";
  EXPECT_TRUE(seen.metadata.empty());
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error));
  EXPECT_EQ(seen.timeout_nano, 0);
  EXPECT_EQ(seen.stream, 5U);
}

TEST(Call, IsARefusalARefusal) {
  FakeDaemon daemon;
  Client client(daemon);
  tlsagent_session_describe_reply *reply;
  EXPECT_FALSE(tlsagent_session_describe(client, &reply, 1, 0, &client.error));
  EXPECT_EQ(reply, nullptr);
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_REFUSED);
  EXPECT_EQ(client.error.rpc_code, TLSAGENT_RPC_UNIMPLEMENTED);
}

TEST(Call, IsAFailureOfTlsAFailureWithItsReply) {
  FakeDaemon daemon([](FakePeer &peer, const FakeCall &call) {
    if (call.method != "Connect") {
      return false;
    }
    Tlsagent__V1__TlsError error = TLSAGENT__V1__TLS_ERROR__INIT;
    Tlsagent__V1__Progress progress = TLSAGENT__V1__PROGRESS__INIT;
    Tlsagent__V1__ConnectResponse response = TLSAGENT__V1__CONNECT_RESPONSE__INIT;
    error.kind = TLSAGENT__V1__ERROR_KIND__ERROR_KIND_TLS;
    error.text = const_cast<char *>("no shared cipher");
    progress.state = TLSAGENT__V1__STATE__STATE_FAILED;
    progress.error = &error;
    progress.output = {5, reinterpret_cast<uint8_t *>(const_cast<char *>("alert"))};
    response.progress = &progress;
    peer.Answer(call, &response.base);
    return true;
  });
  Client client(daemon);
  tlsagent_session_connect_reply *reply;
  const tlsagent_session_connect_request request = {};
  EXPECT_FALSE(tlsagent_session_connect(client, &reply, &request, 0, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_TLS);
  EXPECT_STREQ(client.error.tls.text, "no shared cipher");
  ASSERT_NE(reply, nullptr);
  EXPECT_EQ(reply->session, 0U);
  EXPECT_EQ(std::string(reinterpret_cast<const char *>(reply->progress.output.data), 5), "alert");
  tlsagent_free(reply);
  EXPECT_FALSE(tlsagent_session_connect(client, nullptr, &request, 0, nullptr)) << "nobody asks";
}

// Whoever is told that it went well writes its secrets next.
TEST(Call, IsAnOpeningWithoutASessionAFailure) {
  Tlsagent__V1__State state = TLSAGENT__V1__STATE__STATE_CLOSED;
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    Tlsagent__V1__Progress progress = TLSAGENT__V1__PROGRESS__INIT;
    Tlsagent__V1__ConnectResponse response = TLSAGENT__V1__CONNECT_RESPONSE__INIT;
    progress.state = state;
    response.progress = &progress;  // an AcceptResponse has the same fields
    if (call.method == "Connect" || call.method == "Accept") {
      peer.Answer(call, &response.base);
    }
    return call.method != "Hello";
  });
  Client client(daemon);
  const tlsagent_session_connect_request connect = {};
  const tlsagent_session_accept_request accept = {};
  for (const int next : {TLSAGENT_STATE_CLOSED, TLSAGENT_STATE_DONE, TLSAGENT_STATE_WANT_READ,
                         TLSAGENT_STATE_UNSPECIFIED}) {
    state = static_cast<Tlsagent__V1__State>(next);
    tlsagent_session_connect_reply *reply;
    EXPECT_FALSE(tlsagent_session_connect(client, &reply, &connect, 0, &client.error)) << next;
    EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_TLS);
    EXPECT_NE(reply, nullptr) << "its output is still to be sent";
    tlsagent_free(reply);
    EXPECT_FALSE(tlsagent_session_accept(client, nullptr, &accept, 0, &client.error)) << next;
    EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_TLS);
    EXPECT_EQ(tlsagent_memory_connect(client, &connect, 0, &client.error), nullptr) << next;
  }
}

// --- Deadlines ---

TEST(Call, IsTheDaemonsDeadlineTheCalls) {
  FakeDaemon daemon([](FakePeer &peer, const FakeCall &call) {
    if (call.method == "Hello") {
      return false;
    }
    usleep(50000);
    peer.Refuse(call, 4, "");
    return true;
  });
  Client client(daemon);
  EXPECT_FALSE(tlsagent_agent_ping(client, "x", 1, 50, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_DEADLINE);
  EXPECT_EQ(client.error.rpc_code, TLSAGENT_RPC_DEADLINE_EXCEEDED);
}

TEST(Call, IsAStuckDaemonWaitedForNoLongerThanTheGrace) {
  FakeCall late;
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method == "Hello") {
      return false;
    }
    if (late.stream == 0) {
      late = call;  // no answer
    } else {
      peer.Answer(late, "");  // too late for the first, and in order for the second
      peer.Answer(call, call.payload);
    }
    return true;
  });
  Client client(daemon);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(tlsagent_agent_ping(client, "x", 1, 100, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_DEADLINE);
  EXPECT_NE(strstr(client.error.message, "stuck"), nullptr) << client.error.message;
  EXPECT_GE(ElapsedMs(start), 100 + static_cast<int>(TLSAGENT_GRACE_MS) - 5);
  EXPECT_LT(ElapsedMs(start), 4000);
  EXPECT_TRUE(tlsagent_agent_ping(client, "y", 1, 5000, &client.error)) << client.error.message;
}

// --- The daemon goes away ---

void ExpectLost(const std::string &before_it_goes, const char *why) {
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method == "Hello") {
      return false;
    }
    peer.SendBytes(before_it_goes);
    peer.HangUp();
    return true;
  });
  Client client(daemon);
  EXPECT_FALSE(tlsagent_agent_ping(client, "x", 1, 0, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_LOST) << client.error.message;
  EXPECT_NE(strstr(client.error.message, why), nullptr) << client.error.message;
  EXPECT_NE(strstr(client.error.message, daemon.address().c_str()), nullptr);
  EXPECT_FALSE(tlsagent_agent_ping(client, "x", 1, 0, &client.error)) << "and for good";
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_LOST);
  EXPECT_FALSE(tlsagent_poll(client, &client.error));
}

TEST(Call, IsADaemonThatGoesAtAnyByteNoticed) {
  const std::string answer = Frame(3, 2, ResponseBody("\x0A\x01x"));
  for (size_t len = 0; len < answer.size(); len++) {
    ExpectLost(answer.substr(0, len), "closed the connection");
  }
}

TEST(Call, IsNonsenseFromTheDaemonTheEnd) {
  ExpectLost("HTTP/1.1 400 Bad Request\r\n\r\n", "isn't a ttrpc frame");
  ExpectLost(std::string("\x00\x7F\xFF\xFF\x00\x00\x00\x03\x02\x00", 10), "isn't a ttrpc frame");
}

TEST(Call, IsAReplyThatCannotBeDecodedAnError) {
  FakeDaemon daemon([](FakePeer &peer, const FakeCall &call) {
    if (call.method == "Hello") {
      return false;
    }
    peer.Answer(call, "\x0A\xFF");
    return true;
  });
  Client client(daemon);
  EXPECT_FALSE(tlsagent_agent_ping(client, "x", 1, 0, &client.error));
  EXPECT_NE(strstr(client.error.message, "can't be decoded"), nullptr) << client.error.message;
}

TEST(Call, IsWhatTheDaemonSaidBeforeItWentStillHeard) {
  FakeDaemon daemon([](FakePeer &peer, const FakeCall &call) {
    if (call.method == "Hello") {
      return false;
    }
    peer.Answer(call, call.payload);
    peer.HangUp();
    return true;
  });
  Client client(daemon);
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error)) << client.error.message;
  EXPECT_FALSE(tlsagent_agent_ping(client, "x", 1, 0, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_LOST);
}

TEST(Call, IsADaemonThatOnlyTalksNotHeardForEver) {
  std::atomic<bool> deaf{false};
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method == "Hello") {
      return false;
    }
    peer.Answer(call, call.payload);
    std::string noise;
    for (int i = 0; i < 40000; i++) {
      noise += Frame(76, 2, "");
    }
    const int size = 4 << 20;
    setsockopt(peer.fd(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    shutdown(peer.fd(), SHUT_RD);
    deaf = true;
    while (send(peer.fd(), noise.data(), noise.size(), MSG_NOSIGNAL) > 0) {
    }
    return true;
  });
  Client client(daemon);
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error)) << client.error.message;
  while (!deaf) {
    usleep(1000);
  }
  usleep(50000);  // so that it is ahead with its noise
  EXPECT_FALSE(tlsagent_agent_ping(client, "x", 1, 100, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_LOST) << client.error.message;
}

// --- Other people's replies ---

TEST(Call, AreRepliesToUnknownStreamsIgnored) {
  FakeDaemon daemon([](FakePeer &peer, const FakeCall &call) {
    peer.SendBytes(Frame(2, 2, ResponseBody("even")));
    peer.SendBytes(Frame(0, 2, ResponseBody("zero")));
    peer.SendBytes(Frame(call.stream + 2, 2, ResponseBody("not yet")));
    peer.SendBytes(Frame(call.stream, 3, "data for a unary call"));
    peer.SendBytes(Frame(call.stream, 99, "an unknown type"));
    return false;
  });
  Client client(daemon);
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error)) << client.error.message;
}

TEST(Call, IsASecondReplyIgnored) {
  FakeDaemon daemon([](FakePeer &peer, const FakeCall &call) {
    if (call.method == "Hello") {
      return false;
    }
    peer.Answer(call, call.payload);
    peer.Answer(call, "\x0A\x05wrong");
    return true;
  });
  Client client(daemon);
  for (int i = 0; i < 5; i++) {
    EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error)) << client.error.message;
  }
}

// --- Event loops ---

struct Outcome {
  int times = 0;
  bool ok = false;
  std::string payload;
  tlsagent_error error = {};
  std::vector<int> *order = nullptr;
  int number = 0;
};

void Note(void *user, bool ok, void *reply, const tlsagent_error *error) {
  auto *outcome = static_cast<Outcome *>(user);
  outcome->times++;
  outcome->ok = ok;
  outcome->error = *error;
  if (reply != nullptr) {
    auto *ping = static_cast<tlsagent_agent_ping_reply *>(reply);
    outcome->payload.assign(reinterpret_cast<const char *>(ping->payload.data), ping->payload.len);
  }
  if (outcome->order != nullptr) {
    outcome->order->push_back(outcome->number);
  }
  tlsagent_free(reply);
}

void PollUntilIdle(tlsagent_client *client) {
  tlsagent_error error;
  for (int i = 0; i < 1000 && tlsagent_client_in_flight(client) != 0; i++) {
    struct pollfd ready = {tlsagent_client_fd(client), POLLIN, 0};
    if (tlsagent_client_wants_write(client)) {
      ready.events |= POLLOUT;
    }
    ASSERT_GE(poll(&ready, 1, 5000), 0);
    if (!tlsagent_poll(client, &error)) {
      break;
    }
  }
}

uint32_t SubmitPing(tlsagent_client *client, const std::string &payload, Outcome *outcome) {
  tlsagent_error error;
  const tlsagent_bytes_request request = {tlsagent_bytes_of(payload.data(), payload.size())};
  const uint32_t id =
      tlsagent_submit(client, TLSAGENT_AGENT_PING, &request, 0, Note, outcome, &error);
  EXPECT_NE(id, 0U) << error.message;
  return id;
}

TEST(Submit, DoRepliesOutOfOrderFindTheirCalls) {
  std::vector<FakeCall> waiting;
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method == "Hello") {
      return false;
    }
    waiting.push_back(call);
    if (waiting.size() == 50) {
      for (size_t i = 0; i < waiting.size(); i++) {
        const FakeCall &next = waiting[(i * 7 + 3) % waiting.size()];
        peer.Answer(next, next.payload);
      }
    }
    return true;
  });
  Client client(daemon);
  std::vector<int> order;
  std::vector<Outcome> outcomes(50);
  for (size_t i = 0; i < outcomes.size(); i++) {
    outcomes[i].order = &order;
    outcomes[i].number = static_cast<int>(i);
    SubmitPing(client, "ping " + std::to_string(i), &outcomes[i]);
  }
  EXPECT_EQ(tlsagent_client_in_flight(client), 50U);
  PollUntilIdle(client);
  for (size_t i = 0; i < outcomes.size(); i++) {
    EXPECT_EQ(outcomes[i].times, 1);
    EXPECT_TRUE(outcomes[i].ok);
    EXPECT_EQ(outcomes[i].payload, "ping " + std::to_string(i));
    EXPECT_EQ(order[i], static_cast<int>((i * 7 + 3) % 50)) << "called back as they came";
  }
}

TEST(Submit, IsNobodyCalledBackInsideIt) {
  FakeDaemon daemon;
  Client client(daemon);
  Outcome outcome;
  SubmitPing(client, "x", &outcome);
  usleep(20000);
  EXPECT_EQ(outcome.times, 0);
  PollUntilIdle(client);
  EXPECT_EQ(outcome.times, 1);
}

TEST(Submit, RunsABlockingCallTheCallbacksOfOthers) {
  FakeDaemon daemon;
  Client client(daemon);
  Outcome outcome;
  SubmitPing(client, "first", &outcome);
  EXPECT_TRUE(tlsagent_agent_ping(client, "second", 6, 0, &client.error));
  EXPECT_EQ(outcome.times, 1);
  EXPECT_EQ(outcome.payload, "first");
}

TEST(Submit, DoesPollWithNothingToDoReturnAtOnce) {
  FakeDaemon daemon;
  Client client(daemon);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; i++) {
    EXPECT_TRUE(tlsagent_poll(client, &client.error));
  }
  EXPECT_LT(ElapsedMs(start), 500);
  EXPECT_LT(tlsagent_client_timeout_ms(client), 0);
  EXPECT_FALSE(tlsagent_client_wants_write(client));
}

TEST(Submit, DoesAFullSocketWantWriteAndLoseNothing) {
  std::atomic<bool> hold{true};
  std::atomic<int> pings{0};
  FakeDaemon daemon([&](FakePeer &, const FakeCall &call) {
    while (hold && call.method == "Ping") {
      usleep(1000);
    }
    pings += call.method == "Ping";
    return false;
  });
  Client client(daemon);
  std::vector<Outcome> outcomes(8);
  for (Outcome &outcome : outcomes) {
    SubmitPing(client, std::string(1000000, 'x'), &outcome);
  }
  EXPECT_TRUE(tlsagent_client_wants_write(client));
  hold = false;
  PollUntilIdle(client);
  for (const Outcome &outcome : outcomes) {
    EXPECT_TRUE(outcome.ok);
    EXPECT_EQ(outcome.payload.size(), 1000000U);
  }
  EXPECT_EQ(pings, 8);
}

TEST(Submit, IsAQueueThatOnlyGrowsStopped) {
  std::atomic<bool> hold{true};
  FakeDaemon daemon([&](FakePeer &, const FakeCall &call) {
    while (hold && call.method == "Ping") {
      usleep(1000);
    }
    return false;
  });
  Client client(daemon);
  const std::string payload(4000000, 'x');
  const tlsagent_bytes_request request = {tlsagent_bytes_of(payload.data(), payload.size())};
  int accepted = 0;
  while (accepted < 100 && tlsagent_submit(client, TLSAGENT_AGENT_PING, &request, 0, nullptr,
                                           nullptr, &client.error) != 0) {
    accepted++;
  }
  EXPECT_LT(accepted, 8);
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_USAGE);
  EXPECT_NE(strstr(client.error.message, "poll"), nullptr) << client.error.message;
  hold = false;
}

TEST(Submit, AreCallsBeyondTheLimitRefused) {
  FakeDaemon daemon([](FakePeer &, const FakeCall &call) { return call.method != "Hello"; });
  Client client(daemon);
  Outcome outcome;
  for (unsigned i = 0; i < TLSAGENT_CALLS_MAX; i++) {
    const uint32_t id =
        tlsagent_submit(client, TLSAGENT_AGENT_INFO, nullptr, 0, Note, &outcome, &client.error);
    ASSERT_NE(id, 0U) << client.error.message;
    tlsagent_poll(client, &client.error);
  }
  EXPECT_EQ(tlsagent_submit(client, TLSAGENT_AGENT_INFO, nullptr, 0, Note, &outcome, &client.error),
            0U);
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_USAGE);
  tlsagent_client_close(client.Release());
  EXPECT_EQ(outcome.times, static_cast<int>(TLSAGENT_CALLS_MAX));
}

TEST(Submit, IsARequestThatIsMissingRefused) {
  FakeDaemon daemon;
  Client client(daemon);
  EXPECT_EQ(
      tlsagent_submit(client, TLSAGENT_AGENT_PING, nullptr, 0, nullptr, nullptr, &client.error),
      0U);
  EXPECT_EQ(tlsagent_submit(client, TLSAGENT_METHODS, &client, 0, nullptr, nullptr, nullptr), 0U);
}

TEST(Submit, AreCallsOfALostDaemonCalledBackOnce) {
  FakeDaemon daemon([](FakePeer &, const FakeCall &call) { return call.method != "Hello"; });
  Client client(daemon);
  std::vector<Outcome> outcomes(10);
  for (Outcome &outcome : outcomes) {
    SubmitPing(client, "x", &outcome);
  }
  daemon.HangUpAll();
  PollUntilIdle(client);
  for (const Outcome &outcome : outcomes) {
    EXPECT_EQ(outcome.times, 1);
    EXPECT_FALSE(outcome.ok);
    EXPECT_EQ(outcome.error.fault, TLSAGENT_FAULT_LOST);
  }
  EXPECT_FALSE(tlsagent_poll(client, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_LOST);
}

TEST(Submit, AreCallsOfAClosedConnectionCalledBackOnce) {
  FakeDaemon daemon([](FakePeer &, const FakeCall &call) { return call.method != "Hello"; });
  Client client(daemon);
  Outcome outcome;
  SubmitPing(client, "x", &outcome);
  tlsagent_client_close(client.Release());
  EXPECT_EQ(outcome.times, 1);
  EXPECT_EQ(outcome.error.fault, TLSAGENT_FAULT_REFUSED);
  EXPECT_EQ(outcome.error.rpc_code, TLSAGENT_RPC_CANCELLED);
}

TEST(Submit, DoesItsDeadlineHoldInAnEventLoopToo) {
  FakeDaemon daemon([](FakePeer &, const FakeCall &call) { return call.method != "Hello"; });
  Client client(daemon);
  Outcome outcome;
  const tlsagent_bytes_request request = {};
  ASSERT_NE(
      tlsagent_submit(client, TLSAGENT_AGENT_PING, &request, 50, Note, &outcome, &client.error),
      0U);
  const int due = tlsagent_client_timeout_ms(client);
  EXPECT_GT(due, 50);
  EXPECT_LE(due, 50 + static_cast<int>(TLSAGENT_GRACE_MS));
  while (outcome.times == 0) {
    struct pollfd ready = {tlsagent_client_fd(client), POLLIN, 0};
    poll(&ready, 1, tlsagent_client_timeout_ms(client));
    ASSERT_TRUE(tlsagent_poll(client, &client.error));
  }
  EXPECT_EQ(outcome.error.fault, TLSAGENT_FAULT_DEADLINE);
  EXPECT_EQ(tlsagent_client_in_flight(client), 0U);
}

// --- Callbacks that do things ---

struct Doer {
  tlsagent_client *client = nullptr;
  int times = 0;
  bool nested_ok = false;
};

TEST(Submit, MayACallbackCall) {
  FakeDaemon daemon;
  Client client(daemon);
  Doer doer;
  doer.client = client;
  const tlsagent_bytes_request request = {};
  tlsagent_submit(
      client, TLSAGENT_AGENT_PING, &request, 0,
      [](void *user, bool, void *reply, const tlsagent_error *) {
        auto *self = static_cast<Doer *>(user);
        tlsagent_free(reply);
        self->times++;
        self->nested_ok = tlsagent_agent_ping(self->client, "nested", 6, 5000, nullptr);
      },
      &doer, &client.error);
  PollUntilIdle(client);
  EXPECT_EQ(doer.times, 1);
  EXPECT_TRUE(doer.nested_ok);
}

TEST(Submit, MayACallbackClose) {
  FakeDaemon daemon;
  Client client(daemon);
  Doer doer;
  doer.client = client;
  Outcome other;
  const tlsagent_bytes_request request = {};
  tlsagent_submit(
      client, TLSAGENT_AGENT_PING, &request, 0,
      [](void *user, bool, void *reply, const tlsagent_error *) {
        auto *self = static_cast<Doer *>(user);
        tlsagent_free(reply);
        self->times++;
        tlsagent_client_close(self->client);
        tlsagent_client_close(self->client);  // twice is once
      },
      &doer, &client.error);
  SubmitPing(client, "other", &other);
  tlsagent_client *raw = client.Release();
  tlsagent_error error;
  struct pollfd ready = {tlsagent_client_fd(raw), POLLIN, 0};
  bool alive = true;
  while (alive && doer.times == 0) {
    poll(&ready, 1, 5000);
    alive = tlsagent_poll(raw, &error);
  }
  EXPECT_FALSE(alive);
  EXPECT_EQ(doer.times, 1);
  EXPECT_EQ(other.times, 1);
}

TEST(Submit, MayACallbackCloseUnderABlockingCall) {
  FakeDaemon daemon([](FakePeer &peer, const FakeCall &call) {
    if (call.method == "Ping") {
      peer.Answer(call, call.payload);
    }
    return call.method != "Hello";
  });
  Client client(daemon);
  Doer doer;
  doer.client = client;
  const tlsagent_bytes_request request = {};
  tlsagent_submit(
      client, TLSAGENT_AGENT_PING, &request, 0,
      [](void *user, bool, void *reply, const tlsagent_error *) {
        tlsagent_free(reply);
        tlsagent_client_close(static_cast<Doer *>(user)->client);
      },
      &doer, &client.error);
  tlsagent_agent_info_reply *reply;
  EXPECT_FALSE(tlsagent_agent_info(client.Release(), &reply, 0, &client.error));
  EXPECT_EQ(client.error.rpc_code, TLSAGENT_RPC_CANCELLED);
}

TEST(Submit, IsACancelAboutTheCallItNames) {
  FakeCall waiting;
  uint32_t cancelled = 0;
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method == "Read") {
      waiting = call;
      return true;
    }
    if (call.method == "Cancel") {
      cancelled = static_cast<uint32_t>(static_cast<unsigned char>(call.payload[1]));
      peer.Answer(call, std::string("\x08\x01", 2));
      peer.Refuse(waiting, 1, "cancelled");
      return true;
    }
    return false;
  });
  Client client(daemon);
  Outcome outcome;
  const tlsagent_session_read_request request = {};
  const uint32_t id =
      tlsagent_submit(client, TLSAGENT_SESSION_READ, &request, 0, Note, &outcome, &client.error);
  bool found = false;
  EXPECT_TRUE(tlsagent_agent_cancel(client, &found, id, 0, &client.error));
  EXPECT_TRUE(found);
  PollUntilIdle(client);
  EXPECT_EQ(cancelled, id);
  EXPECT_EQ(outcome.error.rpc_code, TLSAGENT_RPC_CANCELLED);
}

}  // namespace
