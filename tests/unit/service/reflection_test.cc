// What can be asked, told to who has no .proto files.
#include "proto/grpc/reflection/v1/reflection.pb-c.h"

#include <set>

#include "tests/unit/service/harness.h"
#include "tests/unit/service/streams.h"

namespace {

using Request = Grpc__Reflection__V1__ServerReflectionRequest;
using Response = Grpc__Reflection__V1__ServerReflectionResponse;

#define ASKED(question) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##question
#define ANSWER(question) \
  GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##question

constexpr int ASKED_NOTHING =
    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__NOT_SET;

struct FreeResponse {
  void operator()(Response *response) const {
    grpc__reflection__v1__server_reflection_response__free_unpacked(response, nullptr);
  }
};
using Answer = std::unique_ptr<Response, FreeResponse>;

class Reflection : public Daemon, public testing::WithParamInterface<const char *> {
 protected:
  std::unique_ptr<StreamingCall> Open() {
    Start();
    auto call = std::make_unique<StreamingCall>(path());
    call->Open(GetParam(), "ServerReflectionInfo");
    return call;
  }
  static Answer Ask(StreamingCall &call, int question, const char *text) {
    Request request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.host = (char *)"host";
    request.message_request_case =
        (Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase)question;
    request.list_services = (char *)text;  // one of a union of strings
    call.Send(&request.base);
    std::string bytes;
    EXPECT_TRUE(call.Next(&bytes));
    return Answer(grpc__reflection__v1__server_reflection_response__unpack(
        nullptr, bytes.size(), (const uint8_t *)bytes.data()));
  }
};

TEST_P(Reflection, AreAllServicesOfTheTableListed) {
  auto call = Open();
  Answer answer = Ask(*call, ASKED(LIST_SERVICES), "");
  ASSERT_EQ(ANSWER(LIST_SERVICES_RESPONSE), (int)answer->message_response_case);
  std::set<std::string> told;
  for (size_t i = 0; i < answer->list_services_response->n_service; i++) {
    told.insert(answer->list_services_response->service[i]->name);
  }
  size_t num = 0;
  const struct method *methods = service_methods(&num);
  std::set<std::string> there;
  for (size_t i = 0; i < num; i++) {
    there.insert(methods[i].service);
  }
  EXPECT_EQ(there, told);
  EXPECT_EQ(there.size(), answer->list_services_response->n_service);
}

TEST_P(Reflection, AreFilesFoundByNameAndBySymbol) {
  auto call = Open();
  for (auto question :
       {std::make_pair(ASKED(FILE_BY_FILENAME), "tlsagent/v1/session.proto"),
        std::make_pair(ASKED(FILE_CONTAINING_SYMBOL), "tlsagent.v1.SessionService")}) {
    Answer answer = Ask(*call, question.first, question.second);
    ASSERT_EQ(ANSWER(FILE_DESCRIPTOR_RESPONSE), (int)answer->message_response_case);
    EXPECT_GE(answer->file_descriptor_response->n_file_descriptor_proto, 3u);
    EXPECT_STREQ("host", answer->valid_host);
    EXPECT_STREQ("host", answer->original_request->host);
  }
}

TEST_P(Reflection, IsWhatIsNotThereAnErrorAndTheCallGoesOn) {
  auto call = Open();
  for (int question : {(int)ASKED(FILE_BY_FILENAME), (int)ASKED(FILE_CONTAINING_SYMBOL),
                       (int)ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE), ASKED_NOTHING}) {
    Answer answer = Ask(*call, question, "nope");
    ASSERT_EQ(ANSWER(ERROR_RESPONSE), (int)answer->message_response_case);
    EXPECT_EQ(question == ASKED_NOTHING ? STATUS_INVALID_ARGUMENT : STATUS_NOT_FOUND,
              answer->error_response->error_code);
  }
  Answer answer = Ask(*call, ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE), "tlsagent.v1.PingRequest");
  ASSERT_EQ(ANSWER(ALL_EXTENSION_NUMBERS_RESPONSE), (int)answer->message_response_case);
  EXPECT_EQ(0u, answer->all_extension_numbers_response->n_extension_number);
  call->HalfClose();
  std::string bytes;
  EXPECT_FALSE(call->Next(&bytes));
  EXPECT_EQ(0, call->code);
}

TEST_P(Reflection, DoesItEndWithTheDaemon) {
  auto call = Open();
  Ask(*call, ASKED(LIST_SERVICES), "");
  Drain();
  std::string bytes;
  EXPECT_FALSE(call->Next(&bytes));
  EXPECT_EQ(0, call->code);
}

INSTANTIATE_TEST_SUITE_P(All, Reflection,
                         testing::Values("grpc.reflection.v1.ServerReflection",
                                         "grpc.reflection.v1alpha.ServerReflection"),
                         [](const testing::TestParamInfo<const char *> &info) {
                           return info.index == 0 ? "v1" : "v1alpha";
                         });

}  // namespace
