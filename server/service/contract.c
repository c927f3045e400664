#include "server/service/contract.h"

#include <assert.h>
#include <string.h>

#include "server/rpc/wire.h"

static const uint8_t served[] = {
#include "server/service/served.inc"
};

// Fields of descriptor.proto.
enum {
  SET_FILE = 1,
  FILE_NAME = 1,
  FILE_PACKAGE = 2,
  FILE_DEPENDENCY = 3,
  FILE_MESSAGE = 4,
  FILE_ENUM = 5,
  FILE_SERVICE = 6,
  MESSAGE_NESTED = 3,
  MESSAGE_ENUM = 4,
  SERVICE_METHOD = 2,
  ANY_NAME = 1,
};

// ---------------------------------------------------------------------------------------------
// Walking

// The next field of that number in what is left of a message.
static bool next(struct slice *from, uint32_t number, struct slice *out) {
  while (from->len > 0) {
    struct wire_field field;
    bool whole = wire_take_field(from, &field);
    assert(whole);
    if (!whole) {
      return false;
    }
    if (field.number == number && field.type == WIRE_BYTES) {
      *out = field.bytes;
      return true;
    }
  }
  return false;
}

static struct slice first(struct slice message, uint32_t number) {
  struct slice out = slice_of(NULL, 0);
  next(&message, number, &out);
  return out;
}

// ---------------------------------------------------------------------------------------------
// Names

// Takes "name" off the front of "name.rest"; what is left is empty when nothing follows.
static bool take_name(struct slice *symbol, struct slice name) {
  struct slice rest = *symbol;
  struct slice part;
  if (!slice_take(&rest, name.len, &part) || !slice_equal(part, name)) {
    return false;
  }
  struct slice dot;
  if (rest.len > 0 && (!slice_take(&rest, 1, &dot) || dot.data[0] != '.' || rest.len == 0)) {
    return false;
  }
  *symbol = rest;
  return true;
}

static bool is_named(struct slice thing, struct slice symbol) {
  return take_name(&symbol, first(thing, ANY_NAME)) && symbol.len == 0;
}

static bool has_named(struct slice parent, uint32_t number, struct slice symbol) {
  struct slice thing;
  while (next(&parent, number, &thing)) {
    if (is_named(thing, symbol)) {
      return true;
    }
  }
  return false;
}

// The thing of that number whose name the symbol begins with, which is taken off it.
static bool enter(struct slice parent, uint32_t number, struct slice *symbol, struct slice *out) {
  while (next(&parent, number, out)) {
    if (take_name(symbol, first(*out, ANY_NAME))) {
      return true;
    }
  }
  return false;
}

// Messages lie in messages.
static bool enter_message(struct slice file, struct slice *symbol, struct slice *out) {
  bool found = enter(file, FILE_MESSAGE, symbol, out);
  while (found && symbol->len > 0) {
    struct slice inner;
    if (!enter(*out, MESSAGE_NESTED, symbol, &inner)) {
      break;
    }
    *out = inner;
  }
  return found;
}

static bool has_message(struct slice file, struct slice symbol) {
  struct slice message;
  return enter_message(file, &symbol, &message) &&
         (symbol.len == 0 || has_named(message, MESSAGE_ENUM, symbol));
}

static bool has_service(struct slice file, struct slice symbol) {
  struct slice service;
  return enter(file, FILE_SERVICE, &symbol, &service) &&
         (symbol.len == 0 || has_named(service, SERVICE_METHOD, symbol));
}

static bool has_symbol(struct slice file, struct slice symbol) {
  return take_name(&symbol, first(file, FILE_PACKAGE)) &&
         (has_message(file, symbol) || has_named(file, FILE_ENUM, symbol) ||
          has_service(file, symbol));
}

// ---------------------------------------------------------------------------------------------
// Files

static bool file_by_name(struct slice name, struct slice *out) {
  struct slice set = slice_of(served, sizeof(served));
  while (next(&set, SET_FILE, out)) {
    if (slice_equal(first(*out, FILE_NAME), name)) {
      return true;
    }
  }
  return false;
}

static bool file_by_symbol(struct slice symbol, struct slice *out) {
  struct slice set = slice_of(served, sizeof(served));
  while (next(&set, SET_FILE, out)) {
    if (has_symbol(*out, symbol)) {
      return true;
    }
  }
  return false;
}

static void add(struct contract_files *files, struct slice file) {
  for (size_t i = 0; i < files->num; i++) {
    if (files->files[i].data == file.data) {
      return;
    }
  }
  assert(files->num < CONTRACT_FILES_MAX);
  files->files[files->num++] = file;
}

// The list grows while it is walked.
static void add_imports(struct contract_files *files) {
  for (size_t i = 0; i < files->num; i++) {
    struct slice file = files->files[i];
    struct slice name;
    struct slice imported;
    while (next(&file, FILE_DEPENDENCY, &name)) {
      if (file_by_name(name, &imported)) {
        add(files, imported);
      }
    }
  }
}

static bool give(bool found, struct slice file, struct contract_files *out) {
  out->num = 0;
  if (found) {
    add(out, file);
    add_imports(out);
  }
  return found;
}

bool contract_find_file(const char *name, struct contract_files *out) {
  struct slice file;
  return give(file_by_name(slice_of_string(name), &file), file, out);
}

bool contract_find_symbol(const char *symbol, struct contract_files *out) {
  struct slice file;
  return give(file_by_symbol(slice_of_string(symbol), &file), file, out);
}

bool contract_has_message(const char *symbol) {
  struct slice file;
  struct slice message;
  struct slice rest = slice_of_string(symbol);
  return file_by_symbol(rest, &file) && take_name(&rest, first(file, FILE_PACKAGE)) &&
         enter_message(file, &rest, &message) && rest.len == 0;
}
