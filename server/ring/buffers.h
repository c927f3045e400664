// Buffers provided to the kernel, which chooses one for each receive. For this folder only.
//
// No sanitizer can see the kernel write into memory, so this pool knows itself which buffers the
// kernel holds: a buffer is either ours (between its completion and buffers_give) or the kernel's.
#ifndef TLSAGENT_SERVER_RING_BUFFERS_H_
#define TLSAGENT_SERVER_RING_BUFFERS_H_

#include <liburing.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The groups of a loop: buffers for everybody, and a few large ones for who has much to receive.
enum buffers_group { BUFFERS_COMMON = 1, BUFFERS_LARGE = 2 };

struct buffers;

// buffers_new maps num buffers (a power of two) of the given size and hands them all to the kernel,
// as that group of the ring.
// Returns 0, or the errno of what failed.
int buffers_new(struct io_uring *ring, enum buffers_group group, unsigned num, size_t size,
                struct buffers **out);
// buffers_free takes all buffers back from the kernel. None may be ours, that is, in somebody's
// hands.
void buffers_free(struct buffers *buffers);

// buffers_take makes a buffer ours which a completion named, and returns its bytes.
uint8_t *buffers_take(struct buffers *buffers, unsigned index);
// buffers_give wipes the first used bytes and hands the buffer back to the kernel.
void buffers_give(struct buffers *buffers, unsigned index, size_t used);

size_t buffers_size(const struct buffers *buffers);
// buffers_kernel_bytes returns how many bytes the kernel holds and may write to.
size_t buffers_kernel_bytes(const struct buffers *buffers);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_BUFFERS_H_
