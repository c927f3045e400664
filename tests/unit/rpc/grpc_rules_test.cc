// RFC 9113 from the side of a peer that breaks it, a rule at a time, as h2spec does: does it hear
// of what it broke, does the rest go on, and is what the RFC wants ignored ignored?
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "server/rpc/grpc_priv.h"
#include "tests/unit/rpc/grpc_fixture.h"

namespace {

// Frames as they come, from a peer of bytes alone.
struct Seen {
  uint8_t type;
  uint8_t flags;
  uint32_t stream;
  std::string body;
  uint32_t Code() const {  // of RST_STREAM and GOAWAY
    size_t at = type == NGHTTP2_GOAWAY ? 4 : 0;
    uint32_t code = 0;
    for (size_t i = at; i < at + 4 && i < body.size(); i++) {
      code = code << 8 | (uint8_t)body[i];
    }
    return code;
  }
};

enum What {
  ENDS,    // the connection, with GOAWAY of that code
  RESETS,  // stream 1, with that code; another one is served after it
  NOTHING  // is said, and another stream is served after it
};

constexpr uint32_t kProbe = 101;
constexpr uint8_t kEndHeaders = NGHTTP2_FLAG_END_HEADERS;
constexpr uint8_t kEndStream = NGHTTP2_FLAG_END_STREAM;
constexpr uint8_t kEnd = kEndHeaders | kEndStream;

// Fields as literals, which need no table.
std::string Block(const Fields &fields) {
  std::string out;
  for (const auto &field : fields) {
    out += '\0';
    out += (char)field.first.size() + field.first;
    out += (char)field.second.size() + field.second;
  }
  return out;
}

Fields Without(const std::string &name) {
  Fields fields = CallFields("Park");
  fields.erase(std::find_if(fields.begin(), fields.end(),
                            [&](const auto &field) { return field.first == name; }));
  return fields;
}

Fields With(const std::string &name, const std::string &value) {
  return CallFields("Park", {{name, value}});
}

Fields First(const std::string &name, const std::string &value) {
  Fields fields = CallFields("Park");
  fields.insert(fields.begin(), {name, value});
  return fields;
}

std::string Headers(uint32_t stream, const Fields &fields, uint8_t flags = kEndHeaders) {
  return FrameOf(NGHTTP2_HEADERS, flags, stream, Block(fields));
}

std::string Data(uint32_t stream, const std::string &body, uint8_t flags = 0) {
  return FrameOf(NGHTTP2_DATA, flags, stream, body);
}

std::string Word(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += (char)(value >> shift);
  }
  return out;
}

std::string Update(uint32_t stream, uint32_t by) {
  return FrameOf(NGHTTP2_WINDOW_UPDATE, 0, stream, Word(by));
}

std::string Setting(uint16_t id, uint32_t value) {
  return FrameOf(NGHTTP2_SETTINGS, 0, 0, std::string{(char)(id >> 8), (char)id} + Word(value));
}

// A call that is under way, and whose request has ended or goes on.
std::string Parked() {
  return Headers(1, CallFields("Park")) + Data(1, Prefixed(Any("")), kEndStream);
}

std::string Begun() {
  return Headers(1, CallFields("Park"));
}

struct Case {
  const char *rule;
  std::string bytes;
  What what;
  uint32_t code;
};

class GrpcRules : public Rpc {
 protected:
  // The next frame; false at the end.
  bool Next(Client &client, Seen *out) {
    std::string head = Take(client, 9);
    if (head.size() < 9) {
      return false;
    }
    const uint8_t *at = (const uint8_t *)head.data();
    out->type = at[3];
    out->flags = at[4];
    out->stream = (uint32_t)at[5] << 24 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 8 | at[8];
    out->body = Take(client, (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2]);
    return true;
  }

  static std::string Take(Client &client, size_t len) {
    std::string out(len, '\0');
    size_t have = 0;
    struct pollfd poll_fd = {client.fd(), POLLIN, 0};
    while (have < len && poll(&poll_fd, 1, kPatienceMs) == 1) {
      ssize_t n = recv(client.fd(), &out[have], len - have, 0);
      if (n <= 0) {
        break;
      }
      have += (size_t)n;
    }
    out.resize(have);
    return out;
  }

  Client Greeted() {
    Client client = Connect();
    client.Send(kPreface + FrameOf(NGHTTP2_SETTINGS, 0, 0, ""));
    return client;
  }

  // All that comes until the connection or the probe ends.
  std::vector<Seen> Try(const std::string &bytes) {
    Client client = Greeted();
    client.Send(bytes);
    client.SendSome(Headers(kProbe, CallFields("Echo")) +
                    Data(kProbe, Prefixed(Any("")), kEndStream));
    std::vector<Seen> all;
    Seen seen;
    bool over = false;
    while (!over && Next(client, &seen)) {
      all.push_back(seen);
      over =
          seen.stream == kProbe && (seen.flags & kEndStream) != 0 && seen.type == NGHTTP2_HEADERS;
    }
    return all;
  }

  static bool Served(const std::vector<Seen> &all) {
    return !all.empty() && all.back().stream == kProbe;
  }

  static const Seen *Find(const std::vector<Seen> &all, uint8_t type) {
    auto found = std::find_if(all.begin(), all.end(),
                              [type](const Seen &seen) { return seen.type == type; });
    return found == all.end() ? nullptr : &*found;
  }

  void Check(const Case &one) {
    SCOPED_TRACE(one.rule);
    std::vector<Seen> all = Try(one.bytes);
    const Seen *reset = Find(all, NGHTTP2_RST_STREAM);
    const Seen *goaway = Find(all, NGHTTP2_GOAWAY);
    EXPECT_EQ(one.what != ENDS, Served(all));
    EXPECT_EQ(one.what == ENDS, goaway != nullptr);
    EXPECT_EQ(one.what == RESETS, reset != nullptr);
    const Seen *said = one.what == ENDS ? goaway : reset;
    if (said != nullptr) {
      EXPECT_EQ(one.code, said->Code());
      EXPECT_EQ(one.what == RESETS ? 1u : 0u, said->stream);
    }
  }

  void CheckAll(const std::vector<Case> &cases) {
    Start();
    for (const Case &one : cases) {
      Check(one);
    }
    EXPECT_TRUE(AllGone());
    EXPECT_EQ(0, Load(&g_parked));
  }
};

// ---------------------------------------------------------------------------------------------
// 4, 5 and 6: frames, streams, and what each frame is

TEST_F(GrpcRules, IsAFrameOfAWrongSizeTheConnectionsEnd) {
  CheckAll({
      {"4.2 past SETTINGS_MAX_FRAME_SIZE", Begun() + Data(1, std::string(16385, 'x')), ENDS,
       NGHTTP2_FRAME_SIZE_ERROR},
      {"6.3 PRIORITY", FrameOf(NGHTTP2_PRIORITY, 0, 1, "1234"), ENDS, NGHTTP2_FRAME_SIZE_ERROR},
      {"6.4 RST_STREAM", Begun() + FrameOf(NGHTTP2_RST_STREAM, 0, 1, "123"), ENDS,
       NGHTTP2_FRAME_SIZE_ERROR},
      {"6.5 SETTINGS", FrameOf(NGHTTP2_SETTINGS, 0, 0, "12345"), ENDS, NGHTTP2_FRAME_SIZE_ERROR},
      {"6.5 an acknowledgement with something in it",
       FrameOf(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "123456"), ENDS, NGHTTP2_FRAME_SIZE_ERROR},
      {"6.7 PING", FrameOf(NGHTTP2_PING, 0, 0, "1234567"), ENDS, NGHTTP2_FRAME_SIZE_ERROR},
      {"6.8 GOAWAY", FrameOf(NGHTTP2_GOAWAY, 0, 0, "1234567"), ENDS, NGHTTP2_FRAME_SIZE_ERROR},
      {"6.9 WINDOW_UPDATE", FrameOf(NGHTTP2_WINDOW_UPDATE, 0, 0, "123"), ENDS,
       NGHTTP2_FRAME_SIZE_ERROR},
  });
}

TEST_F(GrpcRules, IsAFrameOnAStreamWhereItCannotBeTheConnectionsEnd) {
  const std::string ping(8, 'p');
  CheckAll({
      {"6.1 DATA on 0", Data(0, "x"), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"5.1 DATA on an idle one", Data(1, "x"), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"6.2 HEADERS on 0", Headers(0, CallFields("Park")), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"5.1.1 HEADERS on an even one", Headers(2, CallFields("Park")), ENDS,
       NGHTTP2_PROTOCOL_ERROR},
      {"6.4 RST_STREAM on 0", FrameOf(NGHTTP2_RST_STREAM, 0, 0, Word(8)), ENDS,
       NGHTTP2_PROTOCOL_ERROR},
      {"5.1 RST_STREAM on an idle one", FrameOf(NGHTTP2_RST_STREAM, 0, 1, Word(8)), ENDS,
       NGHTTP2_PROTOCOL_ERROR},
      {"6.5 SETTINGS on 1", FrameOf(NGHTTP2_SETTINGS, 0, 1, ""), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"6.7 PING on 1", FrameOf(NGHTTP2_PING, 0, 1, ping), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"6.8 GOAWAY on 1", FrameOf(NGHTTP2_GOAWAY, 0, 1, ping), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"5.1 WINDOW_UPDATE on an idle one", Update(1, 1), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"8.4 PUSH_PROMISE", Begun() + FrameOf(NGHTTP2_PUSH_PROMISE, kEndHeaders, 1, Word(2)), ENDS,
       NGHTTP2_PROTOCOL_ERROR},
  });
}

// The RFC wants the connection's end. nghttp2 doesn't remember which of the streams before the last
// were ever there, and takes this for the trailers of one that is closed.
TEST_F(GrpcRules, IsNoCallMadeOfAnIdThatGoesBack) {
  CheckAll({
      {"5.1.1",
       Headers(5, CallFields("Park")) + Headers(3, CallFields("Echo")) +
           Data(3, Prefixed(Any("")), kEndStream),
       NOTHING, 0},
  });
  EXPECT_EQ(1, Load(&g_ran)) << "the probe alone";
}

TEST_F(GrpcRules, IsAHeaderBlockThatIsInterruptedTheConnectionsEnd) {
  std::string block = Headers(1, CallFields("Park"), 0);
  std::string rest = FrameOf(NGHTTP2_CONTINUATION, kEndHeaders, 1, "");
  CheckAll({
      {"6.10 CONTINUATION of nothing", rest, ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"6.10 CONTINUATION on 0", FrameOf(NGHTTP2_CONTINUATION, kEndHeaders, 0, ""), ENDS,
       NGHTTP2_PROTOCOL_ERROR},
      {"6.10 CONTINUATION of one that has ended", Begun() + rest, ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"6.10 of another stream", block + FrameOf(NGHTTP2_CONTINUATION, kEndHeaders, 3, ""), ENDS,
       NGHTTP2_PROTOCOL_ERROR},
      {"6.2 DATA in it", block + Data(1, "x"), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"6.2 PING in it", block + FrameOf(NGHTTP2_PING, 0, 0, "12345678"), ENDS,
       NGHTTP2_PROTOCOL_ERROR},
      {"6.2 HEADERS in it", block + Headers(3, CallFields("Park")), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"5.5 an unknown frame in it", block + FrameOf(0x77, 0, 0, ""), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"4.3 that is no HPACK", FrameOf(NGHTTP2_HEADERS, kEndHeaders, 1, "\xff\xff\xff\xff\xff\xff"),
       ENDS, NGHTTP2_COMPRESSION_ERROR},
      {"6.10 one in many parts", block + FrameOf(NGHTTP2_CONTINUATION, 0, 1, "") + rest, NOTHING,
       0},
  });
}

TEST_F(GrpcRules, ArePaddingsLongerThanTheirFrameTheConnectionsEnd) {
  CheckAll({
      {"6.1 of DATA", Begun() + Data(1, "\x05xxxx", NGHTTP2_FLAG_PADDED), ENDS,
       NGHTTP2_PROTOCOL_ERROR},
      {"6.2 of HEADERS", FrameOf(NGHTTP2_HEADERS, kEndHeaders | NGHTTP2_FLAG_PADDED, 1, "\xffxxxx"),
       ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"6.1 that fits", Begun() + Data(1, std::string("\x03\0\0\0", 4), NGHTTP2_FLAG_PADDED),
       NOTHING, 0},
  });
}

TEST_F(GrpcRules, AreSettingsThatCannotBeTheConnectionsEnd) {
  CheckAll({
      {"6.5.2 ENABLE_PUSH", Setting(NGHTTP2_SETTINGS_ENABLE_PUSH, 2), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"6.5.2 INITIAL_WINDOW_SIZE", Setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1U << 31), ENDS,
       NGHTTP2_FLOW_CONTROL_ERROR},
      {"6.5.2 MAX_FRAME_SIZE, too small", Setting(NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 16383), ENDS,
       NGHTTP2_PROTOCOL_ERROR},
      {"6.5.2 MAX_FRAME_SIZE, too large", Setting(NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 1 << 24), ENDS,
       NGHTTP2_PROTOCOL_ERROR},
      {"6.5.2 unknown", Setting(0x7777, 1), NOTHING, 0},
      {"6.5.2 a table of no size", Setting(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0), NOTHING, 0},
      {"6.5.2 a huge table", Setting(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, UINT32_MAX), NOTHING, 0},
  });
}

// nghttp2 is stricter than the RFC with the third, which is a stream's error there, and milder with
// the last, a connection's.
TEST_F(GrpcRules, AreWindowsThatCannotBeToldOf) {
  CheckAll({
      {"6.9 by nothing", Update(0, 0), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"6.9.1 past the largest", Update(0, INT32_MAX), ENDS, NGHTTP2_FLOW_CONTROL_ERROR},
      {"6.9 a stream's by nothing", Parked() + Update(1, 0), ENDS, NGHTTP2_PROTOCOL_ERROR},
      {"6.9.1 a stream's past the largest", Parked() + Update(1, INT32_MAX), RESETS,
       NGHTTP2_FLOW_CONTROL_ERROR},
      {"6.9.2 by a setting",
       Parked() + Update(1, INT32_MAX - 65535) +
           Setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 65536),
       RESETS, NGHTTP2_FLOW_CONTROL_ERROR},
  });
}

// Nothing of it is taken, so that nothing of its window comes back.
TEST_F(GrpcRules, IsAPeerThatSendsPastItsWindowReset) {
  std::string bytes = Headers(1, CallFields("Sink"));
  for (size_t sent = 0; sent < 2 * GRPC_STREAM_WINDOW; sent += 16000) {
    bytes += Data(1, Prefixed(std::string(15995, '\0')));
  }
  CheckAll({{"6.9.1", bytes, RESETS, NGHTTP2_FLOW_CONTROL_ERROR}});
}

TEST_F(GrpcRules, IsWhatComesAfterTheEndOfAStreamTheConnectionsEnd) {
  CheckAll({
      {"5.1 DATA, half-closed", Parked() + Data(1, "x"), ENDS, NGHTTP2_STREAM_CLOSED},
      {"5.1 HEADERS, half-closed", Parked() + Headers(1, {{"x", "y"}}, kEnd), ENDS,
       NGHTTP2_STREAM_CLOSED},
  });
}

TEST_F(GrpcRules, IsWhatComesForAStreamThatIsClosedIgnored) {
  std::string closed = Begun() + FrameOf(NGHTTP2_RST_STREAM, 0, 1, Word(NGHTTP2_CANCEL));
  CheckAll({
      {"5.1 DATA", closed + Data(1, "x"), NOTHING, 0},
      {"5.1 WINDOW_UPDATE", closed + Update(1, 1), NOTHING, 0},
      {"5.1 RST_STREAM", closed + FrameOf(NGHTTP2_RST_STREAM, 0, 1, Word(NGHTTP2_CANCEL)), NOTHING,
       0},
      {"5.1 PRIORITY", closed + FrameOf(NGHTTP2_PRIORITY, 0, 1, "12345"), NOTHING, 0},
  });
}

TEST_F(GrpcRules, IsWhatIsUnknownIgnored) {
  CheckAll({
      {"5.5 a frame on 0", FrameOf(0x77, 0xff, 0, "unknown"), NOTHING, 0},
      {"5.5 a frame on a stream", Begun() + FrameOf(0x77, 0xff, 1, "unknown"), NOTHING, 0},
      {"5.5 a large one", FrameOf(0xf0, 0, 0, std::string(16384, 'x')), NOTHING, 0},
      {"4.1 flags", FrameOf(NGHTTP2_PING, 0xfe, 0, "12345678"), NOTHING, 0},
      {"4.1 the reserved bit", Update(1U << 31, 1), NOTHING, 0},
      {"7 a code", Begun() + FrameOf(NGHTTP2_RST_STREAM, 0, 1, Word(0x7777)), NOTHING, 0},
      {"5.3 PRIORITY of an idle stream", FrameOf(NGHTTP2_PRIORITY, 0, 7, "12345"), NOTHING, 0},
  });
}

// As long as it has a stream; after that the connection ends.
TEST_F(GrpcRules, IsAPeerThatSaysGoodbyeStillServed) {
  std::string goodbye = FrameOf(NGHTTP2_GOAWAY, 0, 0, Word(0) + Word(0) + "bye");
  CheckAll({{"6.8", Begun() + goodbye, NOTHING, 0}});
}

// ---------------------------------------------------------------------------------------------
// 3.4: the preface

TEST_F(GrpcRules, IsAPrefaceWithoutSettingsTheEnd) {
  Client client = Connect();
  client.Send(kPreface + FrameOf(NGHTTP2_PING, 0, 0, "12345678"));
  Seen seen = {};
  bool told = false;
  while (Next(client, &seen)) {
    told = told || (seen.type == NGHTTP2_GOAWAY && seen.Code() == NGHTTP2_PROTOCOL_ERROR);
  }
  EXPECT_TRUE(told);
  EXPECT_TRUE(AllGone());
}

// The first bytes say which protocol it is, however they come.
TEST_F(GrpcRules, IsTheProtocolSeenHoweverTheFirstBytesAreTorn) {
  for (size_t at = 1; at <= 4; at++) {
    Http2 http2(Connect());
    int32_t id = http2.SubmitCall({"Echo", Any("h2")});
    std::string bytes = http2.Pending();
    Client ttrpc = Connect();
    std::string frame = RequestFrame(1, {"Echo", Any("ttrpc")});
    http2.Send(bytes.substr(0, at));
    ttrpc.Send(frame.substr(0, at));
    EXPECT_TRUE(ttrpc.Silent(5));
    http2.Send(bytes.substr(at));
    ttrpc.Send(frame.substr(at));
    EXPECT_EQ("h2", http2.Await(id).TypeUrl());
    EXPECT_EQ("ttrpc", ttrpc.Receive()->type_url);
  }
}

TEST_F(GrpcRules, IsEveryOtherFirstByteTheEnd) {
  for (int byte = 1; byte < 256; byte++) {
    if (byte != 'P' && byte != 'T') {
      Client client = Connect();
      client.Send(std::string(4, (char)byte));
      EXPECT_EQ("", Take(client, 1)) << byte;
    }
  }
  EXPECT_TRUE(AllGone());
}

// ---------------------------------------------------------------------------------------------
// 8: what HTTP makes of it

TEST_F(GrpcRules, AreFieldsThatCannotBeReset) {
  const std::pair<const char *, Fields> malformed[] = {
      {"8.2.1 upper case", With("X-Upper", "1")},
      {"8.2.1 a space in a name", With("x y", "1")},
      {"8.2.1 an empty name", With("", "1")},
      {"8.2.1 a line feed in a value", With("x", "a\nb")},
      {"8.2.1 a NUL in a value", With("x", std::string("a\0b", 3))},
      {"8.2.2 connection", With("connection", "close")},
      {"8.2.2 keep-alive", With("keep-alive", "1")},
      {"8.2.2 proxy-connection", With("proxy-connection", "close")},
      {"8.2.2 transfer-encoding", With("transfer-encoding", "chunked")},
      {"8.2.2 upgrade", With("upgrade", "h2c")},
      {"8.2.2 te", With("te", "gzip")},
      {"8.3 one after others", With(":path", "/toy.Toy/Park")},
      {"8.3 unknown", First(":unknown", "1")},
      {"8.3 an answer's", First(":status", "200")},
      {"8.3.1 without :method", Without(":method")},
      {"8.3.1 without :scheme", Without(":scheme")},
      {"8.3.1 without :path", Without(":path")},
      {"8.3.1 two of :method", First(":method", "POST")},
      {"8.3.1 two of :path", First(":path", "/toy.Toy/Park")},
      {"8.3.1 an empty :path",
       [] {
         Fields fields = Without(":path");
         fields.insert(fields.begin(), {":path", ""});
         return fields;
       }()},
      {"8.1.1 a content-length that is no number", With("content-length", "five")},
  };
  std::vector<Case> cases;
  for (const auto &one : malformed) {
    cases.push_back({one.first, Headers(1, one.second), RESETS, NGHTTP2_PROTOCOL_ERROR});
  }
  CheckAll(cases);
  EXPECT_EQ(0, Load(&g_told)) << "none of them became a call";
}

TEST_F(GrpcRules, IsABodyThatIsNotItsContentLengthReset) {
  std::string message = Prefixed(Any(""));
  CheckAll({
      {"8.1.1 more", Headers(1, With("content-length", "3")) + Data(1, message + "x", kEndStream),
       RESETS, NGHTTP2_PROTOCOL_ERROR},
      {"8.1.1 less", Headers(1, With("content-length", "100")) + Data(1, message, kEndStream),
       RESETS, NGHTTP2_PROTOCOL_ERROR},
      {"8.1.1 none", Headers(1, With("content-length", "100"), kEnd), RESETS,
       NGHTTP2_PROTOCOL_ERROR},
      {"8.1.1 as many",
       Headers(1, With("content-length", std::to_string(message.size()))) +
           Data(1, message, kEndStream),
       NOTHING, 0},
  });
}

TEST_F(GrpcRules, AreTrailersThatCannotBeReset) {
  CheckAll({
      {"8.1 a second block that doesn't end the stream", Begun() + Headers(1, {{"x", "y"}}), RESETS,
       NGHTTP2_PROTOCOL_ERROR},
      {"8.3 a pseudo-field in trailers", Begun() + Headers(1, {{":path", "/"}}, kEnd), RESETS,
       NGHTTP2_PROTOCOL_ERROR},
      {"8.1 good ones", Begun() + Data(1, Prefixed(Any(""))) + Headers(1, {{"x", "y"}}, kEnd),
       NOTHING, 0},
  });
}

}  // namespace
