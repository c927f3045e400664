#include <openssl/ssl.h>

#include "server/base/counters.h"
#include "tests/unit/tls/harness.h"

namespace {

struct Event {
  bool key_log;
  bool sent;
  int type;
  std::string data;
};

class EngineEvents : public TlsTest {
 protected:
  static Ends Make(bool key_log, bool messages, int version = TLS1_3_VERSION) {
    Change server = ServerChange();
    server.Set(TLS_SET_EVENTS).events = {key_log, messages};
    Change client = ClientChange();
    client.Versions(version, version).Set(TLS_SET_EVENTS).events = {key_log, messages};
    Context server_context = MakeContext(TLS_CONTEXT_SERVER, server);
    Context client_context = MakeContext(TLS_CONTEXT_CLIENT, client);
    return Ends(MakeClient(client_context), MakeServer(server_context));
  }
  static std::vector<Event> Take(const Engine &engine, size_t max = SIZE_MAX) {
    Arena arena;
    struct engine_event *events = nullptr;
    size_t num = 0;
    EXPECT_EQ(STATUS_OK, engine_take_events(engine.get(), arena, max, &events, &num).code);
    std::vector<Event> out;
    for (size_t i = 0; i < num; i++) {
      EXPECT_EQ('\0', events[i].data.data[events[i].data.len]);
      out.push_back({events[i].kind == ENGINE_EVENT_KEY_LOG, events[i].sent, events[i].content_type,
                     String(events[i].data)});
    }
    return out;
  }
  // The first bytes of handshake messages are their types.
  static std::vector<int> Handshake(const std::vector<Event> &events) {
    std::vector<int> types;
    for (const Event &event : events) {
      if (!event.key_log && event.type == SSL3_RT_HANDSHAKE) {
        types.push_back((uint8_t)event.data[0]);
      }
    }
    return types;
  }
};

TEST_F(EngineEvents, IsTheKeyLogTheSameAtBothEnds) {
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Ends ends = Make(true, false, version);
    ends.Shake();
    std::vector<Event> client = Take(ends.client);
    std::vector<Event> server = Take(ends.server);
    std::vector<std::string> at_client;
    std::vector<std::string> at_server;
    for (const Event &event : client) {
      EXPECT_TRUE(event.key_log);
      EXPECT_EQ(std::string::npos, event.data.find('\n'));
      at_client.push_back(event.data);
    }
    for (const Event &event : server) {
      at_server.push_back(event.data);
    }
    EXPECT_EQ(version == TLS1_2_VERSION ? 1u : 5u, at_client.size());
    std::sort(at_client.begin(), at_client.end());
    std::sort(at_server.begin(), at_server.end());
    EXPECT_EQ(at_client, at_server);
    EXPECT_EQ(0u, Take(ends.client).size()) << "once";
  }
}

TEST_F(EngineEvents, AreMessagesToldInOrder) {
  Ends ends = Make(false, true);
  ends.Shake();
  ends.Read(true);
  std::vector<Event> client = Take(ends.client);
  const std::vector<int> kinds = {1, 2, 8, 11, 15, 20, 20, 4, 4};
  EXPECT_EQ(kinds, Handshake(client));
  ASSERT_LT(2u, client.size());
  EXPECT_EQ(SSL3_RT_HEADER, client[0].type) << "the record's header comes first";
  EXPECT_TRUE(client[0].sent);
  EXPECT_EQ(5u, client[0].data.size());
  EXPECT_EQ(SSL3_RT_HANDSHAKE, client[1].type);
  EXPECT_TRUE(client[1].sent);
  bool inner = false;
  for (const Event &event : client) {
    EXPECT_FALSE(event.key_log);
    inner = inner || event.type == SSL3_RT_INNER_CONTENT_TYPE;
  }
  EXPECT_TRUE(inner);
}

TEST_F(EngineEvents, AreBothKindsInOneOrder) {
  Ends ends = Make(true, true);
  ends.Shake();
  std::vector<Event> client = Take(ends.client);
  size_t hello = 0;
  size_t secret = 0;
  size_t finished = 0;
  for (size_t i = 0; i < client.size(); i++) {
    if (client[i].key_log && secret == 0) {
      secret = i;
    } else if (!client[i].key_log && client[i].type == SSL3_RT_HANDSHAKE) {
      hello = client[i].data[0] == 2 ? i : hello;
      finished = client[i].data[0] == 20 && finished == 0 ? i : finished;
    }
  }
  EXPECT_LT(0u, hello);
  EXPECT_LT(hello, secret);
  EXPECT_LT(secret, finished);
}

TEST_F(EngineEvents, IsAnAlertAMessage) {
  Ends ends = Make(false, true);
  ends.Shake();
  Take(ends.server);
  EXPECT_EQ(ENGINE_DONE, engine_shutdown_send(ends.server.get()));
  std::vector<Event> events = Take(ends.server);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(SSL3_RT_ALERT, events.back().type);
  EXPECT_EQ(std::string("\1\0", 2), events.back().data);
}

TEST_F(EngineEvents, IsNothingCollectedUnasked) {
  Ends ends = Make(false, false);
  ends.Shake();
  EXPECT_TRUE(ends.established());
  EXPECT_EQ(0u, Take(ends.client).size());
  EXPECT_EQ(0u, Take(ends.server).size());
}

TEST_F(EngineEvents, AreTheyTakenInPieces) {
  Ends ends = Make(false, true);
  ends.Shake();
  std::vector<Event> pieces;
  std::vector<Event> piece = Take(ends.client, 0);
  EXPECT_EQ(1u, piece.size()) << "one at least";
  while (!piece.empty()) {
    pieces.insert(pieces.end(), piece.begin(), piece.end());
    piece = Take(ends.client, 600);
  }
  EXPECT_EQ((std::vector<int>{1, 2, 8, 11, 15, 20, 20}), Handshake(pieces));
}

TEST_F(EngineEvents, AreTheyKeptWhenTheArenaIsFull) {
  Ends ends = Make(false, true);
  ends.Shake();
  Arena tiny(200);
  struct engine_event *events = nullptr;
  size_t num = 0;
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED,
            engine_take_events(ends.client.get(), tiny, SIZE_MAX, &events, &num).code);
  EXPECT_EQ(0u, num);
  EXPECT_EQ(7u, Handshake(Take(ends.client)).size());
}

TEST_F(EngineEvents, IsThereAnEndToWhatIsKept) {
  Ends ends = Make(true, true);
  ends.Shake();
  uint64_t before = counter_read(COUNTER_events_dropped);
  for (int i = 0; i < 5000; i++) {
    ends.Send(true, "x");
  }
  EXPECT_LT(before, counter_read(COUNTER_events_dropped));
  size_t total = 0;
  size_t lines = 0;
  std::vector<Event> events = Take(ends.server);
  for (const Event &event : events) {
    total += event.data.size();
    lines += event.key_log;
  }
  EXPECT_GT((size_t)ENGINE_EVENTS_MAX, total);
  EXPECT_LT(500u, events.size());
  EXPECT_EQ(5u, lines);
  ends.Send(true, "x");
  EXPECT_LT(0u, Take(ends.server).size()) << "there is room again";
}

TEST_F(EngineEvents, DoAMillionBytesBothWaysFit) {
  Ends ends = Make(true, true);
  ends.Shake();
  Take(ends.client);
  uint64_t before = counter_read(COUNTER_events_dropped);
  for (int i = 0; i < 16; i++) {
    ends.Send(true, std::string(65536, 'x'));
  }
  EXPECT_EQ(before, counter_read(COUNTER_events_dropped));
}

TEST_F(EngineEvents, AreTheyWhatTheNewContextSays) {
  Change server = ServerChange();
  Change watching = ServerChange();
  watching.Set(TLS_SET_EVENTS).events = {true, true};
  Change client = ClientChange();
  Context quiet = MakeContext(TLS_CONTEXT_SERVER, server);
  Context loud = MakeContext(TLS_CONTEXT_SERVER, watching);
  Context trusting = MakeContext(TLS_CONTEXT_CLIENT, client);
  for (bool to_loud : {true, false}) {
    Ends ends(MakeClient(trusting), MakeServer(to_loud ? quiet : loud));
    Error error;
    tls_context *to = (to_loud ? loud : quiet).get();
    EXPECT_EQ(STATUS_OK, engine_set_context(ends.server.get(), to, &error).code);
    ends.Shake();
    EXPECT_TRUE(ends.established());
    EXPECT_EQ(to_loud, !Take(ends.server).empty());
  }
}

}  // namespace
