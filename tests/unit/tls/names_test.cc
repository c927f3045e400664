#include "server/tls/names.h"

#include "tests/unit/tls/harness.h"

namespace {

class NamesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    to_.scratch = BIO_new(BIO_s_mem());
    name_ = X509_NAME_new();
  }
  void TearDown() override {
    BIO_free(to_.scratch);
    X509_NAME_free(name_);
  }
  void Add(const char *type, int asn1_type, const std::string &value, int set = 0) {
    ASSERT_EQ(X509_NAME_add_entry_by_txt(name_, type, asn1_type,
                                         reinterpret_cast<const unsigned char *>(value.data()),
                                         static_cast<int>(value.size()), -1, set),
              1)
        << type;
  }
  tls_alternative_name Alternative(int type, void *value) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, type, value);
    tls_alternative_name out = alternative_name_decode(&to_, name);
    GENERAL_NAME_free(name);
    return out;
  }
  tls_alternative_name Ia5(int type, const std::string &value) {
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();
    ASN1_STRING_set(string, value.data(), static_cast<int>(value.size()));
    return Alternative(type, string);
  }
  tls_alternative_name Ip(const std::string &octets) {
    ASN1_OCTET_STRING *string = ASN1_OCTET_STRING_new();
    ASN1_STRING_set(string, octets.data(), static_cast<int>(octets.size()));
    return Alternative(GEN_IPADD, string);
  }
  Arena arena_;
  struct decoding to_ = {arena_, nullptr};
  X509_NAME *name_ = nullptr;
};

TEST_F(NamesTest, AreStepsAndTheirAttributesKeptTogether) {
  Add("C", MBSTRING_UTF8, "DE");
  Add("O", MBSTRING_UTF8, "one");
  Add("OU", MBSTRING_UTF8, "with it", -1);  // in the same step as O
  Add("CN", MBSTRING_UTF8, "last");
  tls_name name = name_decode(&to_, name_);
  ASSERT_EQ(name.num_steps, 3u);
  EXPECT_EQ(name.steps[0].num_attributes, 1u);
  EXPECT_EQ(name.steps[1].num_attributes, 2u);
  EXPECT_STREQ(name.steps[2].attributes[0].text, "last");
  EXPECT_STREQ(name.steps[0].attributes[0].type, "countryName");
  EXPECT_STREQ(name_text(&to_, name_), "CN=last,OU=with it+O=one,C=DE");
}

TEST_F(NamesTest, IsAnEmptyNameEmpty) {
  EXPECT_EQ(name_decode(&to_, name_).num_steps, 0u);
  EXPECT_STREQ(name_text(&to_, name_), "");
}

TEST_F(NamesTest, IsTextOfEveryEncodingUtf8) {
  Add("CN", V_ASN1_BMPSTRING, std::string("\0\xe4\x20\xac", 4));
  Add("CN", V_ASN1_T61STRING, "\xe4");
  Add("CN", V_ASN1_PRINTABLESTRING, "plain");
  tls_name name = name_decode(&to_, name_);
  EXPECT_STREQ(name.steps[0].attributes[0].text, "\xc3\xa4\xe2\x82\xac");
  EXPECT_STREQ(name.steps[1].attributes[0].text, "\xc3\xa4");
  EXPECT_STREQ(name.steps[2].attributes[0].text, "plain");
}

TEST_F(NamesTest, IsWhatIsNoTextGivenRaw) {
  Add("x500UniqueIdentifier", V_ASN1_BIT_STRING, "bits");
  Add("CN", V_ASN1_UTF8STRING, std::string("a\0b", 3));
  tls_name name = name_decode(&to_, name_);
  for (size_t i = 0; i < name.num_steps; i++) {
    const tls_name_attribute &attribute = name.steps[i].attributes[0];
    EXPECT_EQ(attribute.text == nullptr, attribute.raw.len > 0) << i;
  }
  EXPECT_EQ(String(name.steps[0].attributes[0].raw), "bits");
  EXPECT_EQ(name.steps[0].attributes[0].text, nullptr);
  EXPECT_EQ(String(name.steps[1].attributes[0].raw), std::string("a\0b", 3));
}

TEST_F(NamesTest, IsAnUnknownTypeNamedByItsOid) {
  Add("1.2.3.4.5", MBSTRING_UTF8, "x");
  tls_name name = name_decode(&to_, name_);
  EXPECT_STREQ(name.steps[0].attributes[0].type, "1.2.3.4.5");
  EXPECT_STREQ(name.steps[0].attributes[0].short_type, "1.2.3.4.5");
}

TEST_F(NamesTest, AreStringsKeptToTheOctet) {
  tls_alternative_name name = Ia5(GEN_DNS, std::string("good.test\0.evil.test", 20));
  EXPECT_EQ(name.kind, TLS_ALT_DNS);
  EXPECT_EQ(name.value.len, 20u);
  EXPECT_STREQ(name.text, "good.test\\x00.evil.test");
  EXPECT_EQ(Ia5(GEN_EMAIL, "a@b.test").kind, TLS_ALT_EMAIL);
  EXPECT_EQ(Ia5(GEN_URI, "https://b.test/").kind, TLS_ALT_URI);
  EXPECT_STREQ(Ia5(GEN_URI, "\xff").text, "\\xff");
}

TEST_F(NamesTest, AreAddressesWrittenAsPythonDoes) {
  EXPECT_STREQ(Ip(std::string("\x7f\0\0\1", 4)).text, "127.0.0.1");
  EXPECT_STREQ(Ip(std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\xab\xcd", 16)).text,
               "2001:DB8:0:0:0:0:0:ABCD");
  EXPECT_STREQ(Ip("abc").text, "<invalid>");
  EXPECT_EQ(Ip("abc").value.len, 3u);
  EXPECT_STREQ(Ip("").text, "<invalid>");
}

TEST_F(NamesTest, AreTheRarerKindsShown) {
  Add("CN", MBSTRING_UTF8, "inner");
  tls_alternative_name directory = Alternative(GEN_DIRNAME, X509_NAME_dup(name_));
  EXPECT_EQ(directory.kind, TLS_ALT_DIRECTORY);
  ASSERT_EQ(directory.directory.num_steps, 1u);
  EXPECT_STREQ(directory.text, "CN=inner");
  tls_alternative_name rid = Alternative(GEN_RID, OBJ_txt2obj("1.2.3.4.5", 1));
  EXPECT_EQ(rid.kind, TLS_ALT_REGISTERED_ID);
  EXPECT_STREQ(rid.text, "1.2.3.4.5");
  OTHERNAME *other = OTHERNAME_new();
  ASN1_OBJECT_free(other->type_id);
  other->type_id = OBJ_txt2obj("1.2.3.4", 1);
  ASN1_TYPE_set1(other->value, V_ASN1_NULL, nullptr);
  tls_alternative_name name = Alternative(GEN_OTHERNAME, other);
  EXPECT_EQ(name.kind, TLS_ALT_OTHER);
  EXPECT_STREQ(name.label, "othername");
  EXPECT_NE(std::string(name.text).find("<unsupported>"), std::string::npos) << name.text;
}

}  // namespace
