#include "client/load/http.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace {

// The response after the text came in pieces of that size.
http_response Taken(const std::string &text, size_t piece) {
  http_response response;
  http_start(&response);
  for (size_t at = 0; at < text.size(); at += piece) {
    // In memory of its own size, so that a read beyond it is seen.
    size_t len = std::min(piece, text.size() - at);
    auto bytes = std::make_unique<char[]>(len);
    memcpy(bytes.get(), text.data() + at, len);
    http_take(&response, slice_of(bytes.get(), len));
  }
  return response;
}

TEST(Http, IsTheEndFoundHoweverItComes) {
  const struct {
    const char *text;
    unsigned status;
    bool keeps_alive;
  } rows[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, true},
      {"HTTP/1.1 204 No Content\r\n\r\n", 204, true},
      {"HTTP/1.1 200 OK\ncontent-length:0\nconnection: Close\n\n", 200, false},
      {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", 200, true},
      {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, false},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\n.", 404, true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\nA;x=y\r\n0123456789\r\n"
       "0\r\nTrailer: yes\r\n\r\n",
       200, true},
  };
  for (const auto &row : rows) {
    for (size_t piece : {1, 2, 3, 7, 1000}) {
      http_response response = Taken(row.text, piece);
      EXPECT_EQ(response.stage, HTTP_COMPLETE) << row.text << " in pieces of " << piece;
      EXPECT_EQ(response.status, row.status);
      EXPECT_EQ(response.keeps_alive, row.keeps_alive);
    }
  }
}

TEST(Http, IsNonsenseBroken) {
  const std::string long_header = "HTTP/1.1 200 OK\r\nX: " + std::string(100000, 'x') + "\r\n\r\n";
  for (const std::string &text :
       {std::string("SSH-2.0-OpenSSH\r\n"), std::string("HTTP/1.1 2x0 OK\r\n"),
        std::string("HTTP/2.0 200 OK\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"),
        std::string("HTTP/1.1 204 OK\r\n\r\nmore"), long_header}) {
    for (size_t piece : {1, 5, 200000}) {
      EXPECT_EQ(Taken(text, piece).stage, HTTP_BROKEN) << text.substr(0, 60);
    }
  }
}

TEST(Http, IsABodyWithoutLengthEndedByTheConnection) {
  http_response response = Taken("HTTP/1.1 200 OK\r\n\r\nas much as there is", 4);
  EXPECT_EQ(response.stage, HTTP_TO_END);
  EXPECT_FALSE(response.keeps_alive);
  EXPECT_TRUE(http_end(&response));
  response = Taken("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", 100);
  EXPECT_FALSE(http_end(&response));
}

}  // namespace
