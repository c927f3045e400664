// Tells what is in certificates without a TLS library: decode FILE (PEM or DER)
#include <grpcpp/grpcpp.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "tlsagent/v1/certificate.grpc.pb.h"

using namespace tlsagent::v1;

static void Show(const char *label, const google::protobuf::RepeatedPtrField<RelativeName> &steps) {
  std::cout << label;
  const char *between = "";
  for (const RelativeName &step : steps) {
    for (const NameAttribute &one : step.attributes()) {
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
  for (const AlternativeName &name : one.subject_alt_names())
    std::cout << ' ' << name.text();
  std::cout << "\nuntil    " << one.not_after() << "\nkey      " << one.key_type() << ' '
            << one.key_bits() << '\n';
}

static void Check(bool good, const std::string &otherwise) {
  if (!good)
    throw std::runtime_error(otherwise);
}

int main(int argc, char **argv) try {
  const char *address = std::getenv("TLSAGENT_SOCKET");
  Check(argc == 2 && address, "usage: TLSAGENT_SOCKET=unix:PATH decode FILE");
  std::ifstream file(argv[1], std::ios::binary);
  DecodeRequest request;
  request.mutable_certificates()->mutable_data()->assign(std::istreambuf_iterator<char>(file), {});

  const auto certificates =
      CertificateService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  DecodeResponse answer;
  const grpc::Status status = certificates->Decode(&context, request, &answer);
  Check(status.ok(), "tlsagentd: " + status.error_message());
  Check(!answer.has_error(), answer.error().text());  // a failure of TLS is an answer
  for (const Certificate &one : answer.certificates())
    Show(one);
} catch (const std::exception &error) {
  std::cerr << "decode: " << error.what() << '\n';
  return 1;
}
