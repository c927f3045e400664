// Tells what is in certificates without a TLS library: decode FILE (PEM or DER)
#include <ctime>
#include <iostream>

#include "memory_tls.h"
#include "tlsagent/v1/certificate.grpc.pb.h"

using tls::Certificate;

static void Show(const char *label,
                 const google::protobuf::RepeatedPtrField<tls::RelativeName> &steps) {
  std::cout << label;
  const char *between = "";
  for (const tls::RelativeName &step : steps) {
    for (const tls::NameAttribute &one : step.attributes()) {
      std::cout << between << one.short_type() << '=' << one.text();
      between = ", ";
    }
  }
  std::cout << '\n';
}

static void Show(const Certificate &one) {
  Show("subject  ", one.subject());
  Show("issuer   ", one.issuer());
  std::cout << "names   ";
  for (const tls::AlternativeName &name : one.subject_alt_names())
    std::cout << ' ' << name.text();
  std::cout << "\nuntil    " << one.not_after() << "\nkey      " << one.key_type() << ' '
            << one.key_bits() << '\n';
}

static void Decode(const char *path) {
  const auto certificates = tls::CertificateService::NewStub(Daemon());
  tls::DecodeRequest request;
  request.mutable_certificates()->set_data(Slurp(path));
  const tls::DecodeResponse answer =
      Call(*certificates, &tls::CertificateService::Stub::Decode, request);
  if (answer.has_error())
    throw std::runtime_error(std::string(path) + ": " + answer.error().text());
  for (const Certificate &one : answer.certificates())
    Show(one);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    std::cerr << "usage: decode FILE\n";
    return 2;
  }
  try {
    Decode(argv[1]);
  } catch (const std::exception &error) {
    std::cerr << "decode: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
