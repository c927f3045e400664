#include "server/service/contract.h"

#include <gtest/gtest.h>

#include <string>

namespace {

// The name is the first field of a FileDescriptorProto.
std::string NameOf(struct slice file) {
  EXPECT_EQ(0x0a, file.data[0]);
  return std::string((const char *)file.data + 2, file.data[1]);
}

TEST(Contract, HasAFileAllThatItImportsBehindIt) {
  struct contract_files files;
  ASSERT_TRUE(contract_find_file("tlsagent/v1/common.proto", &files));
  ASSERT_EQ(1u, files.num);
  EXPECT_EQ("tlsagent/v1/common.proto", NameOf(files.files[0]));
  ASSERT_TRUE(contract_find_file("tlsagent/v1/agent.proto", &files));
  ASSERT_EQ(4u, files.num);  // common, context, and what that imports
  EXPECT_EQ("tlsagent/v1/agent.proto", NameOf(files.files[0]));
}

TEST(Contract, IsEachKindOfSymbolFound) {
  struct contract_files files;
  const struct {
    const char *symbol;
    const char *file;
  } cases[] = {
      {"tlsagent.v1.AgentService", "tlsagent/v1/agent.proto"},
      {"tlsagent.v1.AgentService.Ping", "tlsagent/v1/agent.proto"},
      {"tlsagent.v1.PingRequest", "tlsagent/v1/agent.proto"},
      {"tlsagent.v1.ContextKind", "tlsagent/v1/context.proto"},
      {"tlsagent.v1.ConnectRequest", "tlsagent/v1/session.proto"},
      {"grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"},
      {"grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"},
      {"grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"},
  };
  for (const auto &c : cases) {
    ASSERT_TRUE(contract_find_symbol(c.symbol, &files)) << c.symbol;
    EXPECT_EQ(c.file, NameOf(files.files[0])) << c.symbol;
  }
}

TEST(Contract, IsWhatIsNotThereNotFound) {
  struct contract_files files;
  for (const char *symbol :
       {"", ".", "tlsagent", "tlsagent.v1", "tlsagent.v1.", ".tlsagent.v1.PingRequest",
        "tlsagent.v1.Ping", "tlsagent.v1.PingRequestX", "tlsagent.v1.PingRequest.",
        "tlsagent.v1.PingRequest.Nope", "tlsagent.v1.AgentService.Nope",
        "tlsagent.v1.AgentService.Ping.x", "PingRequest"}) {
    EXPECT_FALSE(contract_find_symbol(symbol, &files)) << symbol;
    EXPECT_FALSE(contract_has_message(symbol)) << symbol;
  }
  for (const char *name : {"", "agent.proto", "tlsagent/v1/agent.prot", "/etc/passwd"}) {
    EXPECT_FALSE(contract_find_file(name, &files)) << name;
  }
}

TEST(Contract, AreMessagesToldFromTheRest) {
  EXPECT_TRUE(contract_has_message("tlsagent.v1.PingRequest"));
  EXPECT_FALSE(contract_has_message("tlsagent.v1.AgentService"));
  EXPECT_FALSE(contract_has_message("tlsagent.v1.ContextKind"));
  EXPECT_FALSE(contract_has_message("grpc.health.v1.HealthCheckResponse.ServingStatus"));
}

}  // namespace
