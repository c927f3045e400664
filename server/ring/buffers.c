#include "server/ring/buffers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "server/base/object.h"
#include "server/ring/poison.h"

enum { BUFFERS_MAGIC = 0x62756673 };

enum holder { HELD_BY_KERNEL, OURS };

struct buffers {
  uint32_t magic;
  struct io_uring *ring;
  enum buffers_group group;
  struct io_uring_buf_ring *shared;  // where the kernel takes buffers from; NULL unless registered
  uint8_t *memory;
  unsigned num;
  unsigned num_ours;
  size_t size;
  uint8_t holders[];  // enum holder of each
};

// Anonymous memory of whole pages, that no core dump shows.
static void *map(size_t len) {
  void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return NULL;
  }
  madvise(memory, len, MADV_DONTDUMP);
  return memory;
}

static size_t shared_size(const struct buffers *buffers) {
  return buffers->num * sizeof(struct io_uring_buf);
}

static uint8_t *buffer_at(const struct buffers *buffers, unsigned index) {
  assert(index < buffers->num);
  return buffers->memory + index * buffers->size;
}

static void hand_to_kernel(struct buffers *buffers, unsigned index) {
  poison_for_kernel(buffer_at(buffers, index), buffers->size);
  buffers->holders[index] = HELD_BY_KERNEL;
  io_uring_buf_ring_add(buffers->shared, buffer_at(buffers, index), (unsigned)buffers->size,
                        (unsigned short)index, io_uring_buf_ring_mask(buffers->num), 0);
  io_uring_buf_ring_advance(buffers->shared, 1);
}

static int register_all(struct buffers *buffers) {
  struct io_uring_buf_ring *shared = map(shared_size(buffers));
  if (shared == NULL) {
    return ENOMEM;
  }
  struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)shared,
                                 .ring_entries = buffers->num,
                                 .bgid = (uint16_t)buffers->group};
  int result = io_uring_register_buf_ring(buffers->ring, &reg, 0);
  if (result < 0) {
    munmap(shared, shared_size(buffers));
    return -result;
  }
  io_uring_buf_ring_init(shared);
  buffers->shared = shared;
  for (unsigned i = 0; i < buffers->num; i++) {
    hand_to_kernel(buffers, i);
  }
  return 0;
}

int buffers_new(struct io_uring *ring, enum buffers_group group, unsigned num, size_t size,
                struct buffers **out) {
  assert(num > 0 && (num & (num - 1)) == 0);
  struct buffers *buffers = calloc(1, sizeof(*buffers) + num);
  if (buffers == NULL) {
    return ENOMEM;
  }
  buffers->magic = BUFFERS_MAGIC;
  buffers->ring = ring;
  buffers->group = group;
  buffers->num = num;
  buffers->size = size;
  buffers->memory = map(num * size);
  int error = buffers->memory == NULL ? ENOMEM : register_all(buffers);
  if (error != 0) {
    buffers_free(buffers);
    return error;
  }
  *out = buffers;
  return 0;
}

void buffers_free(struct buffers *buffers) {
  if (buffers == NULL) {
    return;
  }
  OBJECT_CHECK(buffers, BUFFERS_MAGIC);
  assert(buffers->num_ours == 0);
  if (buffers->shared != NULL) {
    io_uring_unregister_buf_ring(buffers->ring, (int)buffers->group);
    munmap(buffers->shared, shared_size(buffers));
  }
  if (buffers->memory != NULL) {
    unpoison_from_kernel(buffers->memory, buffers->num * buffers->size);
    munmap(buffers->memory, buffers->num * buffers->size);
  }
  buffers->magic = 0;
  free(buffers);
}

uint8_t *buffers_take(struct buffers *buffers, unsigned index) {
  OBJECT_CHECK(buffers, BUFFERS_MAGIC);
  uint8_t *data = buffer_at(buffers, index);
  assert(buffers->holders[index] == HELD_BY_KERNEL);
  buffers->holders[index] = OURS;
  buffers->num_ours++;
  unpoison_from_kernel(data, buffers->size);
  return data;
}

void buffers_give(struct buffers *buffers, unsigned index, size_t used) {
  OBJECT_CHECK(buffers, BUFFERS_MAGIC);
  uint8_t *data = buffer_at(buffers, index);
  assert(buffers->holders[index] == OURS);
  assert(used <= buffers->size);
  // The next to get this buffer may be another client.
  explicit_bzero(data, used);
  buffers->num_ours--;
  hand_to_kernel(buffers, index);
}

size_t buffers_size(const struct buffers *buffers) {
  return buffers->size;
}

size_t buffers_kernel_bytes(const struct buffers *buffers) {
  return (buffers->num - buffers->num_ours) * buffers->size;
}
