// grpc.reflection: what can be asked? v1 and v1alpha differ by their package alone, and share
// these.
#include "proto/grpc/reflection/v1/reflection.pb-c.h"
#include "server/service/contract.h"
#include "server/service/private.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;
typedef Grpc__Reflection__V1__ServiceResponse Service;

#define ASKED(question) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##question
#define ANSWER(question) \
  GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##question

enum { SERVICES_MAX = 16 };

// What an answer points to, for as long as it takes to send it.
struct answer {
  Response response;
  Grpc__Reflection__V1__ErrorResponse error;
  Grpc__Reflection__V1__FileDescriptorResponse files;
  Grpc__Reflection__V1__ExtensionNumberResponse numbers;
  Grpc__Reflection__V1__ListServiceResponse list;
  struct contract_files found;
  ProtobufCBinaryData bytes[CONTRACT_FILES_MAX];
  Service services[SERVICES_MAX];
  Service *rows[SERVICES_MAX];
};

static void answer_error(struct answer *answer, enum status_code code, const char *text) {
  grpc__reflection__v1__error_response__init(&answer->error);
  answer->error.error_code = (int32_t)code;
  answer->error.error_message = (char *)text;
  answer->response.message_response_case = ANSWER(ERROR_RESPONSE);
  answer->response.error_response = &answer->error;
}

static void answer_files(struct answer *answer, bool found) {
  if (!found) {
    answer_error(answer, STATUS_NOT_FOUND, "there is no such file or symbol");
    return;
  }
  grpc__reflection__v1__file_descriptor_response__init(&answer->files);
  for (size_t i = 0; i < answer->found.num; i++) {
    struct slice file = answer->found.files[i];
    answer->bytes[i] = (ProtobufCBinaryData){.len = file.len, .data = (uint8_t *)file.data};
  }
  answer->files.n_file_descriptor_proto = answer->found.num;
  answer->files.file_descriptor_proto = answer->bytes;
  answer->response.message_response_case = ANSWER(FILE_DESCRIPTOR_RESPONSE);
  answer->response.file_descriptor_response = &answer->files;
}

static void answer_numbers(struct answer *answer, const char *type) {
  if (!contract_has_message(type)) {
    answer_error(answer, STATUS_NOT_FOUND, "there is no such message");
    return;
  }
  grpc__reflection__v1__extension_number_response__init(&answer->numbers);
  answer->numbers.base_type_name = (char *)type;
  answer->response.message_response_case = ANSWER(ALL_EXTENSION_NUMBERS_RESPONSE);
  answer->response.all_extension_numbers_response = &answer->numbers;
}

// The table has the methods of a service in a row.
static void answer_services(struct answer *answer) {
  size_t num = 0;
  const struct method *methods = service_methods(&num);
  grpc__reflection__v1__list_service_response__init(&answer->list);
  for (size_t i = 0; i < num && answer->list.n_service < SERVICES_MAX; i++) {
    if (i == 0 || strcmp(methods[i].service, methods[i - 1].service) != 0) {
      Service *service = &answer->services[answer->list.n_service];
      grpc__reflection__v1__service_response__init(service);
      service->name = (char *)methods[i].service;
      answer->rows[answer->list.n_service++] = service;
    }
  }
  answer->list.service = answer->rows;
  answer->response.message_response_case = ANSWER(LIST_SERVICES_RESPONSE);
  answer->response.list_services_response = &answer->list;
}

static void answer(const Request *asked, struct answer *out) {
  switch (asked->message_request_case) {
    case ASKED(FILE_BY_FILENAME):
      answer_files(out, contract_find_file(asked->file_by_filename, &out->found));
      return;
    case ASKED(FILE_CONTAINING_SYMBOL):
      answer_files(out, contract_find_symbol(asked->file_containing_symbol, &out->found));
      return;
    case ASKED(FILE_CONTAINING_EXTENSION):
      answer_error(out, STATUS_NOT_FOUND, "there are no extensions");
      return;
    case ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE):
      answer_numbers(out, asked->all_extension_numbers_of_type);
      return;
    case ASKED(LIST_SERVICES):
      answer_services(out);
      return;
    default:
      answer_error(out, STATUS_INVALID_ARGUMENT, "nothing is asked");
  }
}

static void end(struct call *call) {
  call_on_cancel(call, NULL);
  call_end(call);
}

static void on_question(struct call *call, const ProtobufCMessage *message) {
  struct answer out;
  grpc__reflection__v1__server_reflection_response__init(&out.response);
  out.response.valid_host = ((const Request *)message)->host;
  out.response.original_request = (Request *)(uintptr_t)message;
  answer((const Request *)message, &out);
  switch (call_send(call, &out.response.base)) {
    case CALL_ROOM:
      call_want(call);
      return;
    case CALL_FULL:
      return;
    case CALL_OVER:
      end(call);
  }
}

static void give_up(struct call *call) {
  call_fail(call, STATUS_CANCELLED, "nobody asks any more");
}

void reflection_info(struct call *call, const ProtobufCMessage *request) {
  static const struct call_events events = {
      .on_message = on_question, .on_half_close = end, .on_room = call_want, .on_drain = end};
  (void)request;
  call_stream(call, &events);
  call_on_cancel(call, give_up);
  call_want(call);
}
