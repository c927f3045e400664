#include "server/tls/error.h"

#include <errno.h>
#include <openssl/cryptoerr.h>
#include <openssl/err.h>
#include <openssl/pemerr.h>
#include <openssl/x509_vfy.h>

#include <string>

#include "server/tls/openssl_error.h"
#include "tests/unit/tls/harness.h"

namespace {

class ErrorTest : public TlsTest {
 protected:
  void SetUp() override {
    ERR_clear_error();
    tls_error_clear(&error_);
  }
  tls_error error_;
};

TEST_F(ErrorTest, IsAClearRecordEmpty) {
  EXPECT_EQ(error_.kind, TLS_ERROR_NONE);
  EXPECT_EQ(error_.alert, TLS_ALERT_NONE);
  EXPECT_STREQ(error_.text, "");
}

TEST_F(ErrorTest, AreLibraryAndReasonCalledAsPythonCallsThem) {
  ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
  tls_error_from_ssl(&error_, nullptr, nullptr, SSL_ERROR_SSL, 0);
  EXPECT_EQ(error_.kind, TLS_ERROR_TLS);
  EXPECT_STREQ(error_.library, "SSL");
  EXPECT_STREQ(error_.reason, "NO_SHARED_CIPHER");
  EXPECT_STREQ(error_.text, "no shared cipher");
  EXPECT_EQ(error_.library_number, ERR_LIB_SSL);
  EXPECT_EQ(error_.reason_number, SSL_R_NO_SHARED_CIPHER);
  EXPECT_EQ(ERR_GET_REASON(error_.code), SSL_R_NO_SHARED_CIPHER);
  EXPECT_EQ(error_.ssl_error, SSL_ERROR_SSL);
  EXPECT_EQ(ERR_peek_error(), 0ul);
}

TEST_F(ErrorTest, HaveAlertsThatCameANameToo) {
  ERR_raise(ERR_LIB_SSL, SSL_R_TLSV1_ALERT_ACCESS_DENIED);
  error_.alert = 49;
  tls_error_from_ssl(&error_, nullptr, nullptr, SSL_ERROR_SSL, 0);
  EXPECT_STREQ(error_.reason, "TLSV1_ALERT_ACCESS_DENIED");
  EXPECT_EQ(error_.alert, 49);
}

TEST_F(ErrorTest, IsTheNewestErrorTheOneThatCounts) {
  ERR_raise(ERR_LIB_ASN1, 1);
  ERR_raise(ERR_LIB_PEM, PEM_R_NO_START_LINE);
  tls_error_invalid(&error_, "pairs[0].chain", "no certificate in %s", "the bytes");
  EXPECT_EQ(error_.kind, TLS_ERROR_INVALID);
  EXPECT_STREQ(error_.item, "pairs[0].chain");
  EXPECT_STREQ(error_.detail, "no certificate in the bytes");
  EXPECT_STREQ(error_.library, "PEM");
  EXPECT_STREQ(error_.reason, "NO_START_LINE");
  EXPECT_EQ(ERR_peek_error(), 0ul);
}

TEST_F(ErrorTest, HasAReasonThatAllLibrariesShareNoMnemonic) {
  ERR_raise(ERR_LIB_SSL, ERR_R_PEM_LIB);
  tls_error_invalid(&error_, "x", "y");
  EXPECT_STREQ(error_.library, "SSL");
  EXPECT_STREQ(error_.reason, "");
  EXPECT_NE(error_.code, 0ul);
}

TEST_F(ErrorTest, CanARefusalHaveTheCodeOfAnotherFunction) {
  ERR_raise(ERR_LIB_PEM, PEM_R_NO_START_LINE);
  status_t status = tls_refuse_as(&error_, ERR_PACK(ERR_LIB_SSL, 0, ERR_R_PEM_LIB), "pairs[0].key",
                                  "no key in %s", "the bytes");
  EXPECT_EQ(status.code, STATUS_INVALID_ARGUMENT);
  EXPECT_EQ(error_.kind, TLS_ERROR_INVALID);
  EXPECT_EQ(error_.reason_number, ERR_R_PEM_LIB);
  EXPECT_STREQ(error_.library, "SSL");
  EXPECT_STREQ(error_.text, "PEM lib");
  EXPECT_STREQ(error_.detail, "no key in the bytes");
  EXPECT_EQ(ERR_peek_error(), 0ul);
  ERR_raise(ERR_LIB_PEM, ERR_R_MALLOC_FAILURE);
  status = tls_refuse_as(&error_, ERR_PACK(ERR_LIB_SSL, 0, ERR_R_PEM_LIB), "pairs[0].key", "no");
  EXPECT_EQ(status.code, STATUS_RESOURCE_EXHAUSTED) << "what lacked was memory";
}

TEST_F(ErrorTest, IsTheDetailTheTextWhereOpensslSaysNothing) {
  tls_error_invalid(&error_, "host", "empty");
  EXPECT_EQ(error_.code, 0ul);
  EXPECT_STREQ(error_.detail, "empty");
  EXPECT_STREQ(error_.text, "empty");
}

TEST_F(ErrorTest, DoesASystemErrorKeepItsErrno) {
  ERR_raise_data(ERR_LIB_SYS, ECONNRESET, "calling recv()");
  tls_error_from_ssl(&error_, nullptr, nullptr, SSL_ERROR_SYSCALL, 0);
  EXPECT_EQ(error_.kind, TLS_ERROR_OS);
  EXPECT_EQ(error_.os_errno, ECONNRESET);
  EXPECT_STREQ(error_.text, "Connection reset by peer");
  EXPECT_STREQ(error_.library, "SYS");
}

TEST_F(ErrorTest, DoesTheErrnoCountWhenTheQueueIsEmpty) {
  tls_error_from_ssl(&error_, nullptr, nullptr, SSL_ERROR_SYSCALL, EPIPE);
  EXPECT_EQ(error_.kind, TLS_ERROR_OS);
  EXPECT_EQ(error_.os_errno, EPIPE);
}

TEST_F(ErrorTest, IsNothingAtAllTheEndOfTheTransport) {
  tls_error_from_ssl(&error_, nullptr, nullptr, SSL_ERROR_SYSCALL, 0);
  EXPECT_EQ(error_.kind, TLS_ERROR_TRUNCATED);
  EXPECT_EQ(error_.ssl_error, SSL_ERROR_SYSCALL);
}

TEST_F(ErrorTest, IsAnUnexpectedEndTruncation) {
  ERR_raise(ERR_LIB_SSL, SSL_R_UNEXPECTED_EOF_WHILE_READING);
  tls_error_from_ssl(&error_, nullptr, nullptr, SSL_ERROR_SSL, 0);
  EXPECT_EQ(error_.kind, TLS_ERROR_TRUNCATED);
  EXPECT_STREQ(error_.reason, "UNEXPECTED_EOF_WHILE_READING");
}

TEST_F(ErrorTest, IsMissingMemoryTheSystemsFault) {
  ERR_raise(ERR_LIB_EVP, ERR_R_MALLOC_FAILURE);
  EXPECT_EQ(tls_refuse(&error_, "pairs[0].key", "no key").code, STATUS_RESOURCE_EXHAUSTED);
  EXPECT_EQ(error_.kind, TLS_ERROR_OS);
  EXPECT_EQ(error_.os_errno, ENOMEM);
  ERR_raise(ERR_LIB_SSL, ERR_R_MALLOC_FAILURE);
  tls_error_from_ssl(&error_, nullptr, nullptr, SSL_ERROR_SSL, 0);
  EXPECT_EQ(error_.os_errno, ENOMEM);
  EXPECT_EQ(tls_refuse(&error_, "a", "b").code, STATUS_INVALID_ARGUMENT);
}

TEST_F(ErrorTest, IsAFailedCallNamed) {
  tls_error_os(&error_, ECONNREFUSED, "connect");
  EXPECT_EQ(error_.kind, TLS_ERROR_OS);
  EXPECT_STREQ(error_.text, "connect: Connection refused");
  tls_error_os(&error_, ECONNREFUSED, "");
  EXPECT_STREQ(error_.text, "Connection refused");
}

TEST_F(ErrorTest, IsWhatIsTooLongCutOff) {
  std::string long_text(1000, 'x');
  tls_error_simple(&error_, TLS_ERROR_RESOLVE, long_text.c_str());
  EXPECT_EQ(std::string(error_.text), std::string(sizeof(error_.text) - 1, 'x'));
  tls_error_invalid(&error_, long_text.c_str(), "%s", long_text.c_str());
  EXPECT_EQ(strlen(error_.item), sizeof(error_.item) - 1);
}

TEST_F(ErrorTest, IsWhatIsQuotedFitToBeShown) {
  tls_error_invalid(&error_, "settings.ciphers", "\"%s\"", "a\nb\xc3\xa4");
  EXPECT_STREQ(error_.text, "\"a?b\xc3\xa4\"");
  tls_error_invalid(&error_, "settings.ciphers", "%.4s", "abc\xc3\xa4");
  EXPECT_STREQ(error_.text, "abc?");
}

TEST_F(ErrorTest, IsMemoryMissedAnywhereInTheQueueSeen) {
  ERR_raise(ERR_LIB_BN, ERR_R_MALLOC_FAILURE);
  ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
  EXPECT_EQ(tls_refuse(&error_, "a", "b").code, STATUS_RESOURCE_EXHAUSTED);
  ERR_raise(ERR_LIB_CRYPTO, CRYPTO_R_SECURE_MALLOC_FAILURE);
  EXPECT_TRUE(tls_queue_drain());
  EXPECT_FALSE(tls_queue_drain());
}

TEST_F(ErrorTest, DoesAMismatchNameTheExpectedHost) {
  char text[320];
  tls_verify_text(X509_V_ERR_HOSTNAME_MISMATCH, "a.test", text, sizeof(text));
  EXPECT_STREQ(text, "Hostname mismatch, certificate is not valid for 'a.test'.");
  tls_verify_text(X509_V_ERR_IP_ADDRESS_MISMATCH, "::1", text, sizeof(text));
  EXPECT_STREQ(text, "IP address mismatch, certificate is not valid for '::1'.");
  tls_verify_text(X509_V_ERR_CERT_HAS_EXPIRED, "a.test", text, sizeof(text));
  EXPECT_STREQ(text, "certificate has expired");
  tls_verify_text(X509_V_ERR_HOSTNAME_MISMATCH, "", text, sizeof(text));
  EXPECT_STREQ(text, "hostname mismatch");
}

}  // namespace
