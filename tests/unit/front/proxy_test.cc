// The header, byte for byte, as the PROXY protocol's specification has it (version 2, 2.2).
#include "server/front/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>

#include "server/front/front.h"
#include "tests/unit/front/harness.h"

namespace {

// What a receiver makes of it: our own reading of the specification.
struct Header {
  int version_and_command = 0;
  int family = 0;
  std::string addresses;
  std::map<int, std::string> values;  // TLVs; those of PP2_TYPE_SSL too, by their subtypes
  int client = -1;                    // of PP2_TYPE_SSL
  uint32_t verify = 0;
};

uint16_t Number16(const std::string &data, size_t at) {
  return (uint16_t)((uint8_t)data[at] << 8 | (uint8_t)data[at + 1]);
}

void ParseValues(const std::string &data, Header *out) {
  size_t at = 0;
  while (at < data.size()) {
    ASSERT_LE(at + 3, data.size()) << "half a TLV";
    int type = (uint8_t)data[at];
    size_t len = Number16(data, at + 1);
    ASSERT_LE(at + 3 + len, data.size()) << "a TLV beyond the end";
    ASSERT_EQ(0u, out->values.count(type)) << "twice";
    std::string value = data.substr(at + 3, len);
    out->values[type] = value;
    if (type == 0x20) {
      ASSERT_GE(value.size(), 5u);
      out->client = (uint8_t)value[0];
      out->verify = (uint32_t)Number16(value, 1) << 16 | Number16(value, 3);
      ParseValues(value.substr(5), out);
    }
    at += 3 + len;
  }
}

void Parse(const std::string &data, Header *out) {
  ASSERT_GE(data.size(), 16u);
  ASSERT_EQ(std::string("\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A", 12),
            data.substr(0, 12));
  out->version_and_command = (uint8_t)data[12];
  out->family = (uint8_t)data[13];
  ASSERT_EQ(data.size() - 16, Number16(data, 14)) << "its length is all that follows";
  size_t addresses = out->family == 0x11 ? 12 : out->family == 0x21 ? 36 : 0;
  ASSERT_GE(data.size(), 16 + addresses);
  out->addresses = data.substr(16, addresses);
  ParseValues(data.substr(16 + addresses), out);
}

// A server's engine that has shaken hands with a client in memory.
class Proxy : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    FrontSuite::Start();
  }
  ~Proxy() override {
    engine_free(engine_);
    tls_context_unref(context_);
  }
  struct Shown {
    const struct pki_identity *identity = nullptr;
    const char *alpn = nullptr;
    const char *server_name = "host.test";
    int version = 0;
  };
  void Shake(const Shown &shown) {
    engine_free(engine_);
    engine_ = nullptr;
    if (context_ == nullptr) {
      context_ = MakeContext(TLS_CONTEXT_SERVER, pki_get()->server, pki_get()->root, "http/1.1");
    }
    struct engine_config config = {};
    config.role = ENGINE_SERVER;
    config.max_output = 128 * 1024;
    struct tls_error error;
    ASSERT_TRUE(status_ok(engine_new(context_, &config, &engine_, &error))) << error.text;
    struct peer_request request = {};
    request.identity = shown.identity;
    request.root = pki_get()->root;
    request.server_name = shown.server_name;
    request.alpn = shown.alpn;
    request.version = shown.version;
    peer_ = Peer(peer_new(&request, -1));
    if (session_ != nullptr) {
      SSL_set_session(peer_ssl(peer_.get()), session_);
    }
    for (int i = 0; i < 10; i++) {
      peer_handshake(peer_.get());
      Step();
    }
    ASSERT_TRUE(engine_established(engine_));
    char none;
    peer_read(peer_.get(), &none, 1);  // takes the tickets
  }
  void Step() {
    std::string from_peer = TakePeer(peer_);
    engine_set_input(engine_, slice_of(from_peer.data(), from_peer.size()), false);
    engine_handshake(engine_);
    engine_set_input(engine_, slice_of(nullptr, 0), false);
    struct slice output = bytes_peek(engine_output(engine_));
    FeedPeer(peer_, output.len == 0 ? "" : std::string((const char *)output.data, output.len));
    bytes_skip(engine_output(engine_), output.len);
  }
  Header Make(const struct proxy_addresses &addresses = Nowhere()) {
    uint8_t out[PROXY_HEADER_MAX];
    size_t len = proxy_header(&addresses, engine_, out);
    EXPECT_LE(len, (size_t)PROXY_HEADER_MAX);
    Header header;
    Parse(std::string((const char *)out, len), &header);
    return header;
  }
  static struct proxy_addresses Nowhere() {
    struct proxy_addresses addresses = {};
    addresses.source.ss_family = AF_UNSPEC;
    addresses.destination.ss_family = AF_UNSPEC;
    return addresses;
  }
  struct tls_context *context_ = nullptr;
  struct engine *engine_ = nullptr;
  Peer peer_;
  SSL_SESSION *session_ = nullptr;

 private:
  struct FrontSuite : FrontTest {
    static void Start() {
      SetUpTestSuite();
    }
    void TestBody() override {}
  };
};

TEST_F(Proxy, AreTheTlsFactsThere) {
  Shown shown;
  shown.alpn = "http/1.1";
  Shake(shown);
  Header header = Make();
  EXPECT_EQ(0x21, header.version_and_command) << "version 2, PROXY";
  EXPECT_EQ("http/1.1", header.values[0x01]);
  EXPECT_EQ("host.test", header.values[0x02]);
  EXPECT_EQ("TLSv1.3", header.values[0x21]);
  EXPECT_EQ(0u, header.values.count(0x22)) << "no certificate, no name";
  EXPECT_EQ(0, header.values[0x23].find("TLS_")) << header.values[0x23];
  EXPECT_EQ(0x01, header.client) << "PP2_CLIENT_SSL";
  EXPECT_NE(0u, header.verify) << "none was shown";
}

TEST_F(Proxy, IsWhatWasNotAgreedNotThere) {
  Shown shown;
  shown.server_name = nullptr;
  shown.version = TLS1_2_VERSION;
  Shake(shown);
  Header header = Make();
  EXPECT_EQ(0u, header.values.count(0x01));
  EXPECT_EQ(0u, header.values.count(0x02));
  EXPECT_EQ("TLSv1.2", header.values[0x21]);
  EXPECT_EQ(0, header.values[0x23].find("ECDHE-")) << header.values[0x23];
}

TEST_F(Proxy, IsAClientsCertificateTold) {
  Shown shown;
  shown.identity = pki_get()->client;
  Shake(shown);
  Header header = Make();
  EXPECT_EQ("client", header.values[0x22]);
  EXPECT_EQ(0u, header.verify) << "it was good";
  EXPECT_EQ(0x07, header.client) << "PP2_CLIENT_SSL, CERT_CONN, CERT_SESS";
}

TEST_F(Proxy, IsACertificateOfTheSessionThatIsResumedTold) {
  Shown shown;
  shown.identity = pki_get()->client;
  Shake(shown);
  peer_shutdown(peer_.get());  // without it OpenSSL resumes nothing
  session_ = SSL_get1_session(peer_ssl(peer_.get()));
  Shake(shown);
  SSL_SESSION_free(session_);
  ASSERT_EQ(1, SSL_session_reused(peer_ssl(peer_.get())));
  Header header = Make();
  EXPECT_EQ("client", header.values[0x22]);
  EXPECT_EQ(0u, header.verify);
  EXPECT_EQ(0x05, header.client) << "PP2_CLIENT_SSL, CERT_SESS: not on this connection";
}

TEST_F(Proxy, AreAddressesOfIpv4There) {
  Shake({});
  struct proxy_addresses addresses = {};
  struct sockaddr_in *source = (struct sockaddr_in *)&addresses.source;
  struct sockaddr_in *destination = (struct sockaddr_in *)&addresses.destination;
  *source = {AF_INET, htons(0x1234), {inet_addr("192.0.2.1")}, {}};
  *destination = {AF_INET, htons(443), {inet_addr("198.51.100.2")}, {}};
  Header header = Make(addresses);
  EXPECT_EQ(0x11, header.family);
  EXPECT_EQ(std::string("\xC0\x00\x02\x01\xC6\x33\x64\x02\x12\x34\x01\xBB", 12), header.addresses);
}

TEST_F(Proxy, AreAddressesOfIpv6There) {
  Shake({});
  struct proxy_addresses addresses = {};
  struct sockaddr_in6 *source = (struct sockaddr_in6 *)&addresses.source;
  struct sockaddr_in6 *destination = (struct sockaddr_in6 *)&addresses.destination;
  source->sin6_family = destination->sin6_family = AF_INET6;
  inet_pton(AF_INET6, "2001:db8::1", &source->sin6_addr);
  inet_pton(AF_INET6, "2001:db8::2", &destination->sin6_addr);
  source->sin6_port = htons(4711);
  destination->sin6_port = htons(443);
  Header header = Make(addresses);
  EXPECT_EQ(0x21, header.family);
  std::string expected((const char *)&source->sin6_addr, 16);
  expected.append((const char *)&destination->sin6_addr, 16);
  EXPECT_EQ(expected + std::string("\x12\x67\x01\xBB", 4), header.addresses);
}

TEST_F(Proxy, AreOtherAddressesSaidToBeUnknown) {
  Shake({});
  EXPECT_EQ(0x00, Make().family);
  struct proxy_addresses mixed = {};
  mixed.source.ss_family = AF_INET;
  mixed.destination.ss_family = AF_INET6;
  EXPECT_EQ(0x00, Make(mixed).family);
  struct proxy_addresses local = {};
  local.source.ss_family = local.destination.ss_family = AF_UNIX;
  EXPECT_EQ(0x00, Make(local).family);
}

TEST_F(Proxy, DoesTheKernelTellTheAddresses) {
  Listening listening;
  int client = listening.Connect();
  int accepted = listening.Accept();
  struct proxy_addresses addresses;
  proxy_look_at(accepted, &addresses);
  EXPECT_EQ(AF_INET, addresses.source.ss_family);
  EXPECT_EQ(AF_INET, addresses.destination.ss_family);
  EXPECT_EQ(htons(listening.port), ((struct sockaddr_in *)&addresses.destination)->sin_port);
  close(client);
  close(accepted);
  proxy_look_at(accepted, &addresses);
  EXPECT_EQ(AF_UNSPEC, addresses.source.ss_family);
  EXPECT_EQ(AF_UNSPEC, addresses.destination.ss_family);
}

// The longest of all: an SNI of 255 bytes, an ALPN of 255, a common name of 64.
TEST_F(Proxy, DoesTheLongestFit) {
  const std::string name = std::string(63, 'a') + "." + std::string(63, 'b') + "." +
                           std::string(63, 'c') + "." + std::string(61, 'd');
  const std::string alpn(255, 'p');
  const std::string common(64, 'n');
  struct pki_request request = {};
  request.name = common.c_str();
  request.issuer = pki_get()->intermediate;
  request.extended_key_usage = "clientAuth";
  struct pki_identity *identity = pki_issue(&request);
  context_ = MakeContext(TLS_CONTEXT_SERVER, pki_get()->server, pki_get()->root, alpn);
  Shown shown;
  shown.identity = identity;
  shown.alpn = alpn.c_str();
  shown.server_name = name.c_str();
  Shake(shown);
  Header header = Make();
  EXPECT_EQ(alpn, header.values[0x01]);
  EXPECT_EQ(name, header.values[0x02]);
  EXPECT_EQ(common, header.values[0x22]);
  pki_free(identity);
}

}  // namespace
